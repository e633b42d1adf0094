//! The real disk: the operating system's file systems, each operation one hop to tokio's blocking threads.
//!
//! `tokio::fs` is not used: its files keep written bytes in a background buffer, so that a write that has returned may
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
use tokio::{runtime::Handle, sync::oneshot, task::JoinHandle};

use crate::env::{DirEntry, Disk, DiskFile, DiskLock, EntryKind, Metadata, OpenMode};

/// All file systems that this process can reach.
pub(super) struct LocalDisk {
    runtime: Handle,
}

impl LocalDisk {
    pub(super) fn new(runtime: Handle) -> Self {
        Self { runtime }
    }

    /// Runs `work` where it may block.
    async fn hop<T: Send + 'static>(
        &self,
        path: &Path,
        work: impl FnOnce(&Path) -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let path = path.to_owned();
        self.runtime.spawn_blocking(move || work(&path)).await.map_err(io::Error::other)?
    }
}

#[async_trait]
impl Disk for LocalDisk {
    async fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Box<dyn DiskFile>> {
        let file = self.hop(path, move |path| open_file(path, mode)).await?;
        Ok(Box::new(LocalFile { runtime: self.runtime.clone(), file: Arc::new(file), unfinished: None }))
    }

    async fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let to = to.to_owned();
        self.hop(from, move |from| fs::rename(from, to)).await
    }

    async fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.hop(path, |path| fs::remove_file(path)).await
    }

    async fn create_dir(&self, path: &Path) -> io::Result<()> {
        self.hop(path, |path| fs::create_dir(path)).await
    }

    async fn remove_dir(&self, path: &Path) -> io::Result<()> {
        self.hop(path, |path| fs::remove_dir(path)).await
    }

    async fn list(&self, path: &Path) -> io::Result<Vec<DirEntry>> {
        self.hop(path, list_dir).await
    }

    async fn metadata(&self, path: &Path) -> io::Result<Metadata> {
        self.hop(path, |path| {
            let found = fs::metadata(path)?;
            let kind = entry_kind(found.file_type());
            Ok(Metadata { kind, len: if kind == EntryKind::File { found.len() } else { 0 } })
        })
        .await
    }

    async fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.hop(path, |path| {
            let directory = File::open(path)?;
            if !directory.metadata()?.is_dir() {
                return Err(io::ErrorKind::NotADirectory.into());
            }
            directory.sync_all()
        })
        .await
    }

    async fn try_lock(&self, path: &Path) -> io::Result<Option<Box<dyn DiskLock>>> {
        self.hop(path, |path| {
            let file = OpenOptions::new().write(true).create(true).truncate(false).open(path)?;
            match file.try_lock() {
                Ok(()) => Ok(Some(Box::new(LocalLock { _file: file }) as Box<dyn DiskLock>)),
                Err(TryLockError::WouldBlock) => Ok(None),
                Err(TryLockError::Error(e)) => Err(e),
            }
        })
        .await
    }
}

fn open_file(path: &Path, mode: OpenMode) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true);
    match mode {
        OpenMode::Read => &mut options,
        OpenMode::Create => options.write(true).create(true).truncate(true),
        OpenMode::CreateNew => options.write(true).create_new(true),
        OpenMode::Write => options.write(true),
    };
    let file = options.open(path)?;
    // Unix opens a directory for reading and complains at the first read; here it is refused at once.
    if file.metadata()?.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    Ok(file)
}

fn list_dir(path: &Path) -> io::Result<Vec<DirEntry>> {
    let mut entries = Vec::new();
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        let mut kind = entry.file_type()?;
        if kind.is_symlink() {
            // A link to nowhere stays a link, and so becomes `Other`.
            kind = fs::metadata(entry.path()).map_or(kind, |target| target.file_type());
        }
        entries.push(DirEntry { name: entry.file_name().to_string_lossy().into_owned(), kind: entry_kind(kind) });
    }
    entries.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(entries)
}

fn entry_kind(of: fs::FileType) -> EntryKind {
    if of.is_file() {
        EntryKind::File
    } else if of.is_dir() {
        EntryKind::Directory
    } else {
        EntryKind::Other
    }
}

struct LocalFile {
    runtime: Handle,
    file: Arc<File>,
    /// The operation whose future was dropped before it was done. It cannot be called back, so the next one waits for
    /// it: otherwise an abandoned write could overtake the one that replaced it.
    unfinished: Option<JoinHandle<()>>,
}

impl LocalFile {
    /// Runs `work` where it may block, after all that was begun before on this handle.
    async fn hop<T: Send + 'static>(
        &mut self,
        work: impl FnOnce(&File) -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        if let Some(earlier) = &mut self.unfinished {
            // Its outcome is the business of whoever abandoned it.
            let _ = earlier.await;
            self.unfinished = None;
        }
        let (tell, outcome) = oneshot::channel();
        let file = self.file.clone();
        self.unfinished = Some(self.runtime.spawn_blocking(move || {
            let _ = tell.send(work(&file));
        }));
        let outcome = outcome.await.map_err(|_| io::Error::other("the runtime is shutting down"))?;
        self.unfinished = None;
        outcome
    }
}

#[async_trait]
impl DiskFile for LocalFile {
    async fn read_at(&mut self, offset: u64, len: usize) -> io::Result<Bytes> {
        self.hop(move |file| {
            let mut buffer = vec![0; len];
            let mut filled = 0;
            // The system may give less than asked for at any time; only zero means the end.
            while filled < len {
                match file.read_at(&mut buffer[filled..], offset + filled as u64) {
                    Ok(0) => break,
                    Ok(n) => filled += n,
                    Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                    Err(e) => return Err(e),
                }
            }
            buffer.truncate(filled);
            Ok(Bytes::from(buffer))
        })
        .await
    }

    async fn write_at(&mut self, offset: u64, data: Bytes) -> io::Result<()> {
        self.hop(move |file| file.write_all_at(&data, offset)).await
    }

    async fn sync(&mut self) -> io::Result<()> {
        // fdatasync: contents, and what is needed to read them back, the length among it; not the time stamps.
        self.hop(|file| file.sync_data()).await
    }

    async fn length(&mut self) -> io::Result<u64> {
        self.hop(|file| Ok(file.metadata()?.len())).await
    }
}

/// The lock belongs to the open file; closing it, also by the end of the process, gives it back.
struct LocalLock {
    _file: File,
}

impl DiskLock for LocalLock {}
