//! The simulated disk: one file system that all nodes see, and that forgets what was not synced.
//!
//! What may happen where, and why the engine must survive it:
//!
//! | region | loss of power | disk error, no space | damage (beyond the guarantee) |
//! |---|---|---|---|
//! | snapshots | torn or gone if not synced: nobody has acknowledged them | declined, checkpoint aborted | told by who restores them |
//! | manifests | torn if not synced before the rename, gone if the directory was not synced: nobody was notified | not published, or in doubt: recovery decides | told by who reads them; one that is gone, by who wrote it, or by its output |
//! | sink parts | torn, or their name reverts: the checkpoint still holds them, recovery commits again | the task fails | not tried |
//! | inputs | never written by the engine | the task fails | not tried |
//!
//! Effects belong to the node that made them, and are lost with that node's power only. A file's contents and its name
//! are lost independently. Whoever syncs a file or a directory makes everybody's effects on it durable.
//!
//! ```text
//!   handle    what an incarnation asks for         faults    what was told to go wrong
//!   directory names, inode contents                kinds     which files are meant by "a snapshot", "a manifest"
//!   torn      what a loss of power leaves          outside   what the world sees and does past all nodes
//! ```
//!
//! A file keeps what was written to it and what was synced of it; damage is kept beside that. Nodes get what is damaged;
//! checkers see what the engine stored, because they judge the engine and not the medium.

mod contents;
mod directories;
mod directory;
mod faults;
mod handle;
mod inode;
mod kinds;
mod outside;
mod torn;

use std::{
    collections::BTreeMap,
    ffi::OsStr,
    io,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use madsim::time::TimeHandle;
use rand_chacha::{ChaCha8Rng, rand_core::Rng};
use serde::{Deserialize, Serialize};
use tidegate::{
    env::{Disk, EntryKind},
    instant::Instant,
};

use self::{
    directories::Directories,
    directory::{Directory, Entry},
    faults::Faults,
    handle::NodeDisk,
    inode::Inode,
};
use super::{Incarnation, clock::now};
use crate::cost::Ledger;

/// The disk when nothing is broken.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DiskSettings {
    /// The shortest time that an operation takes, in microseconds.
    pub latency_min_us: u64,
    /// The longest time of an operation that is neither a read nor a sync.
    pub latency_max_us: u64,
    /// The longest time of a read.
    pub read_latency_max_us: u64,
    /// The longest time of a sync.
    pub sync_latency_max_us: u64,
    /// How many bytes fit on it; `None` for no bound.
    pub capacity: Option<u64>,
    /// How many of a hundred reads give less than was asked for, though there is more.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub short_reads: u8,
}

fn is_zero(n: &u8) -> bool {
    *n == 0
}

impl Default for DiskSettings {
    fn default() -> Self {
        Self {
            latency_min_us: 20,
            latency_max_us: 200,
            read_latency_max_us: 200,
            sync_latency_max_us: 2_000,
            capacity: None,
            short_reads: 0,
        }
    }
}

/// The operations in which errors can be injected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DiskOp {
    /// Opening or creating a file.
    Open,
    /// Reading from a file.
    Read,
    /// Writing to a file: a part of it is written.
    Write,
    /// Syncing a file: what was not synced is dropped, and the next sync succeeds.
    Sync,
    /// Renaming.
    Rename,
    /// Syncing a directory.
    SyncDir,
    /// Everything else.
    Other,
}

struct State {
    random: ChaCha8Rng,
    inodes: BTreeMap<u64, Inode>,
    directories: Directories,
    locks: BTreeMap<PathBuf, (Incarnation, u64)>,
    faults: Faults,
    /// The files that a fault has taken away, under the names that they had.
    removed: BTreeMap<PathBuf, u64>,
    next: u64,
    writes: u64,
    capacity: Option<u64>,
    /// Goes up whenever somebody might change something.
    version: u64,
}

/// The file system that all nodes see.
pub struct SimDisk {
    time: TimeHandle,
    settings: DiskSettings,
    ledger: Arc<Ledger>,
    state: Mutex<State>,
}

impl SimDisk {
    pub(super) fn new(random: ChaCha8Rng, settings: DiskSettings, ledger: Arc<Ledger>) -> Self {
        let state = State {
            random,
            inodes: BTreeMap::new(),
            directories: Directories::default(),
            locks: BTreeMap::new(),
            faults: Faults::new(),
            removed: BTreeMap::new(),
            next: 0,
            writes: 0,
            capacity: settings.capacity,
            version: 0,
        };
        Self { time: TimeHandle::current(), settings, ledger, state: Mutex::new(state) }
    }

    /// The file system as one incarnation sees it.
    pub(super) fn of(self: &Arc<Self>, incarnation: Incarnation) -> Arc<dyn Disk> {
        Arc::new(NodeDisk { disk: self.clone(), incarnation })
    }

    /// For whoever may change something.
    fn lock(&self) -> MutexGuard<'_, State> {
        let mut state = self.look();
        state.version += 1;
        state
    }

    /// For those who only look.
    fn look(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nobody panics while holding this lock")
    }

    /// When an operation that begins now is done.
    fn completion(&self, op: DiskOp) -> Instant {
        let low = self.settings.latency_min_us;
        let high = match op {
            DiskOp::Sync | DiskOp::SyncDir => self.settings.sync_latency_max_us,
            DiskOp::Read => self.settings.read_latency_max_us,
            _ => self.settings.latency_max_us,
        };
        let nanos = low * 1_000 + self.lock().random.next_u64() % ((high.max(low) - low) * 1_000 + 1);
        now(&self.time) + Duration::from_nanos(nanos)
    }

    /// Whether an operation is done even if nobody waits for it any more: half of them are.
    fn outlives(&self) -> bool {
        self.lock().random.next_u64().is_multiple_of(2)
    }

    /// The node has lost its power: a lottery decides what is left of its un-synced effects.
    pub(super) fn lose_power(&self, incarnation: &Incarnation) {
        let mut state = self.lock();
        let State { random, inodes, directories, .. } = &mut *state;
        for inode in inodes.values_mut() {
            inode.lose_power(incarnation.node(), random);
        }
        for directory in directories.values_mut() {
            directory.lose_power(incarnation.node(), random);
        }
        state.forget_unreachable();
    }
}

impl State {
    fn new_inode(&mut self, inode: Inode) -> u64 {
        self.next += 1;
        self.inodes.insert(self.next, inode);
        self.next
    }

    fn inode(&mut self, ino: u64) -> &mut Inode {
        self.inodes.get_mut(&ino).expect("a file that has a name or is open has contents")
    }

    /// A directory that can be reached by its name.
    fn directory(&self, path: &Path) -> io::Result<&Directory> {
        self.directories.reach(path)
    }

    fn directory_mut(&mut self, path: &Path) -> io::Result<&mut Directory> {
        self.directory(path)?;
        Ok(self.directories.get_mut(path).expect("it was just looked up"))
    }

    fn entry(&self, path: &Path) -> io::Result<Entry> {
        if is_root(path) {
            return Ok(Entry::Directory);
        }
        let (parent, name) = split(path)?;
        self.directory(parent)?.visible.get(name).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn file(&self, path: &Path) -> io::Result<u64> {
        match self.entry(path)? {
            Entry::File(ino) => Ok(ino),
            Entry::Directory => Err(io::ErrorKind::IsADirectory.into()),
        }
    }

    /// Directories whose name was lost are gone with all that was in them; but not one whose removal may yet be lost itself.
    fn forget_unreachable(&mut self) {
        let gone: Vec<PathBuf> =
            self.directories.paths().filter(|p| !self.may_be_reached(p)).map(Path::to_owned).collect();
        for path in gone {
            self.directories.remove(&path);
        }
    }

    /// Whether every name on the way is there, or would be there again after a loss of power.
    fn may_be_reached(&self, path: &Path) -> bool {
        let Some(parent) = path.parent() else { return true };
        let Ok(name) = file_name(path) else { return false };
        let named = |names: &BTreeMap<String, Entry>| names.get(name) == Some(&Entry::Directory);
        self.may_be_reached(parent)
            && self.directories.get(parent).is_some_and(|d| named(&d.visible) || named(&d.durable))
    }

    /// Bytes in all files that somebody can still reach.
    fn used(&self) -> u64 {
        let entries = self.directories.values().flat_map(|d| d.visible.values());
        let length = |e: &Entry| if let Entry::File(ino) = e { self.inodes[ino].contents().len() as u64 } else { 0 };
        entries.map(length).sum()
    }

    /// How many more bytes fit.
    fn room(&self) -> usize {
        let room = self.capacity.map(|capacity| capacity.saturating_sub(self.used()));
        room.map_or(usize::MAX, |room| usize::try_from(room).unwrap_or(usize::MAX))
    }
}

/// A path without a slash at its end, but for the root.
fn trimmed(path: &Path) -> &Path {
    if path.as_os_str().as_encoded_bytes().ends_with(b"/") { path.components().as_path() } else { path }
}

fn is_root(path: &Path) -> bool {
    trimmed(path).as_os_str() == "/"
}

/// The directory of a path that is not the root, and the name in it: what `parent` and `file_name` give of a path that is
/// written as they write it, but faster. So often is this asked that it shows.
fn split(path: &Path) -> io::Result<(&Path, &str)> {
    let bytes = trimmed(path).as_os_str().as_bytes();
    let slash = bytes.iter().rposition(|b| *b == b'/').ok_or(io::ErrorKind::InvalidInput)?;
    let name = str::from_utf8(&bytes[slash + 1..]).map_err(|_| io::ErrorKind::InvalidInput)?;
    if matches!(name, "" | "." | "..") {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    Ok((Path::new(OsStr::from_bytes(&bytes[..slash.max(1)])), name))
}

fn file_name(path: &Path) -> io::Result<&str> {
    path.file_name().and_then(|n| n.to_str()).ok_or_else(|| io::ErrorKind::InvalidInput.into())
}

fn kind_of(entry: Entry) -> EntryKind {
    match entry {
        Entry::File(_) => EntryKind::File,
        Entry::Directory => EntryKind::Directory,
    }
}
