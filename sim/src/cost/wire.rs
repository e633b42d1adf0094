//! One direction of a connection, counted: which bytes are which frame or message.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use bytes::{Buf, BytesMut};
use tidegate::{
    exchange::{FrameKind, HEADER_LEN, frame_kind, frame_records, payload_len},
    runtime::ControlDirection,
    stream::CheckpointBarrier,
};

use super::Ledger;

/// What a connection carries after its handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Content {
    /// Control messages.
    Messages,
    /// A message that opens a channel, or the answer to it; then frames.
    Frames,
}

/// What comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    Handshake,
    Message,
    OpeningMessage,
    Frame,
    /// So many bytes that are counted already.
    Counted(usize),
    /// It is not understood, and counted no more: the engine will refuse it, too.
    Lost,
}

/// Counts what one direction of a connection carries.
pub(crate) struct WireMeter {
    ledger: Arc<Ledger>,
    direction: ControlDirection,
    content: Content,
    /// Batches that were sent on the connection, less the credit that was given back for them.
    under_way: Arc<AtomicI64>,
    next: Next,
    held: BytesMut,
}

impl WireMeter {
    /// The meters of both directions of a connection.
    pub(crate) fn pair(ledger: &Arc<Ledger>, content: Content) -> [Self; 2] {
        let under_way = Arc::new(AtomicI64::new(0));
        [ControlDirection::ToJobManager, ControlDirection::ToTaskManager].map(|direction| Self {
            ledger: ledger.clone(),
            direction,
            content,
            under_way: under_way.clone(),
            next: Next::Handshake,
            held: BytesMut::new(),
        })
    }

    /// Which direction it is, if the connection carries control messages.
    pub(crate) fn direction(&self) -> ControlDirection {
        self.direction
    }

    /// Takes what was sent.
    pub(crate) fn take(&mut self, bytes: &[u8]) {
        self.held.extend_from_slice(bytes);
        while self.step().is_some() {}
    }

    /// Takes the next whole thing, if there is one.
    fn step(&mut self) -> Option<()> {
        if self.held.is_empty() {
            return None;
        }
        self.next = match self.next {
            Next::Handshake => {
                let len = self.take_whole(self.direction.preamble_len())?.len();
                self.ledger.handshake(len);
                if self.content == Content::Messages { Next::Message } else { Next::OpeningMessage }
            }
            Next::OpeningMessage => {
                let len = self.direction.message_len(&self.held)?;
                self.take_whole(len)?;
                self.ledger.handshake(len);
                Next::Frame
            }
            Next::Message => {
                let message = self.take_whole(self.direction.message_len(&self.held)?)?;
                let checkpoint = self.direction.recognize(&message).and_then(|message| message.checkpoint);
                self.ledger.message(checkpoint, message.len());
                Next::Message
            }
            Next::Frame => self.frame()?,
            Next::Counted(left) => {
                let passed = left.min(self.held.len());
                self.held.advance(passed);
                if passed == left { Next::Frame } else { Next::Counted(left - passed) }
            }
            Next::Lost => {
                self.held.clear();
                Next::Lost
            }
        };
        Some(())
    }

    /// A frame is counted as soon as its header is there; but a barrier says within which checkpoint it belongs to.
    fn frame(&mut self) -> Option<Next> {
        let header: &[u8; HEADER_LEN] = self.held.first_chunk()?;
        let (Ok(kind), Ok(payload)) = (frame_kind(header), payload_len(header)) else { return Some(Next::Lost) };
        let len = HEADER_LEN + payload;
        if kind != FrameKind::Barrier {
            self.ledger.frame(kind, None, len);
            let change = match kind {
                FrameKind::Batch => 1,
                FrameKind::Credit => -i64::from(frame_records(header)),
                FrameKind::Barrier | FrameKind::EndOfInput => 0,
            };
            let under_way = self.under_way.fetch_add(change, Ordering::Relaxed) + change;
            self.ledger.under_way(u64::try_from(under_way).unwrap_or(0));
            return Some(Next::Counted(len));
        }
        let frame = self.take_whole(len)?;
        let barrier = postcard::from_bytes::<CheckpointBarrier>(&frame[HEADER_LEN..]);
        self.ledger.frame(kind, barrier.ok().map(|barrier| barrier.checkpoint), len);
        Some(Next::Frame)
    }

    fn take_whole(&mut self, len: usize) -> Option<BytesMut> {
        (self.held.len() >= len).then(|| self.held.split_to(len))
    }
}
