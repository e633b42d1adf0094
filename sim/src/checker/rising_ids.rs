//! I8: numbers of checkpoints, terms and attempts rise strictly and are never used twice, over all failures. And
//! each task takes part in checkpoints in the order of their numbers, beginning after the one that it restored.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Display,
};

use tidegate::{
    id::{AttemptId, CheckpointId, TaskId},
    probe::{Actor, Fact, Step},
};

use super::{Checker, DiskView};

/// Remembers the highest of each.
#[derive(Default)]
pub(super) struct RisingIds {
    /// By their directories, whose durable names use the numbers up.
    checkpoints: BTreeSet<CheckpointId>,
    /// The highest of these when the newest term was claimed.
    before_term: Option<CheckpointId>,
    triggered: Option<CheckpointId>,
    term: Option<u32>,
    attempt: Option<AttemptId>,
    /// Of each task: whose trigger it took, and whose state it froze.
    taken: BTreeMap<TaskId, Option<CheckpointId>>,
    frozen: BTreeMap<TaskId, Option<CheckpointId>>,
}

fn rise<T: PartialOrd + Display + Copy>(highest: &mut Option<T>, next: T, what: &str) -> Result<(), String> {
    match highest.replace(next) {
        Some(before) if before >= next => Err(format!("{what} {next} comes after {before}")),
        _ => Ok(()),
    }
}

impl RisingIds {
    /// Within a term they may come out of order: a disk that hangs may finish what was given up long ago.
    fn claim(&mut self, id: CheckpointId) -> Result<(), String> {
        if let Some(before) = self.before_term.filter(|before| *before >= id) {
            return Err(format!("checkpoint {id} comes after {before}"));
        }
        if self.checkpoints.insert(id) {
            Ok(())
        } else {
            Err(format!("the number of checkpoint {id} is claimed twice"))
        }
    }

    fn observe_task(&mut self, task: TaskId, fact: &Fact) -> Result<(), String> {
        match (&fact.step, fact.checkpoint) {
            (Step::StateRestored { restored, .. }, _) => {
                self.taken.insert(task, *restored);
                self.frozen.insert(task, *restored);
                Ok(())
            }
            (Step::TriggerReceived, Some(id)) => {
                let taken = rise(self.taken.entry(task).or_default(), id, "the trigger of checkpoint");
                taken.map_err(|e| format!("{task}: {e}"))
            }
            (Step::StateFrozen { .. }, Some(id)) => {
                let frozen = rise(self.frozen.entry(task).or_default(), id, "the state for checkpoint");
                frozen.map_err(|e| format!("{task}: {e}"))
            }
            _ => Ok(()),
        }
    }
}

impl Checker for RisingIds {
    fn id(&self) -> &'static str {
        "I8"
    }

    fn observe(&mut self, fact: &Fact, _: &dyn DiskView) -> Result<(), String> {
        if let Actor::Task(task) = fact.actor {
            return self.observe_task(task, fact);
        }
        match (&fact.step, fact.checkpoint) {
            (Step::CheckpointDirectorySynced, Some(id)) => self.claim(id),
            (Step::CheckpointTriggered { .. }, Some(id)) if !self.checkpoints.contains(&id) => {
                Err(format!("checkpoint {id} is triggered, but its number is not claimed"))
            }
            (Step::CheckpointTriggered { .. }, Some(id)) => rise(&mut self.triggered, id, "the trigger of checkpoint"),
            (Step::TermClaimed { term }, _) => {
                self.before_term = self.checkpoints.last().copied();
                rise(&mut self.term, *term, "term")
            }
            (Step::AttemptStarted { attempt, .. }, _) if self.term != Some(attempt.term) => {
                Err(format!("attempt {attempt} is not of the term that is claimed"))
            }
            (Step::AttemptStarted { attempt, .. }, _) => rise(&mut self.attempt, *attempt, "attempt"),
            _ => Ok(()),
        }
    }

    fn holds_beyond(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checker::testing::{Event, Story, all_break, all_hold, by, manager, restored, started, task};

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

    fn taken(name: &str, checkpoint: u64) -> Event {
        by(task(name, 1), checkpoint, Step::TriggerReceived)
    }

    fn frozen(name: &str, checkpoint: u64) -> Event {
        by(task(name, 1), checkpoint, Step::StateFrozen { content: Vec::new(), reflected: Vec::new() })
    }

    /// A task restores checkpoint 2, and takes 3 and 5.
    fn task_story() -> Story {
        let begins = ["source/0", "count/0"].map(|name| restored(name, 1, 2, Vec::new()));
        let takes = [taken("source/0", 3), frozen("source/0", 3), frozen("count/0", 3)];
        let more = [taken("source/0", 5), frozen("source/0", 5), frozen("count/0", 5)];
        Story::new(begins.into_iter().chain(takes).chain(more))
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
            [task_story(), story(), story().without(triggered(1)), story().then(claimed(7)).then(triggered(7))],
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
                // FLINK-17994: a trigger is taken that a newer one has overtaken.
                (task_story().then(taken("source/0", 4)), "v0/0@1.1: the trigger of checkpoint 4 comes after 5"),
                (task_story().then(frozen("count/0", 5)), "v1/0@1.1: the state for checkpoint 5 comes after 5"),
                (
                    task_story().instead(taken("source/0", 3), taken("source/0", 2)),
                    "v0/0@1.1: the trigger of checkpoint 2 comes after 2",
                ),
            ],
        );
    }
}
