//! Frames over a byte stream.

use std::io::{self, IoSlice};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::result_partition::Unsent;
use crate::{
    error::{Error, Result},
    exchange::{Frame, FrameError, FrameHeader, HEADER_LEN, finish_frame, payload_len},
    id::AttemptId,
};

/// How much is read at once, if it is there.
const READ_AHEAD: usize = 64 << 10;

/// A damaged length must not ask for all memory: room is made for so much of a payload at a time, as it comes in.
const LARGEST_STEP: usize = 1 << 20;

impl From<FrameError> for Error {
    /// The connection is given up and the job restarts; the stream itself carries no state.
    fn from(e: FrameError) -> Self {
        Error::unavailable(format!("a frame was received damaged: {e}"))
    }
}

/// Reads the frames of one direction and refuses those of other attempts or out of sequence. A frame is looked at where it
/// was read to, in a buffer that serves all of them.
pub(crate) struct FrameReader<R> {
    reader: R,
    attempt: AttemptId,
    expected: u64,
    buffer: BytesMut,
    /// How many bytes at the front of the buffer the last frame takes.
    used: usize,
}

/// Room for the part of a frame that came with the one before, and for what is read after it.
fn room() -> BytesMut {
    BytesMut::with_capacity(2 * READ_AHEAD)
}

impl<R: AsyncRead + Unpin> FrameReader<R> {
    pub(crate) fn new(reader: R, attempt: AttemptId) -> Self {
        Self { reader, attempt, expected: 0, buffer: room(), used: 0 }
    }

    /// The next frame. Not cancel safe.
    pub(crate) async fn read(&mut self) -> Result<Frame<'_>> {
        self.buffer.advance(std::mem::take(&mut self.used));
        if self.buffer.is_empty() && self.buffer.capacity() > 4 * LARGEST_STEP {
            // One huge frame shall not occupy its memory for ever.
            self.buffer = room();
        }
        self.fill(HEADER_LEN).await?;
        let header: [u8; HEADER_LEN] = self.buffer[..HEADER_LEN].try_into().expect("the length is fixed");
        let end = HEADER_LEN + payload_len(&header)?;
        self.fill(end).await?;
        self.used = end;
        let frame = Frame::check(&header, &self.buffer[HEADER_LEN..end])?;
        let FrameHeader { attempt, sequence, .. } = frame.header;
        if attempt != self.attempt {
            let expected = self.attempt;
            return Err(Error::superseded(format!("a frame of attempt {attempt} on a channel of attempt {expected}")));
        }
        if sequence != self.expected {
            let expected = self.expected;
            return Err(Error::unavailable(format!("frame {sequence} came where frame {expected} was due")));
        }
        self.expected += 1;
        Ok(frame)
    }

    /// Reads until `len` bytes are in the buffer.
    async fn fill(&mut self, len: usize) -> Result<()> {
        while self.buffer.len() < len {
            let missing = len - self.buffer.len();
            self.buffer.reserve(missing.clamp(READ_AHEAD, LARGEST_STEP));
            if self.reader.read_buf(&mut self.buffer).await? == 0 {
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "early eof").into());
            }
        }
        Ok(())
    }
}

/// Writes the frames of one direction.
pub(crate) struct FrameWriter<W> {
    writer: W,
    attempt: AttemptId,
    next: u64,
}

impl<W: AsyncWrite + Unpin> FrameWriter<W> {
    pub(crate) fn new(writer: W, attempt: AttemptId) -> Self {
        Self { writer, attempt, next: 0 }
    }

    /// The stream itself, for what comes before the first frame.
    pub(crate) fn raw(&mut self) -> &mut W {
        &mut self.writer
    }

    /// Completes the frames' headers and sends them together.
    pub(crate) async fn write(&mut self, frames: &mut [Unsent]) -> Result<()> {
        for Unsent { kind, records, bytes } in &mut *frames {
            let (kind, records) = (*kind, *records);
            finish_frame(bytes, FrameHeader { kind, attempt: self.attempt, sequence: self.next, records })?;
            self.next += 1;
        }
        if let [frame] = frames {
            self.writer.write_all(&frame.bytes).await?;
        } else {
            let mut slices: Vec<_> = frames.iter().map(|frame| IoSlice::new(&frame.bytes)).collect();
            let mut left = &mut slices[..];
            while !left.is_empty() {
                let written = self.writer.write_vectored(left).await?;
                if written == 0 {
                    return Err(io::Error::from(io::ErrorKind::WriteZero).into());
                }
                IoSlice::advance_slices(&mut left, written);
            }
        }
        self.writer.flush().await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use proptest::prelude::*;

    use super::*;
    use crate::exchange::{FrameKind, begin_frame};

    const ATTEMPT: AttemptId = AttemptId { term: 1, number: 2 };

    fn unsent(payload: &[u8]) -> Unsent {
        let mut bytes = begin_frame(Vec::new());
        bytes.extend_from_slice(payload);
        Unsent { kind: FrameKind::Batch, records: payload.len() as u32, bytes }
    }

    async fn write_all<W: AsyncWrite + Unpin>(writer: W, groups: &[Vec<Vec<u8>>]) {
        let mut writer = FrameWriter::new(writer, ATTEMPT);
        for group in groups {
            let mut frames: Vec<_> = group.iter().map(|payload| unsent(payload)).collect();
            writer.write(&mut frames).await.unwrap();
        }
    }

    async fn read_all<R: AsyncRead + Unpin>(reader: R) -> (Vec<Vec<u8>>, String) {
        let mut reader = FrameReader::new(reader, ATTEMPT);
        let mut payloads = Vec::new();
        loop {
            match reader.read().await {
                Ok(frame) => payloads.push(frame.payload.to_vec()),
                Err(error) => return (payloads, error.to_string()),
            }
        }
    }

    /// The output of a future that waits for nothing but itself.
    fn run<T>(future: impl Future<Output = T>) -> T {
        let mut future = std::pin::pin!(future);
        let mut polls = (0..1_000_000).map(|_| future.as_mut().now_or_never());
        polls.find_map(|output| output).expect("both ends wait")
    }

    proptest! {
        /// Frames of all sizes, alone and together, through a stream that takes and gives a few bytes at a time.
        #[test]
        fn frames_arrive_whole_and_in_order(
            groups in prop::collection::vec(prop::collection::vec(prop::collection::vec(any::<u8>(), 0..90), 0..4), 0..6),
            width in 1usize..80,
        ) {
            let (near, far) = tokio::io::duplex(width);
            let both = futures_util::future::join(write_all(near, &groups), read_all(far));
            let ((), (payloads, end)) = run(both);
            prop_assert_eq!(payloads, groups.concat());
            prop_assert_eq!(end, "early eof");
        }
    }
}
