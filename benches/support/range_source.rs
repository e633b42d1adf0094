//! A source of numbers: costs next to nothing, so that a bench measures the engine and not the making of its input.

use async_trait::async_trait;
use tidegate::{
    connector::{ElementsSplit, Source, SourceReader},
    error::Result,
    graph::PrepareContext,
    operator::{SourceStatus, SubtaskContext},
};

/// Emits the numbers below `records`, each subtask a contiguous run of them.
pub struct RangeSource {
    pub records: u64,
}

#[async_trait]
impl Source<u64> for RangeSource {
    async fn list_splits(&self, context: &PrepareContext) -> Result<Vec<Vec<u8>>> {
        let (total, parts) = (self.records, u64::from(context.parallelism));
        let split = |i: u64| {
            let start = i * total / parts;
            ElementsSplit { start, end: (i + 1) * total / parts, position: start, total }.encode()
        };
        Ok((0..parts).map(split).collect())
    }

    fn create_reader(&self, _: &SubtaskContext) -> Box<dyn SourceReader<u64>> {
        Box::new(RangeReader { splits: Vec::new() })
    }
}

struct RangeReader {
    splits: Vec<ElementsSplit>,
}

#[async_trait]
impl SourceReader<u64> for RangeReader {
    async fn open(&mut self, splits: Vec<Vec<u8>>) -> Result<()> {
        self.splits = splits.iter().map(|bytes| ElementsSplit::decode(bytes)).collect::<Result<_>>()?;
        Ok(())
    }

    async fn read(&mut self, batch: &mut Vec<u64>, max: usize) -> Result<SourceStatus> {
        for split in &mut self.splits {
            let until = split.end.min(split.position + (max - batch.len()) as u64);
            batch.extend(split.position..until);
            split.position = until;
        }
        let ended = self.splits.iter().all(|split| split.position == split.end);
        Ok(if ended { SourceStatus::EndOfInput } else { SourceStatus::More })
    }

    fn snapshot(&self) -> Vec<Vec<u8>> {
        self.splits.iter().map(ElementsSplit::encode).collect()
    }
}
