//! The producer's side of a channel that crosses the network.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tokio::sync::{Semaphore, mpsc};

use super::{
    frame_stream::{FrameReader, FrameWriter},
    message_stream::{MessageReader, connect, write_message},
    options::ClusterOptions,
    result_partition::{OutputChannel, Route},
};
use crate::{
    env::{AbortOnDrop, Address, Env, timeout},
    error::{Error, Result},
    exchange::FrameKind,
    id::{AttemptId, ChannelId},
    recycler::Recycler,
    stream::BatchCodec,
};

/// How many frames are written at once, and how many of their buffers are kept. More than there are credits, usually.
const FRAMES_AT_ONCE: usize = 8;

/// A buffer that grew beyond this, by some huge records, is freed after use.
const LARGEST_KEPT: usize = 4 << 20;

/// The producer's first message.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct OpenChannel {
    pub channel: ChannelId,
    pub attempt: AttemptId,
}

/// The consumer's answer.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum ChannelOpened {
    /// So many batches may be sent.
    Granted { credits: u32 },
    /// There is no such channel here.
    Refused { error: Error },
}

/// Opens a channel to a consumer at `address`. The connection lives as long as the returned guard.
pub(crate) async fn open_channel(
    env: &Env,
    options: &ClusterOptions,
    address: &Address,
    open: OpenChannel,
    codec: Arc<dyn BatchCodec>,
) -> Result<(OutputChannel, AbortOnDrop)> {
    let OpenChannel { channel, attempt } = open;
    let mut stream = connect(env, address, &options.secret).await?;
    write_message(&mut stream.writer, &open).await?;
    let mut messages = MessageReader::<ChannelOpened>::new(stream.reader);
    let limit = options.connect_timeout;
    let late = || Err(Error::unavailable(format!("the consumer was not deployed within {limit:?}")));
    let granted = match timeout(&*env.clock, limit, messages.read()).await.unwrap_or_else(late)? {
        ChannelOpened::Granted { credits } => credits,
        ChannelOpened::Refused { error } => return Err(error),
    };
    let credits = Arc::new(Semaphore::new(granted as usize));
    let (frames, mut unsent) = mpsc::unbounded_channel();
    let mut incoming = FrameReader::new(messages.into_inner(), attempt);
    let mut outgoing = FrameWriter::new(stream.writer, attempt);
    let granting = credits.clone();
    let receive_credits = async move {
        while let Ok(frame) = incoming.read().await {
            if frame.header.kind == FrameKind::Credit {
                granting.add_permits(frame.header.records as usize);
            }
        }
    };
    let buffers = Recycler::new(FRAMES_AT_ONCE);
    let written = buffers.clone();
    let send_frames = async move {
        let mut waiting = Vec::new();
        while unsent.recv_many(&mut waiting, FRAMES_AT_ONCE).await > 0 {
            if outgoing.write(&mut waiting).await.is_err() {
                break;
            }
            let kept = waiting.drain(..).map(|frame| frame.bytes).filter(|bytes| bytes.capacity() <= LARGEST_KEPT);
            kept.for_each(|bytes| written.put(bytes));
        }
    };
    let closing = credits.clone();
    let connection = env.spawner.start(&format!("channel {channel}@{attempt}"), async move {
        // Either end means that the connection is of no more use; a sender that waits for credit learns it by the
        // semaphore, one that has credit by the queue that goes with this future.
        futures_util::future::select(std::pin::pin!(send_frames), std::pin::pin!(receive_credits)).await;
        closing.close();
    });
    let route = Route::Remote { frames, codec, buffers };
    Ok((OutputChannel { id: channel, credits, route, records: 0 }, AbortOnDrop(connection)))
}
