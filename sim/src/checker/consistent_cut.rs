//! I3: the cut of a completed checkpoint is consistent: on each channel the receiver's snapshot reflects exactly the records
//! that the sender sent before its own cut. At least once allows it to reflect more, never fewer.

use std::collections::{BTreeMap, BTreeSet};

use tidegate::{
    graph::JobGraph,
    id::{AttemptId, ChannelId, CheckpointId, SubtaskId, TaskId},
    probe::{Actor, Fact, Step},
};

use super::{Checker, DiskView, ground::Ground};

#[derive(Default)]
struct Cut {
    /// Only one attempt can take a checkpoint (I7, I8).
    attempt: Option<AttemptId>,
    sent: BTreeMap<ChannelId, u64>,
    reflected: BTreeMap<ChannelId, u64>,
}

/// Compares both ends of each channel that the graph has.
pub(super) struct ConsistentCut {
    ground: Ground,
    exact: bool,
    cuts: BTreeMap<CheckpointId, Cut>,
}

impl ConsistentCut {
    pub(super) fn new(ground: &Ground) -> Self {
        Self { ground: ground.clone(), exact: ground.is_exact(), cuts: BTreeMap::new() }
    }

    fn cut(&mut self, id: CheckpointId, task: TaskId) -> &mut Cut {
        let cut = self.cuts.entry(id).or_default();
        cut.attempt = Some(task.attempt);
        cut
    }

    fn judge(&self, id: CheckpointId, cut: &Cut) -> Result<(), String> {
        let graph = cut.attempt.map_or_else(|| self.ground.graph.clone(), |attempt| self.ground.graph_of(attempt));
        for channel in &channels(&graph) {
            let (sent, reflected) = (cut.sent.get(channel), cut.reflected.get(channel));
            let fits = match (sent, reflected) {
                (Some(sent), Some(reflected)) if self.exact => sent == reflected,
                (Some(sent), Some(reflected)) => sent <= reflected,
                _ => false,
            };
            if !fits {
                let show = |n: Option<&u64>| n.map_or_else(|| "no count of".to_owned(), u64::to_string);
                let (sent, reflected) = (show(sent), show(reflected));
                return Err(format!(
                    "checkpoint {id}: on channel {channel} {sent} records were sent before the barrier, and the receiver's \
                     snapshot reflects {reflected} records"
                ));
            }
        }
        Ok(())
    }
}

fn channels(graph: &JobGraph) -> BTreeSet<ChannelId> {
    let mut channels = BTreeSet::new();
    for edge in &graph.edges {
        for index in 0..graph.vertex(edge.from).parallelism {
            let from = SubtaskId { vertex: edge.from, index };
            channels.extend(graph.consumers(edge, index).into_iter().map(|to| ChannelId { from, to }));
        }
    }
    channels
}

impl Checker for ConsistentCut {
    fn id(&self) -> &'static str {
        "I3"
    }

    fn observe(&mut self, fact: &Fact, _: &dyn DiskView) -> Result<(), String> {
        if let Step::RestorePointChosen { restored: Some(id) } = fact.step {
            // A crash may have kept it from being called complete; if not, it has been judged.
            return self.cuts.get(&id).map_or(Ok(()), |cut| self.judge(id, cut));
        }
        let Some(id) = fact.checkpoint else { return Ok(()) };
        if let Actor::Task(task) = fact.actor {
            match &fact.step {
                Step::BarrierForwarded { channel, records } => {
                    self.cut(id, task).sent.insert(*channel, *records);
                }
                Step::StateFrozen { reflected, .. } => {
                    self.cut(id, task).reflected.extend(reflected.iter().copied());
                }
                _ => {}
            }
        }
        if fact.step == Step::CheckpointCompleted {
            let cut = self.cuts.remove(&id).unwrap_or_default();
            self.cuts.retain(|of, _| *of > id);
            return self.judge(id, &cut);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use tidegate::stream::CheckpointMode;

    use super::*;
    use crate::checker::testing::{Event, Story, all_break, all_hold, by, chosen, completed, ground, ground_of, task};

    fn checker() -> ConsistentCut {
        ConsistentCut::new(&ground())
    }

    /// Each vertex sends to the only subtask of the next.
    fn channel(from: &str) -> ChannelId {
        let to = if from == "count/0" { "sink/0" } else { "count/0" };
        ChannelId { from: task(from, 1).subtask, to: task(to, 1).subtask }
    }

    fn sent(from: &str, records: u64) -> Event {
        by(task(from, 1), 1, Step::BarrierForwarded { channel: channel(from), records })
    }

    fn frozen(subtask: &str, records: &[(&str, u64)]) -> Event {
        let reflected = records.iter().map(|(from, n)| (channel(from), *n)).collect();
        by(task(subtask, 1), 1, Step::StateFrozen { content: Vec::new(), reflected })
    }

    fn both(first: u64, second: u64) -> Event {
        frozen("count/0", &[("source/0", first), ("source/1", second)])
    }

    fn story() -> Story {
        let counter = [sent("source/0", 1), sent("source/1", 2), both(1, 2)];
        let sink = [sent("count/0", 3), frozen("sink/0", &[("count/0", 3)])];
        Story::new(counter.into_iter().chain(sink).chain([completed(1)]))
    }

    #[test]
    fn what_was_sent_before_the_barrier_is_reflected() {
        // Until a checkpoint has completed, or is restored, its cut is nobody's business.
        let aborted = story().instead(both(1, 2), both(0, 9)).without(completed(1));
        all_hold(checker, [story(), story().instead(completed(1), chosen(1)), story().then(chosen(1)), aborted]);
    }

    #[test]
    fn at_least_once_may_reflect_more() {
        let checker = || ConsistentCut::new(&ground_of(CheckpointMode::AtLeastOnce));
        all_hold(checker, [story(), story().instead(both(1, 2), both(1, 3))]);
        let fewer = "checkpoint 1: on channel v0/1->v1/0 2 records were sent before the barrier, and the receiver's snapshot \
                     reflects 1 records";
        all_break(checker, [(story().instead(both(1, 2), both(1, 1)), fewer)]);
    }

    #[test]
    fn an_inconsistent_cut_is_seen() {
        let case = |story: Story, source: u32, sent: &str, reflected: &str| {
            let expected = format!(
                "checkpoint 1: on channel v0/{source}->v1/0 {sent} records were sent before the barrier, and the receiver's \
                 snapshot reflects {reflected} records"
            );
            assert_eq!(story.told_to(&mut checker()), Err(expected));
        };
        // Alignment let a record pass that came after the barrier.
        case(story().instead(both(1, 2), both(1, 3)), 1, "2", "3");
        case(story().instead(both(1, 2), both(0, 2)), 0, "1", "0");
        // Both sums agree, but records of one channel stand in for those of another.
        case(story().instead(both(1, 2), both(2, 1)), 0, "1", "2");
        case(story().instead(both(1, 2), frozen("count/0", &[("source/0", 1)])), 1, "2", "no count of");
        case(story().without(both(1, 2)), 0, "1", "no count of");
        case(story().without(sent("source/1", 2)), 1, "no count of", "2");
        case(story().instead(both(1, 2), both(1, 3)).instead(completed(1), chosen(1)), 1, "2", "3");
        case(Story::new([completed(1)]), 0, "no count of", "no count of");
    }
}
