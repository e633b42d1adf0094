//! Frames over a byte stream.

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};

use super::{message_stream::send_all, result_partition::Unsent};
use crate::{
    error::{Error, Result},
    exchange::{Frame, FrameError, FrameHeader, HEADER_LEN, finish_frame, payload_len},
    id::AttemptId,
};

impl From<FrameError> for Error {
    /// The connection is given up and the job restarts; the stream itself carries no state.
    fn from(e: FrameError) -> Self {
        Error::unavailable(format!("a frame was received damaged: {e}"))
    }
}

/// Reads the frames of one direction and refuses those of other attempts or out of sequence.
pub(crate) struct FrameReader<R> {
    reader: R,
    attempt: AttemptId,
    expected: u64,
}

impl<R: AsyncRead + Unpin> FrameReader<R> {
    pub(crate) fn new(reader: R, attempt: AttemptId) -> Self {
        Self { reader, attempt, expected: 0 }
    }

    /// The next frame. Not cancel safe.
    pub(crate) async fn read(&mut self) -> Result<Frame> {
        let mut header = [0; HEADER_LEN];
        self.reader.read_exact(&mut header).await?;
        let mut payload = vec![0; payload_len(&header)?];
        self.reader.read_exact(&mut payload).await?;
        let frame = Frame::check(&header, payload)?;
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

    /// Completes the frame's header and sends it.
    pub(crate) async fn write(&mut self, frame: Unsent) -> Result<()> {
        let Unsent { kind, records, mut bytes } = frame;
        finish_frame(&mut bytes, FrameHeader { kind, attempt: self.attempt, sequence: self.next, records })?;
        self.next += 1;
        send_all(&mut self.writer, &bytes).await
    }
}
