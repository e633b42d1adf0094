//! All names and paths within a checkpoint directory, in one place.
//!
//! Names are parsed exactly: what this module would not have written itself (`chk-07`, `chk-7.bak`, `chk-+7`) is not ours, is
//! never read and never deleted.
//!
//! Deliberately absent: I/O.

use std::{
    fmt::Display,
    path::{Path, PathBuf},
    str::FromStr,
};

use crate::id::{AttemptId, CheckpointId, TaskId};

/// What a name at the top of a checkpoint directory stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TopEntry {
    /// The lock of the living job manager.
    Lock,
    /// Whose directory it is.
    Job,
    /// The job has ended well.
    Finished,
    /// This term has been claimed.
    Term(u32),
    /// This checkpoint's number has been used.
    Checkpoint(CheckpointId),
    /// Left by an interrupted write.
    Temporary,
}

/// What a name in the directory of one checkpoint stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CheckpointEntry {
    /// The manifest.
    Manifest,
    /// One subtask's snapshot.
    Snapshot {
        /// The vertex's name.
        vertex: String,
        /// The subtask's index.
        index: u32,
        /// The attempt that took it.
        attempt: AttemptId,
    },
    /// Left by an interrupted write.
    Temporary,
}

/// The name of the lock file.
pub const LOCK: &str = "lock";
/// The name of the file that says whose directory it is.
pub const JOB: &str = "job.json";
/// The name of the file that says that the job has ended well.
pub const FINISHED: &str = "FINISHED";
/// The name of a checkpoint's manifest.
pub const MANIFEST: &str = "manifest";

const TEMPORARY: &str = ".tmp";
const TERM: &str = "term-";
const CHECKPOINT: &str = "chk-";
const SNAPSHOT: &str = ".snapshot";

/// The name under which a file is written before it gets its own.
#[must_use]
pub fn temporary(name: &str) -> String {
    format!("{name}{TEMPORARY}")
}

/// The name that claims a term.
#[must_use]
pub fn term(term: u32) -> String {
    format!("{TERM}{term}")
}

/// The name of a checkpoint's directory.
#[must_use]
pub fn checkpoint(id: CheckpointId) -> String {
    format!("{CHECKPOINT}{id}")
}

/// The checkpoint that a directory belongs to, by its name.
#[must_use]
pub fn checkpoint_of(directory: &Path) -> Option<CheckpointId> {
    number(directory.file_name()?.to_str()?.strip_prefix(CHECKPOINT)?).map(CheckpointId)
}

/// The name of one subtask's snapshot. It carries the attempt, so that a superseded attempt overwrites nothing (I7).
#[must_use]
pub fn snapshot(vertex: &str, task: TaskId) -> String {
    format!("{vertex}-{}-{}{SNAPSHOT}", task.subtask.index, task.attempt)
}

/// The name under which an attempt writes a manifest before it gets its own.
#[must_use]
pub fn temporary_manifest(attempt: AttemptId) -> String {
    temporary(&format!("{MANIFEST}-{attempt}"))
}

/// The directory that holds the path's last component. A bare name lies in the working directory.
#[must_use]
pub fn parent_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
        Some(parent) => parent,
        None => path,
    }
}

/// The paths of one checkpoint directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// The top.
    pub top: PathBuf,
}

impl Layout {
    /// The paths under `top`.
    #[must_use]
    pub fn new(top: &Path) -> Self {
        Self { top: top.to_owned() }
    }

    /// The path of a name at the top.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.top.join(name)
    }

    /// The directory of one checkpoint.
    #[must_use]
    pub fn checkpoint(&self, id: CheckpointId) -> PathBuf {
        self.top.join(checkpoint(id))
    }
}

/// What a name at the top stands for; `None` if it is not ours.
#[must_use]
pub fn parse_top(name: &str) -> Option<TopEntry> {
    match name {
        LOCK => return Some(TopEntry::Lock),
        JOB => return Some(TopEntry::Job),
        FINISHED => return Some(TopEntry::Finished),
        _ => {}
    }
    if let Some(written) = name.strip_suffix(TEMPORARY) {
        return matches!(written, JOB | FINISHED).then_some(TopEntry::Temporary);
    }
    if let Some(term) = name.strip_prefix(TERM) {
        return number(term).map(TopEntry::Term);
    }
    number(name.strip_prefix(CHECKPOINT)?).map(|id| TopEntry::Checkpoint(CheckpointId(id)))
}

/// What a name in a checkpoint's directory stands for; `None` if it is not ours.
#[must_use]
pub fn parse_in_checkpoint(name: &str) -> Option<CheckpointEntry> {
    if name == MANIFEST {
        return Some(CheckpointEntry::Manifest);
    }
    if let Some(written) = name.strip_suffix(TEMPORARY) {
        let manifest = written.strip_prefix(MANIFEST).and_then(|rest| rest.strip_prefix('-'));
        let ours = manifest.and_then(attempt).is_some() || parse_snapshot(written).is_some();
        return ours.then_some(CheckpointEntry::Temporary);
    }
    parse_snapshot(name)
}

fn parse_snapshot(name: &str) -> Option<CheckpointEntry> {
    // From the right: a vertex's name may hold dashes itself, an index and an attempt never do.
    let (rest, attempt_text) = name.strip_suffix(SNAPSHOT)?.rsplit_once('-')?;
    let (vertex, index) = rest.rsplit_once('-')?;
    let named = !vertex.is_empty() && vertex.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c));
    let (index, attempt) = (number(index)?, attempt(attempt_text)?);
    named.then(|| CheckpointEntry::Snapshot { vertex: vertex.to_owned(), index, attempt })
}

fn attempt(text: &str) -> Option<AttemptId> {
    let (term, of_term) = text.split_once('.')?;
    Some(AttemptId { term: number(term)?, number: number(of_term)? })
}

/// A decimal number exactly as `Display` writes it: no sign, no leading zero.
fn number<N: FromStr + Display>(text: &str) -> Option<N> {
    text.parse::<N>().ok().filter(|n| n.to_string() == text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{SubtaskId, VertexId};
    use proptest::prelude::*;

    fn task(index: u32, term: u32, number: u32) -> TaskId {
        TaskId { subtask: SubtaskId { vertex: VertexId(0), index }, attempt: AttemptId { term, number } }
    }

    #[test]
    fn names_at_the_top() {
        let parsed: Vec<_> =
            ["lock", "job.json", "job.json.tmp", "FINISHED", "FINISHED.tmp", "term-4", "chk-17", "chk-0"]
                .iter()
                .map(|n| format!("{n}: {:?}", parse_top(n).expect("ours")))
                .collect();
        insta::assert_snapshot!(parsed.join("\n"), @r"
        lock: Lock
        job.json: Job
        job.json.tmp: Temporary
        FINISHED: Finished
        FINISHED.tmp: Temporary
        term-4: Term(4)
        chk-17: Checkpoint(CheckpointId(17))
        chk-0: Checkpoint(CheckpointId(0))
        ");
    }

    #[test]
    fn foreign_names_are_nobodys() {
        let foreign = [
            "",
            "chk-",
            "chk-07",
            "chk-+7",
            "chk-7.bak",
            "chk-7 ",
            "chk-7.tmp",
            "chk-18446744073709551616",
            "chk--1",
            "CHK-7",
            "term-",
            "term-1.tmp",
            "term-4294967296",
            "job.json~",
            "lock.tmp",
            "finished",
            "README",
        ];
        for name in foreign {
            assert_eq!(parse_top(name), None, "{name:?} at the top");
        }
        let foreign = [
            "",
            "manifest.tmp",
            "manifest-1.1",
            "manifest-1.tmp",
            "manifest1.1.tmp",
            "count-0-1.1",
            "count-0-1.snapshot",
            "count-00-1.1.snapshot",
            "-0-1.1.snapshot",
            "a/b-0-1.1.snapshot",
            "..-0-1.1.snapshot",
            "count-0-1.1.snapshot.bak",
            "count-0-1.1.1.snapshot",
            "notes.tmp",
        ];
        for name in foreign {
            assert_eq!(parse_in_checkpoint(name), None, "{name:?} in a checkpoint");
        }
    }

    #[test]
    fn a_bare_name_lies_in_the_working_directory() {
        assert_eq!(parent_of(Path::new("ck")), Path::new("."));
        assert_eq!(parent_of(Path::new("a/ck")), Path::new("a"));
        assert_eq!(parent_of(Path::new("/")), Path::new("/"));
    }

    proptest! {
        #[test]
        fn what_is_written_is_recognised(id: u64, claimed: u32, vertex in "[A-Za-z0-9_-]{1,12}", index: u32, t: u32, n: u32) {
            prop_assert_eq!(parse_top(&checkpoint(CheckpointId(id))), Some(TopEntry::Checkpoint(CheckpointId(id))));
            prop_assert_eq!(parse_top(&term(claimed)), Some(TopEntry::Term(claimed)));
            let name = snapshot(&vertex, task(index, t, n));
            let attempt = AttemptId { term: t, number: n };
            prop_assert_eq!(parse_in_checkpoint(&name), Some(CheckpointEntry::Snapshot { vertex, index, attempt }));
            prop_assert_eq!(parse_in_checkpoint(&temporary(&name)), Some(CheckpointEntry::Temporary));
            prop_assert_eq!(parse_in_checkpoint(&temporary_manifest(attempt)), Some(CheckpointEntry::Temporary));
        }
    }
}
