//! When the faults of a plan are due.

use tidegate::{
    graph::JobGraph,
    id::{CheckpointId, SubtaskId, TaskManagerId},
    probe::{Actor, Fact, StepKind},
};

use super::{Action, Anchor, FaultPlan};

struct Armed {
    step: StepKind,
    actor: Option<Who>,
    checkpoint: Option<CheckpointId>,
    /// How many more matching steps until it happens.
    left: u32,
    action: Action,
}

#[derive(PartialEq, Eq)]
enum Who {
    Subtask(SubtaskId),
    JobManager,
    TaskManager(TaskManagerId),
}

/// Counts steps until faults are due. Each happens once.
pub struct PlanMatcher {
    armed: Vec<(usize, Armed)>,
}

impl PlanMatcher {
    /// The faults of a valid plan that are tied to steps.
    ///
    /// # Panics
    /// If the plan was not validated against this graph.
    #[must_use]
    pub fn new(plan: &FaultPlan, graph: &JobGraph) -> Self {
        let armed = plan.faults.iter().enumerate().filter_map(|(i, fault)| {
            let Anchor::Step { step, actor, checkpoint, occurrence } = &fault.at else { return None };
            let who = |name: &String| match name.as_str() {
                "job-manager" => Who::JobManager,
                name => match graph.subtask_named(name) {
                    Some(subtask) => Who::Subtask(subtask),
                    None => Who::TaskManager(TaskManagerId::new(name)),
                },
            };
            let armed = Armed {
                step: *step,
                actor: actor.as_ref().map(who),
                checkpoint: checkpoint.map(CheckpointId),
                left: (*occurrence).max(1),
                action: fault.action.clone(),
            };
            Some((i, armed))
        });
        Self { armed: armed.collect() }
    }

    /// A step was taken: gives the faults that are due now, with their place in the plan.
    pub fn on_fact(&mut self, fact: &Fact) -> Vec<(usize, Action)> {
        if self.armed.is_empty() {
            return Vec::new();
        }
        let kind = fact.step.kind();
        let mut due = Vec::new();
        self.armed.retain_mut(|(i, armed)| {
            let matches = armed.step == kind
                && (armed.checkpoint.is_none() || armed.checkpoint == fact.checkpoint)
                && armed.actor.as_ref().is_none_or(|who| is(who, &fact.actor));
            if !matches {
                return true;
            }
            armed.left -= 1;
            if armed.left == 0 {
                due.push((*i, armed.action.clone()));
            }
            armed.left > 0
        });
        due
    }

    /// Whether faults are still waiting for their step.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        !self.armed.is_empty()
    }
}

fn is(who: &Who, actor: &Actor) -> bool {
    match (who, actor) {
        (Who::Subtask(subtask), Actor::Task(task)) => task.subtask == *subtask,
        (Who::JobManager, Actor::JobManager) => true,
        (Who::TaskManager(name), Actor::TaskManager(id)) => name == id,
        _ => false,
    }
}
