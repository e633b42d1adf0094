//! I8: numbers of checkpoints, terms and attempts rise strictly and are never used twice, over all failures.

use tidegate::{
    id::{AttemptId, CheckpointId},
    probe::{Fact, Step},
};

use super::{Checker, DiskView};

/// Remembers the highest of each.
#[derive(Default)]
pub(super) struct RisingIds {
    checkpoint: Option<CheckpointId>,
    term: Option<u32>,
    attempt: Option<AttemptId>,
}

fn rise<T: PartialOrd + std::fmt::Debug + Copy>(highest: &mut Option<T>, next: T, what: &str) -> Result<(), String> {
    match highest.replace(next) {
        Some(before) if before >= next => Err(format!("{what} {next:?} comes after {before:?}")),
        _ => Ok(()),
    }
}

impl Checker for RisingIds {
    fn id(&self) -> &'static str {
        "I8"
    }

    fn observe(&mut self, fact: &Fact, _: &dyn DiskView) -> Result<(), String> {
        match (&fact.step, fact.checkpoint) {
            (Step::CheckpointTriggered { .. }, Some(id)) => rise(&mut self.checkpoint, id, "checkpoint"),
            (Step::TermClaimed { term }, _) => rise(&mut self.term, *term, "term"),
            (Step::AttemptStarted { attempt, .. }, _) => rise(&mut self.attempt, *attempt, "attempt"),
            _ => Ok(()),
        }
    }
}
