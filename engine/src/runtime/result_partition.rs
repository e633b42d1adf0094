//! The sending end of a task's channels.

use std::{sync::Arc, time::Duration};

use tokio::sync::{Semaphore, mpsc};

use super::{input_gate::GateSender, turn::yield_now};
use crate::{
    env::{AbortOnDrop, Clock, Entropy, Env, Site},
    error::{Context, Error, Result},
    exchange::{BatchSizer, FrameKind, begin_frame},
    id::{ChannelId, CheckpointId},
    instant::Instant,
    probe::{Reporter, Step},
    recycler::Recycler,
    stream::{AnyBatch, BatchCodec, CheckpointBarrier, OutBatch, Outbox, StreamElement},
};

/// A batch shall take no longer than this part of the buffer timeout, so that it is the timeout, and not the batch, that
/// says how long a record waits.
const BATCHES_A_TIMEOUT: u32 = 4;

/// A frame without its header, on its way to the connection's writer.
pub(crate) struct Unsent {
    pub kind: FrameKind,
    pub records: u32,
    /// Starts with room for the header.
    pub bytes: Vec<u8>,
}

/// One channel to a consumer. `credits` holds what the consumer has granted and this side has not spent.
pub(crate) struct OutputChannel {
    pub id: ChannelId,
    pub credits: Arc<Semaphore>,
    pub route: Route,
    /// Records sent so far.
    pub records: u64,
}

/// Where the consumer is.
pub(crate) enum Route {
    /// In this process: batches change hands as they are.
    Local(GateSender),
    /// Behind a connection: batches are encoded.
    Remote { frames: mpsc::UnboundedSender<Unsent>, codec: Arc<dyn BatchCodec>, buffers: Recycler<Vec<u8>> },
}

impl OutputChannel {
    /// Sends a batch and gives an emptied one for it, if there is one.
    async fn send_batch(&mut self, mut batch: AnyBatch) -> Result<Option<AnyBatch>> {
        let records = batch.len();
        if planted!(LostWakeUp) && self.credits.available_permits() == 0 {
            yield_now().await; // Arroyo 1017
            self.credits.forget_permits(self.credits.available_permits());
        }
        // The semaphore is closed when the connection ends, so that nobody waits for credit that cannot come.
        self.credits.acquire().await.map_err(|_| connection_lost())?.forget();
        self.records += records as u64;
        match &self.route {
            Route::Local(gate) => {
                gate.deliver(StreamElement::Batch(batch))?;
                Ok(gate.emptied())
            }
            Route::Remote { frames, codec, buffers } => {
                let mut bytes = begin_frame(buffers.take().unwrap_or_default());
                codec.encode(&batch, &mut bytes)?;
                send_frame(frames, Unsent { kind: FrameKind::Batch, records: records as u32, bytes })?;
                batch.clear();
                Ok(Some(batch))
            }
        }
    }

    /// Barriers and the end of input wait for no credit.
    fn send_mark(&self, element: StreamElement) -> Result<()> {
        match &self.route {
            Route::Local(gate) => gate.deliver(element),
            Route::Remote { frames, buffers, .. } => {
                let mut bytes = begin_frame(buffers.take().unwrap_or_default());
                let kind = match &element {
                    StreamElement::Barrier(barrier) => {
                        bytes = postcard::to_extend(barrier, bytes).expect("a barrier can be encoded");
                        FrameKind::Barrier
                    }
                    StreamElement::EndOfInput => FrameKind::EndOfInput,
                    StreamElement::Batch(_) => unreachable!("a batch is no mark"),
                };
                send_frame(frames, Unsent { kind, records: 0, bytes })
            }
        }
    }
}

fn send_frame(frames: &mpsc::UnboundedSender<Unsent>, frame: Unsent) -> Result<()> {
    frames.send(frame).map_err(|_| connection_lost())
}

fn connection_lost() -> Error {
    Error::unavailable("the connection to the consuming task is lost")
}

/// All outgoing channels of one task: by edge, then by consuming subtask. With the outbox before them, so that no mark can
/// overtake a record that is held back there.
pub(crate) struct ResultPartition {
    edges: Vec<Vec<OutputChannel>>,
    connections: Vec<AbortOnDrop>,
    outbox: Outbox,
    /// The batches being sent; empty in between.
    sending: Vec<OutBatch>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    sizer: BatchSizer,
    buffer_timeout: Duration,
    /// When the oldest of the records that are held back was seen first.
    held_since: Option<Instant>,
}

/// A sizer for batches of up to `max` records under this buffer timeout.
pub(crate) fn batch_sizer(max: usize, buffer_timeout: Duration) -> BatchSizer {
    BatchSizer::new(max, buffer_timeout / BATCHES_A_TIMEOUT)
}

impl ResultPartition {
    /// Sends batches of up to `batch_size` records, and no record later than `buffer_timeout` after it was left here, as
    /// long as there is credit.
    pub(crate) fn new(
        edges: Vec<Vec<OutputChannel>>,
        connections: Vec<AbortOnDrop>,
        env: &Env,
        batch_size: usize,
        buffer_timeout: Duration,
    ) -> Self {
        let sizer = batch_sizer(batch_size, buffer_timeout);
        let outbox = Outbox::new(sizer.size());
        Self {
            edges,
            connections,
            outbox,
            sending: Vec::new(),
            clock: env.clock.clone(),
            entropy: env.entropy.clone(),
            sizer,
            buffer_timeout,
            held_since: None,
        }
    }

    /// Where the task's chain leaves its output.
    pub(crate) fn outbox(&mut self) -> &mut Outbox {
        &mut self.outbox
    }

    /// The time, for [`ResultPartition::send`].
    pub(crate) fn now(&self) -> Instant {
        self.clock.now()
    }

    /// Waits until all that was sent has left this process, and closes the channels.
    pub(crate) async fn finish(self) {
        drop(self.edges);
        for mut connection in self.connections {
            connection.0.join().await;
        }
    }

    /// Sends the full batches that the chain has left, waiting for credit as needed; and what it holds back, if that is
    /// due. `began` is when the work on the chain's input began, for which the time that a batch takes is counted.
    pub(crate) async fn send(&mut self, began: Instant) -> Result<()> {
        if self.edges.is_empty() {
            return Ok(());
        }
        self.send_ready().await?;
        let now = self.now();
        self.sizer.observe(self.outbox.take_records(), now.since(began));
        self.sizer.sampled(self.outbox.take_record_bytes());
        self.outbox.set_limit(self.sizer.size());
        if !self.outbox.is_holding() {
            self.held_since = None;
            return Ok(());
        }
        let since = *self.held_since.get_or_insert(now);
        if now.since(since) >= self.buffer_timeout || self.entropy.perturbs(Site::EarlySend) {
            self.flush().await?;
        }
        Ok(())
    }

    /// How many records may be made at once for the memory that those before them took.
    pub(crate) fn most_records(&self) -> usize {
        self.sizer.most()
    }

    /// Whether records wait for a fuller batch.
    pub(crate) fn is_holding(&self) -> bool {
        self.outbox.is_holding()
    }

    /// Sends all that the chain has left, however little.
    pub(crate) async fn flush(&mut self) -> Result<()> {
        self.held_since = None;
        self.outbox.flush();
        self.send_ready().await
    }

    async fn send_ready(&mut self) -> Result<()> {
        self.outbox.swap_ready(&mut self.sending);
        for OutBatch { edge, channel, batch } in self.sending.drain(..) {
            let channel = &mut self.edges[edge][channel];
            let emptied = channel.send_batch(batch).await.at(|| format!("output channel {}", channel.id))?;
            if let Some(emptied) = emptied {
                self.outbox.recycle(edge, emptied);
            }
        }
        Ok(())
    }

    /// Sends the barrier on every channel, behind all records that the chain has left (I3).
    pub(crate) async fn send_barrier(&mut self, barrier: CheckpointBarrier, reporter: &Reporter) -> Result<()> {
        if !planted!(BarrierOvertakesData) {
            self.flush().await?; // FLINK-18252
        }
        for channel in self.edges.iter().flatten() {
            channel.send_mark(StreamElement::Barrier(barrier)).at(|| format!("output channel {}", channel.id))?;
            report_forwarded(reporter, barrier.checkpoint, channel).await;
        }
        Ok(())
    }

    /// Says on every channel that no record follows those that the chain has left.
    pub(crate) async fn send_end_of_input(&mut self) -> Result<()> {
        self.flush().await?;
        let mut channels = self.edges.iter().flatten();
        channels.try_for_each(|c| c.send_mark(StreamElement::EndOfInput).at(|| format!("output channel {}", c.id)))
    }
}

async fn report_forwarded(reporter: &Reporter, checkpoint: CheckpointId, channel: &OutputChannel) {
    let step = Step::BarrierForwarded { channel: channel.id, records: channel.records };
    reporter.report_for(checkpoint, step).await;
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use futures_util::FutureExt;

    use super::*;
    use crate::{
        env::{BoxFuture, entropy::NoEntropy},
        id::{AttemptId, SubtaskId, TaskId, VertexId},
        probe::{Actor, NoProbe},
        runtime::input_gate::{CreditReturn, InputGate},
        stream::CheckpointMode,
    };

    const TIMEOUT: Duration = Duration::from_millis(8);

    /// A clock that is set by hand, in milliseconds.
    #[derive(Default)]
    struct HandClock(AtomicU64);

    impl Clock for HandClock {
        fn now(&self) -> Instant {
            Instant::default() + Duration::from_millis(self.0.load(Ordering::SeqCst))
        }

        fn sleep_until(&self, _: Instant) -> BoxFuture<'static, ()> {
            panic!("a partition sets no timers")
        }

        fn wall_clock_ms(&self) -> u64 {
            0
        }
    }

    /// Sends always early.
    struct Early;

    impl Entropy for Early {
        fn next_u64(&self) -> u64 {
            0
        }

        fn perturbs(&self, site: Site) -> bool {
            site == Site::EarlySend
        }
    }

    struct Scene {
        clock: Arc<HandClock>,
        output: ResultPartition,
        gates: Vec<InputGate>,
    }

    /// One task with one edge to two others, of which each grants so many credits.
    fn scene(entropy: Arc<dyn Entropy>, credits: usize) -> Scene {
        let clock = Arc::new(HandClock::default());
        let env = Env { clock: clock.clone(), entropy, ..crate::env::real::env() };
        let subtask = |vertex, index| SubtaskId { vertex: VertexId(vertex), index };
        let (mut gates, mut channels) = (Vec::new(), Vec::new());
        for index in 0..2 {
            let id = ChannelId { from: subtask(0, 0), to: subtask(1, index) };
            let (gate, mut senders) = InputGate::new(&[id]);
            let (credits, sender) = (Arc::new(Semaphore::new(credits)), senders.remove(0));
            sender.attach(CreditReturn::Local(credits.clone())).unwrap();
            gates.push(gate);
            channels.push(OutputChannel { id, credits, route: Route::Local(sender), records: 0 });
        }
        let mut output = ResultPartition::new(vec![channels], Vec::new(), &env, 100, TIMEOUT);
        output.outbox().set_limit(100);
        // Batches have their full size once they have been seen to be fast.
        (0..20).for_each(|_| output.sizer.observe(100, Duration::ZERO));
        Scene { clock, output, gates }
    }

    impl Scene {
        /// A chain leaves records of which each names its channel; the work takes so many milliseconds.
        fn leave(&mut self, records: &[(usize, u64)], ms: u64) {
            let began = self.output.now();
            self.output.outbox().edge(0, 2).route(records.iter().copied());
            self.clock.0.fetch_add(ms, Ordering::SeqCst);
            self.output.send(began).now_or_never().expect("there is credit").unwrap();
        }

        /// What a consumer finds: records, or a letter for a mark.
        fn arrived(&mut self, consumer: usize) -> Vec<String> {
            let gate = &mut self.gates[consumer];
            let next = || gate.next(|_| false).now_or_never().map(|next| next.unwrap().1);
            std::iter::from_fn(next)
                .map(|element| match element {
                    StreamElement::Batch(batch) => format!("{:?}", batch.as_slice::<u64>()),
                    StreamElement::Barrier(barrier) => format!("barrier {}", barrier.checkpoint),
                    StreamElement::EndOfInput => "end".to_owned(),
                })
                .collect()
        }
    }

    fn reporter() -> Reporter {
        let subtask = SubtaskId { vertex: VertexId(0), index: 0 };
        let task = TaskId { subtask, attempt: AttemptId { term: 1, number: 1 } };
        Reporter::new(Arc::new(NoProbe), Actor::Task(task))
    }

    /// I3: a barrier overtakes no record, also none that is held back.
    #[test]
    fn marks_come_behind_what_was_held_back() {
        let mut scene = scene(Arc::new(NoEntropy), 4);
        scene.leave(&[(0, 1), (1, 10)], 0);
        assert_eq!((scene.arrived(0), scene.arrived(1)), (vec![], vec![]));
        let barrier = CheckpointBarrier {
            checkpoint: CheckpointId(7),
            mode: CheckpointMode::ExactlyOnce,
            is_final: false,
            base: None,
            oldest: CheckpointId(1),
        };
        scene.output.send_barrier(barrier, &reporter()).now_or_never().unwrap().unwrap();
        scene.leave(&[(0, 2)], 0);
        scene.output.send_end_of_input().now_or_never().unwrap().unwrap();
        assert_eq!(scene.arrived(0), ["[1]", "barrier 7", "[2]", "end"]);
        assert_eq!(scene.arrived(1), ["[10]", "barrier 7", "end"]);
    }

    #[test]
    fn a_busy_task_holds_records_back_for_the_timeout_and_no_longer() {
        let mut scene = scene(Arc::new(NoEntropy), 4);
        scene.leave(&[(0, 1)], 0);
        scene.leave(&[(0, 2), (1, 10)], 7);
        assert_eq!((scene.arrived(0), scene.arrived(1)), (vec![], vec![]));
        scene.leave(&[(0, 3)], 1);
        assert_eq!(scene.arrived(0), ["[1, 2, 3]"]);
        assert_eq!(scene.arrived(1), ["[10]"]);
        // The time counts anew from here.
        scene.leave(&[(0, 4)], 1);
        scene.leave(&[(0, 5)], 7);
        assert_eq!(scene.arrived(0), [""; 0]);
    }

    #[test]
    fn the_simulated_world_may_send_early() {
        let mut scene = scene(Arc::new(Early), 4);
        scene.leave(&[(0, 1)], 0);
        assert_eq!(scene.arrived(0), ["[1]"]);
    }

    #[test]
    fn slow_records_are_not_held_for_long_batches() {
        let mut scene = scene(Arc::new(NoEntropy), 100);
        (0..60).for_each(|n| scene.leave(&[(0, n)], 3));
        scene.arrived(0);
        assert_eq!(scene.output.outbox().limit(), 1);
        scene.leave(&[(0, 1), (0, 2)], 0);
        assert_eq!(scene.arrived(0), ["[1]", "[2]"]);
    }

    #[test]
    fn a_full_batch_waits_for_credit_and_nothing_else() {
        let mut scene = scene(Arc::new(NoEntropy), 1);
        let hundred: Vec<_> = (0..100).map(|n| (1, n)).collect();
        scene.leave(&hundred, 0);
        let began = scene.output.now();
        scene.output.outbox().edge(0, 2).route(hundred.iter().copied());
        assert!(scene.output.send(began).now_or_never().is_none(), "the one credit is spent");
        assert_eq!(scene.arrived(1).len(), 1);
    }
}
