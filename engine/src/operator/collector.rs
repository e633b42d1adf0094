//! An operator's output.

use super::stage::Stage;
use crate::{
    error::{Error, Result},
    stream::Outbox,
};

/// An operator's output: collects records and passes them on in batches of bounded size.
pub(crate) struct Emitter<'a, Out> {
    buffer: &'a mut Vec<Out>,
    limit: usize,
    next: &'a mut dyn Stage<Out>,
    outbox: &'a mut Outbox,
}

impl<'a, Out> Emitter<'a, Out> {
    /// An output that collects in `buffer`, which is empty, for the stage `next`.
    pub fn new(buffer: &'a mut Vec<Out>, next: &'a mut dyn Stage<Out>, outbox: &'a mut Outbox) -> Self {
        Self { buffer, limit: outbox.limit(), next, outbox }
    }

    /// How many more records make a full batch: at least 1, because a full one is passed on.
    #[inline]
    pub fn room(&self) -> usize {
        self.limit - self.buffer.len()
    }

    /// Emits one record. Who has emitted as many as there was [`room`](Self::room) for calls [`pass_on_if_full`](Self::pass_on_if_full).
    #[inline]
    pub fn emit_into_room(&mut self, record: Out) {
        self.buffer.push(record);
    }

    /// Runs what was collected through the rest of the chain, if it is a full batch.
    #[inline]
    pub fn pass_on_if_full(&mut self) -> Result<()> {
        if self.buffer.len() >= self.limit { self.pass_on() } else { Ok(()) }
    }

    /// Emits records of which there are no more than in the operator's input batch.
    #[inline]
    pub fn emit_batch(&mut self, records: impl Iterator<Item = Out>) {
        self.buffer.extend(records);
    }

    /// Lets `user` append to the batch under construction.
    #[inline]
    pub fn emit_with(&mut self, user: impl FnOnce(&mut Vec<Out>) -> Result<()>) -> Result<()> {
        user(self.buffer)?;
        self.pass_on_if_full()
    }

    /// Runs what was collected through the rest of the chain.
    pub fn pass_on(&mut self) -> Result<()> {
        if !self.buffer.is_empty() {
            self.next.process(self.buffer, self.outbox)?;
            assert!(self.buffer.is_empty(), "a stage left records in its input batch");
        }
        Ok(())
    }
}

/// Where a function leaves its results: any number for each record, none of which needs a collection of its own.
pub struct Collector<'a, Out> {
    out: Emitter<'a, Out>,
    failed: Option<Error>,
}

impl<'a, Out> Collector<'a, Out> {
    /// Collects for `out`.
    pub(crate) fn new(out: &'a mut Emitter<'_, Out>) -> Self {
        let Emitter { buffer, limit, next, outbox } = out;
        Self { out: Emitter { buffer, limit: *limit, next: &mut **next, outbox }, failed: None }
    }

    /// Emits a record.
    #[inline]
    pub fn collect(&mut self, record: Out) {
        self.out.buffer.push(record);
        if self.out.buffer.len() >= self.out.limit {
            self.pass_on();
        }
    }

    /// Functions know nothing of the rest of the chain, so its first error is kept for the operator; what they collect after
    /// that is lost with the attempt.
    fn pass_on(&mut self) {
        if self.failed.is_none() {
            self.failed = self.out.pass_on().err();
        }
        if self.failed.is_some() {
            self.out.buffer.clear();
        }
    }

    /// The first error that the rest of the chain met.
    ///
    /// # Errors
    /// That one.
    pub(crate) fn finish(self) -> Result<()> {
        self.failed.map_or(Ok(()), Err)
    }

    /// Whether the rest of the chain has failed, so that there is no use in going on.
    pub(crate) fn has_failed(&self) -> bool {
        self.failed.is_some()
    }
}

impl<Out> Extend<Out> for Collector<'_, Out> {
    fn extend<I: IntoIterator<Item = Out>>(&mut self, records: I) {
        records.into_iter().for_each(|record| self.collect(record));
    }
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;

    use super::*;
    use crate::{
        checkpoint::CompletionNotification,
        id::CheckpointId,
        operator::snapshotting::OperatorTables,
        state::{FrozenOperator, RestoredState},
    };

    /// Takes a number of batches and refuses the next.
    struct TakesBatches(usize);

    #[async_trait]
    impl Stage<u8> for TakesBatches {
        async fn open(&mut self, _: &mut RestoredState) -> Result<()> {
            Ok(())
        }

        fn process(&mut self, batch: &mut Vec<u8>, _: &mut Outbox) -> Result<()> {
            self.0 = self.0.checked_sub(1).ok_or_else(|| Error::user_code(format!("refused from {}", batch[0])))?;
            batch.clear();
            Ok(())
        }

        fn end_of_input(&mut self, _: &mut Outbox) -> Result<()> {
            Ok(())
        }

        async fn flush(&mut self) -> Result<()> {
            Ok(())
        }

        async fn prepare_commit(&mut self, _: CheckpointId) -> Result<()> {
            Ok(())
        }

        fn tables<'a>(&'a mut self, _: &mut Vec<OperatorTables<'a>>) {}

        fn lists(&mut self, _: CheckpointId, _: &mut Vec<FrozenOperator>) -> Result<()> {
            Ok(())
        }

        async fn notify_complete(&mut self, _: CompletionNotification) -> Result<()> {
            Ok(())
        }

        fn notify_aborted(&mut self, _: CheckpointId) {}
    }

    #[test]
    fn the_first_error_of_the_chain_is_the_one_that_counts() {
        let (mut buffer, mut outbox) = (Vec::new(), Outbox::new(3));
        let mut next = TakesBatches(2);
        let mut emitter = Emitter::new(&mut buffer, &mut next, &mut outbox);
        let mut collector = Collector::new(&mut emitter);
        collector.extend(0..8_u8);
        assert!(!collector.has_failed());
        collector.extend(8..20);
        assert!(collector.has_failed());
        assert_eq!(collector.finish().unwrap_err().to_string(), "refused from 6");
        assert!(buffer.len() < 3, "what nobody takes is not kept");
    }
}
