//! From a deployment to a running task: build, restore, connect, run.

use std::{path::PathBuf, sync::Arc};

use tokio::sync::{Semaphore, mpsc};

use super::{
    exchange_client::{OpenChannel, open_channel},
    gate_registry::{Claimed, GateRegistry},
    input_gate::{CreditReturn, InputGate},
    options::ClusterOptions,
    restore::{given, restore},
    result_partition::{OutputChannel, ResultPartition, Route, batch_sizer},
    rpc::{Deployment, ToJobManager},
    source_progress::SourceProgress,
    stream_task::{StreamTask, TaskCommand},
    subtask_checkpoint::{SnapshotSettings, SubtaskCheckpoint},
};
use crate::{
    env::{AbortOnDrop, Env, timeout},
    error::{Context, Error, Result},
    graph::{JobEdge, JobGraph},
    id::{ChannelId, SubtaskId, TaskId, TaskManagerId},
    operator::SubtaskContext,
    probe::{Actor, Reporter, Step},
    state::RestoredState,
    storage::SnapshotFiles,
};

/// How many batches may be under way on a channel that no network delays: one is worked on, and the next is there. What is
/// queued beyond that only makes barriers wait.
const LOCAL_CREDITS: u32 = 2;

/// What the tasks of one task manager have in common.
#[derive(Clone)]
pub(crate) struct Host {
    pub env: Env,
    pub options: ClusterOptions,
    pub graph: Arc<JobGraph>,
    pub checkpoint_directory: Option<PathBuf>,
    pub id: TaskManagerId,
    pub gates: GateRegistry,
}

/// One task to be started.
pub(crate) struct TaskStart {
    pub task: TaskId,
    pub deployment: Arc<Deployment>,
    /// `None` for a source.
    pub gate: Option<InputGate>,
    pub mailbox: mpsc::UnboundedReceiver<TaskCommand>,
    pub to_job_manager: mpsc::UnboundedSender<ToJobManager>,
    pub reporter: Reporter,
    /// Of use to a source.
    pub progress: Arc<SourceProgress>,
}

impl Host {
    /// The channels that lead into a subtask.
    pub(crate) fn input_channels(&self, subtask: SubtaskId) -> Vec<ChannelId> {
        let Some(edge) = self.graph.input(subtask.vertex) else { return Vec::new() };
        let producers = self.graph.producers(edge, subtask.index);
        producers.into_iter().map(|from| ChannelId { from, to: subtask }).collect()
    }

    /// Runs a task from beginning to end.
    ///
    /// # Errors
    /// Whatever makes the task fail, with its name.
    pub(crate) async fn run(self, start: TaskStart) -> Result<()> {
        let name = self.graph.subtask_name(start.task.subtask);
        self.run_named(start, &name).await.at(|| format!("task {name}"))
    }

    async fn run_named(self, start: TaskStart, name: &str) -> Result<()> {
        let TaskStart { task, deployment, gate, mailbox, to_job_manager, reporter, progress } = start;
        reporter.report(Step::TaskStarted).await;
        let vertex = self.graph.vertex(task.subtask.vertex);
        let mut program = vertex.factory.build(self.subtask_context(task, name, &reporter));
        let restored = self.restored_state(task.subtask, &deployment, &reporter).await?;
        let source = vertex.operators.first().filter(|_| gate.is_none()).map(|o| &*o.uid);
        let mut given = given(&restored, source);
        program.open(restored).await?;
        if reporter.wants_content() {
            given.extend(program.content()?);
        }
        let restored = deployment.restore.as_ref().map(|r| r.manifest.checkpoint);
        reporter.report(Step::StateRestored { restored, given }).await;
        let output = self.connect_outputs(task, &deployment, &reporter).await?;
        reporter.report(Step::TaskRunning).await;
        // If the session is over, this task is about to be canceled.
        let _ = to_job_manager.send(ToJobManager::TaskRunning { task });
        let checkpoint = self.graph.checkpoints.as_ref().map(|options| {
            let settings = SnapshotSettings {
                env: self.env.clone(),
                task,
                files: self.snapshot_files(&vertex.name, task),
                policy: options.snapshots,
                compression: options.compression,
                inline_limit: options.inline_limit(self.graph.subtasks().count()),
                reporter: reporter.clone(),
                to_job_manager: to_job_manager.clone(),
            };
            SubtaskCheckpoint::new(settings, restored)
        });
        let input_sizer = batch_sizer(self.options.batch_size, self.options.buffer_timeout);
        let stream_task =
            StreamTask { task, program, output, input_sizer, progress, checkpoint, mailbox, to_job_manager, reporter };
        match gate {
            Some(gate) => stream_task.run_operator(gate).await,
            None => stream_task.run_source().await,
        }
    }

    fn snapshot_files(&self, vertex: &str, task: TaskId) -> SnapshotFiles {
        let directory = self.checkpoint_directory.as_ref().expect("checked when the task manager started");
        SnapshotFiles::new(self.env.disk.clone(), directory, vertex, task)
    }

    fn subtask_context(&self, task: TaskId, name: &str, reporter: &Reporter) -> SubtaskContext {
        let outputs = self.graph.outputs(task.subtask.vertex);
        SubtaskContext {
            subtask: task.subtask,
            attempt: task.attempt,
            name: name.to_owned(),
            parallelism: self.graph.vertex(task.subtask.vertex).parallelism,
            max_parallelism: self.graph.max_parallelism,
            consumers: outputs.iter().map(|e| self.graph.vertex(e.to).parallelism).collect(),
            batch_size: self.options.batch_size,
            spawner: self.env.spawner.clone(),
            disk: self.env.disk.clone(),
            entropy: self.env.entropy.clone(),
            reporter: reporter.clone(),
        }
    }

    async fn restored_state(
        &self,
        subtask: SubtaskId,
        deployment: &Deployment,
        reporter: &Reporter,
    ) -> Result<RestoredState> {
        let Some(point) = &deployment.restore else {
            return Ok(RestoredState { splits: deployment.tasks[&subtask].clone(), ..RestoredState::default() });
        };
        let checkpoint = point.manifest.checkpoint;
        let state = restore(&self.env.disk, &self.graph, point, subtask).await;
        let (state, files) = state.at(|| format!("restoring checkpoint {checkpoint}"))?;
        reporter.report(Step::SnapshotRead { restored: checkpoint, files }).await;
        Ok(state)
    }

    async fn connect_outputs(
        &self,
        task: TaskId,
        deployment: &Deployment,
        reporter: &Reporter,
    ) -> Result<ResultPartition> {
        let mut connections = Vec::new();
        let mut edges = Vec::new();
        for edge in self.graph.outputs(task.subtask.vertex) {
            let mut channels = Vec::new();
            for to in self.graph.consumers(edge, task.subtask.index) {
                let id = ChannelId { from: task.subtask, to };
                let channel = self.connect(id, task, edge, deployment, reporter).await;
                let (channel, connection) = channel.at(|| format!("output channel {id}"))?;
                channels.push(channel);
                connections.extend(connection);
            }
            edges.push(channels);
        }
        let ClusterOptions { batch_size, buffer_timeout, .. } = self.options;
        Ok(ResultPartition::new(edges, connections, &self.env, batch_size, buffer_timeout))
    }

    async fn connect(
        &self,
        channel: ChannelId,
        task: TaskId,
        edge: &JobEdge,
        deployment: &Deployment,
        reporter: &Reporter,
    ) -> Result<(OutputChannel, Option<AbortOnDrop>)> {
        let location = &deployment.locations[&channel.to];
        if location.task_manager != self.id {
            let open = OpenChannel { channel, attempt: task.attempt };
            let opened =
                open_channel(&self.env, &self.options, &location.data_address, open, edge.codec.clone()).await?;
            return Ok((opened.0, Some(opened.1)));
        }
        let claim = self.gates.claim(channel, task.attempt);
        let claimed = timeout(&*self.env.clock, self.options.connect_timeout, claim).await;
        let Claimed { gate, consumer } =
            claimed.unwrap_or_else(|| Err(Error::unavailable("the consuming task was not deployed in time")))?;
        // In the name of who lets it in, as over the network.
        let step = Step::ChannelOpened { channel, producer: task.attempt, consumer };
        reporter.named(Actor::TaskManager(self.id.clone())).report(step).await;
        let credits = Arc::new(Semaphore::new(self.options.channel_credits.min(LOCAL_CREDITS) as usize));
        gate.attach(CreditReturn::Local(credits.clone()))?;
        Ok((OutputChannel { id: channel, credits, route: Route::Local(gate), records: 0 }, None))
    }
}
