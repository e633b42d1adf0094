//! One direction of a connection: what is under way, and how it ends.

use std::{collections::VecDeque, task::Waker};

use bytes::Bytes;
use tidegate::instant::Instant;

use crate::env::Incarnation;

/// The state of one direction.
pub(super) struct Pipe {
    pub writer: Incarnation,
    pub reader: Incarnation,
    pub window: usize,
    /// Bytes with the time of their arrival, which never falls.
    pub under_way: VecDeque<(Instant, Bytes)>,
    pub bytes: usize,
    pub last_arrival: Instant,
    /// From then on, and after all bytes, the reader gets end of file.
    pub end_at: Option<Instant>,
    /// Both sides get an error.
    pub is_reset: bool,
    /// The next write resets: the other side's node has forgotten the connection.
    pub reset_on_write: bool,
    pub reading: Option<Waker>,
    pub writing: Option<Waker>,
}

impl Pipe {
    pub(super) fn new(writer: Incarnation, reader: Incarnation, window: usize) -> Self {
        Self {
            writer,
            reader,
            window,
            under_way: VecDeque::new(),
            bytes: 0,
            last_arrival: Instant(0),
            end_at: None,
            is_reset: false,
            reset_on_write: false,
            reading: None,
            writing: None,
        }
    }

    /// Takes as many bytes as the window allows.
    pub(super) fn send(&mut self, bytes: &[u8], arrival: Instant) -> usize {
        let taken = bytes.len().min(self.window - self.bytes);
        let arrival = arrival.max(self.last_arrival);
        self.last_arrival = arrival;
        self.bytes += taken;
        self.under_way.push_back((arrival, Bytes::copy_from_slice(&bytes[..taken])));
        self.wake_reader();
        taken
    }

    /// The writer has closed its direction.
    pub(super) fn end(&mut self, at: Instant) {
        if self.end_at.is_none() {
            self.end_at = Some(at.max(self.last_arrival));
            self.wake_reader();
        }
    }

    /// The connection is broken; what is under way is lost.
    pub(super) fn reset(&mut self) {
        self.is_reset = true;
        self.under_way.clear();
        self.bytes = 0;
        self.wake();
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
