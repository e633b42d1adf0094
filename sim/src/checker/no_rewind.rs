//! I17: recovery never goes behind a completed checkpoint: what that has made visible would be made again.

use tidegate::{
    id::CheckpointId,
    probe::{Fact, Step},
};

use super::{Checker, DiskView};

/// Remembers the newest completed checkpoint.
#[derive(Default)]
pub(super) struct NoRewind {
    completed: Option<CheckpointId>,
}

impl Checker for NoRewind {
    fn id(&self) -> &'static str {
        "I17"
    }

    fn observe(&mut self, fact: &Fact, _: &dyn DiskView) -> Result<(), String> {
        match &fact.step {
            Step::CheckpointCompleted => self.completed = self.completed.max(fact.checkpoint),
            Step::RestorePointChosen { restored } if *restored < self.completed => {
                return Err(format!("{restored:?} is restored, though {:?} has completed", self.completed));
            }
            _ => {}
        }
        Ok(())
    }
}
