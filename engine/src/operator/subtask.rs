//! What the runtime runs: one subtask's chain, without its types.

use std::sync::Arc;

use async_trait::async_trait;

use crate::{
    checkpoint::CompletionNotification,
    env::{Disk, Entropy, Spawner},
    error::Result,
    id::{AttemptId, CheckpointId, SubtaskId, TaskId},
    key_group::KeyGroupRange,
    probe::{GivenState, Reporter},
    state::{Freeze, FrozenSnapshot, RestoredState, StateSize},
    stream::{AnyBatch, Outbox},
};

/// Where a subtask lives: who it is and what it may touch.
#[derive(Clone)]
pub struct SubtaskContext {
    /// Which subtask.
    pub subtask: SubtaskId,
    /// In which attempt.
    pub attempt: AttemptId,
    /// "count/1", for messages and file names (with the slash replaced).
    pub name: String,
    /// How many subtasks the vertex has.
    pub parallelism: u32,
    /// How many key groups the job has.
    pub max_parallelism: u32,
    /// The parallelism of each consuming vertex, by output edge.
    pub consumers: Vec<u32>,
    /// How many records a batch has at most.
    pub batch_size: usize,
    /// Helps with what would take this task long: see `restoring`.
    pub(crate) spawner: Arc<dyn Spawner>,
    /// The file system, for connectors.
    pub disk: Arc<dyn Disk>,
    /// Asked whether to do something legal and rare; see [`Site`](crate::env::Site).
    pub entropy: Arc<dyn Entropy>,
    /// Reports in the name of this task.
    pub reporter: Reporter,
}

impl SubtaskContext {
    /// The key groups that this subtask owns.
    #[must_use]
    pub fn key_groups(&self) -> KeyGroupRange {
        KeyGroupRange::of_subtask(self.subtask.index, self.parallelism, self.max_parallelism)
    }

    /// Subtask and attempt together.
    #[must_use]
    pub fn task(&self) -> TaskId {
        TaskId { subtask: self.subtask, attempt: self.attempt }
    }
}

#[cfg(test)]
impl SubtaskContext {
    /// For tests: the only subtask of the first vertex, in the first attempt, in a world in which nothing happens.
    pub(crate) fn alone() -> Self {
        use crate::{
            connector::memory_disk::MemoryDisk,
            env::{entropy::NoEntropy, spawner::NoSpawner},
            id::VertexId,
            probe::{Actor, NoProbe},
        };
        let (subtask, attempt) = (SubtaskId { vertex: VertexId(0), index: 0 }, AttemptId { term: 1, number: 1 });
        Self {
            subtask,
            attempt,
            name: "alone/0".to_owned(),
            parallelism: 1,
            max_parallelism: 128,
            consumers: Vec::new(),
            batch_size: 4,
            spawner: Arc::new(NoSpawner),
            disk: Arc::new(MemoryDisk::default()),
            entropy: Arc::new(NoEntropy),
            reporter: Reporter::new(Arc::new(NoProbe), Actor::Task(TaskId { subtask, attempt })),
        }
    }
}

/// Whether a source has more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourceStatus {
    /// Poll again.
    More,
    /// There will be no more records.
    EndOfInput,
}

/// One subtask's chain from source reader or input batch to outbox or sink.
///
/// The order of calls: `open` once. Then, for a source, `poll_source` and `process_polled` until it says `EndOfInput`; for
/// others `process` for each batch. After the input's end `end_of_input` once. `flush` after each of these. At any time
/// between two of them a checkpoint: `prepare_commit`, then `freeze`, from then on `sweep` until the snapshot is there, and
/// some time later `notify_complete` or `notify_aborted`, also after
/// `end_of_input`. A subtask that is canceled or fails is dropped without a further call.
#[async_trait]
pub trait SubtaskProgram: Send {
    /// Puts the restored state in place. A sink commits again what the restored checkpoint holds, and discards what
    /// earlier attempts left behind after it.
    ///
    /// # Errors
    /// Those of connectors and of state that does not fit.
    async fn open(&mut self, restored: RestoredState) -> Result<()>;

    /// Reads the next batch, of up to `max` records, and keeps it for `process_polled`. May wait for its device, but not for
    /// ever. Cancel safe in the sense that the runtime drops the subtask if it drops this future.
    ///
    /// # Errors
    /// Those of the source.
    async fn poll_source(&mut self, max: usize) -> Result<SourceStatus>;

    /// Runs what was read through the chain, and says how many records that were.
    ///
    /// # Errors
    /// Those of user code.
    fn process_polled(&mut self, out: &mut Outbox) -> Result<usize>;

    /// Runs a batch through the chain. Leaves it empty, with its memory.
    ///
    /// # Errors
    /// Those of user code.
    fn process(&mut self, batch: &mut AnyBatch, out: &mut Outbox) -> Result<()>;

    /// All input has been processed.
    ///
    /// # Errors
    /// Those of user code.
    fn end_of_input(&mut self, out: &mut Outbox) -> Result<()>;

    /// Gives a sink the chance to write out what it has buffered.
    ///
    /// # Errors
    /// Those of the sink's device.
    async fn flush(&mut self) -> Result<()>;

    /// Closes the sink's open transaction and makes it durable, not visible.
    ///
    /// # Errors
    /// Those of the sink's device: the checkpoint is declined and the task fails.
    async fn prepare_commit(&mut self, checkpoint: CheckpointId) -> Result<()>;

    /// How much keyed state there is.
    fn state_size(&mut self) -> StateSize;

    /// What the keyed states hold.
    ///
    /// # Errors
    /// `UserCode` if state refuses to be encoded.
    fn content(&mut self) -> Result<Vec<GivenState>>;

    /// Fixes all state as it is at this moment. Short, however much there is: the stream waits for it. What was frozen is
    /// encoded by [`SubtaskProgram::sweep`], and whatever the program does between two calls of that is not part of it. Gives
    /// what is frozen, if that was asked for.
    ///
    /// # Errors
    /// Those of the sink, and `UserCode` if state refuses to be encoded.
    fn freeze(&mut self, freeze: Freeze) -> Result<Vec<GivenState>>;

    /// Encodes `budget` more entries of what is frozen, about; at least one piece. Gives the snapshot when it is complete,
    /// once.
    ///
    /// # Errors
    /// `UserCode` if state refuses to be encoded.
    fn sweep(&mut self, budget: u64) -> Result<Option<FrozenSnapshot>>;

    /// Nobody needs what is frozen any more. The next snapshot must be one that builds on none.
    fn abandon_snapshot(&mut self);

    /// Commits what the checkpoint allows. A notification of another attempt has no effect.
    ///
    /// # Errors
    /// Those of the sink's device: the task fails, and recovery commits.
    async fn notify_complete(&mut self, notification: CompletionNotification) -> Result<()>;

    /// The checkpoint will not complete. What was prepared for it stays in doubt until a later one completes.
    fn notify_aborted(&mut self, checkpoint: CheckpointId);
}
