//! The disk in the hands of one incarnation. Each operation takes its time, and has its effect at the end of it, if the
//! incarnation still lives.

use std::{
    io,
    marker::PhantomData,
    path::{Path, PathBuf},
    sync::Arc,
};

use async_trait::async_trait;
use bytes::Bytes;
use rand_chacha::{ChaCha8Rng, rand_core::Rng};
use tidegate::env::{DirEntry, Disk, DiskFile, DiskLock, EntryKind, Metadata, OpenMode};

use super::{
    DiskOp, SimDisk, State,
    directory::{Change, Entry},
    faults::told,
    file_name,
    inode::Inode,
    kind_of,
    kinds::kind_of_written,
    torn::is_atomic,
};
use crate::{
    cost::{FileOp, Region},
    env::{Incarnation, clock::SimSleep},
    fault::DiskError,
};

#[derive(Clone)]
pub(super) struct NodeDisk {
    pub disk: Arc<SimDisk>,
    pub incarnation: Incarnation,
}

impl NodeDisk {
    /// What is to be done to the file or the directory at `path`.
    fn work(&self, op: FileOp, path: &Path) -> Work {
        Work { op, place: self.place(path), bytes: 0 }
    }

    fn place(&self, path: &Path) -> Region {
        self.disk.ledger.place(path, kind_of_written(path))
    }

    /// Waits as long as the operation takes, then does it, all or nothing.
    async fn operate<T>(
        &self,
        work: Work,
        act: impl FnOnce(&mut State, &str) -> io::Result<T> + Send,
    ) -> io::Result<T> {
        self.attempt(work, act, |_, _| {}).await
    }

    /// Waits as long as the operation takes, then does it; or, if it is to fail, what a failing one does.
    async fn attempt<T>(
        &self,
        work: Work,
        act: impl FnOnce(&mut State, &str) -> io::Result<T> + Send,
        fail: impl FnOnce(&mut State, &str) + Send,
    ) -> io::Result<T> {
        let mut under_way = UnderWay { disk: self, act: Some(act), result: PhantomData, is_late: self.disk.outlives() };
        let op = work.op.into();
        self.wait(op).await;
        self.disk.ledger.file(work.place, work.op, work.bytes);
        let act = under_way.act.take().expect("it is taken here only");
        let node = self.incarnation.node();
        let mut state = self.disk.lock();
        match state.faults.take_error(node, op) {
            None => act(&mut state, node),
            Some(error @ DiskError::AfterEffect) => act(&mut state, node).and_then(|_| Err(told(error))),
            Some(error) => {
                fail(&mut state, node);
                Err(told(error))
            }
        }
    }

    /// Ready when the operation ends; never, if the incarnation does not live to see it.
    async fn wait(&self, op: DiskOp) {
        let mut end = self.disk.completion(op);
        loop {
            SimSleep::new(&self.disk.time, end).await;
            if !self.incarnation.is_alive() {
                // The dead have no effect, and learn nothing.
                return std::future::pending().await;
            }
            let stalled = self.disk.lock().faults.stalled(self.incarnation.node());
            match stalled {
                Some(until) => end = until,
                None => return,
            }
        }
    }
}

/// What an operation does, and how many bytes it writes.
struct Work {
    op: FileOp,
    place: Region,
    bytes: usize,
}

impl From<FileOp> for DiskOp {
    fn from(op: FileOp) -> Self {
        match op {
            FileOp::Open => Self::Open,
            FileOp::Read => Self::Read,
            FileOp::Write => Self::Write,
            FileOp::Sync => Self::Sync,
            FileOp::Rename => Self::Rename,
            FileOp::SyncDirectory => Self::SyncDir,
            FileOp::Remove | FileOp::CreateDirectory | FileOp::RemoveDirectory | FileOp::Look => Self::Other,
        }
    }
}

/// An operation that was begun. If nobody waits for it any more, because its task was canceled, it may be done all the same: as
/// a system call goes on that was begun.
struct UnderWay<'a, F, T>
where
    F: FnOnce(&mut State, &str) -> io::Result<T>,
{
    disk: &'a NodeDisk,
    act: Option<F>,
    result: PhantomData<fn() -> T>,
    /// Whether it is done without anybody waiting.
    is_late: bool,
}

impl<F, T> Drop for UnderWay<'_, F, T>
where
    F: FnOnce(&mut State, &str) -> io::Result<T>,
{
    fn drop(&mut self) {
        let NodeDisk { disk, incarnation } = self.disk;
        if let Some(act) = self.act.take().filter(|_| self.is_late && incarnation.is_alive()) {
            // Nobody is there to hear of the result.
            let _ = act(&mut disk.lock(), incarnation.node());
        }
    }
}

fn parent(path: &Path) -> io::Result<&Path> {
    path.parent().ok_or_else(|| io::ErrorKind::InvalidInput.into())
}

fn change(state: &mut State, node: &str, path: &Path, change: Change) -> io::Result<()> {
    state.directory_mut(parent(path)?)?.change(node, change);
    Ok(())
}

#[async_trait]
impl Disk for NodeDisk {
    async fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Box<dyn DiskFile>> {
        let work = self.work(FileOp::Open, path);
        let place = work.place;
        let opened = self.operate(work, |state, node| match (state.entry(path), mode) {
            (Ok(Entry::Directory), _) => Err(io::ErrorKind::IsADirectory.into()),
            (Ok(_), OpenMode::CreateNew) => Err(io::ErrorKind::AlreadyExists.into()),
            (Ok(Entry::File(ino)), OpenMode::Create) => {
                state.inode(ino).truncate(node);
                Ok(ino)
            }
            (Ok(Entry::File(ino)), _) => Ok(ino),
            (Err(e), OpenMode::Create | OpenMode::CreateNew) if e.kind() == io::ErrorKind::NotFound => {
                state.directory(parent(path)?)?;
                let ino = state.new_inode(Inode::default());
                let put = Change::Put { name: file_name(path)?.to_owned(), entry: Entry::File(ino) };
                change(state, node, path, put)?;
                Ok(ino)
            }
            (Err(e), _) => Err(e),
        });
        let ino = opened.await?;
        Ok(Box::new(SimFile {
            node: self.clone(),
            path: path.to_owned(),
            place,
            ino,
            writable: mode != OpenMode::Read,
        }))
    }

    async fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let rename = self.operate(self.work(FileOp::Rename, to), |state, node| {
            if parent(from)? != parent(to)? {
                return Err(io::Error::new(io::ErrorKind::CrossesDevices, "renames stay within a directory"));
            }
            let entry = Entry::File(state.file(from)?);
            if let Ok(Entry::Directory) = state.entry(to) {
                return Err(io::ErrorKind::IsADirectory.into());
            }
            change(
                state,
                node,
                from,
                Change::Rename { from: file_name(from)?.to_owned(), to: file_name(to)?.to_owned(), entry },
            )
        });
        rename.await
    }

    async fn remove_file(&self, path: &Path) -> io::Result<()> {
        let remove = self.operate(self.work(FileOp::Remove, path), |state, node| {
            state.file(path)?;
            change(state, node, path, Change::Remove { name: file_name(path)?.to_owned() })
        });
        remove.await
    }

    async fn create_dir(&self, path: &Path) -> io::Result<()> {
        let create = self.operate(self.work(FileOp::CreateDirectory, path), |state, node| {
            if state.entry(path).is_ok() {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            change(state, node, path, Change::Put { name: file_name(path)?.to_owned(), entry: Entry::Directory })?;
            state.directories.put_new(path);
            Ok(())
        });
        create.await
    }

    async fn remove_dir(&self, path: &Path) -> io::Result<()> {
        let remove = self.operate(self.work(FileOp::RemoveDirectory, path), |state, node| {
            if !state.directory(path)?.visible.is_empty() {
                return Err(io::ErrorKind::DirectoryNotEmpty.into());
            }
            change(state, node, path, Change::Remove { name: file_name(path)?.to_owned() })
        });
        remove.await
    }

    async fn list(&self, path: &Path) -> io::Result<Vec<DirEntry>> {
        let list = self.operate(self.work(FileOp::Look, path), |state, _| {
            let names = state.directory(path)?.visible.iter();
            Ok(names.map(|(name, entry)| DirEntry { name: name.clone(), kind: kind_of(*entry) }).collect())
        });
        list.await
    }

    async fn metadata(&self, path: &Path) -> io::Result<Metadata> {
        let look = self.operate(self.work(FileOp::Look, path), |state, _| match state.entry(path)? {
            Entry::File(ino) => Ok(Metadata { kind: EntryKind::File, len: state.inodes[&ino].contents().len() as u64 }),
            Entry::Directory => Ok(Metadata { kind: EntryKind::Directory, len: 0 }),
        });
        look.await
    }

    async fn sync_dir(&self, path: &Path) -> io::Result<()> {
        let sync = self.operate(self.work(FileOp::SyncDirectory, path), |state, node| {
            let lies = state.faults.lies(node);
            let directory = state.directory_mut(path)?;
            if !lies {
                directory.sync();
            }
            Ok(())
        });
        sync.await
    }

    async fn try_lock(&self, path: &Path) -> io::Result<Option<Box<dyn DiskLock>>> {
        let locked = self.operate(self.work(FileOp::Look, path), |state, node| {
            if state.locks.get(path).is_some_and(|(holder, _)| holder.is_alive()) {
                return Ok(None);
            }
            if state.entry(path).is_err() {
                state.directory(parent(path)?)?;
                let ino = state.new_inode(Inode::default());
                change(state, node, path, Change::Put { name: file_name(path)?.to_owned(), entry: Entry::File(ino) })?;
            }
            state.next += 1;
            Ok(Some(state.next))
        });
        let Some(token) = locked.await? else { return Ok(None) };
        self.disk.lock().locks.insert(path.to_owned(), (self.incarnation.clone(), token));
        Ok(Some(Box::new(SimLock { disk: self.disk.clone(), path: path.to_owned(), token })))
    }
}

struct SimFile {
    node: NodeDisk,
    /// As it was opened: a file that is renamed is still of the same kind.
    path: PathBuf,
    place: Region,
    ino: u64,
    writable: bool,
}

impl SimFile {
    fn work(&self, op: FileOp) -> Work {
        Work { op, place: self.place, bytes: 0 }
    }
}

#[async_trait]
impl DiskFile for SimFile {
    async fn read_at(&mut self, offset: u64, len: usize) -> io::Result<Bytes> {
        let (ino, short_reads) = (self.ino, self.node.disk.settings.short_reads);
        let read = self.node.operate(self.work(FileOp::Read), |state, _| {
            let offset = usize::try_from(offset).unwrap_or(usize::MAX);
            let left = state.inode(ino).contents().len().saturating_sub(offset).min(len);
            let len = if short_reads > 0 { shorten(left, short_reads, &mut state.random) } else { left };
            Ok(state.inode(ino).read(offset, len))
        });
        read.await
    }

    async fn write_at(&mut self, offset: u64, data: Bytes) -> io::Result<()> {
        let Self { path, ino, writable, .. } = &*self;
        let at = usize::try_from(offset).unwrap_or(usize::MAX);
        let half = data.slice(..if is_atomic(at, &data) { 0 } else { data.len() / 2 });
        let write = self.node.attempt(
            Work { bytes: data.len(), ..self.work(FileOp::Write) },
            |state, node| {
                if !writable {
                    return Err(io::ErrorKind::PermissionDenied.into());
                }
                state.write(node, path, *ino, offset, data)
            },
            |state, node| {
                if *writable {
                    // That it fails is known.
                    let _ = state.write(node, path, *ino, offset, half);
                }
            },
        );
        write.await
    }

    async fn sync(&mut self) -> io::Result<()> {
        let ino = self.ino;
        let sync = self.node.attempt(
            self.work(FileOp::Sync),
            |state, node| {
                if !state.faults.lies(node) {
                    state.inode(ino).sync();
                }
                Ok(())
            },
            |state, _| state.inode(ino).fail_sync(),
        );
        sync.await
    }

    async fn length(&mut self) -> io::Result<u64> {
        let ino = self.ino;
        self.node.operate(self.work(FileOp::Look), |state, _| Ok(state.inode(ino).contents().len() as u64)).await
    }
}

/// How many bytes a read gives of so many: at least one, if there is one.
fn shorten(len: usize, percent: u8, random: &mut ChaCha8Rng) -> usize {
    let short = len > 1 && random.next_u64() % 100 < u64::from(percent);
    if short { 1 + (random.next_u64() % (len as u64 - 1)) as usize } else { len }
}

struct SimLock {
    disk: Arc<SimDisk>,
    path: PathBuf,
    token: u64,
}

impl DiskLock for SimLock {}

impl Drop for SimLock {
    fn drop(&mut self) {
        // A later holder's lock is not ours to release.
        let mut state = self.disk.lock();
        if state.locks.get(&self.path).is_some_and(|(_, token)| *token == self.token) {
            state.locks.remove(&self.path);
        }
    }
}
