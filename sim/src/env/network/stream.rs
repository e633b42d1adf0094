//! The two ends of a direction, as tokio's I/O traits.

use std::{
    io,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard},
    task::{Context, Poll},
};

use bytes::Buf;
use tidegate::instant::Instant;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{SimNetwork, pipe::Pipe};
use crate::env::clock::{SimSleep, now};

fn locked(pipe: &Mutex<Pipe>) -> MutexGuard<'_, Pipe> {
    pipe.lock().expect("nobody panics while holding this lock")
}

pub(super) struct PipeWriter {
    network: Arc<SimNetwork>,
    pipe: Arc<Mutex<Pipe>>,
}

impl PipeWriter {
    pub(super) fn new(network: Arc<SimNetwork>, pipe: Arc<Mutex<Pipe>>) -> Self {
        Self { network, pipe }
    }

    fn end(&self) {
        let (writer, reader) = {
            let pipe = locked(&self.pipe);
            (pipe.writer.clone(), pipe.reader.clone())
        };
        // What the dead drop has no effect: their end was told, or not told, when they died.
        if writer.is_alive() {
            let arrival = self.network.arrival(writer.node(), reader.node());
            locked(&self.pipe).end(arrival);
        }
    }
}

impl AsyncWrite for PipeWriter {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let (writer, reader) = {
            let mut pipe = locked(&self.pipe);
            if !pipe.writer.is_alive() {
                return Poll::Pending;
            }
            // Behind a partition nobody hears of a reset.
            let (there, back) = (pipe.reader.node(), pipe.writer.node());
            let hears = !self.network.is_cut(there, back);
            if pipe.reset_on_write && hears && !self.network.is_cut(back, there) {
                pipe.reset();
            }
            if pipe.is_reset && hears {
                return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
            }
            if pipe.end_at.is_some() {
                return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
            }
            if bytes.is_empty() {
                return Poll::Ready(Ok(0));
            }
            if pipe.bytes >= pipe.window {
                pipe.writing = Some(context.waker().clone());
                return Poll::Pending;
            }
            (pipe.writer.clone(), pipe.reader.clone())
        };
        let arrival = self.network.arrival(writer.node(), reader.node());
        Poll::Ready(Ok(locked(&self.pipe).send(bytes, arrival)))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.end();
        Poll::Ready(Ok(()))
    }
}

impl Drop for PipeWriter {
    fn drop(&mut self) {
        self.end();
    }
}

pub(super) struct PipeReader {
    network: Arc<SimNetwork>,
    pipe: Arc<Mutex<Pipe>>,
    /// Wakes this reader when the next bytes arrive.
    arrival: Option<(Instant, SimSleep)>,
}

impl PipeReader {
    pub(super) fn new(network: Arc<SimNetwork>, pipe: Arc<Mutex<Pipe>>) -> Self {
        Self { network, pipe, arrival: None }
    }

    fn wait(&mut self, at: Instant, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.arrival.as_ref().is_none_or(|(set, _)| *set != at) {
            self.arrival = Some((at, SimSleep::new(&self.network.time, at)));
        }
        let (_, sleep) = self.arrival.as_mut().expect("it was just set");
        if Pin::new(sleep).poll(context).is_ready() {
            context.waker().wake_by_ref();
        }
        Poll::Pending
    }
}

impl Drop for PipeReader {
    fn drop(&mut self) {
        let mut pipe = locked(&self.pipe);
        // A living reader that leaves tells the writer; a dead one is silent, or was told of when it died.
        if pipe.reader.is_alive() {
            pipe.reset();
        }
    }
}

impl AsyncRead for PipeReader {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let now = now(&self.network.time);
        let pipe = self.pipe.clone();
        let mut pipe = locked(&pipe);
        if !pipe.reader.is_alive() {
            return Poll::Pending;
        }
        pipe.reading = Some(context.waker().clone());
        if self.network.is_cut(pipe.writer.node(), pipe.reader.node()) {
            return Poll::Pending;
        }
        if pipe.is_reset {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        match (pipe.under_way.front().map(|(at, _)| *at), pipe.end_at) {
            (Some(at), _) if at > now => self.wait(at, context),
            (Some(_), _) => {
                let available: usize =
                    pipe.under_way.iter().take_while(|(at, _)| *at <= now).map(|(_, b)| b.len()).sum();
                let mut left = self.network.short_read(available.max(1)).min(into.remaining());
                pipe.bytes -= left.min(available);
                while left > 0 {
                    let Some((_, bytes)) = pipe.under_way.front_mut() else { break };
                    let piece = left.min(bytes.len());
                    into.put_slice(&bytes[..piece]);
                    bytes.advance(piece);
                    left -= piece;
                    if bytes.is_empty() {
                        pipe.under_way.pop_front();
                    }
                }
                pipe.wake_writer();
                Poll::Ready(Ok(()))
            }
            (None, Some(at)) if at > now => self.wait(at, context),
            (None, Some(_)) => Poll::Ready(Ok(())),
            (None, None) => Poll::Pending,
        }
    }
}
