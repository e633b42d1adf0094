//! One direction of a connection: what is under way, and how it ends.

use std::{collections::VecDeque, task::Waker, time::Duration};

use bytes::{Buf, Bytes};
use tidegate::instant::Instant;
use tokio::io::ReadBuf;

use super::{
    control::{ControlSplitter, Part},
    links::Transit,
};
use crate::env::Incarnation;

/// Bytes that arrive together.
pub(super) struct Piece {
    pub transit: Transit,
    pub at: Instant,
    pub bytes: Bytes,
    /// Whether a late message may come between this and what follows.
    ends: bool,
}

/// The state of one direction.
pub(super) struct Pipe {
    pub writer: Incarnation,
    pub reader: Incarnation,
    pub window: usize,
    /// In order; the time of arrival never falls.
    under_way: VecDeque<Piece>,
    /// How many bytes the writer has sent and the reader has not read.
    pub bytes: usize,
    last_arrival: Instant,
    control: Option<ControlSplitter>,
    /// Control messages that come out of order, by time. They take no room from others.
    late: Vec<(Instant, Bytes)>,
    /// Whether what was read last was the end of a message.
    is_between_messages: bool,
    /// From then on, and after all bytes, the reader gets end of file.
    pub end_at: Option<Instant>,
    /// Both sides get an error.
    pub is_reset: bool,
    /// The next write resets: the other side's node has forgotten the connection.
    pub reset_on_write: bool,
    /// Nothing passes any more, for ever, and neither side is told.
    pub is_silent: bool,
    pub reading: Option<Waker>,
    pub writing: Option<Waker>,
}

impl Pipe {
    pub(super) fn new(
        writer: Incarnation,
        reader: Incarnation,
        window: usize,
        control: Option<ControlSplitter>,
    ) -> Self {
        Self {
            writer,
            reader,
            window,
            under_way: VecDeque::new(),
            bytes: 0,
            last_arrival: Instant(0),
            control,
            late: Vec::new(),
            is_between_messages: true,
            end_at: None,
            is_reset: false,
            reset_on_write: false,
            is_silent: false,
            reading: None,
            writing: None,
        }
    }

    /// Whether this is a direction of a connection between the two nodes.
    pub(super) fn is_between(&self, a: &str, b: &str) -> bool {
        let ends = (self.writer.node(), self.reader.node());
        ends == (a, b) || ends == (b, a)
    }

    /// How many bytes the window still takes.
    pub(super) fn room(&self) -> usize {
        self.window.saturating_sub(self.bytes)
    }

    /// Takes bytes, for which there is room.
    pub(super) fn send(&mut self, bytes: &[u8], transit: Transit) {
        self.bytes += bytes.len();
        match &mut self.control {
            None => self.push(Bytes::copy_from_slice(bytes), transit, true),
            Some(control) => {
                for part in control.split(bytes, self.writer.node(), self.reader.node()) {
                    self.send_part(part, transit);
                }
            }
        }
        self.wake_reader();
    }

    fn send_part(&mut self, Part { bytes, ends, arrivals }: Part, transit: Transit) {
        let in_order = arrivals.iter().filter(|later| later.is_zero()).count();
        self.bytes = self.bytes + in_order * bytes.len() - bytes.len();
        for _ in 0..in_order {
            self.push(bytes.clone(), transit, ends);
        }
        for later in arrivals.into_iter().filter(|later| !later.is_zero()) {
            let at = transit.arrival().max(self.last_arrival) + later;
            let place = self.late.partition_point(|(other, _)| *other <= at);
            self.late.insert(place, (at, bytes.clone()));
        }
    }

    fn push(&mut self, bytes: Bytes, transit: Transit, ends: bool) {
        self.last_arrival = transit.arrival().max(self.last_arrival);
        self.under_way.push_back(Piece { transit, at: self.last_arrival, bytes, ends });
    }

    /// What the link has not carried yet.
    pub(super) fn waiting(&mut self, now: Instant) -> impl Iterator<Item = &mut Piece> {
        self.under_way.iter_mut().filter(move |piece| piece.transit.carried > now)
    }

    /// The transit of pieces has changed.
    pub(super) fn reckon_arrivals(&mut self, now: Instant) {
        let mut last = Instant(0);
        for piece in &mut self.under_way {
            piece.at = piece.transit.arrival().max(last);
            last = piece.at;
        }
        // An end that waits for the last byte goes with it.
        self.end_at = self.end_at.map(|at| if at == self.last_arrival { last.max(now) } else { at });
        self.last_arrival = last;
        self.wake_reader();
    }

    /// When there is something to read. `None` if nothing is under way.
    pub(super) fn next_arrival(&self) -> Option<Instant> {
        let next = self.under_way.front().map(|piece| piece.at);
        let late = self.late.first().filter(|_| self.is_between_messages).map(|(at, _)| *at);
        next.into_iter().chain(late).min()
    }

    /// How many bytes have arrived. Late messages that would come between others are not counted.
    pub(super) fn arrived(&mut self, now: Instant) -> usize {
        self.weave(now);
        self.under_way.iter().take_while(|piece| piece.at <= now).map(|piece| piece.bytes.len()).sum()
    }

    /// Hands over at most so many bytes, of those that have arrived.
    pub(super) fn read(&mut self, into: &mut ReadBuf<'_>, mut most: usize, now: Instant) {
        while most > 0 {
            self.weave(now);
            let Some(piece) = self.under_way.front_mut() else { break };
            let len = most.min(piece.bytes.len());
            into.put_slice(&piece.bytes[..len]);
            piece.bytes.advance(len);
            most -= len;
            self.bytes -= len;
            self.is_between_messages = piece.bytes.is_empty() && piece.ends;
            if piece.bytes.is_empty() {
                self.under_way.pop_front();
            }
        }
        self.wake_writer();
    }

    /// Puts a late message whose time has come before those that arrive after it.
    fn weave(&mut self, now: Instant) {
        let Some((at, _)) = self.late.first() else { return };
        if !self.is_between_messages || *at > now || self.under_way.front().is_some_and(|piece| piece.at <= *at) {
            return;
        }
        let (at, bytes) = self.late.remove(0);
        self.bytes += bytes.len();
        let transit = Transit { carried: at, latency: Duration::ZERO };
        self.under_way.push_front(Piece { transit, at, bytes, ends: true });
    }

    /// The writer has closed its direction. What would come later than that never comes.
    pub(super) fn end(&mut self, at: Instant) {
        if self.end_at.is_some() {
            return;
        }
        let at = at.max(self.last_arrival);
        let rest = self.control.as_mut().map(ControlSplitter::rest).unwrap_or_default();
        if !rest.is_empty() {
            self.push(rest, Transit { carried: at, latency: Duration::ZERO }, false);
        }
        self.late.retain(|(late, _)| *late < at);
        self.end_at = Some(at);
        self.wake_reader();
    }

    /// The connection is broken; what is under way is lost. No word of it passes a silent connection.
    pub(super) fn reset(&mut self) {
        if self.is_silent {
            return;
        }
        self.is_reset = true;
        self.under_way.clear();
        self.late.clear();
        self.bytes = 0;
        self.wake();
    }

    /// Nothing passes from now on. What has ended with an error already stays so.
    pub(super) fn silence(&mut self) {
        self.is_silent |= !self.is_reset;
    }

    /// Lets both sides look again.
    pub(super) fn wake(&mut self) {
        self.wake_reader();
        self.wake_writer();
    }

    pub(super) fn wake_reader(&mut self) {
        if let Some(waker) = self.reading.take() {
            waker.wake();
        }
    }

    pub(super) fn wake_writer(&mut self) {
        if let Some(waker) = self.writing.take() {
            waker.wake();
        }
    }
}
