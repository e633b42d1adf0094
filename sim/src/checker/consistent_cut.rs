//! I3: the cut of a completed checkpoint is consistent: on each channel the receiver's snapshot reflects exactly the records
//! that the sender sent before its own cut. At least once allows it to reflect more, never fewer.

use std::collections::{BTreeMap, BTreeSet};

use tidegate::{
    graph::JobGraph,
    id::{ChannelId, CheckpointId, SubtaskId},
    probe::{Actor, Fact, Step},
    stream::CheckpointMode,
};

use super::{Checker, Context, DiskView};

#[derive(Default)]
struct Cut {
    sent: BTreeMap<ChannelId, u64>,
    reflected: BTreeMap<ChannelId, u64>,
}

/// Compares both ends of each channel that the graph has.
pub(super) struct ConsistentCut {
    channels: BTreeSet<ChannelId>,
    exact: bool,
    /// Only one attempt can take a checkpoint (I7, I8).
    cuts: BTreeMap<CheckpointId, Cut>,
}

impl ConsistentCut {
    pub(super) fn new(context: &Context) -> Self {
        Self {
            channels: channels(&context.graph),
            exact: context.mode() == CheckpointMode::ExactlyOnce,
            cuts: BTreeMap::new(),
        }
    }

    fn judge(&self, id: CheckpointId, cut: &Cut) -> Result<(), String> {
        for channel in &self.channels {
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
        if let Actor::Task(_) = fact.actor {
            match &fact.step {
                Step::BarrierForwarded { channel, records } => {
                    self.cuts.entry(id).or_default().sent.insert(*channel, *records);
                }
                Step::StateFrozen { reflected, .. } => {
                    self.cuts.entry(id).or_default().reflected.extend(reflected.iter().copied());
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
