//! A running value per key: `sum` and `reduce`.

use std::{num::Wrapping, ops::Add};

use super::{
    collector::Emitter,
    keyed::Keyed,
    stage::{Operator, OperatorContext},
};
use crate::{
    error::{Context, Error, Result},
    key_group::KeyGroupRange,
    state::{OperatorSnapshot, RestoredOperator, ValueStateDescriptor, ValueTable, check_all_restored},
    stream::{Data, Key},
};

/// A number that can be summed up without overflowing unnoticed.
pub trait Summand: Data {
    /// The sum, or `None` if it is out of the type's range.
    fn checked_sum(&self, other: &Self) -> Option<Self>;
}

macro_rules! summands {
    ($($t:ty),*) => {$(
        impl Summand for $t {
            #[inline]
            fn checked_sum(&self, other: &Self) -> Option<Self> {
                self.checked_add(*other)
            }
        }
    )*};
}

summands!(u8, u16, u32, u64, u128, usize, i8, i16, i32, i64, i128, isize);

macro_rules! float_summands {
    ($($t:ty),*) => {$(
        impl Summand for $t {
            #[inline]
            fn checked_sum(&self, other: &Self) -> Option<Self> {
                Some(self + other)
            }
        }
    )*};
}

float_summands!(f32, f64);

/// A sum that may leave its type's range, and then goes on at the other end.
impl<T> Summand for Wrapping<T>
where
    Self: Data + Add<Output = Self>,
{
    #[inline]
    fn checked_sum(&self, other: &Self) -> Option<Self> {
        Some(self.clone() + other.clone())
    }
}

/// Folds the records of a key into one value of type `V`, and emits something made of it after each record.
pub(crate) struct Aggregate<K, V, First, Fold, Emit> {
    /// Where errors happen.
    pub context: OperatorContext,
    /// The state.
    pub table: ValueTable<K, V>,
    /// What the state is called in a snapshot.
    pub descriptor: ValueStateDescriptor<V>,
    /// The value after the first record of a key.
    pub first: First,
    /// The value after one more record; an error says why there is none.
    pub fold: Fold,
    /// What is emitted.
    pub emit: Emit,
}

impl<K: Key, V: Data, First, Fold, Emit> Aggregate<K, V, First, Fold, Emit> {
    /// An aggregate without state.
    pub fn new(
        context: &OperatorContext,
        descriptor: ValueStateDescriptor<V>,
        first: First,
        fold: Fold,
        emit: Emit,
    ) -> Self {
        Self { context: context.clone(), table: ValueTable::new(), descriptor, first, fold, emit }
    }

    fn key_groups(&self) -> KeyGroupRange {
        self.context.subtask.key_groups()
    }
}

impl<K, V, T, Out, First, Fold, Emit> Operator<Keyed<K, T>, Out> for Aggregate<K, V, First, Fold, Emit>
where
    K: Key,
    V: Data,
    T: Send + 'static,
    Out: Send + 'static,
    First: Fn(T) -> V + Send + 'static,
    Fold: Fn(&mut V, T) -> Result<()> + Send + 'static,
    Emit: Fn(K, &V) -> Out + Send + 'static,
{
    fn open(&mut self, restored: Option<RestoredOperator>) -> Result<()> {
        let mut restored = restored.unwrap_or_default();
        if let Some(snapshot) = restored.keyed.remove(self.descriptor.name()) {
            let (max, owned) = (self.context.subtask.max_parallelism, self.key_groups());
            self.table = ValueTable::restore(&self.descriptor, &snapshot, max, owned).at(|| self.context.place())?;
        }
        check_all_restored(&restored).at(|| self.context.place())
    }

    fn process(&mut self, batch: &mut Vec<Keyed<K, T>>, out: &mut Emitter<'_, Out>) -> Result<()> {
        for Keyed { hash, key, record } in batch.drain(..) {
            let result = match self.table.get_mut(hash, &key) {
                Some(value) => {
                    (self.fold)(value, record).at(|| self.context.place())?;
                    // The table has its own copy of the key, so this one can go on.
                    (self.emit)(key, value)
                }
                None => {
                    let value = (self.first)(record);
                    let result = (self.emit)(key.clone(), &value);
                    self.table.insert_new(hash, key, value);
                    result
                }
            };
            out.emit(result)?;
        }
        Ok(())
    }

    fn snapshot(&mut self) -> Result<Option<OperatorSnapshot>> {
        let max = self.context.subtask.max_parallelism;
        let keyed = self.table.snapshot(&self.descriptor, max).at(|| self.context.place())?;
        Ok(Some(OperatorSnapshot {
            uid: self.context.uid.clone(),
            key_groups: Some(self.key_groups()),
            keyed: vec![keyed],
            lists: Vec::new(),
        }))
    }
}

/// The fold of `sum`.
pub(crate) fn add<N: Summand>(sum: &mut N, n: &N) -> Result<()> {
    *sum = sum.checked_sum(n).ok_or_else(|| {
        let number = std::any::type_name::<N>();
        Error::user_code(format!("a sum is out of the range of {number}: sum up a wider type"))
    })?;
    Ok(())
}
