//! Some records in, fewer out.

use super::{collector::Emitter, stage::Operator};
use crate::{
    error::Result,
    state::{OperatorSnapshot, RestoredOperator},
};

/// Keeps the records for which a predicate holds.
pub(crate) struct Filter<F>(pub F);

impl<T: Send + 'static, F: Fn(&T) -> bool + Send + 'static> Operator<T, T> for Filter<F> {
    fn open(&mut self, _: Option<RestoredOperator>) -> Result<()> {
        Ok(())
    }

    fn process(&mut self, batch: &mut Vec<T>, out: &mut Emitter<'_, T>) -> Result<()> {
        out.emit_batch(batch.drain(..).filter(&self.0));
        Ok(())
    }

    fn snapshot(&mut self) -> Result<Option<OperatorSnapshot>> {
        Ok(None)
    }
}
