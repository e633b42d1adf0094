//! A source of elements that are part of the program.

use std::sync::Arc;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::{Source, SourceReader, decode_item};
use crate::{
    error::{Error, Result},
    graph::PrepareContext,
    operator::{SourceStatus, SubtaskContext},
    stream::Data,
};

/// A run of elements and how far it has been read. The item of the source's list state, in postcard's wire format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ElementsSplit {
    /// Index of the first element.
    pub start: u64,
    /// One past the last.
    pub end: u64,
    /// The next one to be read, from `start` to `end`.
    pub position: u64,
    /// How many elements the whole source had when the split was made.
    pub total: u64,
}

impl ElementsSplit {
    /// The bytes that a checkpoint holds.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        postcard::to_stdvec(self).expect("plain numbers can be encoded")
    }

    /// The split that a checkpoint's bytes hold.
    ///
    /// # Errors
    /// `Damaged` if they hold none.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        let split: Self = decode_item("a split of elements", bytes)?;
        if split.start <= split.position && split.position <= split.end && split.end <= split.total {
            Ok(split)
        } else {
            Err(Error::damaged(format!("{split:?} makes no sense")))
        }
    }
}

/// Emits given elements, each subtask a contiguous run of them.
pub struct ElementsSource<T> {
    elements: Arc<[T]>,
}

impl<T> ElementsSource<T> {
    /// A source of these elements, in this order within a subtask.
    pub fn new(elements: impl IntoIterator<Item = T>) -> Self {
        Self { elements: elements.into_iter().collect() }
    }
}

#[async_trait]
impl<T: Data + Sync> Source<T> for ElementsSource<T> {
    async fn list_splits(&self, context: &PrepareContext) -> Result<Vec<Vec<u8>>> {
        let (total, parts) = (self.elements.len() as u64, u64::from(context.parallelism));
        let split = |i: u64| {
            let start = i * total / parts;
            ElementsSplit { start, end: (i + 1) * total / parts, position: start, total }.encode()
        };
        Ok((0..parts).map(split).collect())
    }

    fn create_reader(&self, _: &SubtaskContext) -> Box<dyn SourceReader<T>> {
        Box::new(ElementsReader { elements: self.elements.clone(), splits: Vec::new() })
    }
}

struct ElementsReader<T> {
    elements: Arc<[T]>,
    splits: Vec<ElementsSplit>,
}

#[async_trait]
impl<T: Data + Sync> SourceReader<T> for ElementsReader<T> {
    async fn open(&mut self, splits: Vec<Vec<u8>>) -> Result<()> {
        let total = self.elements.len() as u64;
        for bytes in splits {
            let split = ElementsSplit::decode(&bytes)?;
            if split.total != total {
                return Err(Error::bad_input(format!(
                    "the program has {total} elements, but the checkpoint was taken with {}: restore it with the same \
                     elements, or start afresh",
                    split.total
                )));
            }
            self.splits.push(split);
        }
        Ok(())
    }

    async fn read(&mut self, batch: &mut Vec<T>, max: usize) -> Result<SourceStatus> {
        for split in &mut self.splits {
            let room = (max - batch.len()) as u64;
            let until = split.end.min(split.position + room);
            batch.extend_from_slice(&self.elements[split.position as usize..until as usize]);
            split.position = until;
        }
        let ended = self.splits.iter().all(|s| s.position == s.end);
        Ok(if ended { SourceStatus::EndOfInput } else { SourceStatus::More })
    }

    fn snapshot(&self) -> Vec<Vec<u8>> {
        self.splits.iter().map(ElementsSplit::encode).collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{error::ErrorKind, graph::local_executor::now};

    fn reader(total: u64, splits: Vec<Vec<u8>>) -> Result<ElementsReader<u64>> {
        let mut reader = ElementsReader { elements: (0..total).collect(), splits: Vec::new() };
        now(reader.open(splits)).map(|()| reader)
    }

    fn read(reader: &mut ElementsReader<u64>, max: usize) -> (Vec<u64>, SourceStatus) {
        let mut batch = Vec::new();
        let status = now(reader.read(&mut batch, max)).unwrap();
        assert!(batch.len() <= max);
        (batch, status)
    }

    proptest! {
        #[test]
        fn every_element_is_read_once_over_a_restart(
            total in 0u64..40, parts in 1u64..6, max in 1usize..9, reads in 0usize..12,
        ) {
            let bound = |i: u64| i * total / parts;
            let split = |i| ElementsSplit { start: bound(i), end: bound(i + 1), position: bound(i), total }.encode();
            let mut first = reader(total, (0..parts).map(split).collect()).unwrap();
            let mut elements: Vec<_> = (0..reads).flat_map(|_| read(&mut first, max).0).collect();
            let mut second = reader(total, first.snapshot()).unwrap();
            loop {
                let (batch, status) = read(&mut second, max);
                elements.extend(batch);
                if status == SourceStatus::EndOfInput {
                    break;
                }
            }
            prop_assert_eq!(elements, (0..total).collect::<Vec<_>>());
        }
    }

    #[test]
    fn other_elements_than_the_checkpoints_are_refused() {
        let split = ElementsSplit { start: 0, end: 3, position: 1, total: 3 };
        let error = reader(4, vec![split.encode()]).err().unwrap();
        assert_eq!(error.kind, ErrorKind::BadInput, "{error}");
        let error = reader(3, vec![ElementsSplit { position: 4, ..split }.encode()]).err().unwrap();
        assert_eq!(error.kind, ErrorKind::Damaged, "{error}");
    }
}
