//! The sending end of a task's channels.

use std::sync::Arc;

use tokio::sync::{Semaphore, mpsc};

use super::{abort_on_drop::AbortOnDrop, input_gate::GateSender, stream_task::yield_now};
use crate::{
    error::{Context, Error, Result},
    exchange::{FrameKind, begin_frame},
    id::{ChannelId, CheckpointId},
    probe::{Reporter, Step},
    stream::{BatchCodec, CheckpointBarrier, OutBatch, Outbox, StreamElement},
};

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
    Remote { frames: mpsc::UnboundedSender<Unsent>, codec: Arc<dyn BatchCodec> },
}

impl OutputChannel {
    async fn send_batch(&mut self, out: OutBatch) -> Result<()> {
        let records = out.batch.len();
        if planted!(LostWakeUp) && self.credits.available_permits() == 0 {
            yield_now().await; // Arroyo 1017
            self.credits.forget_permits(self.credits.available_permits());
        }
        // The semaphore is closed when the connection ends, so that nobody waits for credit that cannot come.
        self.credits.acquire().await.map_err(|_| connection_lost())?.forget();
        match &self.route {
            Route::Local(gate) => gate.deliver(StreamElement::Batch(out.batch))?,
            Route::Remote { frames, codec } => {
                let mut bytes = begin_frame();
                codec.encode(&out.batch, &mut bytes)?;
                send_frame(frames, Unsent { kind: FrameKind::Batch, records: records as u32, bytes })?;
            }
        }
        self.records += records as u64;
        Ok(())
    }

    /// Barriers and the end of input wait for no credit.
    fn send_mark(&self, element: StreamElement) -> Result<()> {
        match &self.route {
            Route::Local(gate) => gate.deliver(element),
            Route::Remote { frames, .. } => {
                let mut bytes = begin_frame();
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

/// All outgoing channels of one task: by edge, then by consuming subtask.
pub(crate) struct ResultPartition {
    edges: Vec<Vec<OutputChannel>>,
    connections: Vec<AbortOnDrop>,
}

impl ResultPartition {
    pub(crate) fn new(edges: Vec<Vec<OutputChannel>>, connections: Vec<AbortOnDrop>) -> Self {
        Self { edges, connections }
    }

    /// Waits until all that was sent has left this process, and closes the channels.
    pub(crate) async fn finish(self) {
        drop(self.edges);
        for mut connection in self.connections {
            connection.0.join().await;
        }
    }

    /// Sends all that a chain has left in its outbox, waiting for credit as needed.
    pub(crate) async fn send(&mut self, outbox: &mut Outbox) -> Result<()> {
        for out in outbox.drain() {
            let channel = &mut self.edges[out.edge][out.channel];
            let id = channel.id;
            channel.send_batch(out).await.at(|| format!("output channel {id}"))?;
        }
        Ok(())
    }

    /// Sends the barrier on every channel, behind the records that went before it.
    pub(crate) async fn send_barrier(&mut self, barrier: CheckpointBarrier, reporter: &Reporter) -> Result<()> {
        for channel in self.edges.iter().flatten() {
            channel.send_mark(StreamElement::Barrier(barrier)).at(|| format!("output channel {}", channel.id))?;
            report_forwarded(reporter, barrier.checkpoint, channel).await;
        }
        Ok(())
    }

    /// Says on every channel that no record follows.
    pub(crate) fn send_end_of_input(&mut self) -> Result<()> {
        let mut channels = self.edges.iter().flatten();
        channels.try_for_each(|c| c.send_mark(StreamElement::EndOfInput).at(|| format!("output channel {}", c.id)))
    }
}

async fn report_forwarded(reporter: &Reporter, checkpoint: CheckpointId, channel: &OutputChannel) {
    let step = Step::BarrierForwarded { channel: channel.id, records: channel.records };
    reporter.report_for(checkpoint, step).await;
}
