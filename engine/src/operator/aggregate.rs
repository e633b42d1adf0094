//! A running value per key: `sum` and `reduce`.

use std::{num::Wrapping, ops::Add};

use super::{
    collector::Emitter,
    keyed::Keyed,
    stage::{Operator, OperatorContext},
};
use crate::{
    env::Site,
    error::{Context, Error, Result},
    state::{AnyTable, InOrder, Located, NamedTable, RestoredOperator, ValueStateDescriptor, check_all_restored},
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

/// So many keys are looked up before the first of them is updated: few enough for their entries to stay in the nearest cache.
const LOOK_AHEAD: usize = 512;

/// Folds the records of a key into one value of type `V`, and emits something made of it after each record.
pub(crate) struct Aggregate<K, V, First, Fold, Emit> {
    /// Where errors happen.
    pub context: OperatorContext,
    /// The state, and what it is called in a snapshot.
    state: NamedTable<K, V>,
    /// Where the keys of the batch in hand stand.
    located: Located,
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
        let subtask = &context.subtask;
        let state = NamedTable::new(descriptor, subtask.max_parallelism, subtask.key_groups());
        Self { context: context.clone(), state, located: Located::default(), first, fold, emit }
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
        let (max, owned) = (self.context.subtask.max_parallelism, self.context.subtask.key_groups());
        let descriptor = self.state.descriptor.clone();
        self.state = NamedTable::restore(descriptor, &mut restored, max, owned).at(|| self.context.place())?;
        check_all_restored(&restored).at(|| self.context.place())
    }

    fn process(&mut self, batch: &mut Vec<Keyed<K, T>>, out: &mut Emitter<'_, Out>) -> Result<()> {
        let as_large = self.context.subtask.entropy.perturbs(Site::LargeTable);
        let table = &mut self.state.table;
        let mut rest = batch.drain(..);
        loop {
            let ahead = &rest.as_slice()[..rest.len().min(LOOK_AHEAD)];
            let n = ahead.len();
            if n == 0 {
                return Ok(());
            }
            table.locate(ahead.iter().map(|k| (k.hash, &k.key)), as_large, &mut self.located);
            let in_order = InOrder::of(ahead);
            for (i, Keyed { hash, key, record }) in rest.by_ref().take(n).enumerate() {
                in_order.ask_ahead_of(i);
                let result = match table.located_mut(&self.located, i, hash, &key) {
                    Some(value) => {
                        (self.fold)(value, record).at(|| self.context.place())?;
                        // The table has its own copy of the key, so this one can go on.
                        (self.emit)(key, value)
                    }
                    None => {
                        let value = (self.first)(record);
                        let result = (self.emit)(key.clone(), &value);
                        table.insert_new(hash, key, value);
                        result
                    }
                };
                out.emit(result)?;
            }
        }
    }

    fn tables(&mut self) -> Option<Vec<&mut dyn AnyTable>> {
        Some(vec![&mut self.state])
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
