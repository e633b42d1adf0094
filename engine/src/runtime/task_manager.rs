//! The task manager: runs tasks, as long as it has a session with the job manager.
//!
//! A lost session may mean that the job manager is dead, or that it has given this task manager up and started the tasks
//! elsewhere. So all tasks are canceled at once, and the task manager registers anew.

use std::{collections::BTreeMap, panic::AssertUnwindSafe, pin::pin, sync::Arc, time::Duration};

use futures_util::future::{Either, FutureExt, select};
use tokio::sync::mpsc;

use super::{
    exchange_server,
    gate_registry::GateRegistry,
    input_gate::InputGate,
    message_stream::connect,
    options::TaskManagerConfig,
    rpc::{Deployment, Registration, ToJobManager, ToTaskManager},
    session::{Session, SessionEvent},
    source_progress::SourceProgress,
    stream_task::TaskCommand,
    task_deployment::{Host, TaskStart},
    timer::Timer,
};
use crate::{
    checkpoint::CompletionNotification,
    env::{AbortOnDrop, Address, ByteStream, Env, Site, spawner::panic_message},
    error::{Error, ErrorKind, Result},
    id::{AttemptId, CheckpointId, TaskId},
    instant::Instant,
    job::FailureDetector,
    metrics::Measurement,
    probe::{Actor, Probe, Reporter, Step},
};

/// First pause between two attempts to reach the job manager; doubles up to the heartbeat interval.
const RECONNECT_PAUSE: Duration = Duration::from_millis(20);

/// Runs a task manager until the job has ended.
///
/// # Errors
/// `BadInput` if the job manager refuses this task manager or its configuration makes no sense; `Unavailable` if no job
/// manager was to be reached for `job_manager_timeout`.
pub async fn run_task_manager(env: Env, probe: Arc<dyn Probe>, config: TaskManagerConfig) -> Result<()> {
    if config.graph.checkpoints.is_some() && config.checkpoint_directory.is_none() {
        return Err(Error::bad_input("the job takes checkpoints: the task manager needs its checkpoint directory"));
    }
    let gates = GateRegistry::default();
    let reporter = Reporter::new(probe, Actor::TaskManager(config.id.clone()));
    let serve = exchange_server::serve(&env, &config.options, &config.graph, &gates, &config.data_address, &reporter);
    let (data_address, server) = serve.await?;
    let host = Host {
        env: env.clone(),
        options: config.options,
        graph: config.graph,
        checkpoint_directory: config.checkpoint_directory,
        id: config.id,
        gates,
    };
    let task_manager = TaskManager {
        host,
        reporter,
        job_manager: config.job_manager,
        slots: config.slots,
        data_address,
        tasks: BTreeMap::new(),
        ended: Vec::new(),
    };
    let result = task_manager.run().await;
    drop(server);
    result
}

/// A task that was started here.
struct RunningTask {
    mailbox: mpsc::UnboundedSender<TaskCommand>,
    reporter: Reporter,
    /// Of a source.
    progress: Option<Arc<SourceProgress>>,
    _future: AbortOnDrop,
}

/// How a session ended.
enum SessionEnd {
    /// The job has ended.
    JobEnded,
    /// The connection is gone, or the job manager is silent.
    Lost,
}

struct TaskManager {
    host: Host,
    reporter: Reporter,
    job_manager: Address,
    slots: u32,
    data_address: Address,
    tasks: BTreeMap<TaskId, RunningTask>,
    /// How far the sources had come that were ended here since the last deployment.
    ended: Vec<Arc<SourceProgress>>,
}

impl TaskManager {
    async fn run(mut self) -> Result<()> {
        let clock = self.host.env.clock.clone();
        let mut reached = clock.now();
        let mut pause = RECONNECT_PAUSE;
        loop {
            match connect(&self.host.env, &self.job_manager, &self.host.options.secret).await {
                Ok(stream) => {
                    let end = self.session(stream, &mut reached).await?;
                    self.cancel_tasks(None).await;
                    match end {
                        SessionEnd::JobEnded => return Ok(()),
                        SessionEnd::Lost => pause = RECONNECT_PAUSE,
                    }
                }
                Err(error) if error.kind == ErrorKind::BadInput => return Err(error),
                Err(error) => {
                    let limit = self.host.options.job_manager_timeout;
                    if clock.now().since(reached) >= limit {
                        let place = format!("task manager {}", self.host.id);
                        let message = format!("no job manager was to be reached for {limit:?}: {error}");
                        return Err(Error::unavailable(message).at(place));
                    }
                }
            }
            clock.sleep_until(clock.now() + pause).await;
            pause = (pause * 2).min(self.host.options.heartbeat_interval.max(RECONNECT_PAUSE));
        }
    }

    /// Registers and serves one session until it ends. `reached` is set to when the job manager was last heard.
    async fn session(&mut self, stream: ByteStream, reached: &mut Instant) -> Result<SessionEnd> {
        let clock = self.host.env.clock.clone();
        let (to_job_manager, outgoing) = mpsc::unbounded_channel();
        let (events, mut incoming) = mpsc::unbounded_channel();
        let on_event = move |event| drop(events.send(event));
        let spawner = &*self.host.env.spawner;
        let _session = Session::start::<ToTaskManager, _>(spawner, "job manager session", stream, outgoing, on_event);
        let registration = Registration {
            id: self.host.id.clone(),
            fingerprint: self.host.graph.fingerprint(),
            slots: self.slots,
            data_address: self.data_address.clone(),
        };
        // The writer's end comes back as an event, here and below.
        let _ = to_job_manager.send(ToJobManager::Register(registration));
        let mut silence = FailureDetector::new(self.host.options.heartbeat_timeout);
        silence.watch((), clock.now());
        let mut next_heartbeat = clock.now() + self.host.options.heartbeat_interval;
        let mut timer = Timer::new();
        loop {
            let event = match select(pin!(incoming.recv()), timer.until(&*clock, next_heartbeat)).await {
                Either::Left((event, _)) => event.unwrap_or_else(|| SessionEvent::Ended(Error::unavailable("closed"))),
                Either::Right(_) => {
                    timer.reset();
                    let now = clock.now();
                    if !silence.expired(now).is_empty() {
                        return Ok(SessionEnd::Lost);
                    }
                    let _ = to_job_manager.send(ToJobManager::Heartbeat);
                    next_heartbeat = now + self.host.options.heartbeat_interval;
                    continue;
                }
            };
            let message = match event {
                SessionEvent::Message(message) => message,
                SessionEvent::Ended(_) => return Ok(SessionEnd::Lost),
            };
            *reached = clock.now();
            silence.heard(&(), *reached);
            match message {
                ToTaskManager::JobEnded { .. } => return Ok(SessionEnd::JobEnded),
                ToTaskManager::Refused { error } => return Err(error),
                message => self.obey(message, &to_job_manager).await,
            }
        }
    }

    async fn obey(&mut self, message: ToTaskManager, to_job_manager: &mpsc::UnboundedSender<ToJobManager>) {
        match message {
            ToTaskManager::Deploy(deployment) => self.deploy(deployment, to_job_manager).await,
            ToTaskManager::CancelTasks { attempt } => self.cancel_tasks(Some(attempt)).await,
            ToTaskManager::Trigger { barrier, tasks } => {
                for task in tasks {
                    if let Some(running) = self.tasks.get(&task) {
                        // A task that has just ended says so itself; here and below.
                        let _ = running.mailbox.send(TaskCommand::Trigger(barrier));
                    }
                }
            }
            // Notifications go to all tasks, and each knows which are its own.
            ToTaskManager::NotifyComplete { checkpoint, attempt } => {
                self.tell_all(&TaskCommand::NotifyComplete(CompletionNotification { checkpoint, attempt }));
            }
            ToTaskManager::NotifyAborted { checkpoint, .. } => self.tell_all(&TaskCommand::NotifyAborted(checkpoint)),
            ToTaskManager::FinishTasks { attempt } => {
                for (_, running) in self.tasks.iter().filter(|(task, _)| task.attempt == attempt) {
                    let _ = running.mailbox.send(TaskCommand::Finish);
                }
            }
            ToTaskManager::Welcome | ToTaskManager::Heartbeat => {}
            ToTaskManager::Refused { .. } | ToTaskManager::JobEnded { .. } => unreachable!("the session handles these"),
        }
    }

    fn tell_all(&self, command: &TaskCommand) {
        for running in self.tasks.values() {
            let _ = running.mailbox.send(command.clone());
        }
    }

    /// Opens the gates of all new tasks before any of them starts, so that local producers find them.
    async fn deploy(&mut self, deployment: Deployment, to_job_manager: &mpsc::UnboundedSender<ToJobManager>) {
        self.cancel_tasks(Some(deployment.attempt)).await;
        let deployment = Arc::new(deployment);
        let mut senders = BTreeMap::new();
        let mut gates = BTreeMap::new();
        for subtask in deployment.tasks.keys() {
            let channels = self.host.input_channels(*subtask);
            if channels.is_empty() {
                continue;
            }
            let (gate, ways_in) = InputGate::new(&channels);
            senders.extend(channels.into_iter().zip(ways_in));
            gates.insert(*subtask, gate);
        }
        if !self.host.gates.supersede(deployment.attempt, senders) {
            return;
        }
        let restored = deployment.restore.as_ref().map(|r| r.manifest.checkpoint);
        self.tell_what_is_replayed(restored);
        let mut order: Vec<_> = deployment.tasks.keys().collect();
        if self.host.env.entropy.perturbs(Site::TasksInReverse) {
            order.reverse();
        }
        for subtask in order {
            let task = TaskId { subtask: *subtask, attempt: deployment.attempt };
            let reporter = self.reporter.named(Actor::Task(task));
            let (mailbox, commands) = mpsc::unbounded_channel();
            let (gate, progress) = (gates.remove(subtask), Arc::new(SourceProgress::new(restored)));
            let source = gate.is_none().then(|| progress.clone());
            let start = TaskStart {
                task,
                deployment: deployment.clone(),
                gate,
                mailbox: commands,
                to_job_manager: to_job_manager.clone(),
                reporter: reporter.clone(),
                progress,
            };
            let future = supervise(self.host.clone(), start);
            let future = AbortOnDrop(self.host.env.spawner.start(&task.to_string(), future));
            self.tasks.insert(task, RunningTask { mailbox, reporter, progress: source, _future: future });
        }
    }

    /// The sources that were ended here had sent on records that the new ones will read again.
    fn tell_what_is_replayed(&mut self, restored: Option<CheckpointId>) {
        let ended = std::mem::take(&mut self.ended);
        let records: Vec<u64> = ended.iter().filter_map(|source| source.behind(restored)).collect();
        if !records.is_empty() {
            self.reporter.measure(&Measurement::Replayed { restored, records: records.iter().sum() });
        }
    }

    /// Ends the tasks of this and earlier attempts, or all. Not awaited: whatever they still do carries their attempt.
    async fn cancel_tasks(&mut self, up_to: Option<AttemptId>) {
        let (canceled, kept) = std::mem::take(&mut self.tasks)
            .into_iter()
            .partition::<BTreeMap<_, _>, _>(|(task, _)| up_to.is_none_or(|attempt| task.attempt <= attempt));
        self.tasks = kept;
        if up_to.is_none() {
            self.host.gates.clear();
        }
        // A task whose mailbox is closed has ended by itself and said so.
        let running = canceled.values().filter(|t| !t.mailbox.is_closed());
        let reporters: Vec<Reporter> = running.map(|t| t.reporter.clone()).collect();
        self.ended.extend(canceled.values().filter_map(|t| t.progress.clone()));
        drop(canceled);
        for reporter in reporters {
            reporter.report(Step::TaskCanceled).await;
        }
    }
}

/// Runs a task and tells how it ended, whatever happens in it.
async fn supervise(host: Host, start: TaskStart) {
    let (task, reporter, to_job_manager) = (start.task, start.reporter.clone(), start.to_job_manager.clone());
    let name = host.graph.subtask_name(task.subtask);
    let result = AssertUnwindSafe(host.run(start)).catch_unwind().await.unwrap_or_else(|panic| {
        Err(Error::user_code(format!("panicked: {}", panic_message(&*panic))).at(format!("task {name}")))
    });
    let message = match result {
        Ok(()) => {
            reporter.report(Step::TaskFinished).await;
            ToJobManager::TaskFinished { task }
        }
        Err(error) => {
            reporter.report(Step::TaskFailed { error: error.clone() }).await;
            ToJobManager::TaskFailed { task, error }
        }
    };
    // If the session is over, nobody waits for it.
    let _ = to_job_manager.send(message);
}
