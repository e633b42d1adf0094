//! How long a task waits for the last barrier of a checkpoint, and for which records.

use std::sync::Arc;

use super::input_gate::InputGate;
use crate::{env::Clock, id::CheckpointId, instant::Instant, metrics::micros};

/// What an alignment has cost. All zero where there is none: at a source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Alignment {
    /// From the first barrier to the last.
    pub took_us: u64,
    /// Records from behind a barrier that were processed before the last barrier came.
    pub overtaken: u64,
    /// Records that wait behind their barrier now that the last one is in.
    pub held_back: u64,
}

/// Watches the barriers of one task.
pub(crate) struct AlignmentMeter {
    clock: Arc<dyn Clock>,
    under_way: Option<UnderWay>,
}

struct UnderWay {
    checkpoint: CheckpointId,
    since: Instant,
    /// The channels whose barrier is in, and how many records of each had been processed by then.
    arrived: Vec<(usize, u64)>,
}

impl AlignmentMeter {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, under_way: None }
    }

    /// A barrier has come in on a channel, all of whose records before it are processed. One of a newer checkpoint takes the
    /// place of those of an older one.
    pub(crate) fn barrier(&mut self, channel: usize, checkpoint: CheckpointId, gate: &InputGate) {
        let newest = self.under_way.take().filter(|under_way| under_way.checkpoint >= checkpoint);
        let begin = || UnderWay { checkpoint, since: self.clock.now(), arrived: Vec::new() };
        let mut under_way = newest.unwrap_or_else(begin);
        if under_way.checkpoint == checkpoint {
            under_way.arrived.push((channel, gate.records(channel)));
        }
        self.under_way = Some(under_way);
    }

    /// The last barrier is in.
    pub(crate) fn aligned(&mut self, gate: &InputGate) -> Alignment {
        let Some(UnderWay { since, arrived, .. }) = self.under_way.take() else { return Alignment::default() };
        Alignment {
            took_us: micros(self.clock.now().since(since)),
            overtaken: arrived.iter().map(|(channel, before)| gate.records(*channel) - before).sum(),
            held_back: gate.parked_records(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use futures_util::FutureExt;
    use tokio::sync::Semaphore;

    use super::*;
    use crate::{
        env::BoxFuture,
        id::{ChannelId, SubtaskId, VertexId},
        runtime::input_gate::CreditReturn,
        stream::{AnyBatch, StreamElement},
    };

    /// A clock that is set by hand, in microseconds.
    #[derive(Default)]
    struct Hands(AtomicU64);

    impl Clock for Hands {
        fn now(&self) -> Instant {
            Instant(self.0.load(Ordering::Relaxed) * 1_000)
        }

        fn sleep_until(&self, _: Instant) -> BoxFuture<'static, ()> {
            unreachable!("nobody sleeps here")
        }

        fn wall_clock_ms(&self) -> u64 {
            0
        }
    }

    /// Two channels with records before what is taken as their barriers, and three behind the barrier that comes first;
    /// `blocked` of them are held back until the end of the alignment.
    fn align(blocked: &[usize]) -> Alignment {
        let subtask = |vertex, index| SubtaskId { vertex: VertexId(vertex), index };
        let ids = [0, 1].map(|i| ChannelId { from: subtask(0, i), to: subtask(1, 0) });
        let (mut gate, senders) = InputGate::new(&ids);
        let clock = Arc::new(Hands::default());
        let mut meter = AlignmentMeter::new(clock.clone());
        let take = |gate: &mut InputGate| while gate.next(|c| blocked.contains(&c)).now_or_never().is_some() {};
        let deliver = |channel: usize, records: Vec<i32>| {
            senders[channel].deliver(StreamElement::Batch(AnyBatch::new(records))).unwrap();
        };
        for (sender, records) in senders.iter().zip([vec![1, 2], vec![3]]) {
            sender.attach(CreditReturn::Local(Arc::new(Semaphore::new(0)))).unwrap();
            sender.deliver(StreamElement::Batch(AnyBatch::new(records))).unwrap();
        }
        while gate.next(|_| false).now_or_never().is_some() {}
        // The barriers of an older checkpoint, which is given up, do not count: neither before those of the newer one, nor
        // among them.
        meter.barrier(1, CheckpointId(4), &gate);
        clock.0.store(100, Ordering::Relaxed);
        meter.barrier(0, CheckpointId(5), &gate);
        meter.barrier(1, CheckpointId(4), &gate);
        deliver(0, vec![4, 5, 6]);
        deliver(1, vec![7]);
        take(&mut gate);
        clock.0.store(350, Ordering::Relaxed);
        meter.barrier(1, CheckpointId(5), &gate);
        meter.aligned(&gate)
    }

    #[test]
    fn blocked_channels_hold_records_back() {
        assert_eq!(align(&[0]), Alignment { took_us: 250, overtaken: 0, held_back: 3 });
    }

    #[test]
    fn open_channels_let_records_overtake() {
        assert_eq!(align(&[]), Alignment { took_us: 250, overtaken: 3, held_back: 0 });
    }

    #[test]
    fn without_barriers_there_is_nothing_to_tell() {
        let (gate, _) = InputGate::new(&[]);
        assert_eq!(AlignmentMeter::new(Arc::new(Hands::default())).aligned(&gate), Alignment::default());
    }
}
