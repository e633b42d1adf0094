//! The names of the files in a checkpoint directory. Parsed whole, never by prefix (FLINK-3651).

use std::path::{Path, PathBuf};

use crate::id::{CheckpointId, TaskId};

/// What the name of a checkpoint's directory begins with.
pub const CHECKPOINT_PREFIX: &str = "chk-";

pub(super) const LOCK: &str = "lock";
pub(super) const JOB: &str = "job.json";
pub(super) const FINISHED: &str = "finished";
/// The name of a checkpoint's manifest, in the checkpoint's directory.
pub const MANIFEST: &str = "manifest";
/// What the name of a snapshot's file ends with, in the checkpoint's directory.
pub const SNAPSHOT_SUFFIX: &str = ".snapshot";
/// What a file's name ends with until the file is whole and synced.
pub const TEMPORARY_SUFFIX: &str = ".tmp";
const TERM_PREFIX: &str = "term-";

/// The directory of a checkpoint.
#[must_use]
pub fn checkpoint_directory(root: &Path, id: CheckpointId) -> PathBuf {
    root.join(format!("{CHECKPOINT_PREFIX}{id}"))
}

/// The checkpoint whose directory has this name.
#[must_use]
pub fn parse_checkpoint_directory(name: &str) -> Option<CheckpointId> {
    numbered(name, CHECKPOINT_PREFIX).map(CheckpointId)
}

pub(super) fn term_file(term: u32) -> String {
    format!("{TERM_PREFIX}{term}")
}

pub(super) fn parse_term_file(name: &str) -> Option<u32> {
    numbered(name, TERM_PREFIX).and_then(|n| u32::try_from(n).ok())
}

pub(super) fn snapshot_file(vertex: &str, task: TaskId) -> String {
    format!("{vertex}-{}-{}{SNAPSHOT_SUFFIX}", task.subtask.index, task.attempt)
}

/// Only the form that this crate writes: decimal, no sign, no leading zero.
fn numbered(name: &str, prefix: &str) -> Option<u64> {
    let digits = name.strip_prefix(prefix)?;
    let number: u64 = digits.parse().ok()?;
    (number.to_string() == digits).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_parsed_whole() {
        assert_eq!(parse_checkpoint_directory("chk-12"), Some(CheckpointId(12)));
        for name in ["chk-", "chk-1x", "chk-012", "chk-+1", "chk--1", "xchk-1", "chk-1.tmp", "chk-99999999999999999999"]
        {
            assert_eq!(parse_checkpoint_directory(name), None, "{name}");
        }
        assert_eq!(parse_term_file(&term_file(7)), Some(7));
    }
}
