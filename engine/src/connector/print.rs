//! A sink for looking at a stream.

use std::{
    fmt::{Debug, Write as _},
    io::{self, Write},
    marker::PhantomData,
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;

use super::{Sink, SinkWriter};
use crate::{
    error::{Context, Result},
    graph::PrepareContext,
    id::CheckpointId,
    operator::{CompletionNotification, SubtaskContext},
    stream::Data,
};

/// Where printed lines go: shared by all subtasks of a process.
pub type SharedWriter = Arc<Mutex<dyn Write + Send>>;

/// Prints each record's `Debug` form as a line, with the subtask in front if there are several ("2> (\"word\", 1)").
///
/// Without any guarantee: after a failure, lines come again. Use a [`FileSink`](super::FileSink) for results that count.
pub struct PrintSink<T> {
    writer: SharedWriter,
    record: PhantomData<fn(T)>,
}

impl<T> PrintSink<T> {
    /// Prints to standard output.
    #[must_use]
    pub fn stdout() -> Self {
        Self::to(Arc::new(Mutex::new(io::stdout())))
    }

    /// Prints to a writer that lives in this process.
    #[must_use]
    pub fn to(writer: SharedWriter) -> Self {
        Self { writer, record: PhantomData }
    }
}

#[async_trait]
impl<T: Data + Debug> Sink<T> for PrintSink<T> {
    fn needs_checkpoints(&self) -> bool {
        false
    }

    async fn prepare(&self, _: &PrepareContext, _: &str) -> Result<()> {
        Ok(())
    }

    async fn clean_up(&self, _: &PrepareContext, _: &str) -> Result<()> {
        Ok(())
    }

    fn create_writer(&self, context: &SubtaskContext) -> Box<dyn SinkWriter<T>> {
        let prefix = if context.parallelism > 1 { format!("{}> ", context.subtask.index + 1) } else { String::new() };
        Box::new(PrintWriter { writer: self.writer.clone(), prefix, lines: String::new() })
    }
}

struct PrintWriter {
    writer: SharedWriter,
    prefix: String,
    lines: String,
}

#[async_trait]
impl<T: Data + Debug> SinkWriter<T> for PrintWriter {
    async fn open(&mut self, _: Option<CheckpointId>, _: Vec<Vec<u8>>) -> Result<()> {
        Ok(())
    }

    fn write(&mut self, batch: &mut Vec<T>) -> Result<()> {
        for record in batch.drain(..) {
            writeln!(self.lines, "{}{record:?}", self.prefix).expect("a string takes everything");
        }
        Ok(())
    }

    async fn flush(&mut self) -> Result<()> {
        // A writer that panicked under the lock is still a writer.
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let printed = writer.write_all(self.lines.as_bytes()).and_then(|()| writer.flush());
        self.lines.clear();
        printed.at(|| "printing")
    }

    async fn prepare_commit(&mut self, _: CheckpointId) -> Result<()> {
        <Self as SinkWriter<T>>::flush(self).await
    }

    fn snapshot(&mut self, _: CheckpointId) -> Result<Vec<Vec<u8>>> {
        Ok(Vec::new())
    }

    async fn notify_complete(&mut self, _: CompletionNotification) -> Result<()> {
        Ok(())
    }

    fn notify_aborted(&mut self, _: CheckpointId) {}
}
