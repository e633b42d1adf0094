//! The consumer's side of channels that cross the network: accepts producers, checks their frames, feeds input gates.

use std::sync::Arc;

use tokio::sync::mpsc;

use super::{
    exchange_client::{ChannelOpened, OpenChannel},
    frame_stream::{FrameReader, FrameWriter},
    gate_registry::{Claimed, GateRegistry},
    input_gate::{CreditReturn, GateSender},
    message_stream::{MessageReader, admit, write_message},
    options::ClusterOptions,
    result_partition::Unsent,
};
use crate::{
    env::{AbortOnDrop, Address, ByteStream, Env, Site, timeout},
    error::{Context, Error, Result},
    exchange::{Frame, FrameKind, begin_frame},
    graph::JobGraph,
    probe::{Reporter, Step},
    stream::{BatchCodec, StreamElement},
};

/// What each connection needs.
#[derive(Clone)]
struct Server {
    env: Env,
    options: ClusterOptions,
    graph: Arc<JobGraph>,
    gates: GateRegistry,
    reporter: Reporter,
}

/// Listens for producers until the returned guard is dropped.
pub(crate) async fn serve(
    env: &Env,
    options: &ClusterOptions,
    graph: &Arc<JobGraph>,
    gates: &GateRegistry,
    address: &Address,
    reporter: &Reporter,
) -> Result<(Address, AbortOnDrop)> {
    let mut listener = env.network.bind(address).await.at(|| format!("data address {address}"))?;
    let local = listener.local_address();
    let server = Server {
        env: env.clone(),
        options: options.clone(),
        graph: graph.clone(),
        gates: gates.clone(),
        reporter: reporter.clone(),
    };
    let accept = async move {
        // A failed accept concerns one peer, or the process is out of descriptors, which time may mend.
        loop {
            match listener.accept().await {
                Ok(stream) => {
                    let server = server.clone();
                    let spawner = server.env.spawner.clone();
                    spawner.start("exchange connection", async move { server.handle(stream).await });
                }
                Err(_) => {
                    server.env.clock.sleep_until(server.env.clock.now() + server.options.heartbeat_interval).await
                }
            }
        }
    };
    Ok((local, AbortOnDrop(env.spawner.start("exchange server", accept))))
}

impl Server {
    /// One connection from handshake to end. Errors before a channel is open concern the peer only.
    async fn handle(&self, stream: ByteStream) {
        let Ok(stream) = admit(&self.env, stream, &self.options.secret).await else { return };
        let ByteStream { reader, mut writer } = stream;
        let mut messages = MessageReader::<OpenChannel>::new(reader);
        let Some(Ok(open)) = timeout(&*self.env.clock, self.options.connect_timeout, messages.read()).await else {
            return;
        };
        let late = || Err(Error::unavailable(format!("channel {} was not opened in time", open.channel)));
        let claim = self.gates.claim(open.channel, open.attempt);
        let claimed = timeout(&*self.env.clock, self.options.connect_timeout, claim).await.unwrap_or_else(late);
        let Claimed { gate, consumer } = match claimed {
            Ok(claimed) => claimed,
            Err(error) => {
                // If even the refusal does not arrive, the producer's time-out tells it the same.
                let _ = write_message(&mut writer, &ChannelOpened::Refused { error }).await;
                return;
            }
        };
        let step = Step::ChannelOpened { channel: open.channel, producer: open.attempt, consumer };
        self.reporter.report(step).await;
        let incoming = FrameReader::new(messages.into_inner(), open.attempt);
        let outgoing = FrameWriter::new(writer, open.attempt);
        if let Err(error) = self.pump(&open, incoming, outgoing, &gate).await {
            gate.fail(error);
        }
    }

    async fn pump<R, W>(
        &self,
        open: &OpenChannel,
        mut incoming: FrameReader<R>,
        mut outgoing: FrameWriter<W>,
        gate: &GateSender,
    ) -> Result<()>
    where
        R: tokio::io::AsyncRead + Unpin,
        W: tokio::io::AsyncWrite + Unpin,
    {
        let (credit, mut credits) = mpsc::unbounded_channel();
        gate.attach(CreditReturn::Remote(credit))?;
        let granted = ChannelOpened::Granted { credits: self.options.channel_credits };
        write_message(outgoing.raw(), &granted).await?;
        let edge = self.graph.input(open.channel.to.vertex).expect("a consumer has an input edge");
        let receive = async {
            let mut ended = false;
            loop {
                let frame = match incoming.read().await {
                    Ok(frame) => frame,
                    // After its last record a producer may leave at any time.
                    Err(_) if ended => return Ok(()),
                    Err(error) => return Err(error).at(|| "connection to the producing task"),
                };
                let element = decode(&*edge.codec, frame, gate)?;
                ended |= matches!(element, StreamElement::EndOfInput);
                gate.deliver(element)?;
            }
        };
        let send_credits = async {
            let mut buffer = Vec::new();
            while let Some(first) = credits.recv().await {
                // Grants that came together leave together.
                let alone = self.env.entropy.perturbs(Site::CreditByCredit);
                let more: u32 = std::iter::from_fn(|| if alone { None } else { credits.try_recv().ok() }).sum();
                let bytes = begin_frame(std::mem::take(&mut buffer));
                let mut frame = Unsent { kind: FrameKind::Credit, records: first + more, bytes };
                outgoing.write(std::slice::from_mut(&mut frame)).await?;
                buffer = frame.bytes;
            }
            // The gate is gone, and with it the consumer.
            Ok(())
        };
        let (receive, send_credits) = (std::pin::pin!(receive), std::pin::pin!(send_credits));
        futures_util::future::select(receive, send_credits).await.factor_first().0
    }
}

fn decode(codec: &dyn BatchCodec, frame: Frame<'_>, gate: &GateSender) -> Result<StreamElement> {
    match frame.header.kind {
        FrameKind::Batch => codec.decode(frame.payload, gate.emptied()).map(StreamElement::Batch),
        FrameKind::Barrier => {
            let barrier = postcard::from_bytes(frame.payload);
            barrier.map(StreamElement::Barrier).map_err(|e| Error::damaged(format!("a barrier cannot be decoded: {e}")))
        }
        FrameKind::EndOfInput => Ok(StreamElement::EndOfInput),
        FrameKind::Credit => Err(Error::damaged("a producer cannot grant credit")),
    }
}
