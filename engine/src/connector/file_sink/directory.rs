//! The sink's directory: whose it is, and whether it fits the checkpoint that a job restores.

use std::{io, path::Path};

use serde::{Deserialize, Serialize};

use super::{PartFile, names::is_newer};
use crate::{
    env::Disk,
    error::{Context, Error, Result},
    id::CheckpointId,
    storage::{create_directories, read_file, write_durably},
};

/// The file that says whose output a directory holds.
pub const MARKER_FILE: &str = ".tidegate-sink.json";
const MARKER_TEMPORARY: &str = ".tidegate-sink.json.tmp";
const MARKER_FORMAT: u32 = 1;

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Marker {
    format: u32,
    job: String,
    uid: String,
}

/// Makes sure that the directory exists durably, belongs to this sink, and holds no output that the job would write again.
///
/// # Errors
/// `BadInput` naming the path and the remedy; errors of the device.
pub(super) async fn prepare(
    disk: &dyn Disk,
    directory: &Path,
    job: &str,
    uid: &str,
    restored: Option<CheckpointId>,
) -> Result<()> {
    let marker_path = directory.join(MARKER_FILE);
    match read_marker(disk, &marker_path).await? {
        Some(marker) if marker.job != job || marker.uid != uid => {
            return Err(Error::bad_input(format!(
                "the output directory {} belongs to the sink {} of the job {}: choose another directory for this one",
                directory.display(),
                marker.uid,
                marker.job
            )));
        }
        Some(_) => {
            // Whoever wrote the marker may have died before it was durable. Without it, a later start would take our own
            // parts for foreign files.
            disk.sync_dir(directory).await.map_err(|e| failed("synced", directory, e))?;
        }
        None => {
            create_directories(disk, directory).await.at(|| "the output directory")?;
            let names = list(disk, directory).await?;
            if let Some(name) = names.iter().find(|name| *name != MARKER_TEMPORARY) {
                let part = PartFile::parse(name).is_some();
                return Err(if part { unmarked(directory, name) } else { foreign_file(directory, name) });
            }
            write_marker(disk, directory, &Marker { format: MARKER_FORMAT, job: job.to_owned(), uid: uid.to_owned() })
                .await?;
        }
    }
    check_contents(&list(disk, directory).await?, directory, restored)
}

/// Removes what is not visible. The marker stays: it guards the finished output against another job.
///
/// # Errors
/// Those of the device.
pub(super) async fn clean_up(disk: &dyn Disk, directory: &Path) -> Result<()> {
    for name in list(disk, directory).await? {
        let left_over = matches!(PartFile::parse(&name), Some(PartFile::InProgress(_) | PartFile::Pending(..)));
        if left_over || name == MARKER_TEMPORARY {
            remove(disk, &directory.join(name)).await?;
        }
    }
    // Without this, removed files come back after loss of power, and nobody looks again once the job has ended.
    disk.sync_dir(directory).await.map_err(|e| failed("synced", directory, e))
}

/// Removes a file that may be gone already.
pub(super) async fn remove(disk: &dyn Disk, path: &Path) -> Result<()> {
    match disk.remove_file(path).await {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(failed("removed", path, e)),
        _ => Ok(()),
    }
}

/// The names in the directory.
pub(super) async fn list(disk: &dyn Disk, directory: &Path) -> Result<Vec<String>> {
    let entries = disk.list(directory).await.map_err(|e| failed("listed", directory, e))?;
    Ok(entries.into_iter().map(|e| e.name).collect())
}

/// What a failed access to the output means. Only a device in trouble is worth another try.
pub(super) fn failed(what: &str, path: &Path, error: io::Error) -> Error {
    Error::from(error).at(format!("the output {} cannot be {what}", path.display()))
}

fn foreign_file(directory: &Path, name: &str) -> Error {
    Error::bad_input(format!(
        "the output directory {} holds {name}, which no sink wrote: choose an empty directory, or move the file away",
        directory.display()
    ))
}

fn unmarked(directory: &Path, name: &str) -> Error {
    Error::bad_input(format!(
        "the output directory {} holds {name}, but no {MARKER_FILE} that says whose it is: bring that file back, or choose \
         an empty directory",
        directory.display()
    ))
}

fn check_contents(names: &[String], directory: &Path, restored: Option<CheckpointId>) -> Result<()> {
    for name in names {
        let path = || directory.join(name);
        match (PartFile::parse(name), restored) {
            (Some(PartFile::Visible(_, checkpoint)), None) => {
                return Err(Error::bad_input(format!(
                    "the output {} was committed by checkpoint {checkpoint}, but the job starts afresh and would write it \
                     again: resume from the job's checkpoint directory, or move the output away",
                    path().display()
                )));
            }
            (Some(PartFile::Visible(_, checkpoint)), Some(restored)) if is_newer(checkpoint, Some(restored)) => {
                return Err(Error::bad_input(format!(
                    "the output {} was committed by checkpoint {checkpoint}, but the job restores checkpoint {restored} and \
                     would write it again: restore the latest checkpoint, or move away the output of checkpoints after \
                     {restored}",
                    path().display()
                )));
            }
            // Once the job has checkpoints, a file that somebody has put here must not keep it from going on.
            (None, None) if name != MARKER_FILE && name != MARKER_TEMPORARY => {
                return Err(foreign_file(directory, name));
            }
            _ => {}
        }
    }
    Ok(())
}

async fn read_marker(disk: &dyn Disk, path: &Path) -> Result<Option<Marker>> {
    let bytes = match read_file(disk, path).await {
        Ok(bytes) => bytes,
        // That the directory is a file is found, and told, by whoever creates it.
        Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => return Ok(None),
        Err(e) => return Err(failed("read", path, e)),
    };
    let unknown = |what: String| {
        Error::bad_input(format!(
            "the marker {} is not one of this version: {what}; choose another directory",
            path.display()
        ))
    };
    let marker: Marker = serde_json::from_slice(&bytes).map_err(|e| unknown(e.to_string()))?;
    if marker.format != MARKER_FORMAT {
        return Err(unknown(format!("it has format {}", marker.format)));
    }
    Ok(Some(marker))
}

async fn write_marker(disk: &dyn Disk, directory: &Path, marker: &Marker) -> Result<()> {
    let path = directory.join(MARKER_FILE);
    let bytes = serde_json::to_vec_pretty(marker).expect("names can be encoded");
    write_durably(disk, &path, bytes.into()).await.map_err(|e| failed("written", &path, e))
}
