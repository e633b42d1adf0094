//! Where a program begins.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use super::{
    DataStream, JobGraph, Partitioning, chaining,
    data_stream::{SharedGraph, locked},
    validation,
};
use crate::{
    checkpoint::{CheckpointOptions, SnapshotCompression, SnapshotPolicy},
    connector::{ElementsSource, Source, TextFileSource},
    error::Result,
    job::RestartStrategy,
    key_group::DEFAULT_MAX_PARALLELISM,
    operator::{FromSource, Template},
    stream::{CheckpointMode, Data},
};

/// How many records a batch has at most unless told otherwise: so many that to wake another task for it costs little.
pub const DEFAULT_BATCH_SIZE: usize = 4096;

/// How long records are held back unless told otherwise. Not felt as a delay, and hundreds of times what a full batch of
/// small records takes.
pub const DEFAULT_BUFFER_TIMEOUT: Duration = Duration::from_millis(10);

/// The settings of a job and the streams that it is made of.
///
/// A program names its streams; `job_graph` makes a job of them, and `execute` runs it.
///
/// ```
/// use tidegate::graph::StreamExecutionEnvironment;
///
/// let env = StreamExecutionEnvironment::new();
/// env.from_elements(["To be, or not to be".to_owned(), "that is the question".to_owned()])
///     .map(|line| line.to_lowercase())
///     .flat_map(|line| {
///         let words = line.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).filter(|word| !word.is_empty());
///         words.map(str::to_owned).collect::<Vec<_>>()
///     })
///     .key_by(|word| word.clone())
///     .sum(|_| 1_u64)
///     .print();
/// env.execute("WordCount")?;
/// # Ok::<(), tidegate::error::Error>(())
/// ```
pub struct StreamExecutionEnvironment {
    graph: SharedGraph,
    settings: JobSettings,
}

/// What a job is told apart from its streams.
pub(crate) struct JobSettings {
    pub parallelism: u32,
    pub max_parallelism: u32,
    pub checkpoints: Option<CheckpointOptions>,
    pub checkpoint_directory: Option<PathBuf>,
    pub restart: Option<RestartStrategy>,
    pub batch_size: usize,
    pub buffer_timeout: Duration,
}

impl Default for StreamExecutionEnvironment {
    fn default() -> Self {
        Self::new()
    }
}

impl StreamExecutionEnvironment {
    /// An environment with parallelism 1 and without checkpoints.
    #[must_use]
    pub fn new() -> Self {
        let settings = JobSettings {
            parallelism: 1,
            max_parallelism: DEFAULT_MAX_PARALLELISM,
            checkpoints: None,
            checkpoint_directory: None,
            restart: None,
            batch_size: DEFAULT_BATCH_SIZE,
            buffer_timeout: DEFAULT_BUFFER_TIMEOUT,
        };
        Self { graph: SharedGraph::default(), settings }
    }

    /// How many subtasks an operator has that says nothing of its own.
    pub fn set_parallelism(&mut self, parallelism: u32) -> &mut Self {
        self.settings.parallelism = parallelism;
        self
    }

    /// How many key groups the job's state has: the largest parallelism that it can ever run at, fixed for the life of its
    /// state. From 1 to 32768; 128 unless set.
    pub fn set_max_parallelism(&mut self, max_parallelism: u32) -> &mut Self {
        self.settings.max_parallelism = max_parallelism;
        self
    }

    /// Takes a checkpoint in this interval, so that results count every record exactly once whatever fails.
    pub fn enable_checkpointing(&mut self, interval: Duration) -> &mut Self {
        self.settings.checkpoints.get_or_insert_default().interval = interval;
        self
    }

    /// All that can be chosen about checkpoints. Enables them, at the default interval unless another is set.
    pub fn checkpoint_options_mut(&mut self) -> &mut CheckpointOptions {
        self.settings.checkpoints.get_or_insert_default()
    }

    /// Whether checkpoints block channels. Enables checkpoints, as the following settings do.
    pub fn set_checkpoint_mode(&mut self, mode: CheckpointMode) -> &mut Self {
        self.checkpoint_options_mut().mode = mode;
        self
    }

    /// What a task writes of its state at a checkpoint: everything, or only what has changed. Unless set, whatever costs
    /// less.
    pub fn set_snapshot_policy(&mut self, policy: SnapshotPolicy) -> &mut Self {
        self.checkpoint_options_mut().snapshots = policy;
        self
    }

    /// How keyed state is stored in snapshot files; as it is unless set. A job may change it at any start: each file says
    /// how it is stored.
    pub fn set_snapshot_compression(&mut self, compression: SnapshotCompression) -> &mut Self {
        self.checkpoint_options_mut().compression = compression;
        self
    }

    /// How many completed checkpoints are kept to restore from; 1 unless set. At least 1.
    pub fn set_retained_checkpoints(&mut self, retained: u32) -> &mut Self {
        self.checkpoint_options_mut().retained = retained;
        self
    }

    /// Where checkpoints are kept, and where a job that is started again finds them.
    pub fn set_checkpoint_directory(&mut self, directory: impl Into<PathBuf>) -> &mut Self {
        self.settings.checkpoint_directory = Some(directory.into());
        self
    }

    /// A full snapshot of at most so many bytes gets no file of its own but is part of the checkpoint's manifest; 20 KiB unless
    /// set. At most 1 MiB; 0 turns that off. A job may change it at any time.
    pub fn set_inline_snapshot_threshold(&mut self, bytes: u64) -> &mut Self {
        self.checkpoint_options_mut().inline_threshold = bytes;
        self
    }

    /// What happens after a failure. Unless set: with checkpoints a restart after a growing delay, without them none.
    pub fn set_restart_strategy(&mut self, strategy: RestartStrategy) -> &mut Self {
        self.settings.restart = Some(strategy);
        self
    }

    /// How many records a batch has at most; 4096 unless set, which measures best. At least 1. Batches of slow or huge
    /// records are smaller by themselves.
    pub fn set_batch_size(&mut self, records: usize) -> &mut Self {
        self.settings.batch_size = records;
        self
    }

    /// How long a busy task may hold records back to send them in fuller batches; 10 ms unless set. An idle task holds
    /// nothing back. Zero sends each record at once, at the price of throughput.
    pub fn set_buffer_timeout(&mut self, timeout: Duration) -> &mut Self {
        self.settings.buffer_timeout = timeout;
        self
    }

    /// A stream of given elements.
    pub fn from_elements<T: Data + Sync>(&self, elements: impl IntoIterator<Item = T>) -> DataStream<T> {
        self.from_source(ElementsSource::new(elements))
    }

    /// A stream of the lines of files, and of all files below directories; see [`TextFileSource`].
    pub fn read_text_files(&self, paths: impl IntoIterator<Item = impl Into<PathBuf>>) -> DataStream<String> {
        self.from_source(TextFileSource::new(paths))
    }

    /// A stream of what a source reads.
    pub fn from_source<T: Data, S: Source<T>>(&self, source: S) -> DataStream<T> {
        let template = Template::Source(std::sync::Arc::new(FromSource::<T, S>::new(source)));
        let node = locked(&self.graph).add("source", None, template);
        DataStream::new(self.graph.clone(), node, Partitioning::Forward)
    }

    /// The job that the streams make, under a name by which its checkpoints and outputs are known.
    ///
    /// # Errors
    /// `BadInput` naming the operator or the setting that makes no sense.
    pub fn job_graph(&self, name: &str) -> Result<JobGraph> {
        let graph = locked(&self.graph);
        validation::validate(name, &graph, &self.settings)?;
        Ok(chaining::build(name, &graph, &self.settings))
    }

    /// See [`StreamExecutionEnvironment::set_checkpoint_directory`].
    #[must_use]
    pub fn checkpoint_directory(&self) -> Option<&Path> {
        self.settings.checkpoint_directory.as_deref()
    }

    /// See [`StreamExecutionEnvironment::set_batch_size`].
    #[must_use]
    pub fn batch_size(&self) -> usize {
        self.settings.batch_size
    }

    /// See [`StreamExecutionEnvironment::set_buffer_timeout`].
    #[must_use]
    pub fn buffer_timeout(&self) -> Duration {
        self.settings.buffer_timeout
    }

    /// See [`StreamExecutionEnvironment::enable_checkpointing`].
    #[must_use]
    pub fn checkpoint_options(&self) -> Option<&CheckpointOptions> {
        self.settings.checkpoints.as_ref()
    }
}
