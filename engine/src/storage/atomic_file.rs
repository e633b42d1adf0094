//! The one way in which a file appears: whole or not at all, and for good.
//!
//! ```text
//!   write under a temporary name ─► sync the contents ─► rename ─► sync the directory
//! ```
//!
//! Each step is a method, so that its caller can report it and a crash can fall between any two.

use std::{
    io,
    path::{Path, PathBuf},
};

use bytes::{Bytes, BytesMut};

use super::layout::TEMPORARY_SUFFIX;
use crate::env::{Disk, DiskFile, OpenMode};

/// Files are read in pieces of this size.
const READ_PIECE: usize = 1 << 20;

/// A file on its way to its name. The steps are to be taken in the order of the methods.
pub(super) struct AtomicFile<'a> {
    disk: &'a dyn Disk,
    target: PathBuf,
    temporary: PathBuf,
    file: Box<dyn DiskFile>,
}

impl<'a> AtomicFile<'a> {
    /// Writes the contents under the temporary name. What an earlier try left there is overwritten.
    pub(super) async fn write(disk: &'a dyn Disk, target: &Path, contents: Bytes) -> io::Result<Self> {
        let temporary = temporary(target);
        let mut file = disk.open(&temporary, OpenMode::Create).await?;
        file.write_at(0, contents).await?;
        Ok(Self { disk, target: target.to_owned(), temporary, file })
    }

    /// Without this, the name could outlive a loss of power that the contents do not: a torn or empty file.
    pub(super) async fn sync(&mut self) -> io::Result<()> {
        self.file.sync().await
    }

    /// Gives the file its name. From here on a crash may leave it there or not.
    pub(super) async fn rename(&mut self) -> io::Result<()> {
        self.disk.rename(&self.temporary, &self.target).await
    }

    /// Without this, the name could be gone after a loss of power, though others have acted upon it.
    pub(super) async fn sync_directory(&mut self) -> io::Result<()> {
        self.disk.sync_dir(parent(&self.target)).await
    }
}

/// The name under which a file is written until it gets its own.
pub(super) fn temporary(target: &Path) -> PathBuf {
    let mut temporary = target.as_os_str().to_owned();
    temporary.push(TEMPORARY_SUFFIX);
    PathBuf::from(temporary)
}

/// Removes what was written of a file that does not get its name: on a full disk, every byte counts. If that fails, too, it
/// only takes up room.
pub(super) async fn discard(disk: &dyn Disk, target: &Path) {
    let _ = disk.remove_file(&temporary(target)).await;
}

/// All steps at once, for a file whose steps nobody waits for. The contents are first written under the name with
/// `.tmp` at its end.
///
/// # Errors
/// Those of the disk; the file may then be there or not.
pub async fn write_durably(disk: &dyn Disk, target: &Path, contents: Bytes) -> io::Result<()> {
    let prepare = async {
        let mut file = AtomicFile::write(disk, target, contents).await?;
        file.sync().await?;
        io::Result::Ok(file)
    };
    let mut file = match prepare.await {
        Ok(file) => file,
        Err(error) => {
            discard(disk, target).await;
            return Err(error);
        }
    };
    file.rename().await?;
    file.sync_directory().await
}

/// The directory that holds the path's name.
pub(super) fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// The whole contents of a file.
///
/// # Errors
/// Those of the disk.
pub async fn read_file(disk: &dyn Disk, path: &Path) -> io::Result<Bytes> {
    read_beginning(disk, path, u64::MAX).await
}

/// The first bytes of a file, so many or as many as it has.
///
/// # Errors
/// Those of the disk.
pub(super) async fn read_beginning(disk: &dyn Disk, path: &Path, len: u64) -> io::Result<Bytes> {
    let mut file = disk.open(path, OpenMode::Read).await?;
    let len = usize::try_from(file.length().await?.min(len)).map_err(io::Error::other)?;
    let first = file.read_at(0, len.min(READ_PIECE)).await?;
    if first.len() == len {
        return Ok(first);
    }
    let mut contents = BytesMut::with_capacity(len);
    contents.extend_from_slice(&first);
    while contents.len() < len {
        let piece = file.read_at(contents.len() as u64, READ_PIECE.min(len - contents.len())).await?;
        if piece.is_empty() {
            break;
        }
        contents.extend_from_slice(&piece);
    }
    Ok(contents.freeze())
}
