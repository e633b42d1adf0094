//! A source of computed records: costs next to nothing, so that a bench measures the engine and not the making of its input.

use std::sync::Arc;

use async_trait::async_trait;
use tidegate::{
    connector::{ElementsSplit, Source, SourceReader},
    error::Result,
    graph::PrepareContext,
    operator::{SourceStatus, SubtaskContext},
    stream::Data,
};

/// Emits `make(i)` for all `i` below `records`, each subtask for a contiguous run of them.
pub struct GeneratorSource<F> {
    records: u64,
    make: Arc<F>,
}

impl<F> GeneratorSource<F> {
    pub fn new(records: u64, make: F) -> Self {
        Self { records, make: Arc::new(make) }
    }
}

#[async_trait]
impl<T: Data, F: Fn(u64) -> T + Send + Sync + 'static> Source<T> for GeneratorSource<F> {
    async fn list_splits(&self, context: &PrepareContext) -> Result<Vec<Vec<u8>>> {
        let (total, parts) = (self.records, u64::from(context.parallelism));
        let split = |i: u64| {
            let start = i * total / parts;
            ElementsSplit { start, end: (i + 1) * total / parts, position: start, total }.encode()
        };
        Ok((0..parts).map(split).collect())
    }

    fn create_reader(&self, _: &SubtaskContext) -> Box<dyn SourceReader<T>> {
        Box::new(GeneratorReader { splits: Vec::new(), make: self.make.clone() })
    }
}

struct GeneratorReader<F> {
    splits: Vec<ElementsSplit>,
    make: Arc<F>,
}

#[async_trait]
impl<T: Data, F: Fn(u64) -> T + Send + Sync> SourceReader<T> for GeneratorReader<F> {
    async fn open(&mut self, splits: Vec<Vec<u8>>) -> Result<()> {
        self.splits = splits.iter().map(|bytes| ElementsSplit::decode(bytes)).collect::<Result<_>>()?;
        Ok(())
    }

    async fn read(&mut self, batch: &mut Vec<T>, max: usize) -> Result<SourceStatus> {
        for split in &mut self.splits {
            let until = split.end.min(split.position + (max - batch.len()) as u64);
            batch.extend((split.position..until).map(&*self.make));
            split.position = until;
        }
        let ended = self.splits.iter().all(|split| split.position == split.end);
        Ok(if ended { SourceStatus::EndOfInput } else { SourceStatus::More })
    }

    fn snapshot(&self) -> Vec<Vec<u8>> {
        self.splits.iter().map(ElementsSplit::encode).collect()
    }
}
