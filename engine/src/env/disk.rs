//! Files, in the primitive steps of which durability is made.

use std::{io, path::Path};

use async_trait::async_trait;
use bytes::Bytes;

/// What is written from memory that begins at a multiple of so many bytes, to an offset and of a length that are multiples, too, a
/// disk may fetch by itself. Any other memory will do as well; it only takes longer.
pub const DISK_BLOCK: usize = 4096;

/// So many bytes, from an offset that is a multiple of their number, are written all or not at all.
pub const DISK_SECTOR: usize = 512;

/// How to open a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenMode {
    /// Existing file, reads only.
    Read,
    /// Create the file, or cut an existing one to length zero; reads and writes.
    Create,
    /// Create the file; `AlreadyExists` if there is one; reads and writes.
    CreateNew,
    /// Existing file, reads and writes, contents kept.
    Write,
}

/// What a directory entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// Anything else: a link to nowhere, a socket, a device.
    Other,
}

/// What is known of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metadata {
    /// What it is.
    pub kind: EntryKind,
    /// Length in bytes, for files.
    pub len: u64,
}

/// One entry of a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirEntry {
    /// Its name within the directory. Names that are not UTF-8 are given with replacement characters.
    pub name: String,
    /// What it is.
    pub kind: EntryKind,
}

/// The file system as one node sees it. Paths are plain data; links are followed.
///
/// Promises:
/// 1. What was written is visible at once to every reader, on every node that sees this file system.
/// 2. What was written is durable (survives loss of power) only once `sync` on the file has returned `Ok`; until then any
///    part of it may be lost or torn. It survives the end of the process without that.
/// 3. A new name, a rename or a removal is durable only once `sync_dir` on the directory has returned `Ok`; for a new
///    directory, on its parent. Syncing a directory does not sync the contents of its files.
/// 4. `rename` is atomic: after a crash the target names the old or the new file as a whole. It replaces a target file.
/// 5. After an error of `sync` the file's unsynced contents are unknown, whatever a reader gets: they must be written anew.
/// 6. `list` is sorted by name.
/// 7. A lock goes with its process.
/// 8. A write that lies within one sector of an existing file ([`DISK_SECTOR`]) is atomic: an error, the end of the process or a
///    loss of power leaves the old bytes or the new ones. (PostgreSQL trusts its `pg_control` to this. Should a device not keep
///    it, what relies on it must be told from what is whole.)
///
/// Dropping a future of this trait may leave its effect done or not done.
#[async_trait]
pub trait Disk: Send + Sync {
    /// Opens a file.
    async fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Box<dyn DiskFile>>;

    /// Gives a file another name in the same directory, replacing what had it. (Between two directories the old and the new
    /// name could be lost separately.)
    async fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file.
    async fn remove_file(&self, path: &Path) -> io::Result<()>;

    /// Creates a directory; `AlreadyExists` if the name is taken; `NotFound` if the parent is missing.
    async fn create_dir(&self, path: &Path) -> io::Result<()>;

    /// Removes an empty directory.
    async fn remove_dir(&self, path: &Path) -> io::Result<()>;

    /// The entries of a directory, sorted by name.
    async fn list(&self, path: &Path) -> io::Result<Vec<DirEntry>>;

    /// What the path names.
    async fn metadata(&self, path: &Path) -> io::Result<Metadata>;

    /// Makes the directory's names durable.
    async fn sync_dir(&self, path: &Path) -> io::Result<()>;

    /// Takes the exclusive lock of a file, which is created if missing. `None` if another process has it.
    async fn try_lock(&self, path: &Path) -> io::Result<Option<Box<dyn DiskLock>>>;
}

/// An open file. Operations of one handle do not overlap.
#[async_trait]
pub trait DiskFile: Send {
    /// Up to `len` bytes from `offset`; fewer at will, but none only at or past the end of the file, or if `len` is 0.
    async fn read_at(&mut self, offset: u64, len: usize) -> io::Result<Bytes>;

    /// Writes all bytes at `offset`, extending the file as needed. On an error any part may have been written.
    async fn write_at(&mut self, offset: u64, data: Bytes) -> io::Result<()>;

    /// Makes the file's contents and length durable.
    async fn sync(&mut self) -> io::Result<()>;

    /// The length in bytes.
    async fn length(&mut self) -> io::Result<u64>;
}

/// Holds a lock until dropped.
pub trait DiskLock: Send + Sync {}
