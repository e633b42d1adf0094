//! The sending end of a task's channels.

use std::{sync::Arc, time::Duration};

use tokio::sync::{Semaphore, mpsc};

use super::{abort_on_drop::AbortOnDrop, input_gate::GateSender, recycler::Recycler, stream_task::yield_now};
use crate::{
    env::{Env, Site},
    error::{Context, Error, Result},
    exchange::{BatchSizer, FrameKind, begin_frame},
    id::{ChannelId, CheckpointId},
    instant::Instant,
    probe::{Reporter, Step},
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
    env: Env,
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
        env: Env,
        batch_size: usize,
        buffer_timeout: Duration,
    ) -> Self {
        let sizer = batch_sizer(batch_size, buffer_timeout);
        let outbox = Outbox::new(sizer.size());
        Self { edges, connections, outbox, sending: Vec::new(), env, sizer, buffer_timeout, held_since: None }
    }

    /// Where the task's chain leaves its output.
    pub(crate) fn outbox(&mut self) -> &mut Outbox {
        &mut self.outbox
    }

    /// The time, for [`ResultPartition::send`].
    pub(crate) fn now(&self) -> Instant {
        self.env.clock.now()
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
        self.outbox.set_limit(self.sizer.size());
        if !self.outbox.is_holding() {
            self.held_since = None;
            return Ok(());
        }
        let since = *self.held_since.get_or_insert(now);
        if now.since(since) >= self.buffer_timeout || self.env.entropy.perturbs(Site::EarlySend) {
            self.flush().await?;
        }
        Ok(())
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
        self.flush().await?;
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
