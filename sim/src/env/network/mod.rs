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
//! | delay | the link is slower by so much; order within a direction is kept |

mod pipe;
mod stream;

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    sync::{Arc, Mutex, Weak},
    time::Duration,
};

use async_trait::async_trait;
use madsim::time::TimeHandle;
use rand_chacha::{ChaCha8Rng, rand_core::Rng};
use serde::{Deserialize, Serialize};
use tidegate::{
    env::{Address, ByteStream, Listener, Network},
    instant::Instant,
    runtime::ControlMessage,
};
use tokio::sync::mpsc;

use self::{
    pipe::Pipe,
    stream::{PipeReader, PipeWriter},
};
use super::{
    Crash, Incarnation,
    clock::{SimSleep, now},
};

/// The network when nothing is broken.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NetworkSettings {
    /// The shortest way from one node to another, in microseconds; within a node it is a tenth.
    pub latency_min_us: u64,
    /// The longest.
    pub latency_max_us: u64,
    /// How many bytes may be under way in one direction of a connection.
    pub window: usize,
    /// How long a connection attempt waits for an answer, in milliseconds.
    pub connect_timeout_ms: u64,
}

impl Default for NetworkSettings {
    fn default() -> Self {
        Self { latency_min_us: 50, latency_max_us: 500, window: 64 << 10, connect_timeout_ms: 1000 }
    }
}

/// The ends of a link, in the direction of flow.
type Link = (Arc<str>, Arc<str>);

/// Says when a control message from one node to another is to arrive: each time as so much later than it would.
pub type ControlTap = Arc<dyn Fn(&str, &str, &ControlMessage) -> Vec<Duration> + Send + Sync>;

struct Listening {
    incarnation: Incarnation,
    arrivals: mpsc::UnboundedSender<(Instant, ByteStream)>,
}

struct State {
    random: ChaCha8Rng,
    listeners: BTreeMap<String, Listening>,
    pipes: Vec<Weak<Mutex<Pipe>>>,
    /// Directions in which nothing arrives.
    cut: BTreeSet<Link>,
    /// Directions that are slower, and by how much.
    delays: BTreeMap<Link, Duration>,
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
    state: Mutex<State>,
}

impl SimNetwork {
    pub(super) fn new(random: ChaCha8Rng, settings: NetworkSettings) -> Self {
        let state = State {
            random,
            listeners: BTreeMap::new(),
            pipes: Vec::new(),
            cut: BTreeSet::new(),
            delays: BTreeMap::new(),
            dark: BTreeSet::new(),
            next_port: 40_000,
            tap: None,
        };
        Self { time: TimeHandle::current(), settings, state: Mutex::new(state) }
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
        let latency = Duration::from_micros(self.settings.latency_max_us);
        state.each_pipe(|pipe| {
            if !pipe.writer.is_alive() && pipe.writer.node() == incarnation.node() {
                pipe.end(now + latency);
            }
            if !pipe.reader.is_alive() && pipe.reader.node() == incarnation.node() {
                pipe.reset();
            }
        });
    }

    /// Asks `tap` when each control message on connections to this address is to arrive.
    pub fn tap_control(&self, address: &str, tap: ControlTap) {
        self.lock().tap = Some((address.to_owned(), tap));
    }

    /// Ends a cut in this direction.
    pub fn mend(&self, from: &str, to: &str) {
        let mut state = self.lock();
        state.cut.remove(&(from.into(), to.into()));
        state.each_pipe(Pipe::wake);
    }

    /// Lets a link carry so many bytes a millisecond, in each direction; `None` ends it.
    pub fn throttle(&self, _a: &str, _b: &str, _bytes_per_ms: Option<u64>) {}

    /// All connections between the two nodes that are open now fall silent for ever.
    pub fn silence_connections(&self, _a: &str, _b: &str) {}

    /// Nothing passes between the two nodes, in either direction.
    pub fn partition(&self, a: &str, b: &str) {
        self.cut(a, b);
        self.cut(b, a);
    }

    /// Nothing passes from one node to another.
    pub fn cut(&self, from: &str, to: &str) {
        self.lock().cut.insert((from.into(), to.into()));
    }

    /// Ends a partition, in both directions. What was under way arrives now.
    pub fn heal(&self, a: &str, b: &str) {
        let mut state = self.lock();
        state.cut.remove(&(a.into(), b.into()));
        state.cut.remove(&(b.into(), a.into()));
        state.each_pipe(Pipe::wake);
    }

    /// Ends all partitions and delays.
    pub fn heal_all(&self) {
        let mut state = self.lock();
        state.cut.clear();
        state.delays.clear();
        state.each_pipe(Pipe::wake);
    }

    /// Slows a link down, in both directions, for what is sent from now on. Zero ends it.
    pub fn delay_link(&self, a: &str, b: &str, extra: Duration) {
        let mut state = self.lock();
        for link in [(a.into(), b.into()), (b.into(), a.into())] {
            if extra.is_zero() {
                state.delays.remove(&link);
            } else {
                state.delays.insert(link, extra);
            }
        }
    }

    /// Ends all connections between the two nodes with an error.
    pub fn reset_connections(&self, a: &str, b: &str) {
        self.lock().each_pipe(|pipe| {
            let ends = (pipe.reader.node(), pipe.writer.node());
            if ends == (a, b) || ends == (b, a) {
                pipe.reset();
            }
        });
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().expect("nobody panics while holding this lock")
    }

    fn is_cut(&self, from: &str, to: &str) -> bool {
        let state = self.lock();
        !state.cut.is_empty() && state.cut.iter().any(|(f, t)| &**f == from && &**t == to)
    }

    /// When what leaves now arrives.
    fn arrival(&self, from: &str, to: &str) -> Instant {
        let mut state = self.lock();
        let (low, high) =
            (self.settings.latency_min_us, self.settings.latency_max_us.max(self.settings.latency_min_us));
        let mut nanos = low * 1_000 + state.random.next_u64() % ((high - low) * 1_000 + 1);
        if from == to {
            nanos /= 10;
        }
        let extra = state.delays.iter().find(|((f, t), _)| &**f == from && &**t == to).map(|(_, extra)| *extra);
        now(&self.time) + Duration::from_nanos(nanos) + extra.unwrap_or_default()
    }

    /// One time in eight a read gets less than there is.
    fn short_read(&self, available: usize) -> usize {
        let random = self.lock().random.next_u64();
        if random.is_multiple_of(8) { 1 + (random >> 8) as usize % available } else { available }
    }

    fn pipe(self: &Arc<Self>, writer: &Incarnation, reader: &Incarnation) -> (PipeWriter, PipeReader) {
        let pipe = Arc::new(Mutex::new(Pipe::new(writer.clone(), reader.clone(), self.settings.window)));
        let mut state = self.lock();
        if state.pipes.len() >= 64 && state.pipes.len().is_power_of_two() {
            state.pipes.retain(|p| p.strong_count() > 0);
        }
        state.pipes.push(Arc::downgrade(&pipe));
        (PipeWriter::new(self.clone(), pipe.clone()), PipeReader::new(self.clone(), pipe))
    }
}

impl State {
    fn each_pipe(&mut self, mut act: impl FnMut(&mut Pipe)) {
        self.pipes.retain(|p| p.strong_count() > 0);
        for pipe in self.pipes.iter().filter_map(Weak::upgrade) {
            act(&mut pipe.lock().expect("nobody panics while holding this lock"));
        }
    }
}

struct NodeNetwork {
    network: Arc<SimNetwork>,
    incarnation: Incarnation,
}

impl NodeNetwork {
    async fn wait_until(&self, at: Instant) {
        SimSleep::new(&self.network.time, at).await;
        if !self.incarnation.is_alive() {
            std::future::pending::<()>().await;
        }
    }
}

#[async_trait]
impl Network for NodeNetwork {
    async fn bind(&self, address: &Address) -> io::Result<Box<dyn Listener>> {
        let (host, port) = address.0.rsplit_once(':').ok_or(io::ErrorKind::InvalidInput)?;
        if host != self.incarnation.node() {
            return Err(io::Error::new(io::ErrorKind::AddrNotAvailable, "a node listens under its own name only"));
        }
        let mut state = self.network.lock();
        let address = if port == "0" {
            state.next_port += 1;
            format!("{host}:{}", state.next_port)
        } else {
            address.0.to_string()
        };
        if state.listeners.get(&address).is_some_and(|l| l.incarnation.is_alive() && !l.arrivals.is_closed()) {
            return Err(io::ErrorKind::AddrInUse.into());
        }
        let (arrivals, queue) = mpsc::unbounded_channel();
        state.listeners.insert(address.clone(), Listening { incarnation: self.incarnation.clone(), arrivals });
        drop(state);
        let node = NodeNetwork { network: self.network.clone(), incarnation: self.incarnation.clone() };
        Ok(Box::new(SimListener { node, address: Address::new(&address), queue }))
    }

    async fn connect(&self, address: &Address) -> io::Result<ByteStream> {
        let (me, host) = (self.incarnation.node(), address.host());
        let give_up = now(&self.network.time) + Duration::from_millis(self.network.settings.connect_timeout_ms);
        self.wait_until(self.network.arrival(me, host)).await;
        // Asking is repeated until the way there and back is open, as TCP does.
        while self.network.is_cut(me, host) || self.network.is_cut(host, me) || self.network.lock().dark.contains(host)
        {
            let again = now(&self.network.time) + Duration::from_millis(10);
            if again >= give_up {
                self.wait_until(give_up).await;
                return Err(io::ErrorKind::TimedOut.into());
            }
            self.wait_until(again).await;
        }
        let network = &self.network;
        let peer = {
            let state = network.lock();
            let listening = state.listeners.get(&*address.0);
            let open = listening.filter(|l| l.incarnation.is_alive() && !l.arrivals.is_closed());
            open.map(|l| (l.incarnation.clone(), l.arrivals.clone()))
        };
        let answered = network.arrival(host, me);
        let Some((peer, arrivals)) = peer else {
            self.wait_until(answered).await;
            return Err(io::ErrorKind::ConnectionRefused.into());
        };
        let (there_in, there_out) = network.pipe(&self.incarnation, &peer);
        let (back_in, back_out) = network.pipe(&peer, &self.incarnation);
        let theirs = ByteStream { reader: Box::new(there_out), writer: Box::new(back_in) };
        arrivals.send((now(&network.time), theirs)).map_err(|_| io::ErrorKind::ConnectionRefused)?;
        self.wait_until(answered).await;
        Ok(ByteStream { reader: Box::new(back_out), writer: Box::new(there_in) })
    }
}

struct SimListener {
    node: NodeNetwork,
    address: Address,
    queue: mpsc::UnboundedReceiver<(Instant, ByteStream)>,
}

#[async_trait]
impl Listener for SimListener {
    async fn accept(&mut self) -> io::Result<ByteStream> {
        match self.queue.recv().await {
            Some((_, stream)) if self.node.incarnation.is_alive() => Ok(stream),
            _ => std::future::pending().await,
        }
    }

    fn local_address(&self) -> Address {
        self.address.clone()
    }
}
