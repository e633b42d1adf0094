//! A table with its name, seen without its types.

use std::any::Any;

use super::{FrozenKeyedState, RestoredOperator, ValueStateDescriptor, ValueTable};
use crate::{
    error::Result,
    key_group::KeyGroupRange,
    probe::KeyGroupContent,
    stream::{Data, Key},
};

/// A table and what it is called in a snapshot.
pub(crate) struct NamedTable<K, V> {
    pub descriptor: ValueStateDescriptor<V>,
    pub table: ValueTable<K, V>,
}

/// What a checkpoint does with a table, whatever it holds. The methods mean what they mean in [`ValueTable`].
pub(crate) trait AnyTable: Any + Send {
    /// The state's name.
    fn name(&self) -> &str;
    /// How many keys have a value.
    fn len(&self) -> usize;
    /// See [`ValueTable::changed`].
    fn changed(&self) -> Option<usize>;
    /// See [`ValueTable::freeze`].
    fn freeze(&mut self, delta: bool, buffer: Vec<u8>);
    /// See [`ValueTable::sweep`].
    fn sweep(&mut self, budget: &mut u64) -> Result<bool>;
    /// See [`ValueTable::collect`].
    fn collect(&mut self) -> (Vec<u8>, FrozenKeyedState);
    /// See [`ValueTable::abandon`].
    fn abandon(&mut self);
    /// See [`ValueTable::content`].
    fn content(&self) -> Result<Vec<KeyGroupContent>>;
}

impl<K: Key, V: Data> NamedTable<K, V> {
    /// An empty table.
    pub fn new(descriptor: ValueStateDescriptor<V>, max_parallelism: u32, owned: KeyGroupRange) -> Self {
        Self { descriptor, table: ValueTable::new(max_parallelism, owned) }
    }

    /// The table that a checkpoint holds under this name, or an empty one. Takes it out of `restored`.
    ///
    /// # Errors
    /// Those of [`ValueTable::restore`].
    pub fn restore(
        descriptor: ValueStateDescriptor<V>,
        restored: &mut RestoredOperator,
        max_parallelism: u32,
        owned: KeyGroupRange,
    ) -> Result<Self> {
        let table = match restored.keyed.remove(descriptor.name()) {
            Some(snapshot) => ValueTable::restore(&descriptor, &snapshot, max_parallelism, owned)?,
            None => ValueTable::new(max_parallelism, owned),
        };
        Ok(Self { descriptor, table })
    }
}

impl<K: Key, V: Data> AnyTable for NamedTable<K, V> {
    fn name(&self) -> &str {
        self.descriptor.name()
    }

    fn len(&self) -> usize {
        self.table.len()
    }

    fn changed(&self) -> Option<usize> {
        self.table.changed()
    }

    fn freeze(&mut self, delta: bool, buffer: Vec<u8>) {
        self.table.freeze(delta, buffer);
    }

    fn sweep(&mut self, budget: &mut u64) -> Result<bool> {
        self.table.sweep(budget)
    }

    fn collect(&mut self) -> (Vec<u8>, FrozenKeyedState) {
        self.table.collect(&self.descriptor)
    }

    fn abandon(&mut self) {
        self.table.abandon();
    }

    fn content(&self) -> Result<Vec<KeyGroupContent>> {
        self.table.content()
    }
}
