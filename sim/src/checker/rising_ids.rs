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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checker::testing::{Event, Story, all_break, all_hold, manager, started};

    fn claimed(checkpoint: u64) -> Event {
        manager(checkpoint, Step::CheckpointDirectorySynced)
    }

    fn triggered(checkpoint: u64) -> Event {
        manager(checkpoint, Step::CheckpointTriggered { is_final: false })
    }

    fn term(term: u32) -> Event {
        manager(0, Step::TermClaimed { term })
    }

    fn second_term() -> Event {
        let attempt = AttemptId { term: 2, number: 1 };
        manager(0, Step::AttemptStarted { attempt, restored: None })
    }

    /// Number 2 is used up without a checkpoint.
    fn story() -> Story {
        let first = [term(1), started(1, 0), claimed(1), triggered(1), started(2, 1), claimed(2)];
        Story::new(first.into_iter().chain([term(2), second_term(), claimed(3), triggered(3)]))
    }

    #[test]
    fn numbers_may_be_left_out() {
        all_hold(
            RisingIds::default,
            [story(), story().without(triggered(1)), story().then(claimed(7)).then(triggered(7))],
        );
    }

    #[test]
    fn a_number_that_does_not_rise_is_seen() {
        all_break(
            RisingIds::default,
            [
                // FLINK-2354: the next number is found from what has completed, not from what was used.
                (story().instead(claimed(3), claimed(2)), "checkpoint 2 comes after 2"),
                (story().instead(claimed(3), claimed(1)), "checkpoint 1 comes after 2"),
                (story().without(claimed(3)), "checkpoint 3 is triggered, but its number is not claimed"),
                (
                    story().instead(triggered(3), triggered(4)),
                    "checkpoint 4 is triggered, but its number is not claimed",
                ),
                (story().then(triggered(3)), "the trigger of checkpoint 3 comes after 3"),
                (story().instead(term(2), term(1)), "term 1 comes after 1"),
                (story().without(term(2)), "attempt 2.1 is not of the term that is claimed"),
                (story().before(second_term(), started(3, 1)), "attempt 1.3 is not of the term that is claimed"),
                (story().instead(started(2, 1), started(1, 1)), "attempt 1.1 comes after 1.1"),
            ],
        );
    }
}
