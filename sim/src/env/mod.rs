//! The simulated twin of the engine's `env::real`: file for file, behind the same five traits.
//!
//! A [`World`] is what outlives a node: the network, the disk, the clock. A node's process is an incarnation: `boot`
//! begins one, `crash` ends it, and handles of a dead incarnation have no effect any more, also while the futures that
//! hold them are still being dropped.
//!
//! Deliberately absent: which faults happen when (see `fault`).

mod clock;
mod disk;
mod entropy;
mod incarnation;
mod network;
mod spawner;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use std::time::Duration;

use madsim::time::TimeHandle;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use tidegate::{
    env::{BoxFuture, Env},
    instant::Instant,
};

pub use clock::ClockSettings;
pub use disk::{DiskOp, DiskSettings, SimDisk};
pub use incarnation::Incarnation;
pub use network::{ControlTap, NetworkSettings, SimNetwork};

use crate::{
    cost::Ledger,
    seed::{Seed, Stream},
};

/// How a node ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Crash {
    /// Its process is killed: what it wrote is in the operating system's hands, and its peers see their connections end.
    Process,
    /// It loses power: what was not synced is lost or torn, and its peers see silence.
    Power,
}

/// The random streams of a world, each independent of the others.
pub struct WorldStreams {
    /// Latencies and short reads.
    pub network: ChaCha8Rng,
    /// Latencies, and what a loss of power leaves behind.
    pub disk: ChaCha8Rng,
    /// What the engine gets from `Env.entropy`.
    pub entropy: ChaCha8Rng,
    /// Which sites in the code do the unusual, and when.
    pub sites: ChaCha8Rng,
    /// How far each node's wall clock is off.
    pub clock: ChaCha8Rng,
}

impl WorldStreams {
    /// Those of a seed.
    #[must_use]
    pub fn of(seed: Seed) -> Self {
        Self {
            network: seed.stream(Stream::Network),
            disk: seed.stream(Stream::Disk),
            entropy: seed.stream(Stream::Entropy),
            sites: seed.stream(Stream::Sites),
            clock: seed.stream(Stream::Clock),
        }
    }
}

/// How the world behaves when nothing is broken.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct WorldSettings {
    /// The network.
    pub network: NetworkSettings,
    /// The disk.
    pub disk: DiskSettings,
    /// Whether sites in the code do what is legal and rare.
    pub sites: bool,
    /// The wall clocks.
    #[serde(default)]
    pub clock: ClockSettings,
}

/// Everything that outlives a node. Cheap to clone. Must be made and used inside of one madsim runtime.
#[derive(Clone)]
pub struct World {
    /// The network between all nodes.
    pub network: Arc<SimNetwork>,
    /// The one file system that all nodes see.
    pub disk: Arc<SimDisk>,
    /// What both are used for.
    pub(crate) ledger: Arc<Ledger>,
    entropy: Arc<entropy::SimEntropy>,
    wall_clocks: Arc<clock::WallClocks>,
    nodes: Arc<Mutex<BTreeMap<String, Incarnation>>>,
}

impl World {
    /// A world without nodes.
    #[must_use]
    pub fn new(streams: WorldStreams, settings: WorldSettings) -> Self {
        let ledger = Arc::new(Ledger::default());
        Self {
            network: Arc::new(SimNetwork::new(streams.network, settings.network, ledger.clone())),
            disk: Arc::new(SimDisk::new(streams.disk, settings.disk, ledger.clone())),
            ledger,
            entropy: Arc::new(entropy::SimEntropy::new(streams.entropy, streams.sites, settings.sites)),
            wall_clocks: Arc::new(clock::WallClocks::new(streams.clock, settings.clock)),
            nodes: Arc::default(),
        }
    }

    /// Begins a new incarnation of a node. Its `Env` spawns on the madsim node whose task uses it.
    #[must_use]
    pub fn boot(&self, node: &str) -> Env {
        let mut nodes = self.nodes.lock().expect("nobody panics while holding this lock");
        let number = nodes.get(node).map_or(1, |last| last.number() + 1);
        let incarnation = Incarnation::new(node, number);
        nodes.insert(node.to_owned(), incarnation.clone());
        self.network.boot(&incarnation);
        Env {
            clock: Arc::new(clock::SimClock::new(node, self.wall_clocks.clone())),
            spawner: Arc::new(spawner::SimSpawner),
            network: self.network.of(incarnation.clone()),
            disk: self.disk.of(incarnation),
            entropy: self.entropy.clone(),
        }
    }

    /// Whether the node has a living incarnation.
    #[must_use]
    pub fn is_alive(&self, node: &str) -> bool {
        let nodes = self.nodes.lock().expect("nobody panics while holding this lock");
        nodes.get(node).is_some_and(Incarnation::is_alive)
    }

    /// Ends a node's incarnation without anybody being told, at the end of a run.
    pub fn end(&self, node: &str) {
        if let Some(incarnation) = self.nodes.lock().expect("nobody panics while holding this lock").get(node) {
            incarnation.end();
        }
    }

    /// Lets the node's wall clock jump, backwards if negative. Its monotonic time goes on as ever.
    pub fn jump_clock(&self, node: &str, by_ms: i64) {
        self.wall_clocks.jump(node, by_ms);
    }

    /// Ready after so much virtual time.
    #[must_use]
    pub fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        self.sleep_until(clock::now(&TimeHandle::current()) + duration)
    }

    /// Ready at a virtual time.
    #[must_use]
    pub fn sleep_until(&self, at: Instant) -> BoxFuture<'static, ()> {
        Box::pin(clock::SimSleep::new(&TimeHandle::current(), at))
    }

    /// Ends the current incarnation of a node. Its madsim node is to be killed right after.
    pub fn crash(&self, node: &str, crash: Crash) {
        let nodes = self.nodes.lock().expect("nobody panics while holding this lock");
        let Some(incarnation) = nodes.get(node).filter(|i| i.is_alive()) else { return };
        incarnation.end();
        self.network.crash(incarnation, crash);
        if crash == Crash::Power {
            self.disk.lose_power(incarnation);
        }
    }
}
