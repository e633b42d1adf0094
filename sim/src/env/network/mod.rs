//! The simulated network: byte streams with latency, a bounded window, and every way in which a connection can end.
//!
//! What may happen, and why the engine must survive it:
//!
//! | event | what a peer sees |
//! |---|---|
//! | process killed | end of file after what was under way; its own writes are reset |
//! | power lost | silence: reads wait, writes fill the window and wait; reset once the node runs again and is written to |
//! | partition | silence in the directions that are cut; what was under way, also a reset, arrives after the heal |
//! | reset | both sides get an error, what was under way is lost |
//! | silence | the connection is dead for ever, and neither side is told: no end, no reset, also when a node dies; new ones work |
//! | delay | the link is slower by so much; order within a direction is kept |
//! | throttle | bytes queue for the link, which all connections share in each direction |
//! | lost, late, repeated | one whole control message, between two others; all else keeps its order |

mod control;
mod links;
mod node;
mod pipe;
mod stream;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, Weak},
    time::Duration,
};

use madsim::time::TimeHandle;
use rand_chacha::{ChaCha8Rng, rand_core::Rng};
use serde::{Deserialize, Serialize};
use tidegate::{
    env::{Address, ByteStream, Network},
    instant::Instant,
};
use tokio::sync::mpsc;

pub use self::control::ControlTap;
use self::{
    control::ControlSplitter,
    links::{Links, Transit, both},
    node::NodeNetwork,
    pipe::Pipe,
    stream::{PipeReader, PipeWriter},
};
use super::{Crash, Incarnation, clock::now};
use crate::cost::{Content, Ledger, WireMeter};

/// The network when nothing is broken.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NetworkSettings {
    /// The shortest way from one node to another, in microseconds; within a node it is a tenth.
    pub latency_min_us: u64,
    /// The longest.
    pub latency_max_us: u64,
    /// Each link, which is a direction between two nodes, is longer than that by an amount of its own, up to so much.
    pub latency_spread_us: u64,
    /// How many of a thousand writes take from the longest way to `slow_max_us` instead.
    pub slow_per_mille: u64,
    /// The longest way of these, in microseconds.
    pub slow_max_us: u64,
    /// How many bytes a millisecond a link carries, for all its connections together; `None` for any number.
    pub bandwidth: Option<u64>,
    /// How many bytes may be under way in one direction of a connection.
    pub window: usize,
    /// How long a connection attempt waits for an answer, in milliseconds.
    pub connect_timeout_ms: u64,
}

impl Default for NetworkSettings {
    fn default() -> Self {
        Self {
            latency_min_us: 50,
            latency_max_us: 500,
            latency_spread_us: 0,
            slow_per_mille: 0,
            slow_max_us: 0,
            bandwidth: None,
            window: 64 << 10,
            connect_timeout_ms: 1000,
        }
    }
}

struct Listening {
    incarnation: Incarnation,
    arrivals: mpsc::UnboundedSender<(Instant, ByteStream)>,
}

struct State {
    random: ChaCha8Rng,
    listeners: BTreeMap<String, Listening>,
    pipes: Vec<Weak<Mutex<Pipe>>>,
    links: Links,
    /// Nodes that are without power.
    dark: BTreeSet<Arc<str>>,
    next_port: u16,
    /// The address whose connections carry control messages, and who decides on these.
    tap: Option<(String, ControlTap)>,
}

/// The network between all nodes.
pub struct SimNetwork {
    time: TimeHandle,
    settings: NetworkSettings,
    ledger: Arc<Ledger>,
    state: Mutex<State>,
}

impl SimNetwork {
    pub(super) fn new(random: ChaCha8Rng, settings: NetworkSettings, ledger: Arc<Ledger>) -> Self {
        let state = State {
            random,
            listeners: BTreeMap::new(),
            pipes: Vec::new(),
            links: Links::new(settings.clone()),
            dark: BTreeSet::new(),
            next_port: 40_000,
            tap: None,
        };
        Self { time: TimeHandle::current(), settings, ledger, state: Mutex::new(state) }
    }

    /// The network as one incarnation sees it.
    pub(super) fn of(self: &Arc<Self>, incarnation: Incarnation) -> Arc<dyn Network> {
        Arc::new(NodeNetwork { network: self.clone(), incarnation })
    }

    pub(super) fn boot(&self, incarnation: &Incarnation) {
        let mut state = self.lock();
        state.dark.remove(incarnation.node());
        // Connections of earlier lives are unknown to the new one, which says so to whoever writes on them.
        state.each_pipe(|pipe| {
            if pipe.reader.node() == incarnation.node() || pipe.writer.node() == incarnation.node() {
                pipe.reset_on_write |= !pipe.reader.is_alive() || !pipe.writer.is_alive();
                // A writer that waits goes on sending, too.
                pipe.wake_writer();
            }
        });
    }

    pub(super) fn crash(&self, incarnation: &Incarnation, crash: Crash) {
        let now = now(&self.time);
        let mut state = self.lock();
        state.listeners.retain(|_, l| l.incarnation.is_alive());
        if crash == Crash::Power {
            state.dark.insert(incarnation.node().into());
            return;
        }
        let latency = state.links.longest();
        state.each_pipe(|pipe| {
            if !pipe.writer.is_alive() && pipe.writer.node() == incarnation.node() {
                pipe.end(now + latency);
            }
            if !pipe.reader.is_alive() && pipe.reader.node() == incarnation.node() {
                pipe.reset();
            }
        });
    }

    /// Asks `tap` when each control message is to arrive, on connections to this address that are made from now on.
    pub fn tap_control(&self, address: &str, tap: ControlTap) {
        self.lock().tap = Some((address.to_owned(), tap));
    }

    /// Nothing passes between the two nodes, in either direction.
    pub fn partition(&self, a: &str, b: &str) {
        for (from, to) in both(a, b) {
            self.cut(from, to);
        }
    }

    /// Nothing passes from one node to another. New connections between them need both directions.
    pub fn cut(&self, from: &str, to: &str) {
        self.lock().links.cut(from, to);
    }

    /// Ends a partition, in both directions. What was under way arrives now.
    pub fn heal(&self, a: &str, b: &str) {
        for (from, to) in both(a, b) {
            self.mend(from, to);
        }
    }

    /// Ends a cut in this direction. What was under way arrives now.
    pub fn mend(&self, from: &str, to: &str) {
        let mut state = self.lock();
        state.links.mend(from, to);
        state.each_pipe(Pipe::wake);
    }

    /// Ends all partitions, cuts, delays and throttles. What is silent stays so.
    pub fn heal_all(&self) {
        let now = now(&self.time);
        let mut state = self.lock();
        state.links.heal();
        for (from, to) in state.links.throttled() {
            state.throttle(&from, &to, None, now);
        }
        state.each_pipe(Pipe::wake);
    }

    /// Slows a link down, in both directions, for what is sent from now on. Zero ends it.
    pub fn delay_link(&self, a: &str, b: &str, extra: Duration) {
        let mut state = self.lock();
        for (from, to) in both(a, b) {
            state.links.delay(from, to, extra);
        }
    }

    /// Lets a link carry so many bytes a millisecond, at least 1, in each direction, for all connections together; `None` ends
    /// it, and what waits for the link is carried as fast as ever. What belongs to connecting does not wait.
    pub fn throttle(&self, a: &str, b: &str, bytes_per_ms: Option<u64>) {
        let now = now(&self.time);
        let mut state = self.lock();
        for (from, to) in both(a, b) {
            state.throttle(from, to, bytes_per_ms, now);
        }
    }

    /// Ends all connections between the two nodes with an error.
    pub fn reset_connections(&self, a: &str, b: &str) {
        self.lock().each_pipe(|pipe| {
            if pipe.is_between(a, b) {
                pipe.reset();
            }
        });
    }

    /// All connections between the two nodes that are open now deliver nothing any more, for ever: the path that they took is
    /// dead, and with it every word of an end, a reset, or a death. New ones work.
    pub fn silence_connections(&self, a: &str, b: &str) {
        self.lock().each_pipe(|pipe| {
            if pipe.is_between(a, b) {
                pipe.silence();
            }
        });
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nobody panics while holding this lock")
    }

    fn is_cut(&self, from: &str, to: &str) -> bool {
        self.lock().links.is_cut(from, to)
    }

    /// How so many bytes that leave now get there.
    fn transit(&self, from: &str, to: &str, bytes: usize) -> Transit {
        let now = now(&self.time);
        let State { links, random, .. } = &mut *self.lock();
        let latency = links.latency(from, to, random);
        let carried = if bytes == 0 { now } else { links.carry(from, to, bytes, now) };
        Transit { carried, latency }
    }

    /// One time in eight a read gets less than there is.
    fn short_read(&self, available: usize) -> usize {
        let random = self.lock().random.next_u64();
        if random.is_multiple_of(8) { 1 + (random >> 8) as usize % available } else { available }
    }

    /// What counts the two directions of a connection to `address`: there and back.
    fn meters(&self, address: &Address) -> [WireMeter; 2] {
        let is_control = self.lock().tap.as_ref().is_some_and(|(tapped, _)| **tapped == *address.0);
        WireMeter::pair(&self.ledger, if is_control { Content::Messages } else { Content::Frames })
    }

    /// One direction of a connection to `address`.
    fn pipe(
        self: &Arc<Self>,
        address: &Address,
        meter: WireMeter,
        writer: &Incarnation,
        reader: &Incarnation,
    ) -> (PipeWriter, PipeReader) {
        let window = self.settings.window;
        let mut state = self.lock();
        let tap = state.tap.as_ref().filter(|(tapped, _)| **tapped == *address.0);
        let control = tap.map(|(_, tap)| ControlSplitter::new(meter.direction(), tap.clone(), window));
        let pipe = Arc::new(Mutex::new(Pipe::new(writer.clone(), reader.clone(), window, control)));
        if state.pipes.len() >= 64 && state.pipes.len().is_power_of_two() {
            state.pipes.retain(|p| p.strong_count() > 0);
        }
        state.pipes.push(Arc::downgrade(&pipe));
        (PipeWriter::new(self.clone(), pipe.clone(), meter), PipeReader::new(self.clone(), pipe))
    }
}

impl State {
    fn each_pipe(&mut self, mut act: impl FnMut(&mut Pipe)) {
        self.pipes.retain(|p| p.strong_count() > 0);
        for pipe in self.pipes.iter().filter_map(Weak::upgrade) {
            act(&mut locked(&pipe));
        }
    }

    /// Sets the rate of a link, and gives it again what it has not carried yet, in order.
    fn throttle(&mut self, from: &str, to: &str, bytes_per_ms: Option<u64>, now: Instant) {
        self.links.throttle(from, to, bytes_per_ms);
        let mut pipes: Vec<Arc<Mutex<Pipe>>> = self.pipes.iter().filter_map(Weak::upgrade).collect();
        pipes.retain(|pipe| {
            let pipe = locked(pipe);
            (pipe.writer.node(), pipe.reader.node()) == (from, to)
        });
        let mut pipes: Vec<_> = pipes.iter().map(|pipe| locked(pipe)).collect();
        let mut waiting: Vec<_> = pipes.iter_mut().flat_map(|pipe| pipe.waiting(now)).collect();
        waiting.sort_by_key(|piece| piece.transit.carried);
        for piece in waiting {
            piece.transit.carried = self.links.carry(from, to, piece.bytes.len(), now);
        }
        pipes.iter_mut().for_each(|pipe| pipe.reckon_arrivals(now));
    }
}

fn locked(pipe: &Mutex<Pipe>) -> MutexGuard<'_, Pipe> {
    pipe.lock().expect("nobody panics while holding this lock")
}
