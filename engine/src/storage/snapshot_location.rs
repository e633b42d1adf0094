//! Where the bytes of a snapshot were found, for those who have to hear of it.

use std::{fmt, path::Path};

use crate::error::Error;

/// Where a snapshot stands, or a part of one.
#[derive(Clone, Copy, Debug)]
pub(super) enum SnapshotLocation<'a> {
    /// In a file of its own.
    File(&'a Path),
    /// In a manifest, where it is that of this subtask.
    Manifest(&'a Path, &'a str),
}

impl fmt::Display for SnapshotLocation<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "snapshot file {}", path.display()),
            Self::Manifest(path, subtask) => write!(f, "snapshot of {subtask} in the manifest of {}", path.display()),
        }
    }
}

impl SnapshotLocation<'_> {
    /// What is wrong with what stands there, and what to do.
    pub fn damaged(self, what: &str) -> Error {
        Error::damaged(format!(
            "{self} is damaged: {what}; bring it back from a copy, restore another checkpoint by its path, or start afresh \
             with new directories"
        ))
    }
}
