//! I8: numbers of checkpoints, terms and attempts rise strictly and are never used twice, over all failures. Nobody is told
//! the number of a checkpoint before it is reserved so that no loss of power can undo it, and whoever claims the next term
//! begins above all that is reserved. And each task takes part in checkpoints in the order of their numbers, beginning after
//! the one that it restored.

use std::{collections::BTreeMap, fmt::Display};

use tidegate::{
    id::{AttemptId, CheckpointId, TaskId},
    probe::{Actor, Fact, Step},
};

use super::{Checker, DiskView, ground::Ground};

/// Remembers the highest of each, and looks for reservations itself.
pub(super) struct RisingIds {
    ground: Ground,
    /// The highest number that was reserved when the newest term was claimed.
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

/// The highest number that is reserved by one of these names.
fn reserved(names: &[String]) -> Option<CheckpointId> {
    let through = |name: &String| name.strip_prefix("reserved-")?.parse().ok();
    names.iter().filter_map(through).max().map(CheckpointId)
}

impl RisingIds {
    pub(super) fn new(ground: &Ground) -> Self {
        Self {
            ground: ground.clone(),
            before_term: None,
            triggered: None,
            term: None,
            attempt: None,
            taken: BTreeMap::new(),
            frozen: BTreeMap::new(),
        }
    }

    fn trigger(&mut self, id: CheckpointId, disk: &dyn DiskView) -> Result<(), String> {
        if let Some(before) = self.before_term.filter(|before| *before >= id) {
            return Err(format!(
                "checkpoint {id} is triggered, though numbers up to {before} may have been used before"
            ));
        }
        if reserved(&disk.list_durable(&self.ground.root)) < Some(id) {
            return Err(format!("checkpoint {id} is triggered, but its number is not durably reserved"));
        }
        rise(&mut self.triggered, id, "the trigger of checkpoint")
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

    fn observe(&mut self, fact: &Fact, disk: &dyn DiskView) -> Result<(), String> {
        if let Actor::Task(task) = fact.actor {
            return self.observe_task(task, fact);
        }
        match (&fact.step, fact.checkpoint) {
            (Step::CheckpointTriggered { .. }, Some(id)) => self.trigger(id, disk),
            (Step::TermClaimed { term }, _) => {
                self.before_term = reserved(&disk.list(&self.ground.root));
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
    use crate::checker::testing::{
        Event, Story, all_break, all_hold, by, ground, manager, restored, started, sync, task, write,
    };

    fn checker() -> RisingIds {
        RisingIds::new(&ground())
    }

    fn path(through: u64) -> String {
        format!("/chk/reserved-{through}")
    }

    fn reserved(through: u64) -> [Event; 2] {
        [write(&path(through), ""), sync(&path(through))]
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

    /// Number 2 is reserved, and nothing comes of it.
    fn story() -> Story {
        let first = [term(1), started(1, 0)].into_iter().chain(reserved(2)).chain([triggered(1), started(2, 1)]);
        let second = [term(2), second_term()].into_iter().chain(reserved(4)).chain([triggered(3)]);
        Story::new(first.chain(second))
    }

    #[test]
    fn numbers_may_be_left_out() {
        let one_by_one = reserved(7).into_iter().chain([triggered(7)]).fold(story(), Story::then);
        all_hold(
            checker,
            [task_story(), story(), story().without(triggered(1)), story().then(triggered(4)), one_by_one],
        );
    }

    #[test]
    fn a_number_that_does_not_rise_is_seen() {
        let used = |id| format!("checkpoint {id} is triggered, though numbers up to 2 may have been used before");
        let not_reserved = |id| format!("checkpoint {id} is triggered, but its number is not durably reserved");
        all_break(
            checker,
            [
                // FLINK-2354: the next number is found from what has completed, not from what was used.
                (story().instead(triggered(3), triggered(2)), used(2)),
                (story().instead(triggered(3), triggered(1)), used(1)),
                (story().instead(triggered(3), triggered(5)), not_reserved(5)),
                // A loss of power would take the claim away, and the number would be used again.
                (story().without(sync(&path(2))), not_reserved(1)),
                (story().then(triggered(3)), "the trigger of checkpoint 3 comes after 3".into()),
                (story().then(triggered(4)).then(triggered(3)), "the trigger of checkpoint 3 comes after 4".into()),
                (story().instead(term(2), term(1)), "term 1 comes after 1".into()),
                (story().without(term(2)), "attempt 2.1 is not of the term that is claimed".into()),
                (story().before(second_term(), started(3, 1)), "attempt 1.3 is not of the term that is claimed".into()),
                (story().instead(started(2, 1), started(1, 1)), "attempt 1.1 comes after 1.1".into()),
                // FLINK-17994: a trigger is taken that a newer one has overtaken.
                (task_story().then(taken("source/0", 4)), "v0/0@1.1: the trigger of checkpoint 4 comes after 5".into()),
                (task_story().then(frozen("count/0", 5)), "v1/0@1.1: the state for checkpoint 5 comes after 5".into()),
                (
                    task_story().instead(taken("source/0", 3), taken("source/0", 2)),
                    "v0/0@1.1: the trigger of checkpoint 2 comes after 2".into(),
                ),
            ],
        );
    }
}
