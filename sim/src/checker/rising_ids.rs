//! I8: numbers of checkpoints, terms and attempts rise strictly and are never used twice, over all failures.

use std::fmt::Display;

use tidegate::{
    id::{AttemptId, CheckpointId},
    probe::{Fact, Step},
};

use super::{Checker, DiskView};

/// Remembers the highest of each.
#[derive(Default)]
pub(super) struct RisingIds {
    /// By their directories, whose durable names use the numbers up.
    checkpoint: Option<CheckpointId>,
    triggered: Option<CheckpointId>,
    term: Option<u32>,
    attempt: Option<AttemptId>,
}

fn rise<T: PartialOrd + Display + Copy>(highest: &mut Option<T>, next: T, what: &str) -> Result<(), String> {
    match highest.replace(next) {
        Some(before) if before >= next => Err(format!("{what} {next} comes after {before}")),
        _ => Ok(()),
    }
}

impl Checker for RisingIds {
    fn id(&self) -> &'static str {
        "I8"
    }

    fn observe(&mut self, fact: &Fact, _: &dyn DiskView) -> Result<(), String> {
        match (&fact.step, fact.checkpoint) {
            (Step::CheckpointDirectorySynced, Some(id)) => rise(&mut self.checkpoint, id, "checkpoint"),
            (Step::CheckpointTriggered { .. }, Some(id)) if self.checkpoint != Some(id) => {
                Err(format!("checkpoint {id} is triggered, but its number is not claimed"))
            }
            (Step::CheckpointTriggered { .. }, Some(id)) => rise(&mut self.triggered, id, "the trigger of checkpoint"),
            (Step::TermClaimed { term }, _) => rise(&mut self.term, *term, "term"),
            (Step::AttemptStarted { attempt, .. }, _) if self.term != Some(attempt.term) => {
                Err(format!("attempt {attempt} is not of the term that is claimed"))
            }
            (Step::AttemptStarted { attempt, .. }, _) => rise(&mut self.attempt, *attempt, "attempt"),
            _ => Ok(()),
        }
    }
}
