//! I3: the cut of a completed checkpoint is consistent: on each channel the receiver's snapshot reflects exactly the records
//! that the sender sent before its own cut. At least once allows it to reflect more, never fewer.

use std::collections::BTreeMap;

use tidegate::{
    id::{AttemptId, ChannelId, CheckpointId},
    probe::{Actor, Fact, Step},
    stream::CheckpointMode,
};

use super::{Checker, Context, DiskView};

#[derive(Default)]
struct Cut {
    sent: BTreeMap<ChannelId, u64>,
    reflected: BTreeMap<ChannelId, u64>,
}

/// Compares both ends of each channel.
pub(super) struct ConsistentCut {
    exact: bool,
    cuts: BTreeMap<(CheckpointId, AttemptId), Cut>,
}

impl ConsistentCut {
    pub(super) fn new(context: &Context) -> Self {
        Self { exact: context.mode() == CheckpointMode::ExactlyOnce, cuts: BTreeMap::new() }
    }

    fn judge(&self, id: CheckpointId, cut: &Cut) -> Result<(), String> {
        for (channel, sent) in &cut.sent {
            let reflected = cut.reflected.get(channel);
            let fits = reflected.is_some_and(|n| if self.exact { n == sent } else { n >= sent });
            if !fits {
                let reflected = reflected.map_or_else(|| "no count".to_owned(), u64::to_string);
                return Err(format!(
                    "checkpoint {id}: on channel {channel} {sent} records were sent before the barrier, and the receiver's \
                     snapshot reflects {reflected}"
                ));
            }
        }
        Ok(())
    }
}

impl Checker for ConsistentCut {
    fn id(&self) -> &'static str {
        "I3"
    }

    fn observe(&mut self, fact: &Fact, _: &dyn DiskView) -> Result<(), String> {
        let Some(id) = fact.checkpoint else { return Ok(()) };
        if let Actor::Task(task) = fact.actor {
            let cut = || (id, task.attempt);
            match &fact.step {
                Step::BarrierForwarded { channel, records } => {
                    self.cuts.entry(cut()).or_default().sent.insert(*channel, *records);
                }
                Step::StateFrozen { reflected, .. } => {
                    self.cuts.entry(cut()).or_default().reflected.extend(reflected.iter().copied());
                }
                _ => {}
            }
        }
        if fact.step == Step::CheckpointCompleted {
            // Only one attempt can have completed it, and no other may have begun it (I8).
            for (_, cut) in self.cuts.iter().filter(|((of, _), _)| *of == id) {
                self.judge(id, cut)?;
            }
            self.cuts.retain(|(of, _), _| *of > id);
        }
        Ok(())
    }
}
