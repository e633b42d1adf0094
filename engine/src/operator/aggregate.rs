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
    key_group::KeyHash,
    state::{
        AnyTable, InOrder, Located, LogEntry, NamedTable, RestoredOperator, Shortcuts, ValueStateDescriptor,
        ValueTable, check_all_restored,
    },
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

/// So many keys are looked for before the first of them is updated: enough to wait for memory once, and few enough for all that they touch
/// (a line of tags, one or two of the segment, and the entry) to stay in the nearest cache.
const LOOK_AHEAD: usize = 64;

/// Folds the records of a key into one value of type `V`, and emits something made of it after each record.
pub(crate) struct Aggregate<K, V, First, Fold, Emit> {
    /// Where errors happen.
    pub context: OperatorContext,
    /// The state, and what it is called in a snapshot.
    state: NamedTable<K, V>,
    /// Where the keys of the records in hand are likely to stand.
    located: Located,
    /// Where those of earlier ones stood.
    shortcuts: Shortcuts,
    functions: Functions<First, Fold, Emit>,
}

/// What is done with a record.
struct Functions<First, Fold, Emit> {
    /// The value after the first record of a key.
    first: First,
    /// The value after one more record; an error says why there is none.
    fold: Fold,
    /// What is emitted.
    emit: Emit,
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
        let functions = Functions { first, fold, emit };
        Self { context: context.clone(), state, located: Located::default(), shortcuts: Shortcuts::new(), functions }
    }
}

impl<First, Fold, Emit> Functions<First, Fold, Emit> {
    /// Applies a record to the value of its key, and writes that down where it is to be. Gives what is emitted.
    ///
    /// Always inlined, as what calls it: left to itself, the compiler makes it a call that hands its result over in memory.
    #[inline(always)]
    fn update<K, V: Data, T, Out>(
        &self,
        (value, log): (&mut V, Option<LogEntry<'_, V>>),
        key: K,
        record: T,
    ) -> Result<Out>
    where
        Fold: Fn(&mut V, T) -> Result<()>,
        Emit: Fn(K, &V) -> Out,
    {
        (self.fold)(value, record)?;
        if let Some(entry) = log {
            entry.write(value);
        }
        // The table has its own copy of the key, so this one can go on.
        Ok((self.emit)(key, value))
    }

    /// Applies a record to the value of its key, which `find` finds. Gives what is emitted.
    #[inline(always)]
    fn apply<K: Key, V: Data, T, Out>(
        &self,
        Keyed { hash, key, record }: Keyed<K, T>,
        table: &mut ValueTable<K, V>,
        find: impl FnOnce(&ValueTable<K, V>, KeyHash, &K) -> Option<(usize, usize)>,
    ) -> Result<Out>
    where
        First: Fn(T) -> V,
        Fold: Fn(&mut V, T) -> Result<()>,
        Emit: Fn(K, &V) -> Out,
    {
        if let Some(place) = find(table, hash, &key) {
            return self.update(table.change(place), key, record);
        }
        let value = (self.first)(record);
        let result = (self.emit)(key.clone(), &value);
        table.insert_new(hash, key, value);
        Ok(result)
    }

    /// Likewise, by the shortcut to the key if there is one.
    #[inline(always)]
    fn apply_by<K: Key, V: Data, T, Out>(
        &self,
        shortcuts: &mut Shortcuts,
        keyed: Keyed<K, T>,
        table: &mut ValueTable<K, V>,
    ) -> Result<Out>
    where
        First: Fn(T) -> V,
        Fold: Fn(&mut V, T) -> Result<()>,
        Emit: Fn(K, &V) -> Out,
    {
        match table.get_mut_at(shortcuts.get(keyed.hash), &keyed.key) {
            Some(value) => self.update((value, None), keyed.key, keyed.record),
            None => self.apply(keyed, table, |table, hash, key| table.find_and_note(shortcuts, hash, key)),
        }
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
        let (table, functions) = (&mut self.state.table, &self.functions);
        let as_large = self.context.subtask.entropy.perturbs(Site::LargeTable);
        let mut in_order = InOrder::of(batch);
        let mut rest = batch.drain(..);
        if table.is_small() && !as_large && rest.len() <= out.room() {
            // As plain a loop as can be, with few loads that wait for others: each instruction counts.
            self.shortcuts.fit(table.len());
            for keyed in rest {
                in_order.ask_ahead();
                let result = functions.apply_by(&mut self.shortcuts, keyed, table);
                out.emit_into_room(result.at(|| self.context.place())?);
            }
            return out.pass_on_if_full();
        }
        table.before_changes(rest.as_slice().iter().map(|keyed| keyed.hash));
        while !rest.as_slice().is_empty() {
            let n = rest.len().min(LOOK_AHEAD).min(out.room());
            table.locate(rest.as_slice()[..n].iter().map(|keyed| keyed.hash), &mut self.located);
            let located = &self.located;
            for (i, keyed) in rest.by_ref().take(n).enumerate() {
                in_order.ask_ahead();
                let result = functions.apply(keyed, table, |t, hash, key| t.located(located, i, hash, key));
                out.emit_into_room(result.at(|| self.context.place())?);
            }
            out.pass_on_if_full()?;
        }
        Ok(())
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::{
        env::entropy::Perturbing,
        graph::Partitioning,
        operator::{
            PlainEdge, SubtaskContext,
            edge::EdgeTemplate,
            stage::{Link, Stage},
        },
        stream::Outbox,
    };

    /// A sum by key of the second of each record, whose results go to a single subtask.
    fn sum<N: Summand>(as_large: bool) -> impl Stage<Keyed<u8, (u8, N)>> {
        let entropy = Arc::new(Perturbing(as_large));
        let subtask = SubtaskContext { entropy, consumers: vec![1], ..SubtaskContext::alone() };
        let edge = PlainEdge::<(u8, N)>::new();
        let next = edge.tail(vec![edge.writer(Partitioning::Forward, 0, &subtask)]).typed();
        let context = OperatorContext { uid: "sum".to_owned(), subtask };
        let fold = |sum: &mut N, (_, n): (u8, N)| add(sum, &n);
        let emit = |key: u8, sum: &N| (key, sum.clone());
        let sum = Aggregate::new(&context, ValueStateDescriptor::new("sum"), |(_, n)| n, fold, emit);
        Link::<Keyed<u8, (u8, N)>, (u8, N), _>::new(sum, &context, next)
    }

    fn keyed<N: Clone>(records: &[(u8, N)]) -> Vec<Keyed<u8, (u8, N)>> {
        records.iter().map(|record| Keyed::new(record.0, record.clone())).collect()
    }

    proptest! {
        /// Whichever way keys are looked up, each record gives the sum so far, in order; and no batch is larger than the
        /// task's limit, which is low where values are large.
        #[test]
        fn each_record_gives_its_sum_in_batches_of_bounded_size(
            records in proptest::collection::vec((0_u8..40, 0_u32..1000), 0..1500), limit in 1_usize..1600, as_large: bool,
        ) {
            let (mut batch, mut outbox) = (keyed(&records), Outbox::new(limit));
            sum(as_large).process(&mut batch, &mut outbox).unwrap();
            prop_assert!(batch.is_empty());
            outbox.flush();
            let batches: Vec<Vec<(u8, u32)>> = outbox.drain().map(|out| out.batch.downcast()).collect();

            let mut sums = [0; 40];
            let expected = records.iter().map(|(key, n)| {
                sums[usize::from(*key)] += n;
                (*key, sums[usize::from(*key)])
            });
            prop_assert!(batches.iter().all(|batch| batch.len() <= limit));
            prop_assert_eq!(batches.concat(), expected.collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_sum_out_of_range_names_its_operator() {
        let error = sum(false).process(&mut keyed(&[(1, 200_u8), (1, 100)]), &mut Outbox::new(10)).unwrap_err();
        insta::assert_snapshot!(error, @"operator sum, subtask 0: a sum is out of the range of u8: sum up a wider type");
    }
}
