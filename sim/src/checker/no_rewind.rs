//! I17: recovery never goes behind a completed checkpoint, nor behind one that was restored before: what that has made
//! visible would be made again. And every task restores what its attempt does.

use std::collections::BTreeMap;

use tidegate::{
    id::{AttemptId, CheckpointId},
    probe::{Actor, Fact, Step},
};

use super::{Checker, DiskView};

/// Remembers the newest checkpoint that is known to have completed.
#[derive(Default)]
pub(super) struct NoRewind {
    completed: Option<CheckpointId>,
    restored: BTreeMap<AttemptId, Option<CheckpointId>>,
}

fn show(checkpoint: Option<CheckpointId>) -> String {
    checkpoint.map_or_else(|| "no checkpoint".to_owned(), |id| format!("checkpoint {id}"))
}

impl Checker for NoRewind {
    fn id(&self) -> &'static str {
        "I17"
    }

    fn observe(&mut self, fact: &Fact, _: &dyn DiskView) -> Result<(), String> {
        match &fact.step {
            Step::CheckpointCompleted => self.completed = self.completed.max(fact.checkpoint),
            Step::RestorePointChosen { restored } | Step::AttemptStarted { restored, .. }
                if *restored < self.completed =>
            {
                return Err(format!("{} is restored, though {} has completed", show(*restored), show(self.completed)));
            }
            Step::RestorePointChosen { restored } => self.completed = *restored,
            Step::AttemptStarted { attempt, restored } => {
                self.restored.insert(*attempt, *restored);
            }
            Step::StateRestored { restored } => {
                let Actor::Task(task) = fact.actor else { return Ok(()) };
                let due = self.restored.get(&task.attempt).copied().flatten();
                if *restored != due {
                    return Err(format!("{task} restores {}, and its attempt {}", show(*restored), show(due)));
                }
            }
            _ => {}
        }
        Ok(())
    }
}
