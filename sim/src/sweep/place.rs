//! Where a strike can fall: a step of a run, named as an anchor of a fault plan names it.

use std::{collections::BTreeMap, sync::Arc};

use serde::Serialize;
use tidegate::{
    graph::JobGraph,
    id::CheckpointId,
    probe::{Actor, StepKind},
};

use crate::{
    fault::Anchor,
    history::{Event, History},
};

/// A step of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Place {
    /// Which step.
    pub step: StepKind,
    /// Whose: `count/1`, `job-manager` or `tm-2`.
    pub actor: Arc<str>,
    /// Of which checkpoint, if it belongs to one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checkpoint: Option<u64>,
    /// At which of the steps that an anchor with these three matches, counted from 1.
    pub occurrence: u32,
    /// The node that took it.
    pub node: Arc<str>,
}

impl Place {
    /// The anchor that finds the step again.
    #[must_use]
    pub fn anchor(&self) -> Anchor {
        Anchor::Step {
            step: self.step,
            actor: Some(self.actor.to_string()),
            checkpoint: self.checkpoint,
            occurrence: self.occurrence,
        }
    }
}

/// All steps of a history, in order, each with its place in the history.
#[must_use]
pub fn places(history: &History, graph: &JobGraph) -> Vec<(usize, Place)> {
    let mut counter = Counter::default();
    let entries = history.entries.iter().enumerate();
    let place = entries.filter_map(|(i, entry)| match &entry.event {
        Event::Fact(fact) => {
            let (step, actor) = (fact.step.kind(), actor_name(&fact.actor, graph));
            let occurrence = counter.count(step, &actor, fact.checkpoint);
            let checkpoint = fact.checkpoint.map(|id| id.0);
            Some((i, Place { step, actor, checkpoint, occurrence, node: entry.node.clone() }))
        }
        _ => None,
    });
    place.collect()
}

/// As in a plan: a subtask's name, whichever attempt runs it.
fn actor_name(actor: &Actor, graph: &JobGraph) -> Arc<str> {
    match actor {
        Actor::Task(task) => graph.subtask_name(task.subtask).into(),
        actor => actor.to_string().into(),
    }
}

/// Counts steps as anchors do: one that names no checkpoint counts the steps of all.
#[derive(Default)]
struct Counter {
    of_checkpoint: BTreeMap<(StepKind, Arc<str>, CheckpointId), u32>,
    of_any: BTreeMap<(StepKind, Arc<str>), u32>,
}

impl Counter {
    fn count(&mut self, step: StepKind, actor: &Arc<str>, checkpoint: Option<CheckpointId>) -> u32 {
        let any = self.of_any.entry((step, actor.clone())).or_default();
        *any += 1;
        let Some(checkpoint) = checkpoint else { return *any };
        let of_checkpoint = self.of_checkpoint.entry((step, actor.clone(), checkpoint)).or_default();
        *of_checkpoint += 1;
        *of_checkpoint
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn occurrences_are_counted_as_anchors_count_them() {
        let mut counter = Counter::default();
        let mut count = |actor: &str, checkpoint: Option<u64>| {
            counter.count(StepKind::PartRenamed, &actor.into(), checkpoint.map(CheckpointId))
        };
        assert_eq!(count("sink/0", Some(1)), 1);
        assert_eq!(count("sink/0", Some(1)), 2);
        assert_eq!(count("sink/0", Some(2)), 1);
        assert_eq!(count("sink/1", Some(2)), 1);
        assert_eq!(count("sink/0", None), 4, "an anchor without a checkpoint matches those of all checkpoints");
    }
}
