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
    /// The attempt whose acknowledgements completed each checkpoint.
    complete: BTreeMap<CheckpointId, AttemptId>,
    /// The restored checkpoint of each attempt.
    lineage: BTreeMap<AttemptId, Option<CheckpointId>>,
}

impl Fencing {
    /// Whether the checkpoint's state descends from the attempt's work up to `id`: it took it itself, or a later attempt
    /// restored what it had taken.
    fn descends(&self, mut checkpoint: CheckpointId, attempt: AttemptId) -> bool {
        loop {
            match self.complete.get(&checkpoint) {
                Some(by) if *by == attempt => return true,
                Some(by) => match self.lineage.get(by).copied().flatten() {
                    Some(restored) if restored < checkpoint => checkpoint = restored,
                    _ => return false,
                },
                None => return false,
            }
        }
    }
}

impl Checker for Fencing {
    fn id(&self) -> &'static str {
        "I7"
    }

    fn observe(&mut self, fact: &Fact, _: &dyn DiskView) -> Result<(), String> {
        match (&fact.step, fact.checkpoint) {
            (Step::AttemptStarted { attempt, restored }, _) => {
                if self.current >= Some(*attempt) {
                    return Err(format!("attempt {attempt} starts after attempt {:?}", self.current));
                }
                self.current = Some(*attempt);
                self.lineage.insert(*attempt, *restored);
            }
            (Step::AcknowledgementReceived { task }, Some(id)) => {
                if Some(task.attempt) != self.current {
                    return Err(format!("an acknowledgement of {task} counts for checkpoint {id} of a later attempt"));
                }
                self.complete.insert(id, task.attempt);
            }
            (Step::PartRenamed { path }, _) => {
                let name = path.file_name().and_then(|n| n.to_str()).and_then(PartFile::parse);
                let Some(PartFile::Visible(part, prepared_for)) = name else { return Ok(()) };
                // Some completed checkpoint from `prepared_for` on must descend from the attempt that wrote the part.
                let allowed = self.complete.range(prepared_for..).any(|(id, _)| self.descends(*id, part.attempt));
                if !allowed {
                    let attempt = part.attempt;
                    return Err(format!(
                        "{} of attempt {attempt} is made visible, but no checkpoint holds it",
                        path.display()
                    ));
                }
            }
            (Step::StateFrozen { .. }, Some(id)) => {
                if let (Actor::Task(task), Some(by)) = (&fact.actor, self.complete.get(&id))
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
