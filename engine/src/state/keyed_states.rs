//! The states of one operator, and the view of them under one key.

use std::{any::Any, marker::PhantomData};

use super::{AnyTable, NamedTable, RestoredOperator, ValueStateDescriptor, ValueTable, check_all_restored};
use crate::{
    error::{Error, Result},
    key_group::{KeyGroupRange, KeyHash},
    stream::{Data, Key},
};

/// All keyed states of one operator in one subtask. A function registers here what it keeps.
pub struct KeyedStates<K> {
    max_parallelism: u32,
    owned: KeyGroupRange,
    restored: RestoredOperator,
    states: Vec<Registered>,
    key: PhantomData<fn(K)>,
}

struct Registered {
    name: String,
    type_name: String,
    table: Box<dyn AnyTable>,
}

impl<K: Key> KeyedStates<K> {
    /// No states yet, for a subtask that owns these key groups.
    pub(crate) fn new(max_parallelism: u32, owned: KeyGroupRange) -> Self {
        Self { max_parallelism, owned, restored: RestoredOperator::default(), states: Vec::new(), key: PhantomData }
    }

    /// Keeps restored state until the states are registered.
    pub(crate) fn restore(&mut self, restored: RestoredOperator) {
        self.restored = restored;
    }

    /// Registers a value per key. Registering the same name and type again gives the same state.
    ///
    /// # Errors
    /// `BadInput` if the name is taken by a state of another type, now or in the restored checkpoint; `Damaged` if the
    /// restored state cannot be read.
    pub fn value<V: Data>(&mut self, descriptor: ValueStateDescriptor<V>) -> Result<ValueState<V>> {
        let (name, type_name) = (descriptor.name().to_owned(), descriptor.type_name::<K>());
        if let Some(index) = self.states.iter().position(|s| s.name == name) {
            let other = &self.states[index].type_name;
            if *other != type_name {
                return Err(Error::bad_input(format!(
                    "state {name} is registered as {other} and as {type_name}: give one of the two another name"
                )));
            }
            return Ok(ValueState { index: Some(index), value: PhantomData });
        }
        let table = NamedTable::<K, V>::restore(descriptor, &mut self.restored, self.max_parallelism, self.owned)?;
        self.states.push(Registered { name, type_name, table: Box::new(table) });
        Ok(ValueState { index: Some(self.states.len() - 1), value: PhantomData })
    }

    /// Refuses restored state that nobody has registered.
    pub(crate) fn check_all_restored(&self) -> Result<()> {
        check_all_restored(&self.restored)
    }

    /// All states, for a checkpoint.
    pub(crate) fn tables(&mut self) -> Vec<&mut dyn AnyTable> {
        self.states.iter_mut().map(|s| &mut *s.table).collect()
    }
}

/// The states of an operator under the key of the record in hand: no other key's state can be reached.
pub struct KeyedContext<'a, K> {
    states: &'a mut KeyedStates<K>,
    hash: KeyHash,
    key: &'a K,
}

impl<'a, K: Key> KeyedContext<'a, K> {
    pub(crate) fn new(states: &'a mut KeyedStates<K>, hash: KeyHash, key: &'a K) -> Self {
        Self { states, hash, key }
    }

    /// The key of the record in hand.
    #[must_use]
    pub fn current_key(&self) -> &K {
        self.key
    }
}

/// Reads and writes one state under the key of a [`KeyedContext`]. Comes from [`KeyedStates::value`]; the default is a
/// placeholder until then.
pub struct ValueState<V> {
    index: Option<usize>,
    value: PhantomData<fn() -> V>,
}

impl<V> Clone for ValueState<V> {
    fn clone(&self) -> Self {
        Self { index: self.index, value: PhantomData }
    }
}

impl<V> Default for ValueState<V> {
    fn default() -> Self {
        Self { index: None, value: PhantomData }
    }
}

const UNREGISTERED: &str = "a ValueState is used that KeyedProcessFunction::open did not register with this operator";

impl<V: Data> ValueState<V> {
    /// The key's value, if it has one.
    ///
    /// # Panics
    /// If the state was not registered with this operator. So do the other methods.
    pub fn value<'c, K: Key>(&self, context: &'c KeyedContext<'_, K>) -> Option<&'c V> {
        let registered = self.index.and_then(|i| context.states.states.get(i)).expect(UNREGISTERED);
        let table: &dyn Any = &*registered.table;
        table.downcast_ref::<NamedTable<K, V>>().expect(UNREGISTERED).table.get(context.hash, context.key)
    }

    /// Gives the key a value.
    pub fn update<K: Key>(&self, context: &mut KeyedContext<'_, K>, value: V) {
        let (hash, key) = (context.hash, context.key);
        let table = self.table(context);
        match table.get_mut(hash, key) {
            Some(old) => *old = value,
            None => table.insert_new(hash, key.clone(), value),
        }
    }

    /// Takes the key's value away.
    pub fn clear<K: Key>(&self, context: &mut KeyedContext<'_, K>) {
        let (hash, key) = (context.hash, context.key);
        self.table(context).remove(hash, key);
    }

    fn table<'c, K: Key>(&self, context: &'c mut KeyedContext<'_, K>) -> &'c mut ValueTable<K, V> {
        let registered = self.index.and_then(|i| context.states.states.get_mut(i)).expect(UNREGISTERED);
        let table: &mut dyn Any = &mut *registered.table;
        &mut table.downcast_mut::<NamedTable<K, V>>().expect(UNREGISTERED).table
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{error::ErrorKind, state::tests::full};

    const ALL: KeyGroupRange = KeyGroupRange { start: 0, end: 128 };

    fn states() -> KeyedStates<String> {
        KeyedStates::new(128, ALL)
    }

    #[test]
    fn state_is_read_and_written_under_the_current_key_alone() {
        let mut states = states();
        let count = states.value(ValueStateDescriptor::<u32>::new("count")).unwrap();
        let note = states.value(ValueStateDescriptor::<String>::new("note")).unwrap();
        let (a, b) = ("a".to_owned(), "b".to_owned());
        let context = &mut KeyedContext::new(&mut states, a.key_hash(), &a);
        assert_eq!(count.value(context), None);
        count.update(context, 1);
        count.update(context, 2);
        note.update(context, "seen".into());
        assert_eq!((count.value(context), context.current_key()), (Some(&2), &a));
        let context = &mut KeyedContext::new(&mut states, b.key_hash(), &b);
        assert_eq!(count.value(context), None);
        count.update(context, 9);
        count.clear(context);
        count.clear(context);
        assert_eq!(count.value(context), None);
        let context = &mut KeyedContext::new(&mut states, a.key_hash(), &a);
        assert_eq!((count.value(context), note.value(context)), (Some(&2), Some(&"seen".to_owned())));
    }

    #[test]
    fn a_name_has_one_type() {
        let mut states = states();
        let first = states.value(ValueStateDescriptor::<u32>::new("count")).unwrap();
        let again = states.value(ValueStateDescriptor::<u32>::new("count")).unwrap();
        assert_eq!(first.index, again.index);
        let error = states.value(ValueStateDescriptor::<u64>::new("count")).err().unwrap();
        assert_eq!(error.kind, ErrorKind::BadInput);
        insta::assert_snapshot!(error, @"state count is registered as alloc::string::String -> u32 and as alloc::string::String -> u64: give one of the two another name");
    }

    #[test]
    fn a_name_has_one_type_also_after_a_restore_and_nothing_is_left_behind() {
        let mut old = states();
        let count = old.value(ValueStateDescriptor::<u32>::new("count")).unwrap();
        let key = "a".to_owned();
        count.update(&mut KeyedContext::new(&mut old, key.key_hash(), &key), 7);
        let table: &mut dyn Any = old.tables().remove(0);
        let snapshot = full(&mut table.downcast_mut::<NamedTable<String, u32>>().unwrap().table);
        let keyed = [("count".to_owned(), snapshot)].into();
        let restored = RestoredOperator { keyed, ..RestoredOperator::default() };

        let mut new = states();
        new.restore(restored.clone());
        insta::assert_snapshot!(new.check_all_restored().unwrap_err(), @"the checkpoint holds a state named count, which the program does not use: restore it with the program that took it, or start afresh");
        let count = new.value(ValueStateDescriptor::<u32>::new("count")).unwrap();
        for table in new.tables() {
            let pieces = table.restoring(1).into_iter().map(|decode| decode().unwrap()).collect();
            table.join(pieces);
        }
        assert_eq!(count.value(&KeyedContext::new(&mut new, key.key_hash(), &key)), Some(&7));
        new.check_all_restored().unwrap();

        let mut other = states();
        other.restore(restored);
        insta::assert_snapshot!(other.value(ValueStateDescriptor::<u8>::new("count")).err().unwrap(), @"state count holds alloc::string::String -> u32 in the checkpoint but alloc::string::String -> u8 in the program: restore it with the types that it was taken with, or give the state another name");
    }

    #[test]
    #[should_panic(expected = "did not register")]
    fn an_unregistered_state_is_a_bug_of_its_user() {
        let key = "a".to_owned();
        ValueState::<u8>::default().update(&mut KeyedContext::new(&mut states(), key.key_hash(), &key), 1);
    }
}
