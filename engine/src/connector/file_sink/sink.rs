//! The sink itself: what a user chooses.

use std::{marker::PhantomData, path::PathBuf, sync::Arc};

use async_trait::async_trait;

use super::{directory, writer};
use crate::{
    connector::{Sink, SinkWriter},
    error::Result,
    graph::PrepareContext,
    operator::SubtaskContext,
    stream::Data,
};

/// How large a part grows before the next one is begun, unless told otherwise: 128 MiB.
pub const DEFAULT_PART_SIZE: u64 = 128 << 20;

/// Writes each record as a line into one directory; a line is visible once the checkpoint after it has completed, and
/// exactly once whatever fails.
///
/// The directory belongs to one sink of one job, which its marker file names. Visible files never change and are never
/// removed by the sink. They should not be moved away while the job runs: a restart must see that they are there.
pub struct FileSink<T, F> {
    directory: PathBuf,
    encoder: Arc<F>,
    part_size: u64,
    record: PhantomData<fn(T)>,
}

impl<T, F: Fn(&T, &mut Vec<u8>)> FileSink<T, F> {
    /// A sink into `directory`, which is created if missing. `encoder` appends a record's text to a line; the line end is
    /// added to it.
    pub fn new(directory: impl Into<PathBuf>, encoder: F) -> Self {
        Self {
            directory: directory.into(),
            encoder: Arc::new(encoder),
            part_size: DEFAULT_PART_SIZE,
            record: PhantomData,
        }
    }

    /// Begins a new part when one has so many bytes, at least 1. Each checkpoint begins a new part in any case.
    #[must_use]
    pub fn part_size(mut self, bytes: u64) -> Self {
        self.part_size = bytes.max(1);
        self
    }
}

#[async_trait]
impl<T: Data, F: Fn(&T, &mut Vec<u8>) + Send + Sync + 'static> Sink<T> for FileSink<T, F> {
    fn needs_checkpoints(&self) -> bool {
        true
    }

    async fn prepare(&self, context: &PrepareContext, uid: &str) -> Result<()> {
        directory::prepare(&*context.disk, &self.directory, &context.job, uid, context.restored).await
    }

    async fn clean_up(&self, context: &PrepareContext, _: &str) -> Result<()> {
        directory::clean_up(&*context.disk, &self.directory).await
    }

    fn create_writer(&self, context: &SubtaskContext) -> Box<dyn SinkWriter<T>> {
        Box::new(writer::FileSinkWriter::new(
            self.directory.clone(),
            self.encoder.clone(),
            self.part_size,
            context.clone(),
        ))
    }
}
