//! A part of a text file.

use serde::{Deserialize, Serialize};

use crate::{
    connector::decode_item,
    error::{Error, Result},
};

/// Below this many bytes per subtask a file is not cut only to keep all subtasks busy: 1 MiB.
const WORTH_SHARING: u64 = 1 << 20;

/// A byte range of a text file and how far its lines have been read. The item of the source's list state, in postcard's
/// wire format.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TextSplit {
    /// The file.
    pub path: String,
    /// The first byte of the range.
    pub start: u64,
    /// One past its last byte.
    pub end: u64,
    /// How long the file was when the job started; what comes after is not read.
    pub file_len: u64,
    /// The first byte of the next line to be read; `start` before anything was read, and then not always the first byte of
    /// a line. At `end` or beyond when all lines that begin in the range are read.
    pub position: u64,
}

impl TextSplit {
    /// The bytes that a checkpoint holds.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        // The length of the path and four numbers, if none of them is very large.
        let room = Vec::with_capacity(self.path.len() + 16);
        postcard::to_extend(self, room).expect("a path and numbers can be encoded")
    }

    /// The split that a checkpoint's bytes hold.
    ///
    /// # Errors
    /// `Damaged` if they hold none.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        let split: Self = decode_item("a split of a text file", bytes)?;
        if split.start <= split.position && split.start <= split.end && split.end <= split.file_len {
            Ok(split)
        } else {
            Err(Error::damaged(format!("{split:?} makes no sense")))
        }
    }

    /// Whether all its lines have been read.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.position >= self.end
    }
}

/// Cuts a file into splits of about equal size, none above `split_size`; as many as there are subtasks at least if the
/// file is worth it. An empty file has no split.
pub(super) fn cut(path: &str, len: u64, split_size: u64, parallelism: u32) -> Vec<TextSplit> {
    let parallelism = u64::from(parallelism);
    let shares = if len / parallelism >= WORTH_SHARING { parallelism } else { 1 };
    let parts = len.div_ceil(split_size).max(shares);
    // Wide enough that `i * len` cannot overflow.
    let bound = |i: u64| (u128::from(i) * u128::from(len) / u128::from(parts)) as u64;
    let split =
        |i| TextSplit { path: path.to_owned(), start: bound(i), end: bound(i + 1), file_len: len, position: bound(i) };
    if len == 0 { Vec::new() } else { (0..parts).map(split).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn splits_tile_the_file(len in 0u64..20_000_000, size in 1u64..9_000_000, parallelism in 1u32..9) {
            prop_assume!(len / size < 10_000);
            let splits = cut("f", len, size, parallelism);
            let mut next = 0;
            for split in &splits {
                prop_assert_eq!(split.start, next);
                prop_assert!(split.end > split.start && split.end - split.start <= size);
                next = split.end;
            }
            prop_assert_eq!(next, len);
            prop_assert!(len < (1 << 20) * u64::from(parallelism) || splits.len() >= parallelism as usize);
        }
    }

    #[test]
    fn a_split_that_makes_no_sense_is_damaged() {
        let split = TextSplit { path: "f".into(), start: 5, end: 9, file_len: 9, position: 5 };
        assert_eq!(TextSplit::decode(&split.encode()), Ok(split.clone()));
        let bytes = TextSplit { position: 4, ..split.clone() }.encode();
        assert_eq!(TextSplit::decode(&bytes).unwrap_err().kind, crate::error::ErrorKind::Damaged);
        let too_long = [split.encode(), vec![0]].concat();
        assert_eq!(TextSplit::decode(&too_long).unwrap_err().kind, crate::error::ErrorKind::Damaged);
    }
}
