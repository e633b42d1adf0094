//! The one way in which a file comes to its name: temporary name → write → sync → rename → sync the directory.
//!
//! A crash between any two of these steps leaves either no file of that name (or the one that was there before), or the
//! whole new file.
//!
//! Deliberately absent: part files of sinks, which take the same steps at different times (see `connector`).

use std::{io, path::Path};

use bytes::Bytes;

use super::layout::parent_of;
use crate::{
    env::{Disk, DiskFile, OpenMode},
    error::{Context, Error},
    id::CheckpointId,
    probe::{Reporter, Step},
};

/// The most that is handed to the disk at once.
const PIECE: usize = 1 << 20;

/// The names under which the four steps are reported, each after it is true.
pub struct StepNames<'a> {
    /// Reports them.
    pub reporter: &'a Reporter,
    /// The checkpoint that the file belongs to.
    pub checkpoint: CheckpointId,
    /// All bytes are written under the temporary name.
    pub written: Step,
    /// They are synced.
    pub synced: Step,
    /// The file has its name.
    pub renamed: Step,
    /// The name is durable. `None` if the caller reports that itself.
    pub directory_synced: Option<Step>,
}

/// How far a write that failed had come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WriteError {
    /// The target is as it was before.
    NotRenamed(Error),
    /// The rename was tried: the target may be the old or the new file, now or after a crash.
    Indeterminate(Error),
}

impl From<WriteError> for Error {
    fn from(e: WriteError) -> Self {
        match e {
            WriteError::NotRenamed(e) | WriteError::Indeterminate(e) => e,
        }
    }
}

/// Writes `pieces`, one after the other, as the file `target`, replacing what had that name. `temporary`, in the same
/// directory, must be a name that nobody else uses; what an earlier, interrupted write left under it is thrown away.
///
/// # Errors
/// `Unavailable`, naming the path and how far it came.
pub async fn write(
    disk: &dyn Disk,
    target: &Path,
    temporary: &Path,
    pieces: &[Bytes],
    names: Option<&StepNames<'_>>,
) -> Result<(), WriteError> {
    if let Err(e) = write_temporary(disk, temporary, pieces, names).await {
        // Only tidiness: the name is never read, and the next write under it throws the file away as well.
        let _ = disk.remove_file(temporary).await;
        return Err(WriteError::NotRenamed(e));
    }

    let indeterminate = |e: Error| WriteError::Indeterminate(e);
    disk.rename(temporary, target).await.at(|| format!("renaming to {}", target.display())).map_err(indeterminate)?;
    reached(names, names.map(|n| &n.renamed)).await;

    // The rename is only in memory until its directory is synced: without this, a loss of power takes the file away again
    // after somebody has been told that it is there.
    let directory = parent_of(target);
    disk.sync_dir(directory)
        .await
        .at(|| format!("syncing directory {}", directory.display()))
        .map_err(indeterminate)?;
    reached(names, names.and_then(|n| n.directory_synced.as_ref())).await;
    Ok(())
}

async fn write_temporary(
    disk: &dyn Disk,
    temporary: &Path,
    pieces: &[Bytes],
    names: Option<&StepNames<'_>>,
) -> Result<(), Error> {
    let mut file = create_anew(disk, temporary).await.at(|| format!("creating {}", temporary.display()))?;
    let mut offset = 0;
    for piece in pieces {
        for start in (0..piece.len()).step_by(PIECE) {
            let part = piece.slice(start..piece.len().min(start + PIECE));
            let len = part.len() as u64;
            file.write_at(offset, part).await.at(|| format!("writing {}", temporary.display()))?;
            offset += len;
        }
    }
    reached(names, names.map(|n| &n.written)).await;

    // Before the rename, not after: a rename can become durable before the contents do, and then the name would stand for
    // a file of zeros or of half its length.
    file.sync().await.at(|| format!("syncing {}", temporary.display()))?;
    reached(names, names.map(|n| &n.synced)).await;
    Ok(())
}

/// A new file, never an old one cut to length zero: after a failed sync an old file's unsynced contents are unknown
/// (promise 5 of the disk), and they must not come back under the new contents.
async fn create_anew(disk: &dyn Disk, path: &Path) -> io::Result<Box<dyn DiskFile>> {
    match disk.open(path, OpenMode::CreateNew).await {
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
            disk.remove_file(path).await?;
            disk.open(path, OpenMode::CreateNew).await
        }
        other => other,
    }
}

async fn reached(names: Option<&StepNames<'_>>, step: Option<&Step>) {
    if let (Some(names), Some(step)) = (names, step) {
        names.reporter.report_for(names.checkpoint, step.clone()).await;
    }
}
