//! The manifest: the one file whose durable presence makes a checkpoint exist. It names everything else.

use std::path::Path;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::{
    error::{Error, Result},
    id::{AttemptId, CheckpointId},
};

/// The version of the manifest's format that this program writes, and the only one that it reads.
pub const MANIFEST_FORMAT_VERSION: u32 = 1;

const MAGIC: &str = "tidegate-manifest";

/// Where one subtask's snapshot rests, and how to know that it is whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotHandle {
    /// File name within the checkpoint's directory.
    pub file: String,
    /// Length in bytes.
    pub len: u64,
    /// XXH3 (64 bits) of the whole file.
    pub digest: u64,
}

/// The part of a checkpoint that belongs to one vertex.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VertexManifest {
    /// The vertex's name, for people.
    pub name: String,
    /// The uids of its stateful operators.
    pub operators: Vec<String>,
    /// One snapshot per subtask, in order of the subtask's index.
    pub snapshots: Vec<SnapshotHandle>,
}

/// A completed checkpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The job's name.
    pub job: String,
    /// The checkpoint.
    pub checkpoint: CheckpointId,
    /// The attempt that took it.
    pub attempt: AttemptId,
    /// Whether the job had read all its input: a restore has nothing left to do but to commit.
    pub is_final: bool,
    /// How many key groups; a job with another number cannot restore it.
    pub max_parallelism: u32,
    /// Every vertex of the job.
    pub vertices: Vec<VertexManifest>,
    /// Wall-clock time of completion in milliseconds since 1970, for people.
    pub completed_at_ms: u64,
    /// From trigger to completion, in microseconds, for people.
    pub duration_us: u64,
}

impl Manifest {
    /// The manifest file: a line `tidegate-manifest <format version> xxh3=<checksum of what follows, 16 hex digits>`, then
    /// the manifest as indented JSON, for people to read.
    ///
    /// # Panics
    /// Never: names and numbers can always be written as JSON.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let mut json = serde_json::to_string_pretty(self).expect("names and numbers can always be written as JSON");
        json.push('\n');
        Bytes::from(format!("{}{json}", header(MANIFEST_FORMAT_VERSION, &json)))
    }

    /// The manifest that a file holds. `path` is for messages.
    ///
    /// # Errors
    /// `Damaged` if the bytes are not exactly what `encode` gave; `BadInput` if they are whole, but of another format version.
    pub fn decode(file: &[u8], path: &Path) -> Result<Self> {
        let damaged = |how: &str| Error::damaged(format!("the manifest {} is damaged: {how}", path.display()));
        let text = std::str::from_utf8(file).map_err(|_| damaged("it is not text"))?;
        let (first, json) = text.split_once('\n').ok_or_else(|| damaged("it ends within its first line"))?;
        let version = first.split(' ').nth(1).and_then(|v| v.parse().ok());
        let version: u32 = version.ok_or_else(|| damaged("its first line is not that of a manifest"))?;
        if text[..first.len() + 1] != header(version, json) {
            return Err(damaged("its checksum does not match its contents"));
        }
        if version != MANIFEST_FORMAT_VERSION {
            return Err(Error::bad_input(format!(
                "the manifest {} has format version {version}, but this program reads version {MANIFEST_FORMAT_VERSION} \
                 only: restore the checkpoint with the release of Tidegate that wrote it",
                path.display()
            )));
        }
        serde_json::from_str(json)
            .map_err(|e| damaged(&format!("its checksum matches, but it holds no manifest of version {version}: {e}")))
    }
}

/// Every version, also a future one, begins with a line of this form, so that a file of another version can be told from
/// a damaged one.
fn header(version: u32, json: &str) -> String {
    format!("{MAGIC} {version} xxh3={:016x}\n", xxhash_rust::xxh3::xxh3_64(json.as_bytes()))
}
