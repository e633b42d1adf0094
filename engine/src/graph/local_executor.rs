//! Runs a job's chains by hand in one thread, for tests: what a cluster does, without concurrency, networks and failures.
//!
//! Nothing is ever in flight between two calls, so a checkpoint needs no alignment. Every batch goes through its edge's
//! codec, as if all subtasks lived in different processes.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex},
};

use futures_util::FutureExt;

use super::{JobGraph, PrepareContext};
use crate::{
    checkpoint::{CompletionNotification, SnapshotCompression},
    connector::memory_disk::MemoryDisk,
    env::{entropy::NoEntropy, spawner::NoSpawner},
    error::Result,
    id::{AttemptId, CheckpointId, SubtaskId, TaskId},
    operator::{SourceStatus, SubtaskContext, SubtaskProgram},
    probe::{Actor, Fact, NoProbe, Probe, Reached, Reporter, Step},
    state::{Freeze, RestoredState, SnapshotScope, SubtaskSnapshot, redistribute_operator},
    storage::{decode_snapshot, seal_snapshot, snapshot_buffer},
    stream::Outbox,
};

/// The output of a future that never waits.
pub(crate) fn now<T>(future: impl Future<Output = T>) -> T {
    future.now_or_never().expect("nothing waits in a test without a world")
}

/// Remembers what is reported.
#[derive(Clone, Default)]
pub(crate) struct Recorder(Arc<Mutex<Vec<Fact>>>);

impl Recorder {
    /// The steps reported since the last call.
    pub fn take_steps(&self) -> Vec<Step> {
        std::mem::take(&mut *self.0.lock().unwrap()).into_iter().map(|f| f.step).collect()
    }
}

impl Probe for Recorder {
    fn reach(&self, fact: &Fact) -> Reached {
        self.0.lock().unwrap().push(fact.clone());
        Reached::Continue
    }
}

/// A checkpoint, in memory.
#[derive(Clone)]
pub(crate) struct LocalCheckpoint {
    pub id: CheckpointId,
    /// By vertex.
    pub snapshots: Vec<Vec<SubtaskSnapshot>>,
}

/// A running job.
pub(crate) struct LocalJob {
    pub graph: JobGraph,
    attempt: AttemptId,
    batch_size: usize,
    disk: MemoryDisk,
    programs: BTreeMap<SubtaskId, Box<dyn SubtaskProgram>>,
    ended: BTreeMap<SubtaskId, bool>,
}

impl LocalJob {
    /// Deploys a job afresh or from a checkpoint.
    pub fn start(
        graph: JobGraph,
        disk: &MemoryDisk,
        attempt: AttemptId,
        batch_size: usize,
        restored: Option<&LocalCheckpoint>,
    ) -> Result<Self> {
        let mut programs = BTreeMap::new();
        for vertex in &graph.vertices {
            let splits = now(vertex.factory.prepare(&prepare_context(&graph, vertex.parallelism, disk, restored)))?;
            for index in 0..vertex.parallelism {
                let subtask = SubtaskId { vertex: vertex.id, index };
                let actor = Actor::Task(TaskId { subtask, attempt });
                let mut program = vertex.factory.build(SubtaskContext {
                    subtask,
                    attempt,
                    name: graph.subtask_name(subtask),
                    parallelism: vertex.parallelism,
                    max_parallelism: graph.max_parallelism,
                    consumers: graph.outputs(vertex.id).iter().map(|e| graph.vertex(e.to).parallelism).collect(),
                    batch_size,
                    spawner: Arc::new(NoSpawner),
                    disk: Arc::new(disk.clone()),
                    entropy: Arc::new(NoEntropy),
                    reporter: Reporter::new(Arc::new(NoProbe), actor),
                });
                let mut state = RestoredState { checkpoint: restored.map(|c| c.id), ..RestoredState::default() };
                state.splits = splits.get(index as usize).cloned().unwrap_or_default();
                for operator in vertex.operators.iter().filter(|o| o.stateful) {
                    let snapshots =
                        restored.iter().flat_map(|c| c.snapshots.iter().flatten().flat_map(|s| &s.operators));
                    let old: Vec<_> = snapshots.filter(|o| o.uid == operator.uid).collect();
                    if !old.is_empty() {
                        let share = redistribute_operator(&old, index, vertex.parallelism, graph.max_parallelism)?;
                        state.operators.insert(operator.uid.clone(), share);
                    }
                }
                now(program.open(state))?;
                programs.insert(subtask, program);
            }
        }
        let ended = graph.source_subtasks().into_iter().map(|s| (s, false)).collect();
        Ok(Self { graph, attempt, batch_size, disk: disk.clone(), programs, ended })
    }

    /// Polls each source once and lets everything run dry. Says whether there is more.
    pub fn step(&mut self) -> Result<bool> {
        let sources: Vec<_> = self.ended.iter().filter(|(_, ended)| !**ended).map(|(s, _)| *s).collect();
        for subtask in sources {
            let mut outbox = Outbox::new(self.batch_size);
            let program = self.programs.get_mut(&subtask).expect("it was built");
            let status = now(program.poll_source(self.batch_size))?;
            program.process_polled(&mut outbox)?;
            now(program.flush())?;
            self.deliver(subtask, &mut outbox)?;
            self.ended.insert(subtask, status == SourceStatus::EndOfInput);
        }
        Ok(self.ended.values().any(|ended| !ended))
    }

    /// Runs to the end of all input.
    pub fn run(&mut self) -> Result<()> {
        while self.step()? {}
        let subtasks: Vec<_> = self.graph.subtasks().collect();
        for subtask in subtasks {
            let mut outbox = Outbox::new(self.batch_size);
            self.programs.get_mut(&subtask).expect("it was built").end_of_input(&mut outbox)?;
            self.deliver(subtask, &mut outbox)?;
        }
        Ok(())
    }

    fn deliver(&mut self, from: SubtaskId, outbox: &mut Outbox) -> Result<()> {
        outbox.flush();
        let mut waiting: VecDeque<_> = outbox.drain().map(|out| (from, out)).collect();
        while let Some((from, out)) = waiting.pop_front() {
            // An outbox is one task's.
            let mut outbox = Outbox::new(self.batch_size);
            let edge = self.graph.outputs(from.vertex)[out.edge];
            let to = self.graph.consumers(edge, from.index)[out.channel];
            let mut bytes = Vec::new();
            edge.codec.encode(&out.batch, &mut bytes)?;
            let mut batch = edge.codec.decode(&bytes, None)?;
            let program = self.programs.get_mut(&to).expect("it was built");
            program.process(&mut batch, &mut outbox)?;
            assert!(batch.is_empty(), "a chain left records in its input batch");
            now(program.flush())?;
            outbox.flush();
            waiting.extend(outbox.drain().map(|out| (to, out)));
        }
        Ok(())
    }

    /// Takes a checkpoint between two steps.
    pub fn checkpoint(&mut self, id: u64) -> Result<LocalCheckpoint> {
        let id = CheckpointId(id);
        let mut snapshots = vec![Vec::new(); self.graph.vertices.len()];
        for (subtask, program) in &mut self.programs {
            now(program.prepare_commit(id))?;
            let (scope, buffer) = (SnapshotScope::Full, snapshot_buffer(Vec::new()));
            program.freeze(Freeze { checkpoint: id, scope, wants_content: false, buffer })?;
            let frozen = program.sweep(u64::MAX)?.expect("the budget is larger than any state");
            let contents = seal_snapshot(frozen, id, None, SnapshotCompression::None)?.contents;
            let (_, snapshot) = decode_snapshot(&contents, "snapshot".as_ref())?;
            snapshots[subtask.vertex.0 as usize].push(snapshot);
        }
        Ok(LocalCheckpoint { id, snapshots })
    }

    /// Notifies all subtasks of the completion of a checkpoint of this attempt.
    pub fn complete(&mut self, id: u64) -> Result<()> {
        let attempt = self.attempt;
        self.notify(CompletionNotification { checkpoint: CheckpointId(id), attempt })
    }

    /// Sends a notification to all subtasks.
    pub fn notify(&mut self, notification: CompletionNotification) -> Result<()> {
        self.programs.values_mut().try_for_each(|program| now(program.notify_complete(notification)))
    }

    /// What the job manager does at the end.
    pub fn clean_up(&self) -> Result<()> {
        self.graph
            .vertices
            .iter()
            .try_for_each(|v| now(v.factory.clean_up(&prepare_context(&self.graph, v.parallelism, &self.disk, None))))
    }
}

fn prepare_context(
    graph: &JobGraph,
    parallelism: u32,
    disk: &MemoryDisk,
    restored: Option<&LocalCheckpoint>,
) -> PrepareContext {
    let disk = Arc::new(disk.clone());
    PrepareContext { disk, job: graph.name.clone(), parallelism, restored: restored.map(|c| c.id) }
}

/// The sizes of the batches that the source of a job without checkpoints sends to its consumers.
pub(crate) fn sizes_of_batches(graph: JobGraph, batch_size: usize) -> Vec<usize> {
    let attempt = AttemptId { term: 1, number: 1 };
    let mut job = LocalJob::start(graph, &MemoryDisk::default(), attempt, batch_size, None).expect("it starts");
    let mut sizes = Vec::new();
    for subtask in job.graph.source_subtasks() {
        let program = job.programs.get_mut(&subtask).expect("it was built");
        let mut outbox = Outbox::new(batch_size);
        while now(program.poll_source(batch_size)).expect("it can be read") == SourceStatus::More {
            program.process_polled(&mut outbox).expect("it can be processed");
        }
        program.process_polled(&mut outbox).expect("it can be processed");
        outbox.flush();
        sizes.extend(outbox.drain().map(|out| out.batch.len()));
    }
    sizes
}
