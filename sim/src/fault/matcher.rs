//! When the faults of a plan are due.

use tidegate::{
    graph::JobGraph,
    id::{CheckpointId, SubtaskId, TaskManagerId},
    probe::{Actor, Fact, StepKind},
    runtime::{ControlMessage, MessageKind},
};

use super::{Action, Anchor, FaultPlan};

struct Armed {
    place: Place,
    checkpoint: Option<CheckpointId>,
    /// How many more matches until it happens.
    left: u32,
    action: Action,
}

enum Place {
    Step { step: StepKind, actor: Option<Who> },
    Message { message: MessageKind, task_manager: Option<String> },
}

#[derive(PartialEq, Eq)]
enum Who {
    Subtask(SubtaskId),
    JobManager,
    TaskManager(TaskManagerId),
}

/// Counts steps and messages until faults are due. Each happens once.
pub struct PlanMatcher {
    armed: Vec<(usize, Armed)>,
}

impl PlanMatcher {
    /// The faults of a valid plan that are tied to steps or messages.
    #[must_use]
    pub fn new(plan: &FaultPlan, graph: &JobGraph) -> Self {
        let armed = plan.faults.iter().enumerate().filter_map(|(i, fault)| {
            let (place, checkpoint, occurrence) = match &fault.at {
                Anchor::Step { step, actor, checkpoint, occurrence } => {
                    let actor = actor.as_ref().map(|name| who(name, graph));
                    (Place::Step { step: *step, actor }, checkpoint, occurrence)
                }
                Anchor::Message { message, task_manager, checkpoint, occurrence } => {
                    let task_manager = task_manager.clone();
                    (Place::Message { message: *message, task_manager }, checkpoint, occurrence)
                }
                Anchor::Time { .. } => return None,
            };
            let checkpoint = checkpoint.map(CheckpointId);
            Some((i, Armed { place, checkpoint, left: (*occurrence).max(1), action: fault.action.clone() }))
        });
        Self { armed: armed.collect() }
    }

    /// A step was taken: gives the faults that are due now, with their place in the plan.
    pub fn on_fact(&mut self, fact: &Fact) -> Vec<(usize, Action)> {
        let kind = fact.step.kind();
        self.due(fact.checkpoint, |place| match place {
            Place::Step { step, actor } => *step == kind && actor.as_ref().is_none_or(|who| is(who, &fact.actor)),
            Place::Message { .. } => false,
        })
    }

    /// A control message is sent from or to a task manager: gives the faults that are due now.
    pub fn on_message(&mut self, sent: &ControlMessage, of: &str) -> Vec<(usize, Action)> {
        self.due(sent.checkpoint, |place| match place {
            Place::Message { message, task_manager } => {
                *message == sent.kind && task_manager.as_ref().is_none_or(|name| name == of)
            }
            Place::Step { .. } => false,
        })
    }

    fn due(&mut self, checkpoint: Option<CheckpointId>, is_there: impl Fn(&Place) -> bool) -> Vec<(usize, Action)> {
        let mut due = Vec::new();
        self.armed.retain_mut(|(i, armed)| {
            if !is_there(&armed.place) || (armed.checkpoint.is_some() && armed.checkpoint != checkpoint) {
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

    /// What has not happened yet never will.
    pub fn disarm(&mut self) {
        self.armed.clear();
    }
}

fn who(name: &str, graph: &JobGraph) -> Who {
    match (name, graph.subtask_named(name)) {
        ("job-manager", _) => Who::JobManager,
        (_, Some(subtask)) => Who::Subtask(subtask),
        (name, None) => Who::TaskManager(TaskManagerId::new(name)),
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
