//! The names of the files in a checkpoint directory. Parsed whole, never by prefix (FLINK-3651).

use std::path::{Path, PathBuf};

use super::atomic_file::parent;
use crate::id::{AttemptId, CheckpointId, TaskId};

/// What a checkpoint is called: the last part of its path.
const CHECKPOINT_PREFIX: &str = "chk-";
const SLOT_PREFIX: &str = "manifest-";

pub(super) const LOCK: &str = "lock";
pub(super) const JOB: &str = "job.json";
pub(super) const FINISHED: &str = "finished";
/// The directory of all snapshot files, in the job's checkpoint directory.
pub const SNAPSHOT_DIRECTORY: &str = "state";
/// What the name of a snapshot file ends with.
pub const SNAPSHOT_SUFFIX: &str = ".state";
/// What a file's name ends with until the file is whole and synced.
pub const TEMPORARY_SUFFIX: &str = ".tmp";
const TERM_PREFIX: &str = "term-";
const RESERVATION_PREFIX: &str = "reserved-";

/// What a checkpoint is called by those who restore it. No file has this name: the manifest is in one of the slots.
#[must_use]
pub fn checkpoint_path(root: &Path, id: CheckpointId) -> PathBuf {
    root.join(format!("{CHECKPOINT_PREFIX}{id}"))
}

/// The checkpoint that is called so.
#[must_use]
pub fn parse_checkpoint(name: &str) -> Option<CheckpointId> {
    numbered(name, CHECKPOINT_PREFIX).map(CheckpointId)
}

/// The checkpoint directory and the checkpoint that are meant by a path, `DIR/chk-<id>` or `chk-<id>`.
#[must_use]
pub fn parse_checkpoint_path(path: &Path) -> Option<(&Path, CheckpointId)> {
    let id = parse_checkpoint(path.file_name()?.to_str()?)?;
    Some((parent(path), id))
}

/// The path of a slot: a file that holds the manifest of one checkpoint after the other.
#[must_use]
pub fn slot_path(root: &Path, slot: u64) -> PathBuf {
    root.join(format!("{SLOT_PREFIX}{slot}"))
}

/// The number of the slot that has this name, from 0.
#[must_use]
pub fn parse_slot(name: &str) -> Option<u64> {
    numbered(name, SLOT_PREFIX)
}

/// The name of the file that claims all numbers of checkpoints up to this one.
pub(super) fn reservation_file(through: CheckpointId) -> String {
    format!("{RESERVATION_PREFIX}{through}")
}

/// Up to which number the file of this name claims those of checkpoints.
#[must_use]
pub fn parse_reservation_file(name: &str) -> Option<CheckpointId> {
    numbered(name, RESERVATION_PREFIX).map(CheckpointId)
}

pub(super) fn term_file(term: u32) -> String {
    format!("{TERM_PREFIX}{term}")
}

pub(super) fn parse_term_file(name: &str) -> Option<u32> {
    numbered(name, TERM_PREFIX).and_then(|n| u32::try_from(n).ok())
}

/// The directory of a job's snapshot files.
#[must_use]
pub fn snapshot_directory(root: &Path) -> PathBuf {
    root.join(SNAPSHOT_DIRECTORY)
}

/// The name of a task's snapshot file of this number, from 1.
pub(super) fn snapshot_file(vertex: &str, task: TaskId, number: u64) -> String {
    format!("{vertex}-{}-{}-{number}{SNAPSHOT_SUFFIX}", task.subtask.index, task.attempt)
}

/// The attempt whose task has made the snapshot file of this name.
#[must_use]
pub fn parse_snapshot_file(name: &str) -> Option<AttemptId> {
    let mut fields = name.strip_suffix(SNAPSHOT_SUFFIX)?.rsplitn(4, '-');
    let (number, attempt, index) = (fields.next()?, fields.next()?, fields.next()?);
    let (term, attempt) = attempt.split_once('.')?;
    fields.next()?;
    let small = |digits| numbered(digits, "").and_then(|n| u32::try_from(n).ok());
    numbered(number, "")?;
    small(index)?;
    Some(AttemptId { term: small(term)?, number: small(attempt)? })
}

/// Only the form that this crate writes: decimal, no sign, no leading zero.
fn numbered(name: &str, prefix: &str) -> Option<u64> {
    let digits = name.strip_prefix(prefix)?;
    let is_ours = digits == "0" || digits.starts_with(|first| matches!(first, '1'..='9'));
    digits.parse().ok().filter(|_| is_ours)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{SubtaskId, VertexId};

    #[test]
    fn names_are_parsed_whole() {
        assert_eq!(parse_checkpoint("chk-12"), Some(CheckpointId(12)));
        for name in ["chk-", "chk-1x", "chk-012", "chk-+1", "chk--1", "xchk-1", "chk-1.tmp", "chk-99999999999999999999"]
        {
            assert_eq!(parse_checkpoint(name), None, "{name}");
        }
        for (path, directory) in [("a/chk-12", "a"), ("/chk-12", "/"), ("chk-12", ".")] {
            assert_eq!(parse_checkpoint_path(Path::new(path)), Some((Path::new(directory), CheckpointId(12))));
        }
        for path in ["", "/", "chk-", "chk-12/state", "a/.."] {
            assert_eq!(parse_checkpoint_path(Path::new(path)), None, "{path}");
        }
        assert_eq!(slot_path(Path::new("c"), 12), Path::new("c/manifest-12"));
        assert_eq!(parse_slot("manifest-0"), Some(0));
        for name in ["manifest-", "manifest-1.tmp", "manifest-01", "manifest", "xmanifest-1"] {
            assert_eq!(parse_slot(name), None, "{name}");
        }
        assert_eq!(parse_reservation_file(&reservation_file(CheckpointId(16))), Some(CheckpointId(16)));
        for name in ["reserved-", "reserved-16.tmp", "reserved-016", "reserved-1x", "xreserved-1"] {
            assert_eq!(parse_reservation_file(name), None, "{name}");
        }
        assert_eq!(parse_term_file(&term_file(7)), Some(7));
        let (subtask, attempt) = (SubtaskId { vertex: VertexId(0), index: 11 }, AttemptId { term: 1, number: 20 });
        let name = snapshot_file("word-count", TaskId { subtask, attempt }, 3);
        assert_eq!((&*name, parse_snapshot_file(&name)), ("word-count-11-1.20-3.state", Some(attempt)));
        for name in
            ["count-1-1.2-3", "count-1-1.2-3.state.tmp", "1-1.2-3.state", "count-1-12-3.state", "count-1-1.2-.state"]
        {
            assert_eq!(parse_snapshot_file(name), None, "{name}");
        }
    }
}
