//! One record in, any number out.

use super::{
    collector::{Collector, Emitter},
    stage::Operator,
};
use crate::{
    error::Result,
    state::{OperatorSnapshot, RestoredOperator},
};

/// Lets a function emit whatever it makes of each record.
pub(crate) struct FlatMap<F>(pub F);

impl<In, Out, F> Operator<In, Out> for FlatMap<F>
where
    In: Send + 'static,
    Out: Send + 'static,
    F: Fn(In, &mut Collector<'_, Out>) + Send + 'static,
{
    fn open(&mut self, _: Option<RestoredOperator>) -> Result<()> {
        Ok(())
    }

    fn process(&mut self, batch: &mut Vec<In>, out: &mut Emitter<'_, Out>) -> Result<()> {
        let mut collector = Collector::new(out);
        for record in batch.drain(..) {
            (self.0)(record, &mut collector);
            if collector.has_failed() {
                break;
            }
        }
        collector.finish()
    }

    fn snapshot(&mut self) -> Result<Option<OperatorSnapshot>> {
        Ok(None)
    }
}
