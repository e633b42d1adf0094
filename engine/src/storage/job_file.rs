//! The two small files at the top of a checkpoint directory: whose it is, and whether the job has ended.

use std::path::Path;

use bytes::Bytes;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{
    error::{Error, Result},
    id::CheckpointId,
};

/// The version of both files that this program writes, and the only one that it reads.
const FORMAT_VERSION: u32 = 1;

/// `job.json`: whose directory it is. What is in it never changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct JobFile {
    pub(super) job: String,
    pub(super) max_parallelism: u32,
}

/// `FINISHED`: the job has committed all it will ever commit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FinishedFile {
    /// The final checkpoint.
    pub(super) checkpoint: CheckpointId,
}

#[derive(Serialize, Deserialize)]
struct Versioned<T> {
    format: u32,
    #[serde(flatten)]
    content: T,
}

/// Only the version, whatever else there is.
#[derive(Deserialize)]
struct VersionOnly {
    format: u32,
}

pub(super) fn encode<T: Serialize>(content: T) -> Bytes {
    let mut text = serde_json::to_vec_pretty(&Versioned { format: FORMAT_VERSION, content })
        .expect("strings and numbers can always be written as JSON");
    text.push(b'\n');
    Bytes::from(text)
}

pub(super) fn decode<T: DeserializeOwned>(bytes: &[u8], path: &Path) -> Result<T> {
    let damaged = |e: serde_json::Error| {
        Error::damaged(format!("the file {} is damaged: {e}; bring it back from a copy", path.display()))
    };
    let found = serde_json::from_slice::<VersionOnly>(bytes).map_err(damaged)?.format;
    if found != FORMAT_VERSION {
        return Err(Error::bad_input(format!(
            "the file {} has format version {found}, but this program reads version {FORMAT_VERSION} only: go on with the \
             release of Tidegate that wrote it, or choose an empty checkpoint directory",
            path.display()
        )));
    }
    Ok(serde_json::from_slice::<Versioned<T>>(bytes).map_err(damaged)?.content)
}
