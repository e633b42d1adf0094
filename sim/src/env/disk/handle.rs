//! The disk in the hands of one incarnation. Each operation takes its time, and has its effect at the end of it, if the
//! incarnation still lives.

use std::{io, path::Path, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;
use tidegate::env::{DirEntry, Disk, DiskFile, DiskLock, EntryKind, Metadata, OpenMode};

use super::{
    DiskOp, SimDisk, State,
    directory::{Change, Directory, Entry},
    file_name,
    inode::Inode,
    kind_of,
};
use crate::env::{Incarnation, clock::SimSleep};

#[derive(Clone)]
pub(super) struct NodeDisk {
    pub disk: Arc<SimDisk>,
    pub incarnation: Incarnation,
}

impl NodeDisk {
    /// Waits as long as the operation takes, then does it.
    async fn operate<T>(
        &self,
        op: DiskOp,
        act: impl FnOnce(&mut State, &str) -> io::Result<T> + Send,
    ) -> io::Result<T> {
        SimSleep::new(&self.disk.time, self.disk.completion(op)).await;
        if !self.incarnation.is_alive() {
            // The dead have no effect, and learn nothing.
            return std::future::pending().await;
        }
        let node = self.incarnation.node();
        let mut state = self.disk.lock();
        match state.injected(node, op) {
            Some(kind) => Err(io::Error::new(kind, "injected")),
            None => act(&mut state, node),
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
        let opened = self.operate(DiskOp::Open, |state, node| match (state.entry(path), mode) {
            (Ok(Entry::Directory), _) => Err(io::ErrorKind::IsADirectory.into()),
            (Ok(_), OpenMode::CreateNew) => Err(io::ErrorKind::AlreadyExists.into()),
            (Ok(Entry::File(ino)), OpenMode::Create) => {
                state.inodes.get_mut(&ino).expect("it has a name").truncate(node);
                Ok(ino)
            }
            (Ok(Entry::File(ino)), _) => Ok(ino),
            (Err(e), OpenMode::Create | OpenMode::CreateNew) if e.kind() == io::ErrorKind::NotFound => {
                state.directory(parent(path)?)?;
                let ino = state.new_inode(Inode::default());
                let put = Change::Put { name: file_name(path)?, entry: Entry::File(ino) };
                change(state, node, path, put)?;
                Ok(ino)
            }
            (Err(e), _) => Err(e),
        });
        let ino = opened.await?;
        Ok(Box::new(SimFile { node: self.clone(), ino, writable: mode != OpenMode::Read }))
    }

    async fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let rename = self.operate(DiskOp::Rename, |state, node| {
            if parent(from)? != parent(to)? {
                return Err(io::Error::new(io::ErrorKind::CrossesDevices, "renames stay within a directory"));
            }
            let entry = Entry::File(state.file(from)?);
            if let Ok(Entry::Directory) = state.entry(to) {
                return Err(io::ErrorKind::IsADirectory.into());
            }
            change(state, node, from, Change::Rename { from: file_name(from)?, to: file_name(to)?, entry })
        });
        rename.await
    }

    async fn remove_file(&self, path: &Path) -> io::Result<()> {
        let remove = self.operate(DiskOp::Other, |state, node| {
            state.file(path)?;
            change(state, node, path, Change::Remove { name: file_name(path)? })
        });
        remove.await
    }

    async fn create_dir(&self, path: &Path) -> io::Result<()> {
        let create = self.operate(DiskOp::Other, |state, node| {
            if state.entry(path).is_ok() {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            change(state, node, path, Change::Put { name: file_name(path)?, entry: Entry::Directory })?;
            state.directories.insert(path.to_owned(), Directory::default());
            Ok(())
        });
        create.await
    }

    async fn remove_dir(&self, path: &Path) -> io::Result<()> {
        let remove = self.operate(DiskOp::Other, |state, node| {
            if !state.directory(path)?.visible.is_empty() {
                return Err(io::ErrorKind::DirectoryNotEmpty.into());
            }
            change(state, node, path, Change::Remove { name: file_name(path)? })
        });
        remove.await
    }

    async fn list(&self, path: &Path) -> io::Result<Vec<DirEntry>> {
        let list = self.operate(DiskOp::Other, |state, _| {
            let names = state.directory(path)?.visible.iter();
            Ok(names.map(|(name, entry)| DirEntry { name: name.clone(), kind: kind_of(*entry) }).collect())
        });
        list.await
    }

    async fn metadata(&self, path: &Path) -> io::Result<Metadata> {
        let look = self.operate(DiskOp::Other, |state, _| match state.entry(path)? {
            Entry::File(ino) => Ok(Metadata { kind: EntryKind::File, len: state.inodes[&ino].visible.len() as u64 }),
            Entry::Directory => Ok(Metadata { kind: EntryKind::Directory, len: 0 }),
        });
        look.await
    }

    async fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.operate(DiskOp::SyncDir, |state, _| {
            let _: () = state.directory_mut(path)?.sync();
            Ok(())
        })
        .await
    }

    async fn try_lock(&self, path: &Path) -> io::Result<Option<Box<dyn DiskLock>>> {
        let locked = self.operate(DiskOp::Other, |state, node| {
            if state.locks.get(path).is_some_and(|(holder, _)| holder.is_alive()) {
                return Ok(None);
            }
            if state.entry(path).is_err() {
                state.directory(parent(path)?)?;
                let ino = state.new_inode(Inode::default());
                change(state, node, path, Change::Put { name: file_name(path)?, entry: Entry::File(ino) })?;
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
    ino: u64,
    writable: bool,
}

#[async_trait]
impl DiskFile for SimFile {
    async fn read_at(&mut self, offset: u64, len: usize) -> io::Result<Bytes> {
        let ino = self.ino;
        let read = self.node.operate(DiskOp::Read, |state, _| {
            let contents = &state.inodes[&ino].visible;
            let start = usize::try_from(offset).unwrap_or(usize::MAX).min(contents.len());
            let end = start.saturating_add(len).min(contents.len());
            Ok(Bytes::copy_from_slice(&contents[start..end]))
        });
        read.await
    }

    async fn write_at(&mut self, offset: u64, data: Bytes) -> io::Result<()> {
        let (ino, writable) = (self.ino, self.writable);
        let write = self.node.operate(DiskOp::Write, |state, node| {
            if !writable {
                return Err(io::ErrorKind::PermissionDenied.into());
            }
            let offset = usize::try_from(offset).map_err(io::Error::other)?;
            let room = match state.capacity {
                Some(capacity) => usize::try_from(capacity.saturating_sub(state.used())).unwrap_or(usize::MAX),
                None => usize::MAX,
            };
            let inode = state.inodes.get_mut(&ino).expect("an open file has contents");
            let growth = (offset + data.len()).saturating_sub(inode.visible.len());
            if growth > room {
                // As much as fits is written.
                inode.write(node, offset, data.slice(..data.len() - (growth - room).min(data.len())));
                return Err(io::ErrorKind::StorageFull.into());
            }
            inode.write(node, offset, data);
            Ok(())
        });
        write.await
    }

    async fn sync(&mut self) -> io::Result<()> {
        let ino = self.ino;
        let result = self.node.operate(DiskOp::Sync, |state, _| {
            state.inodes.get_mut(&ino).expect("an open file has contents").sync();
            Ok(())
        });
        let result = result.await;
        if result.is_err() {
            self.node.disk.lock().inodes.get_mut(&ino).expect("an open file has contents").fail_sync();
        }
        result
    }

    async fn length(&mut self) -> io::Result<u64> {
        let ino = self.ino;
        self.node.operate(DiskOp::Other, |state, _| Ok(state.inodes[&ino].visible.len() as u64)).await
    }
}

struct SimLock {
    disk: Arc<SimDisk>,
    path: std::path::PathBuf,
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
