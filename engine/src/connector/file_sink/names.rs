//! What the files of the sink are called.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{
    connector::decode_item,
    error::Result,
    id::{AttemptId, CheckpointId},
};

/// One part: a file under its three names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PartId {
    /// The subtask that wrote it.
    pub subtask: u32,
    /// In which attempt.
    pub attempt: AttemptId,
    /// Counts the parts of the subtask in the attempt, from 0.
    pub number: u64,
}

/// A file of the sink's directory, as its name tells. `Display` gives the name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PartFile {
    /// Being written.
    InProgress(PartId),
    /// Complete, to be made visible when the checkpoint has completed.
    Pending(PartId, CheckpointId),
    /// Committed by the checkpoint.
    Visible(PartId, CheckpointId),
}

impl PartFile {
    /// Takes a name apart. `None` unless it is, to the letter, a name that the sink gives: FLINK-3651 deleted the files
    /// of subtask 11 with those of subtask 1.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        let file = Self::parse_loosely(name)?;
        (file.to_string() == name).then_some(file)
    }

    fn parse_loosely(name: &str) -> Option<Self> {
        if let Some(fields) = name.strip_prefix("part-") {
            let [subtask, checkpoint, attempt, number] = split(fields)?;
            return Some(Self::Visible(part(subtask, attempt, number)?, CheckpointId(checkpoint.parse().ok()?)));
        }
        let hidden = name.strip_prefix(".part-")?;
        if let Some(fields) = hidden.strip_suffix(".pending") {
            let [subtask, attempt, number, checkpoint] = split(fields)?;
            return Some(Self::Pending(part(subtask, attempt, number)?, CheckpointId(checkpoint.parse().ok()?)));
        }
        let [subtask, attempt, number] = split(hidden.strip_suffix(".inprogress")?)?;
        Some(Self::InProgress(part(subtask, attempt, number)?))
    }

    /// The part.
    #[must_use]
    pub fn part(&self) -> PartId {
        match self {
            Self::InProgress(part) | Self::Pending(part, _) | Self::Visible(part, _) => *part,
        }
    }
}

/// Whether a checkpoint is newer than the restored one; any is, if the job starts afresh.
pub(super) fn is_newer(checkpoint: CheckpointId, restored: Option<CheckpointId>) -> bool {
    restored.is_none_or(|restored| checkpoint > restored)
}

fn split<const N: usize>(fields: &str) -> Option<[&str; N]> {
    fields.split('-').collect::<Vec<_>>().try_into().ok()
}

fn part(subtask: &str, attempt: &str, number: &str) -> Option<PartId> {
    let (term, count) = attempt.split_once('.')?;
    let attempt = AttemptId { term: term.parse().ok()?, number: count.parse().ok()? };
    Some(PartId { subtask: subtask.parse().ok()?, attempt, number: number.parse().ok()? })
}

impl fmt::Display for PartFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let PartId { subtask, attempt, number } = self.part();
        match self {
            Self::InProgress(_) => write!(f, ".part-{subtask}-{attempt}-{number}.inprogress"),
            Self::Pending(_, checkpoint) => write!(f, ".part-{subtask}-{attempt}-{number}-{checkpoint}.pending"),
            Self::Visible(_, checkpoint) => write!(f, "part-{subtask}-{checkpoint}-{attempt}-{number}"),
        }
    }
}

/// What must be committed when a checkpoint completes: one pending part. The item of the sink's list state, in postcard's
/// wire format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Committable {
    /// The part.
    pub part: PartId,
    /// The checkpoint that prepared it. A later one commits it as well.
    pub checkpoint: CheckpointId,
}

impl Committable {
    /// The bytes that a checkpoint holds.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        postcard::to_stdvec(self).expect("plain numbers can be encoded")
    }

    /// The committable that a checkpoint's bytes hold.
    ///
    /// # Errors
    /// `Damaged` if they hold none.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        decode_item("a committable of the file sink", bytes)
    }

    /// The name before the commit.
    #[must_use]
    pub fn pending_name(&self) -> String {
        PartFile::Pending(self.part, self.checkpoint).to_string()
    }

    /// The name after the commit; also what the sink calls the committable in its reports.
    #[must_use]
    pub fn visible_name(&self) -> String {
        PartFile::Visible(self.part, self.checkpoint).to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn files() -> impl Strategy<Value = PartFile> {
        let part = (any::<u32>(), any::<u32>(), any::<u32>(), any::<u64>())
            .prop_map(|(subtask, term, n, number)| PartId { subtask, attempt: AttemptId { term, number: n }, number });
        let checkpoint = any::<u64>().prop_map(CheckpointId);
        (part, checkpoint, 0..3).prop_map(|(part, checkpoint, kind)| match kind {
            0 => PartFile::InProgress(part),
            1 => PartFile::Pending(part, checkpoint),
            _ => PartFile::Visible(part, checkpoint),
        })
    }

    proptest! {
        #[test]
        fn a_name_says_everything(file in files()) {
            prop_assert_eq!(PartFile::parse(&file.to_string()), Some(file));
        }

        /// No other text is taken for a name: not with a letter more, less or changed into something that is no digit.
        #[test]
        fn nothing_else_is_a_name(file in files(), at: proptest::sample::Index, junk in "[-+._ a-z\u{e9}]") {
            let mut name = file.to_string();
            name.insert_str(at.index(name.len()), &junk);
            prop_assert_eq!(PartFile::parse(&name), None);
        }
    }

    #[test]
    fn leading_zeros_and_signs_are_foreign() {
        for name in ["part-0-1-1.1-0", ".part-0-1.1-0.inprogress", ".part-0-1.1-0-1.pending"] {
            assert!(PartFile::parse(name).is_some(), "{name}");
        }
        for name in ["part-00-1-1.1-0", "part-+0-1-1.1-0", "part-0-1-1.1-0.", "part-0-1-1-0", ".part-0-1.1-0", "part-0"]
        {
            assert_eq!(PartFile::parse(name), None, "{name}");
        }
    }
}
