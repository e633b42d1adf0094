//! A table with its name, seen without its types.
//!
//! What a checkpoint holds is put into a table in two steps. When the state is registered, its types are checked. Then it is
//! decoded, in pieces, by whoever has time for them ([`AnyTable::restoring`]).

use std::any::Any;

use super::{
    FrozenKeyedState, KeyedStateSnapshot, RestoredOperator, SnapshotScope, StateSize, ValueStateDescriptor, ValueTable,
    restore::check_types,
};
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
    /// What is to be decoded before the table is of use.
    restored: Option<KeyedStateSnapshot>,
}

/// Decodes a piece of a table. Knows nothing of the other pieces.
pub(crate) type Decode = Box<dyn FnOnce() -> Result<Decoded> + Send>;

/// A piece of a table, without its types.
pub(crate) struct Decoded(Box<dyn Any + Send>);

/// What a checkpoint does with a table, whatever it holds. The methods mean what they mean in [`ValueTable`].
pub(crate) trait AnyTable: Any + Send {
    /// The state's name.
    fn name(&self) -> &str;
    /// What is to be decoded before the table is of use, in pieces of at least so many bytes; nothing if it begins empty. To
    /// be called once, before the methods below.
    fn restoring(&mut self, bytes: usize) -> Vec<Decode>;
    /// Puts the table together. All pieces, in their order.
    fn join(&mut self, pieces: Vec<Decoded>);
    /// See [`ValueTable::size`].
    fn size(&self) -> StateSize;
    /// See [`ValueTable::freeze`].
    fn freeze(&mut self, scope: SnapshotScope, buffer: Vec<u8>);
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
        Self { descriptor, table: ValueTable::new(max_parallelism, owned), restored: None }
    }

    /// The table that a checkpoint holds under this name, still to be decoded, or an empty one. Takes it out of `restored`.
    ///
    /// # Errors
    /// `BadInput` if the checkpoint holds other types.
    pub fn restore(
        descriptor: ValueStateDescriptor<V>,
        restored: &mut RestoredOperator,
        max_parallelism: u32,
        owned: KeyGroupRange,
    ) -> Result<Self> {
        let restored = restored.keyed.remove(descriptor.name());
        if let Some(snapshot) = &restored {
            check_types::<K, V>(&descriptor, snapshot)?;
        }
        Ok(Self { restored, ..Self::new(descriptor, max_parallelism, owned) })
    }
}

impl<K: Key, V: Data> AnyTable for NamedTable<K, V> {
    fn name(&self) -> &str {
        self.descriptor.name()
    }

    fn restoring(&mut self, bytes: usize) -> Vec<Decode> {
        let (max_parallelism, owned) = (self.table.max_parallelism, self.table.owned);
        let pieces = self.restored.take().map_or_else(Vec::new, |snapshot| snapshot.cut(owned, bytes));
        let decode = |(range, piece): (KeyGroupRange, KeyedStateSnapshot)| -> Decode {
            let descriptor = self.descriptor.clone();
            Box::new(move || {
                let table = ValueTable::<K, V>::restore(&descriptor, &piece, max_parallelism, range)?;
                Ok(Decoded(Box::new(table)))
            })
        };
        pieces.into_iter().map(decode).collect()
    }

    fn join(&mut self, pieces: Vec<Decoded>) {
        let table = |piece: Decoded| *piece.0.downcast().expect("each table decodes its own pieces");
        self.table = ValueTable::join(pieces.into_iter().map(table).collect());
    }

    fn size(&self) -> StateSize {
        self.table.size()
    }

    fn freeze(&mut self, scope: SnapshotScope, buffer: Vec<u8>) {
        assert!(self.restored.is_none(), "state {} is frozen before it is restored", self.name());
        self.table.freeze(scope, buffer);
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
