//! When a task takes its snapshot: once the barrier has come in on all channels (Carbone et al. 2015, section 4.2).
//!
//! In exactly-once mode a channel that delivered the barrier is blocked until all have, so that no record behind the
//! barrier is processed before the snapshot. In at-least-once mode nothing is blocked.

use std::collections::BTreeSet;

use crate::{
    id::CheckpointId,
    stream::{CheckpointBarrier, CheckpointMode},
};

/// What the task has to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AlignerCommand {
    /// Take no element from this channel.
    Block {
        /// Which channel.
        channel: usize,
    },
    /// Take elements from all channels again.
    Unblock,
    /// The barrier is in on all channels: take the snapshot now, before anything that follows.
    Aligned(CheckpointBarrier),
    /// A newer barrier has come before this checkpoint was aligned: it can never be.
    Abandoned(CheckpointId),
}

/// Counts the barriers of one task's input channels.
///
/// Events are `on_barrier` and `on_aborted`; `is_blocked` may be asked at any time.
#[derive(Debug)]
pub struct BarrierAligner {
    blocked: Vec<bool>,
    /// The barrier under way, and the channels on which it has come.
    pending: Option<(CheckpointBarrier, BTreeSet<usize>)>,
    /// The newest checkpoint that is done with here: aligned, aborted or abandoned.
    finished: Option<CheckpointId>,
}

impl BarrierAligner {
    /// An aligner of so many channels, at least one.
    #[must_use]
    pub fn new(channels: usize) -> Self {
        assert!(channels > 0, "a task without input channels has nothing to align");
        Self { blocked: vec![false; channels], pending: None, finished: None }
    }

    /// A barrier has come in on a channel.
    pub fn on_barrier(&mut self, channel: usize, barrier: CheckpointBarrier, out: &mut Vec<AlignerCommand>) {
        // What is done with stays done with (FLINK-17994).
        if self.finished >= Some(barrier.checkpoint) {
            return;
        }
        match &self.pending {
            Some((pending, _)) if pending.checkpoint > barrier.checkpoint => return,
            Some((pending, _)) if pending.checkpoint < barrier.checkpoint => {
                let abandoned = pending.checkpoint;
                self.give_up(abandoned, out);
                out.push(AlignerCommand::Abandoned(abandoned));
            }
            _ => {}
        }
        let (_, arrived) = self.pending.get_or_insert_with(|| (barrier, BTreeSet::new()));
        assert!(
            arrived.insert(channel),
            "the barrier of checkpoint {} came twice on channel {channel}",
            barrier.checkpoint
        );
        let complete = arrived.len() == self.blocked.len();
        if barrier.mode == CheckpointMode::ExactlyOnce {
            self.blocked[channel] = !planted!(BarrierDoesNotBlock); // FLINK-2406
            out.push(AlignerCommand::Block { channel });
        }
        if complete {
            out.push(AlignerCommand::Aligned(barrier));
            self.give_up(barrier.checkpoint, out);
        }
    }

    /// The checkpoint will not complete: nobody waits for its barriers any more.
    pub fn on_aborted(&mut self, id: CheckpointId, out: &mut Vec<AlignerCommand>) {
        match &self.pending {
            Some((pending, _)) if pending.checkpoint <= id => self.give_up(pending.checkpoint.max(id), out),
            _ => self.finished = self.finished.max(Some(id)),
        }
    }

    /// Whether elements of the channel have to wait.
    #[must_use]
    pub fn is_blocked(&self, channel: usize) -> bool {
        self.blocked[channel]
    }

    fn give_up(&mut self, id: CheckpointId, out: &mut Vec<AlignerCommand>) {
        self.pending = None;
        self.finished = self.finished.max(Some(id));
        if self.blocked.contains(&true) {
            self.blocked.fill(false);
            out.push(AlignerCommand::Unblock);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn barrier(id: u64, mode: CheckpointMode) -> CheckpointBarrier {
        let checkpoint = CheckpointId(id);
        CheckpointBarrier { checkpoint, mode, is_final: false, base: None, oldest: checkpoint }
    }

    /// Plays `(channel, checkpoint)` barriers and `(-1, checkpoint)` aborts; one line each.
    fn transcript(channels: usize, mode: CheckpointMode, events: &[(i32, u64)]) -> String {
        let mut aligner = BarrierAligner::new(channels);
        let mut text = String::new();
        for (channel, id) in events {
            let mut out = Vec::new();
            match usize::try_from(*channel) {
                Ok(channel) => aligner.on_barrier(channel, barrier(*id, mode), &mut out),
                Err(_) => aligner.on_aborted(CheckpointId(*id), &mut out),
            }
            let said: Vec<String> = out
                .iter()
                .map(|c| match c {
                    AlignerCommand::Block { channel } => format!("block {channel}"),
                    AlignerCommand::Unblock => "unblock".into(),
                    AlignerCommand::Aligned(b) => format!("aligned {}", b.checkpoint),
                    AlignerCommand::Abandoned(id) => format!("abandoned {id}"),
                })
                .collect();
            let blocked: Vec<usize> = (0..channels).filter(|c| aligner.is_blocked(*c)).collect();
            let event = if *channel < 0 { format!("abort {id}") } else { format!("{channel}: barrier {id}") };
            text += &format!("{event} -> {} {blocked:?}\n", said.join(", "));
        }
        text
    }

    /// FLINK-2406: a channel that delivered its barrier is not blocked.
    #[test]
    fn channels_are_blocked_until_the_last_barrier_is_in() {
        insta::assert_snapshot!(transcript(3, CheckpointMode::ExactlyOnce, &[(1, 1), (0, 1), (2, 1), (0, 2)]), @r"
        1: barrier 1 -> block 1 [1]
        0: barrier 1 -> block 0 [0, 1]
        2: barrier 1 -> block 2, aligned 1, unblock []
        0: barrier 2 -> block 0 [0]
        ");
    }

    #[test]
    fn at_least_once_blocks_nothing() {
        insta::assert_snapshot!(transcript(2, CheckpointMode::AtLeastOnce, &[(1, 1), (0, 1)]), @r"
        1: barrier 1 ->  []
        0: barrier 1 -> aligned 1 []
        ");
    }

    #[test]
    fn an_abort_releases_and_late_barriers_are_void() {
        insta::assert_snapshot!(transcript(2, CheckpointMode::ExactlyOnce, &[(0, 4), (-1, 4), (1, 4), (0, 5), (1, 5), (-1, 5)]), @r"
        0: barrier 4 -> block 0 [0]
        abort 4 -> unblock []
        1: barrier 4 ->  []
        0: barrier 5 -> block 0 [0]
        1: barrier 5 -> block 1, aligned 5, unblock []
        abort 5 ->  []
        ");
    }

    /// FLINK-17994, and an abort that overtakes the barriers of its checkpoint.
    #[test]
    fn a_newer_barrier_overtakes_and_old_ones_are_void() {
        insta::assert_snapshot!(transcript(2, CheckpointMode::ExactlyOnce, &[(0, 6), (1, 7), (1, 6), (0, 7), (-1, 9), (0, 9), (1, 9)]), @r"
        0: barrier 6 -> block 0 [0]
        1: barrier 7 -> unblock, abandoned 6, block 1 [1]
        1: barrier 6 ->  [1]
        0: barrier 7 -> block 0, aligned 7, unblock []
        abort 9 ->  []
        0: barrier 9 ->  []
        1: barrier 9 ->  []
        ");
    }
}
