//! Files, by the operating system. Each operation runs to its end on a thread of the blocking pool, also if nobody waits for it.
//!
//! `tokio::fs` is not used: its files keep written bytes in a buffer of their own, so that a write that has returned may
//! still fail, and an error would come up at an operation that did not cause it.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io,
    os::unix::fs::FileExt,
    path::Path,
    sync::Arc,
};

use async_trait::async_trait;
use bytes::Bytes;
use tokio::{sync::oneshot, task::JoinHandle};

use super::{direct::write_all_at, file_thread::may_be_blocked};
use crate::env::{DirEntry, Disk, DiskFile, DiskLock, EntryKind, Metadata, OpenMode};

/// The file system of this machine.
pub(super) struct RealDisk;

struct RealFile {
    file: Arc<File>,
    /// The operation that runs. If its future was dropped, it cannot be called back: the next one waits for it, so that an
    /// abandoned write never lands on top of the one that replaced it.
    running: Option<JoinHandle<()>>,
}

/// Released by the operating system when the file is closed.
struct RealLock {
    _file: File,
}

impl DiskLock for RealLock {}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    if may_be_blocked().await {
        return work();
    }
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|e| Err(io::Error::other(e)))
}

/// `work` on an owned copy of the path.
async fn at<T: Send + 'static>(
    path: &Path,
    work: impl FnOnce(&Path) -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    let path = path.to_owned();
    blocking(move || work(&path)).await
}

fn kind(file_type: fs::FileType) -> EntryKind {
    match (file_type.is_file(), file_type.is_dir()) {
        (true, _) => EntryKind::File,
        (_, true) => EntryKind::Directory,
        _ => EntryKind::Other,
    }
}

/// An empty path means the working directory.
fn directory(path: &Path) -> &Path {
    if path.as_os_str().is_empty() { Path::new(".") } else { path }
}

#[async_trait]
impl Disk for RealDisk {
    async fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Box<dyn DiskFile>> {
        let file = at(path, move |path| {
            let mut options = OpenOptions::new();
            options.read(true);
            match mode {
                OpenMode::Read => &mut options,
                OpenMode::Create => options.write(true).create(true).truncate(true),
                OpenMode::CreateNew => options.write(true).create_new(true),
                OpenMode::Write => options.write(true),
            };
            let file = options.open(path)?;
            if file.metadata()?.is_dir() {
                return Err(io::Error::new(io::ErrorKind::IsADirectory, "it is a directory"));
            }
            Ok(file)
        });
        Ok(Box::new(RealFile { file: Arc::new(file.await?), running: None }))
    }

    async fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let to = to.to_owned();
        at(from, move |from| fs::rename(from, to)).await
    }

    async fn remove_file(&self, path: &Path) -> io::Result<()> {
        at(path, |path| fs::remove_file(path)).await
    }

    async fn create_dir(&self, path: &Path) -> io::Result<()> {
        at(path, |path| fs::create_dir(path)).await
    }

    async fn remove_dir(&self, path: &Path) -> io::Result<()> {
        at(path, |path| fs::remove_dir(path)).await
    }

    async fn list(&self, path: &Path) -> io::Result<Vec<DirEntry>> {
        at(path, |path| {
            let mut entries = Vec::new();
            for entry in fs::read_dir(directory(path))? {
                let entry = entry?;
                let name = entry.file_name().to_string_lossy().into_owned();
                // Links count as what they lead to; one that leads nowhere is something else.
                let kind = fs::metadata(entry.path()).map_or(EntryKind::Other, |m| kind(m.file_type()));
                entries.push(DirEntry { name, kind });
            }
            entries.sort_by(|a, b| a.name.cmp(&b.name));
            Ok(entries)
        })
        .await
    }

    async fn metadata(&self, path: &Path) -> io::Result<Metadata> {
        at(path, |path| fs::metadata(directory(path)).map(|m| Metadata { kind: kind(m.file_type()), len: m.len() }))
            .await
    }

    async fn sync_dir(&self, path: &Path) -> io::Result<()> {
        at(path, |path| File::open(directory(path))?.sync_all()).await
    }

    async fn try_lock(&self, path: &Path) -> io::Result<Option<Box<dyn DiskLock>>> {
        let file = at(path, |path| {
            let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
            match file.try_lock() {
                Ok(()) => Ok(Some(file)),
                Err(TryLockError::WouldBlock) => Ok(None),
                Err(TryLockError::Error(e)) => Err(e),
            }
        });
        Ok(file.await?.map(|file| Box::new(RealLock { _file: file }) as Box<dyn DiskLock>))
    }
}

impl RealFile {
    /// Runs `work` on the blocking pool, after all that was begun before on this handle.
    async fn run<T: Send + 'static>(
        &mut self,
        work: impl FnOnce(&File) -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        if let Some(abandoned) = &mut self.running {
            // What became of it is the business of whoever abandoned it.
            let _ = abandoned.await;
            self.running = None;
        }
        if may_be_blocked().await {
            return work(&self.file);
        }
        let (tell, result) = oneshot::channel();
        let file = self.file.clone();
        self.running = Some(tokio::task::spawn_blocking(move || {
            // Nobody may be listening any more; that is fine.
            let _ = tell.send(work(&file));
        }));
        let result = result.await.unwrap_or_else(|_| Err(io::Error::other("the runtime is shutting down")));
        self.running = None;
        result
    }
}

#[async_trait]
impl DiskFile for RealFile {
    async fn read_at(&mut self, offset: u64, len: usize) -> io::Result<Bytes> {
        let read = self.run(move |file| {
            // Not more than there is, so that asking for much at the end of a file costs nothing.
            let left = file.metadata()?.len().saturating_sub(offset);
            let mut bytes = vec![0; len.min(usize::try_from(left).unwrap_or(usize::MAX))];
            loop {
                match file.read_at(&mut bytes, offset) {
                    Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                    Err(e) => return Err(e),
                    Ok(filled) => {
                        bytes.truncate(filled);
                        return Ok(bytes.into());
                    }
                }
            }
        });
        read.await
    }

    async fn write_at(&mut self, offset: u64, data: Bytes) -> io::Result<()> {
        self.run(move |file| write_all_at(file, &data, offset)).await
    }

    async fn sync(&mut self) -> io::Result<()> {
        // fdatasync: the contents and what is needed to find them, the length among it; not the time stamps.
        self.run(|file| file.sync_data()).await
    }

    async fn length(&mut self) -> io::Result<u64> {
        self.run(|file| Ok(file.metadata()?.len())).await
    }
}
