//! One record in, one record out.

use super::{collector::Emitter, stage::Operator};
use crate::{
    error::Result,
    state::{OperatorSnapshot, RestoredOperator},
};

/// Applies a function to each record.
pub(crate) struct Map<F>(pub F);

impl<In: Send + 'static, Out: Send + 'static, F: Fn(In) -> Out + Send + 'static> Operator<In, Out> for Map<F> {
    fn open(&mut self, _: Option<RestoredOperator>) -> Result<()> {
        Ok(())
    }

    fn process(&mut self, batch: &mut Vec<In>, out: &mut Emitter<'_, Out>) -> Result<()> {
        out.emit_batch(batch.drain(..).map(&self.0));
        Ok(())
    }

    fn snapshot(&mut self) -> Result<Option<OperatorSnapshot>> {
        Ok(None)
    }
}
