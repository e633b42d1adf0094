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
    checkpoint::CompletionNotification,
    error::{Context, Result},
    graph::PrepareContext,
    id::CheckpointId,
    operator::SubtaskContext,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{error::ErrorKind, graph::local_executor::now};

    /// Fails to print.
    struct Broken;

    impl Write for Broken {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn records_are_printed_as_lines_with_their_subtask() {
        let lines: Arc<Mutex<Vec<u8>>> = Arc::default();
        let mut writer = PrintWriter { writer: lines.clone(), prefix: "2> ".to_owned(), lines: String::new() };
        writer.write(&mut vec![("a".to_owned(), 1), ("b".to_owned(), 2)]).unwrap();
        now(SinkWriter::<u8>::flush(&mut writer)).unwrap();
        now(SinkWriter::<u8>::flush(&mut writer)).unwrap();
        assert_eq!(String::from_utf8(lines.lock().unwrap().clone()).unwrap(), "2> (\"a\", 1)\n2> (\"b\", 2)\n");
    }

    #[test]
    fn what_cannot_be_printed_fails_the_job() {
        let writer: SharedWriter = Arc::new(Mutex::new(Broken));
        let mut writer = PrintWriter { writer, prefix: String::new(), lines: String::new() };
        writer.write(&mut vec![1]).unwrap();
        let error = now(SinkWriter::<u8>::flush(&mut writer)).unwrap_err();
        assert_eq!((error.kind, error.to_string().as_str()), (ErrorKind::Unavailable, "printing: broken pipe"));
    }
}
