//! The newest attempt, until all of its tasks have their state.

use std::collections::BTreeMap;

use tidegate::{
    id::{AttemptId, CheckpointId, SubtaskId},
    probe::{Actor, Fact, GivenState, Step},
};

use super::ground::Ground;

/// What each task of an attempt was given.
pub(super) type Given = BTreeMap<SubtaskId, Vec<GivenState>>;

/// Collects what tasks report.
pub(super) struct Restoring {
    ground: Ground,
    /// How many tasks the attempt has.
    tasks: usize,
    attempt: Option<AttemptId>,
    restored: Option<CheckpointId>,
    given: Given,
}

impl Restoring {
    pub(super) fn new(ground: &Ground) -> Self {
        Self { ground: ground.clone(), tasks: 0, attempt: None, restored: None, given: Given::new() }
    }

    /// The checkpoint that some task has yet to restore.
    pub(super) fn pending(&self) -> Option<CheckpointId> {
        self.restored.filter(|_| self.given.len() < self.tasks)
    }

    /// The attempt, its checkpoint, and what its tasks were given, when the last of them says so.
    pub(super) fn observe(&mut self, fact: &Fact) -> Option<(AttemptId, Option<CheckpointId>, &Given)> {
        match (&fact.step, &fact.actor) {
            (Step::AttemptStarted { attempt, restored }, _) => {
                (self.attempt, self.restored) = (Some(*attempt), *restored);
                self.tasks = self.ground.graph_of(*attempt).subtasks().count();
                self.given.clear();
                None
            }
            (Step::StateRestored { given, .. }, Actor::Task(task)) if Some(task.attempt) == self.attempt => {
                self.given.insert(task.subtask, given.clone());
                (self.given.len() == self.tasks).then_some((task.attempt, self.restored, &self.given))
            }
            _ => None,
        }
    }
}
