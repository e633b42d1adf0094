//! I7: once an attempt has started, earlier ones acknowledge nothing and complete nothing, and what they make visible is
//! only what a checkpoint that was completed in their time allows.

use std::collections::BTreeMap;

use tidegate::{
    connector::PartFile,
    id::{AttemptId, CheckpointId},
    probe::{Actor, Fact, Step},
};

use super::{Checker, DiskView};

/// Knows which attempt is the current one.
#[derive(Default)]
pub(super) struct Fencing {
    current: Option<AttemptId>,
    /// The attempt whose acknowledgements count for each checkpoint.
    acknowledged: BTreeMap<CheckpointId, AttemptId>,
    /// Those of them that have completed.
    complete: BTreeMap<CheckpointId, AttemptId>,
    /// The restored checkpoint of each attempt.
    lineage: BTreeMap<AttemptId, Option<CheckpointId>>,
}

impl Fencing {
    /// Whether the checkpoint holds what the attempt prepared for `prepared_for`: the attempt took it itself, no earlier than
    /// that, or a later attempt that took it had restored one that holds it.
    fn holds(&self, mut checkpoint: CheckpointId, attempt: AttemptId, prepared_for: CheckpointId) -> bool {
        while checkpoint >= prepared_for {
            match self.complete.get(&checkpoint) {
                Some(by) if *by == attempt => return true,
                Some(by) => match self.lineage.get(by).copied().flatten() {
                    Some(restored) if restored < checkpoint => checkpoint = restored,
                    _ => return false,
                },
                None => return false,
            }
        }
        false
    }
}

fn show(attempt: Option<AttemptId>) -> String {
    attempt.map_or_else(|| "no attempt".to_owned(), |attempt| format!("attempt {attempt}"))
}

impl Checker for Fencing {
    fn id(&self) -> &'static str {
        "I7"
    }

    fn observe(&mut self, fact: &Fact, _: &dyn DiskView) -> Result<(), String> {
        match (&fact.step, fact.checkpoint) {
            (Step::AttemptStarted { attempt, restored }, _) => {
                if self.current >= Some(*attempt) {
                    return Err(format!("attempt {attempt} starts after {}", show(self.current)));
                }
                self.current = Some(*attempt);
                self.lineage.insert(*attempt, *restored);
            }
            (Step::AcknowledgementReceived { task }, Some(id)) => {
                if Some(task.attempt) != self.current {
                    return Err(format!("an acknowledgement of {task} counts for checkpoint {id} of a later attempt"));
                }
                self.acknowledged.insert(id, task.attempt);
            }
            (Step::CheckpointCompleted, Some(id)) => {
                let by = self.acknowledged.get(&id).copied();
                if by.is_none() || by != self.current {
                    let (by, current) = (show(by), show(self.current));
                    return Err(format!("checkpoint {id} of {by} completes in {current}"));
                }
                self.complete.extend(by.map(|by| (id, by)));
            }
            // A crash may have kept it from being called complete.
            (Step::RestorePointChosen { restored: Some(id) }, _) => {
                self.complete.extend(self.acknowledged.get(id).map(|by| (*id, *by)));
            }
            (Step::PartRenamed { path }, _) => {
                let name = path.file_name().and_then(|n| n.to_str()).and_then(PartFile::parse);
                let Some(PartFile::Visible(part, prepared_for)) = name else { return Ok(()) };
                let allowed =
                    self.complete.range(prepared_for..).any(|(id, _)| self.holds(*id, part.attempt, prepared_for));
                if !allowed {
                    let attempt = part.attempt;
                    return Err(format!(
                        "{} of attempt {attempt} is made visible, but no checkpoint holds it",
                        path.display()
                    ));
                }
            }
            (Step::StateFrozen { .. }, Some(id)) => {
                if let (Actor::Task(task), Some(by)) = (&fact.actor, self.acknowledged.get(&id))
                    && *by != task.attempt
                {
                    return Err(format!("{task} takes part in checkpoint {id}, which is attempt {by}'s"));
                }
            }
            _ => {}
        }
        Ok(())
    }
}
