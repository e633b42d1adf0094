//! The two ends of a direction, as tokio's I/O traits.

use std::{
    io,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
};

use tidegate::instant::Instant;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{SimNetwork, locked, pipe::Pipe};
use crate::{
    cost::WireMeter,
    env::clock::{SimSleep, now},
};

pub(super) struct PipeWriter {
    network: Arc<SimNetwork>,
    pipe: Arc<Mutex<Pipe>>,
    meter: WireMeter,
}

impl PipeWriter {
    pub(super) fn new(network: Arc<SimNetwork>, pipe: Arc<Mutex<Pipe>>, meter: WireMeter) -> Self {
        Self { network, pipe, meter }
    }

    fn end(&self) {
        let (writer, reader) = {
            let pipe = locked(&self.pipe);
            (pipe.writer.clone(), pipe.reader.clone())
        };
        // What the dead drop has no effect: their end was told, or not told, when they died.
        if writer.is_alive() {
            let arrival = self.network.transit(writer.node(), reader.node(), 0).arrival();
            locked(&self.pipe).end(arrival);
        }
    }
}

impl AsyncWrite for PipeWriter {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let (writer, reader, taken) = {
            let mut pipe = locked(&self.pipe);
            if !pipe.writer.is_alive() {
                return Poll::Pending;
            }
            // Behind a partition nobody hears of a reset, and on a silent connection nobody ever does.
            let (there, back) = (pipe.reader.node(), pipe.writer.node());
            let hears = !pipe.is_silent && !self.network.is_cut(there, back);
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
            if pipe.room() == 0 {
                pipe.writing = Some(context.waker().clone());
                return Poll::Pending;
            }
            (pipe.writer.clone(), pipe.reader.clone(), bytes.len().min(pipe.room()))
        };
        let transit = self.network.transit(writer.node(), reader.node(), taken);
        locked(&self.pipe).send(&bytes[..taken], transit);
        self.meter.take(&bytes[..taken]);
        Poll::Ready(Ok(taken))
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
        if pipe.is_silent || self.network.is_cut(pipe.writer.node(), pipe.reader.node()) {
            return Poll::Pending;
        }
        if pipe.is_reset {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        match (pipe.next_arrival(), pipe.end_at) {
            (Some(at), _) | (None, Some(at)) if at > now => self.wait(at, context),
            (Some(_), _) => {
                let arrived = pipe.arrived(now);
                let most = self.network.short_read(arrived).min(into.remaining());
                pipe.read(into, most, now);
                Poll::Ready(Ok(()))
            }
            (None, Some(_)) => Poll::Ready(Ok(())),
            (None, None) => Poll::Pending,
        }
    }
}
