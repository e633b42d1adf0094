//! What was told to go wrong, and how often it did.
//!
//! An error, a misdirected write and a misread byte wait for the operation that they are meant for, which may be one of a
//! later life of the node, and happen once.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::{Path, PathBuf},
};

use bytes::Bytes;
use madsim::time::TimeHandle;
use tidegate::instant::Instant;

use super::{DiskOp, SimDisk, State, file_name, kinds::kind_of_written};
use crate::{
    env::clock::now,
    fault::{Damage, DiskError, FaultKind, FileKind},
};

/// The faults of all nodes.
pub(super) struct Faults {
    time: TimeHandle,
    errors: Vec<(String, DiskOp, DiskError)>,
    stalls: BTreeMap<String, Instant>,
    astray: Vec<(String, FileKind)>,
    liars: BTreeSet<String>,
    happened: BTreeMap<FaultKind, u64>,
    last: Instant,
}

impl Faults {
    pub(super) fn new() -> Self {
        Self {
            time: TimeHandle::current(),
            errors: Vec::new(),
            stalls: BTreeMap::new(),
            astray: Vec::new(),
            liars: BTreeSet::new(),
            happened: BTreeMap::new(),
            last: Instant(0),
        }
    }

    /// A fault has had its effect.
    pub(super) fn note(&mut self, kind: FaultKind) {
        *self.happened.entry(kind).or_default() += 1;
        self.last = self.last.max(now(&self.time));
    }

    /// The error that waits for this operation.
    pub(super) fn take_error(&mut self, node: &str, op: DiskOp) -> Option<DiskError> {
        let at = self.errors.iter().position(|(n, o, _)| n == node && *o == op)?;
        let (_, _, error) = self.errors.remove(at);
        self.note(match error {
            DiskError::Io => FaultKind::DiskError,
            DiskError::NoSpace => FaultKind::NoSpace,
            DiskError::AfterEffect => FaultKind::AfterEffect,
        });
        Some(error)
    }

    /// Until when an operation that would end now has to wait.
    pub(super) fn stalled(&mut self, node: &str) -> Option<Instant> {
        let until = self.stalls.get(node).copied().filter(|until| *until > now(&self.time))?;
        self.note(FaultKind::StallDisk);
        self.last = self.last.max(until);
        Some(until)
    }

    /// Whether a sync of the node does nothing.
    pub(super) fn lies(&mut self, node: &str) -> bool {
        let lies = self.liars.contains(node);
        if lies {
            self.note(FaultKind::LyingSync);
        }
        lies
    }

    fn goes_astray(&mut self, node: &str, file: FileKind) -> bool {
        let at = self.astray.iter().position(|(n, f)| n == node && *f == file);
        at.map(|at| self.astray.remove(at)).is_some()
    }
}

/// What the operating system says.
pub(super) fn told(error: DiskError) -> io::Error {
    match error {
        DiskError::Io => io::Error::other("the device has failed (by a fault of the plan)"),
        DiskError::NoSpace => io::ErrorKind::StorageFull.into(),
        DiskError::AfterEffect => io::Error::other("the device has failed (by a fault of the plan, after the effect)"),
    }
}

impl SimDisk {
    /// The node's next operation of this kind fails:
    ///
    /// - `Io`: it does nothing; but half of a write's bytes are written, and a sync drops what it should have made durable
    ///   for good (the next one succeeds).
    /// - `NoSpace`: the same, with the error of a full disk.
    /// - `AfterEffect`: it has its whole effect, and fails all the same. One that would have failed by itself fails so.
    pub fn fail_next(&self, node: &str, op: DiskOp, error: DiskError) {
        self.lock().faults.errors.push((node.to_owned(), op, error));
    }

    /// Operations of the node that would end before that time end at that time, those under way as well.
    pub fn stall(&self, node: &str, until: Instant) {
        let mut state = self.lock();
        let end = state.faults.stalls.entry(node.to_owned()).or_insert(until);
        *end = until.max(*end);
    }

    /// Damages the newest whole file of a kind that has a byte at least. Gives its path, `None` if there is none.
    ///
    /// Damage at rest (a flipped bit, a lost end, a lost file) is there for all readers, and survives everything but a
    /// file's replacement; a bit that is flipped on read is so for the next read that covers it, on whichever node.
    /// Checkers go on to see what was stored.
    pub fn damage(&self, file: FileKind, damage: Damage) -> Option<PathBuf> {
        let mut state = self.lock();
        let (path, ino) = state.newest(file)?;
        if damage == Damage::Remove {
            state.lose_name(&path);
            state.removed.insert(path.clone(), ino);
        } else {
            state.inodes.get_mut(&ino).expect("it has a name").damage(damage);
        }
        state.faults.note(FaultKind::Damage);
        Some(path)
    }

    /// The node's next write to a file of this kind, under its temporary name as well, lands in the newest other whole file
    /// of the kind, at the same offset; if there is none, one sector further behind in its own file. It is reported as
    /// done. What was hit is damaged at rest.
    pub fn misdirect_next(&self, node: &str, file: FileKind) {
        self.lock().faults.astray.push((node.to_owned(), file));
    }

    /// Whether the node's syncs, of files and directories, do nothing and say that they did. What they left un-synced is
    /// made durable by the next honest sync.
    pub fn lie_on_sync(&self, node: &str, lies: bool) {
        let liars = &mut self.lock().faults.liars;
        if lies {
            liars.insert(node.to_owned());
        } else {
            liars.remove(node);
        }
    }

    /// No operation fails, goes astray, is lied about or begins to hang any more that was to. What waits goes on to wait;
    /// what is damaged stays so; a full disk stays full.
    pub fn forgive(&self) {
        let faults = &mut self.lock().faults;
        faults.errors.clear();
        faults.stalls.clear();
        faults.astray.clear();
        faults.liars.clear();
    }

    /// From now on only so many more bytes fit; `None` for no bound.
    pub fn leave_room(&self, bytes: Option<u64>) {
        let mut state = self.lock();
        state.capacity = bytes.map(|room| state.used() + room);
    }

    /// Whether there is a bound on what fits.
    #[must_use]
    pub fn is_short_of_room(&self) -> bool {
        self.lock().capacity.is_some()
    }

    /// How often each kind of fault had an effect.
    #[must_use]
    pub fn happened(&self) -> BTreeMap<FaultKind, u64> {
        self.lock().faults.happened.clone()
    }

    /// When a fault last had an effect, or will have had it; the beginning of time if none ever had.
    #[must_use]
    pub fn last_fault(&self) -> Instant {
        self.lock().faults.last
    }
}

impl State {
    fn lose_name(&mut self, path: &Path) {
        let parent = path.parent().expect("a file has a directory");
        let name = file_name(path).expect("a file has a name");
        self.directories.get_mut(parent).expect("the file was found there").lose_name(name);
    }

    /// Writes to a file that was opened under this path, as much as fits.
    pub(super) fn write(&mut self, node: &str, path: &Path, ino: u64, offset: u64, data: Bytes) -> io::Result<()> {
        let offset = usize::try_from(offset).map_err(io::Error::other)?;
        let growth = (offset + data.len()).saturating_sub(self.inode(ino).contents().len());
        let room = self.room();
        if growth > room {
            let fitting = data.len() - (growth - room).min(data.len());
            self.put(node, path, ino, offset, data.slice(..fitting));
            self.faults.note(FaultKind::FillDisk);
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.put(node, path, ino, offset, data);
        Ok(())
    }

    /// Puts bytes where they belong, unless they go astray.
    fn put(&mut self, node: &str, path: &Path, ino: u64, offset: usize, data: Bytes) {
        self.writes += 1;
        let modified = self.writes;
        let kind = kind_of_written(path).filter(|kind| self.faults.goes_astray(node, *kind));
        match kind.map(|kind| self.newest(kind).filter(|(_, other)| *other != ino)) {
            None => self.inode(ino).write(node, offset, data),
            Some(None) => self.inode(ino).be_hit_elsewhere(node, offset, data),
            Some(Some((_, other))) => {
                self.inode(other).be_hit(offset, &data);
                self.inode(ino).be_missed(node, offset, data);
            }
        }
        if kind.is_some() {
            self.faults.note(FaultKind::Misdirect);
        }
        self.inode(ino).modified = modified;
    }
}
