//! One record in, any number out.

use super::stage::{Emitter, Operator};
use crate::{error::Result, state::RestoredOperator};

/// Emits whatever a function makes of each record.
pub(crate) struct FlatMap<F>(pub F);

impl<In, I, F> Operator<In, I::Item> for FlatMap<F>
where
    In: Send + 'static,
    I: IntoIterator,
    I::Item: Send + 'static,
    F: Fn(In) -> I + Send + 'static,
{
    fn open(&mut self, _: Option<RestoredOperator>) -> Result<()> {
        Ok(())
    }

    fn process(&mut self, batch: &mut Vec<In>, out: &mut Emitter<'_, I::Item>) -> Result<()> {
        for record in batch.drain(..) {
            for result in (self.0)(record) {
                out.emit(result)?;
            }
        }
        Ok(())
    }
}
