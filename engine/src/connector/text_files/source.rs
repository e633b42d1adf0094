//! The source itself: which files, in what splits.

use std::path::PathBuf;

use async_trait::async_trait;

use super::{listing, reader, split};
use crate::{
    connector::{Source, SourceReader},
    error::Result,
    graph::PrepareContext,
    operator::SubtaskContext,
};

/// How many bytes a split has at most unless told otherwise: 64 MiB.
pub const DEFAULT_SPLIT_SIZE: u64 = 64 << 20;

/// Emits the lines of files, and of all files below directories.
///
/// Below a directory, names that begin with `.` or `_` are passed over (hidden files, and the output of jobs that is not
/// finished). A file that is reached in two ways is read once. Order is kept within a split, and not beyond it.
///
/// The input of a job is what the files held when it started: bytes that are appended later are not read, and a restored
/// job reads on where it was. A file that has become shorter, or does not have the end of a line where the job left off,
/// is refused.
pub struct TextFileSource {
    paths: Vec<PathBuf>,
    split_size: u64,
}

impl TextFileSource {
    /// The lines of these files and directories.
    pub fn new(paths: impl IntoIterator<Item = impl Into<PathBuf>>) -> Self {
        Self { paths: paths.into_iter().map(Into::into).collect(), split_size: DEFAULT_SPLIT_SIZE }
    }

    /// How many bytes a split has at most; at least 1. Smaller splits share the work more evenly; a large file is cut into
    /// at least as many splits as the source has subtasks, whatever the size.
    #[must_use]
    pub fn split_size(mut self, bytes: u64) -> Self {
        self.split_size = bytes.max(1);
        self
    }
}

#[async_trait]
impl Source<String> for TextFileSource {
    async fn list_splits(&self, context: &PrepareContext) -> Result<Vec<Vec<u8>>> {
        let files = listing::list_files(&*context.disk, &self.paths).await?;
        let cut = |(path, len): &(String, u64)| split::cut(path, *len, self.split_size, context.parallelism);
        Ok(files.iter().flat_map(cut).map(|s| s.encode()).collect())
    }

    fn create_reader(&self, context: &SubtaskContext) -> Box<dyn SourceReader<String>> {
        Box::new(reader::TextReader::new(context.disk.clone()))
    }
}
