//! How the publication of a manifest can fail.

use std::fmt;

use super::atomic_file::WriteError;
use crate::error::Error;

/// Why a manifest is not known to be published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PublishError {
    /// It is not published and never will be: the checkpoint has failed, nothing else has.
    NotPublished(Error),
    /// It may or may not be, now or after a crash. Nothing of the checkpoint may be deleted, committed or declared failed:
    /// the attempt is given up, and recovery decides from what it finds.
    Indeterminate(Error),
}

impl fmt::Display for PublishError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotPublished(e) => write!(f, "the manifest was not published: {e}"),
            Self::Indeterminate(e) => write!(f, "whether the manifest is published is not known: {e}"),
        }
    }
}

impl std::error::Error for PublishError {}

impl From<WriteError> for PublishError {
    fn from(e: WriteError) -> Self {
        match e {
            WriteError::NotRenamed(e) => Self::NotPublished(e),
            WriteError::Indeterminate(e) => Self::Indeterminate(e),
        }
    }
}
