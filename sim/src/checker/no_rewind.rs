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
            Step::StateRestored { restored, .. } => {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checker::testing::{Event, Story, all_break, all_hold, by, chosen, completed, some, started, task};

    /// Checkpoint 2 completes, an attempt restores it, and 3 completes in that.
    fn story() -> Story {
        Story::new([
            chosen(0),
            started(1, 0),
            completed(1),
            completed(2),
            chosen(2),
            started(2, 2),
            restores(2),
            completed(3),
        ])
    }

    fn restores(checkpoint: u64) -> Event {
        by(task("count/0", 2), 0, Step::StateRestored { restored: some(checkpoint), given: Vec::new() })
    }

    #[test]
    fn recovery_may_go_on() {
        // Checkpoint 4 may turn out to be complete though nobody has lived to say so.
        all_hold(NoRewind::default, [story(), story().then(chosen(3)), story().then(chosen(4))]);
    }

    #[test]
    fn going_back_is_seen() {
        all_break(
            NoRewind::default,
            [
                (story().instead(chosen(2), chosen(1)), "checkpoint 1 is restored, though checkpoint 2 has completed"),
                // FLINK-22502: what cannot be read is left out, and the job begins again.
                (story().instead(chosen(2), chosen(0)), "no checkpoint is restored, though checkpoint 2 has completed"),
                (
                    story().instead(started(2, 2), started(2, 1)),
                    "checkpoint 1 is restored, though checkpoint 2 has completed",
                ),
                (
                    story().then(chosen(4)).then(chosen(3)),
                    "checkpoint 3 is restored, though checkpoint 4 has completed",
                ),
                (
                    story().instead(restores(2), restores(1)),
                    "v1/0@1.2 restores checkpoint 1, and its attempt checkpoint 2",
                ),
                (
                    story().instead(restores(2), restores(0)),
                    "v1/0@1.2 restores no checkpoint, and its attempt checkpoint 2",
                ),
            ],
        );
    }
}
