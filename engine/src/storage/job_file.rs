//! The file that says whose checkpoint directory it is.

use std::{io, path::Path};

use serde::{Deserialize, Serialize};

use super::{
    atomic_file::{read_file, write_durably},
    layout::{JOB, LOCK, TEMPORARY_SUFFIX, parse_checkpoint, parse_slot},
    manifest_slots::old_layout,
};
use crate::{
    env::Disk,
    error::{Error, Result},
};

/// The format of the directory as a whole. In version 1 each checkpoint was a directory with its manifest inside, in version 2 a
/// file.
const FORMAT: u32 = 3;

/// Whose directory it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobFile {
    format: u32,
    /// The job's name.
    pub job: String,
    /// How many key groups its checkpoints have.
    pub max_parallelism: u32,
}

impl JobFile {
    pub(super) fn new(job: &str, max_parallelism: u32) -> Self {
        Self { format: FORMAT, job: job.to_owned(), max_parallelism }
    }

    /// The file of a checkpoint directory; `None` if it has none.
    ///
    /// # Errors
    /// `Damaged` if it cannot be decoded, `BadInput` if it is of another version, `Unavailable` if the disk fails.
    pub async fn read(disk: &dyn Disk, directory: &Path) -> Result<Option<Self>> {
        let bytes = match read_file(disk, &directory.join(JOB)).await {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(e.into()),
        };
        let found: Self = serde_json::from_slice(&bytes).map_err(|e| {
            Error::damaged(format!("{JOB} is damaged ({e}): bring it back from a copy, or choose another directory"))
        })?;
        if found.format != FORMAT {
            let message = format!("its format is version {}, this build reads version {FORMAT}", found.format);
            return Err(Error::bad_input(message + ": use the build that wrote it"));
        }
        Ok(Some(found))
    }

    /// Makes the directory this job's, or checks that it is.
    pub(super) async fn claim(&self, disk: &dyn Disk, directory: &Path) -> Result<()> {
        let Some(found) = Self::read(disk, directory).await? else {
            let json = serde_json::to_vec_pretty(self).expect("a job file is plain data");
            return Ok(write_durably(disk, &directory.join(JOB), json.into()).await?);
        };
        if found.job != self.job {
            let message = format!("it belongs to job {}, not to job {}", found.job, self.job);
            return Err(Error::bad_input(message + ": choose another directory"));
        }
        if found.max_parallelism != self.max_parallelism {
            return Err(Error::bad_input(format!(
                "its checkpoints have a maximum parallelism of {}, which cannot be changed to {}: run the job with the old \
                 one, or choose another directory",
                found.max_parallelism, self.max_parallelism
            )));
        }
        Ok(())
    }
}

/// A directory without our mark must hold nothing: what others put there is not ours to mix with. And one with checkpoints of
/// an older layout is refused by the name of one of them, not only by its format's version.
pub(super) async fn refuse_foreign_files(disk: &dyn Disk, directory: &Path) -> Result<()> {
    let entries = disk.list(directory).await?;
    if let Some(old) = entries.iter().find(|e| parse_checkpoint(&e.name).is_some()) {
        return Err(old_layout(&directory.join(&old.name)));
    }
    if entries.iter().any(|e| e.name == JOB) {
        return Ok(());
    }
    if let Some(checkpoint) = entries.iter().find(|e| parse_slot(&e.name).is_some()) {
        return Err(Error::bad_input(format!(
            "it holds {}, but no {JOB} that says whose it is: bring that file back, or choose an empty or a new directory",
            checkpoint.name
        )));
    }
    let unfinished = format!("{JOB}{TEMPORARY_SUFFIX}");
    match entries.iter().find(|e| e.name != LOCK && e.name != unfinished) {
        None => Ok(()),
        Some(foreign) => Err(Error::bad_input(format!(
            "it holds {}, which Tidegate did not put there: choose an empty or a new directory",
            foreign.name
        ))),
    }
}
