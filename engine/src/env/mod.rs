//! The seam between the engine and the world: bytes, time, tasks, files and a seed.
//!
//! ```text
//!             engine (everything else in this crate)
//!   ─────────────────────── Env ───────────────────────
//!    Clock     Spawner     Network     Disk     Entropy
//!   ────────────────────────────────────────────────────
//!    env::real: tokio, TCP, disk      tidegate-sim: madsim and our own network and disk
//! ```
//!
//! [`Env`] is a value, not a type parameter. It is crossed per frame, file or timer, never per record. Each trait lists
//! its promises by number, and `conformance` checks both worlds against them.
//!
//! Deliberately absent: anything about streams, jobs or checkpoints.

mod abort_on_drop;
pub mod clock;
pub mod conformance;
pub mod disk;
pub mod entropy;
pub mod network;
pub mod real;
pub mod spawner;

use std::sync::Arc;

pub(crate) use abort_on_drop::AbortOnDrop;
pub use clock::{Clock, timeout};
pub use disk::{DISK_BLOCK, DISK_SECTOR, DirEntry, Disk, DiskFile, DiskLock, EntryKind, Metadata, OpenMode};
pub use entropy::{Entropy, Site};
pub use futures_util::future::BoxFuture;
pub use network::{Address, ByteStream, Listener, Network};
pub use spawner::{Spawner, TaskExit, TaskHandle};

/// One node's view of the world. Cheap to clone.
#[derive(Clone)]
pub struct Env {
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Concurrency.
    pub spawner: Arc<dyn Spawner>,
    /// Byte streams to other nodes.
    pub network: Arc<dyn Network>,
    /// Files.
    pub disk: Arc<dyn Disk>,
    /// The only source of randomness.
    pub entropy: Arc<dyn Entropy>,
}
