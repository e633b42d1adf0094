//! The simulated disk: one file system that all nodes see, and that forgets what was not synced.
//!
//! What may happen where, and why the engine must survive it:
//!
//! | region | loss of power | disk error, no space |
//! |---|---|---|
//! | snapshots | torn or gone if not synced: nobody has acknowledged them | declined, checkpoint aborted |
//! | manifests | torn if not synced before the rename, gone if the directory was not synced: nobody was notified | not published, or in doubt: recovery decides |
//! | sink parts | torn, or their name reverts: the checkpoint still holds them, recovery commits again | the task fails |
//! | inputs | never written by the engine | the task fails |
//!
//! Effects belong to the node that made them, and are lost with that node's power only. A file's contents and its name
//! are lost independently. Whoever syncs a file or a directory makes everybody's effects on it durable.

mod directory;
mod handle;
mod inode;

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use bytes::Bytes;
use madsim::time::TimeHandle;
use rand_chacha::{ChaCha8Rng, rand_core::Rng};
use serde::{Deserialize, Serialize};
use tidegate::{
    env::{Disk, EntryKind},
    instant::Instant,
};

use self::{
    directory::{Directory, Entry},
    handle::NodeDisk,
    inode::Inode,
};
use super::{Incarnation, clock::now};

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
}

impl Default for DiskSettings {
    fn default() -> Self {
        Self {
            latency_min_us: 20,
            latency_max_us: 200,
            read_latency_max_us: 200,
            sync_latency_max_us: 2_000,
            capacity: None,
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
    /// Writing to a file: nothing or a part of it is written.
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
    directories: BTreeMap<PathBuf, Directory>,
    locks: BTreeMap<PathBuf, (Incarnation, u64)>,
    /// Errors to come: the next operation of this kind on this node.
    armed: Vec<(String, DiskOp, io::ErrorKind)>,
    next: u64,
    capacity: Option<u64>,
}

/// The file system that all nodes see.
pub struct SimDisk {
    time: TimeHandle,
    settings: DiskSettings,
    state: Mutex<State>,
}

impl SimDisk {
    pub(super) fn new(random: ChaCha8Rng, settings: DiskSettings) -> Self {
        let state = State {
            random,
            inodes: BTreeMap::new(),
            directories: BTreeMap::from([(PathBuf::from("/"), Directory::default())]),
            locks: BTreeMap::new(),
            armed: Vec::new(),
            next: 0,
            capacity: settings.capacity,
        };
        Self { time: TimeHandle::current(), settings, state: Mutex::new(state) }
    }

    /// The file system as one incarnation sees it.
    pub(super) fn of(self: &Arc<Self>, incarnation: Incarnation) -> Arc<dyn Disk> {
        Arc::new(NodeDisk { disk: self.clone(), incarnation })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
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

    /// The next operation of this kind on the node fails.
    pub fn fail_next(&self, node: &str, op: DiskOp, kind: io::ErrorKind) {
        self.lock().armed.push((node.to_owned(), op, kind));
    }

    /// From now on only so many bytes fit.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.lock().capacity = bytes;
    }

    /// Puts a file there, durably, with all directories above it; for inputs. Takes no time and draws no random number.
    ///
    /// # Panics
    /// If a file stands where a directory is needed.
    pub fn write_file_now(&self, path: &Path, contents: &[u8]) {
        let mut state = self.lock();
        let parent = path.parent().expect("a file has a directory");
        state.create_directories_now(parent);
        let ino = state.new_inode(Inode::durable(contents));
        let name = file_name(path).expect("a file has a name");
        let directory = state.directories.get_mut(parent).expect("it was just created");
        directory.put_now(&name, Entry::File(ino));
    }

    /// Puts a directory there, durably, with all directories above it.
    pub fn create_directory_now(&self, path: &Path) {
        self.lock().create_directories_now(path);
    }

    /// The contents of a file as everybody sees them.
    #[must_use]
    pub fn read_file_now(&self, path: &Path) -> Option<Bytes> {
        let state = self.lock();
        let ino = state.file(path).ok()?;
        Some(Bytes::copy_from_slice(&state.inodes[&ino].visible))
    }

    /// The contents that the file would have if every node lost its power now, and nothing un-synced were kept.
    #[must_use]
    pub fn read_durable(&self, path: &Path) -> Option<Bytes> {
        let state = self.lock();
        let parent = path.parent()?;
        let mut above = parent;
        while let Some(upper) = above.parent() {
            let name = file_name(above).ok()?;
            if !matches!(state.directories.get(upper)?.durable.get(&name), Some(Entry::Directory)) {
                return None;
            }
            above = upper;
        }
        match state.directories.get(parent)?.durable.get(&file_name(path).ok()?)? {
            Entry::File(ino) => Some(Bytes::copy_from_slice(&state.inodes[ino].durable)),
            Entry::Directory => None,
        }
    }

    /// The names in a directory as everybody sees them, sorted; empty if there is no such directory.
    #[must_use]
    pub fn list_now(&self, path: &Path) -> Vec<String> {
        let state = self.lock();
        state.directory(path).map(|d| d.visible.keys().cloned().collect()).unwrap_or_default()
    }

    /// All files as everybody sees them.
    #[must_use]
    pub fn tree_now(&self) -> BTreeMap<PathBuf, Bytes> {
        let state = self.lock();
        let mut tree = BTreeMap::new();
        for (path, directory) in &state.directories {
            for (name, entry) in &directory.visible {
                if let Entry::File(ino) = entry {
                    tree.insert(path.join(name), Bytes::copy_from_slice(&state.inodes[ino].visible));
                }
            }
        }
        tree
    }
}

impl State {
    fn new_inode(&mut self, inode: Inode) -> u64 {
        self.next += 1;
        self.inodes.insert(self.next, inode);
        self.next
    }

    /// A directory that can be reached by its name.
    fn directory(&self, path: &Path) -> io::Result<&Directory> {
        if let Some(parent) = path.parent() {
            match self.directory(parent)?.visible.get(&file_name(path)?) {
                Some(Entry::Directory) => {}
                Some(Entry::File(_)) => return Err(io::ErrorKind::NotADirectory.into()),
                None => return Err(io::ErrorKind::NotFound.into()),
            }
        }
        self.directories.get(path).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn directory_mut(&mut self, path: &Path) -> io::Result<&mut Directory> {
        self.directory(path)?;
        Ok(self.directories.get_mut(path).expect("it was just looked up"))
    }

    fn entry(&self, path: &Path) -> io::Result<Entry> {
        let Some(parent) = path.parent() else { return Ok(Entry::Directory) };
        self.directory(parent)?.visible.get(&file_name(path)?).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn file(&self, path: &Path) -> io::Result<u64> {
        match self.entry(path)? {
            Entry::File(ino) => Ok(ino),
            Entry::Directory => Err(io::ErrorKind::IsADirectory.into()),
        }
    }

    fn create_directories_now(&mut self, path: &Path) {
        let Some(parent) = path.parent() else { return };
        self.create_directories_now(parent);
        let name = file_name(path).expect("a directory has a name");
        self.directories.get_mut(parent).expect("it was just created").put_now(&name, Entry::Directory);
        self.directories.entry(path.to_owned()).or_default();
    }

    /// Directories whose name was lost are gone with all that was in them; but not one whose removal may yet be lost itself.
    fn forget_unreachable(&mut self) {
        let gone: Vec<PathBuf> = self.directories.keys().filter(|p| !self.may_be_reached(p)).cloned().collect();
        for path in gone {
            self.directories.remove(&path);
        }
    }

    /// Whether every name on the way is there, or would be there again after a loss of power.
    fn may_be_reached(&self, path: &Path) -> bool {
        let Some(parent) = path.parent() else { return true };
        let Ok(name) = file_name(path) else { return false };
        let named = |names: &BTreeMap<String, Entry>| names.get(&name) == Some(&Entry::Directory);
        self.may_be_reached(parent)
            && self.directories.get(parent).is_some_and(|d| named(&d.visible) || named(&d.durable))
    }

    /// Bytes in all files that somebody can still reach.
    fn used(&self) -> u64 {
        let entries = self.directories.values().flat_map(|d| d.visible.values());
        let length = |e: &Entry| if let Entry::File(ino) = e { self.inodes[ino].visible.len() as u64 } else { 0 };
        entries.map(length).sum()
    }

    /// The error that was armed for this operation.
    fn injected(&mut self, node: &str, op: DiskOp) -> Option<io::ErrorKind> {
        let at = self.armed.iter().position(|(n, o, _)| n == node && *o == op)?;
        Some(self.armed.remove(at).2)
    }
}

fn file_name(path: &Path) -> io::Result<String> {
    let name = path.file_name().and_then(|n| n.to_str());
    name.map(str::to_owned).ok_or_else(|| io::ErrorKind::InvalidInput.into())
}

fn kind_of(entry: Entry) -> EntryKind {
    match entry {
        Entry::File(_) => EntryKind::File,
        Entry::Directory => EntryKind::Directory,
    }
}
