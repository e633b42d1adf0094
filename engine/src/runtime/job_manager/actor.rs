//! The job manager's one loop: an event in, the machines decide, their commands out.

use std::{path::PathBuf, pin::pin, sync::Arc};

use futures_util::future::{Either, FutureExt, select};
use tokio::sync::{mpsc, oneshot};

use super::peers::{Peers, SessionId};
use crate::{
    checkpoint::{Coordinator, CoordinatorEvent, NUMBERS_AT_ONCE, RestoreMode},
    env::{ByteStream, Env, Site},
    error::{Error, Result},
    graph::JobGraph,
    id::{AttemptId, CheckpointId},
    instant::Instant,
    job::{Lifecycle, LifecycleEvent},
    probe::{JobStatus, Reporter, Step},
    runtime::{
        options::{ClusterOptions, JobManagerConfig},
        restore_point::Prepared,
        rpc::{Registration, ToJobManager, ToTaskManager},
        session::SessionEvent,
        timer::Timer,
    },
    storage::CheckpointStore,
};

/// Everything that can happen to a job manager.
pub(crate) enum Event {
    /// A peer has proved that it belongs to the job.
    Connected(ByteStream),
    /// Something came on a session.
    Session(SessionId, SessionEvent<ToJobManager>),
    /// The restore point is read.
    Prepared(Result<Box<Prepared>>),
    /// Storage has done, or not done, what the coordinator asked for.
    Coordinator(CoordinatorEvent),
    /// What attempts before this one have left is deleted; or some of it, if there is something left.
    StaleFilesRemoved { attempt: AttemptId, left: bool },
    /// The job's end is recorded, or could not be.
    CleanedUp(Result<()>),
}

/// The state of the loop.
pub(crate) struct JobManager {
    pub(super) env: Env,
    pub(super) reporter: Reporter,
    pub(super) graph: Arc<JobGraph>,
    pub(super) options: ClusterOptions,
    pub(super) checkpoint_directory: Option<PathBuf>,
    pub(super) store: Option<Arc<CheckpointStore>>,
    pub(super) events: mpsc::UnboundedSender<Event>,
    /// The final checkpoint, once all its output is committed.
    pub(super) committed: Option<CheckpointId>,
    pub(super) lifecycle: Lifecycle,
    pub(super) coordinator: Option<Coordinator>,
    pub(super) peers: Peers,
    /// As configured; holds until a checkpoint of this life exists.
    pub(super) restore: RestoreMode,
    /// The newest checkpoint that this job manager has completed.
    pub(super) published: Option<CheckpointId>,
    /// The first checkpoint that this job manager may take.
    pub(super) first_id: CheckpointId,
    cancel: Option<oneshot::Receiver<()>>,
    /// What the next deployment needs.
    pub(super) prepared: Option<Box<Prepared>>,
    /// A restore point may only be chosen when no publication is under way that might still make a newer one.
    pub(super) restore_point_wanted: bool,
    /// Whether snapshot files of earlier attempts may be there.
    pub(super) stale_files: bool,
    next_heartbeat: Instant,
    pub(super) ended: Option<JobStatus>,
}

impl JobManager {
    #[expect(clippy::too_many_arguments, reason = "called once, with what was opened for it")]
    pub(super) fn new(
        env: Env,
        reporter: Reporter,
        config: JobManagerConfig,
        store: Option<Arc<CheckpointStore>>,
        term: u32,
        found: &Prepared,
        peers: Peers,
        events: mpsc::UnboundedSender<Event>,
    ) -> Self {
        let graph = config.graph;
        let shape = graph.vertices.iter().map(|v| (v.id, v.parallelism)).collect();
        // FLINK-2354
        let used = found.reserved.filter(|_| !planted!(IdsStartAgain)).max(found.completed.last().copied());
        // A task takes no checkpoint that is not newer than what it has restored, perhaps from another directory.
        let restored = found.restore.as_ref().map(|point| point.manifest.checkpoint);
        let first_id = used.max(restored).map_or(CheckpointId::FIRST, CheckpointId::next);
        let block = if env.entropy.perturbs(Site::NumberByNumber) { 1 } else { NUMBERS_AT_ONCE };
        let coordinator = graph
            .checkpoints
            .clone()
            .map(|options| Coordinator::new(options, graph.checkpointed(), first_id, block, &found.completed));
        Self {
            next_heartbeat: env.clock.now() + config.options.heartbeat_interval,
            lifecycle: Lifecycle::new(term, shape, graph.restart.clone(), graph.checkpoints.is_some()),
            env,
            reporter,
            graph,
            options: config.options,
            checkpoint_directory: config.checkpoint_directory,
            store,
            events,
            committed: None,
            coordinator,
            peers,
            restore: config.restore,
            published: None,
            first_id,
            cancel: config.cancel,
            prepared: None,
            restore_point_wanted: false,
            stale_files: true,
            ended: None,
        }
    }

    /// Runs until the job has ended.
    pub(super) async fn run(mut self, mut incoming: mpsc::UnboundedReceiver<Event>) -> JobStatus {
        let clock = self.env.clock.clone();
        let mut timer = Timer::new();
        loop {
            if let Some(status) = self.ended.take() {
                return self.leave(status).await;
            }
            let deadline = self.next_deadline();
            let canceled = async {
                match &mut self.cancel {
                    // A canceler that is dropped will not cancel any more.
                    Some(cancel) => cancel.map(|said| said.is_ok()).await,
                    None => std::future::pending().await,
                }
            };
            let event = pin!(incoming.recv());
            let turn = match select(event, select(pin!(canceled), timer.until(&*clock, deadline))).await {
                Either::Left((event, _)) => Turn::Event(event.expect("this actor holds a sender itself")),
                Either::Right((Either::Left((said, _)), _)) => Turn::CancelerGone { cancel: said },
                Either::Right((Either::Right(_), _)) => Turn::Deadline,
            };
            match turn {
                Turn::Event(event) => self.on_event(event).await,
                Turn::CancelerGone { cancel } => {
                    self.cancel = None;
                    if cancel {
                        self.lifecycle_event(LifecycleEvent::CancelRequested).await;
                    }
                }
                Turn::Deadline => {
                    timer.reset();
                    self.on_deadline().await;
                }
            }
        }
    }

    fn next_deadline(&self) -> Instant {
        let coordinator = self.coordinator.as_ref().and_then(Coordinator::next_deadline);
        let machines = [self.lifecycle.next_deadline(), coordinator];
        machines.into_iter().flatten().fold(self.next_heartbeat, Instant::min)
    }

    async fn on_deadline(&mut self) {
        let now = self.env.clock.now();
        if self.next_heartbeat <= now {
            self.next_heartbeat = now + self.options.heartbeat_interval;
            self.peers.broadcast(&ToTaskManager::Heartbeat);
            for session in self.peers.silent(now) {
                let limit = self.options.heartbeat_timeout;
                self.lose(session, &Error::unavailable(format!("no heartbeat for {limit:?}"))).await;
            }
        }
        let mut commands = Vec::new();
        self.lifecycle.on_deadline(now, &mut commands);
        self.carry_out(commands).await;
        if let Some(coordinator) = &mut self.coordinator {
            let mut commands = Vec::new();
            coordinator.on_deadline(now, &mut commands);
            self.carry_out_checkpoint(commands).await;
        }
    }

    async fn on_event(&mut self, event: Event) {
        let now = self.env.clock.now();
        match event {
            Event::Connected(stream) => self.peers.add(stream, now),
            Event::Session(id, SessionEvent::Ended(error)) => self.lose(id, &error).await,
            Event::Session(id, SessionEvent::Message(message)) => {
                // Messages of a session that was given up are void.
                if self.peers.contains(id) {
                    self.peers.heard(id, now);
                    self.on_message(id, message).await;
                }
            }
            Event::Prepared(Ok(prepared)) => {
                let restored = prepared.restore.as_ref().map(|r| r.manifest.checkpoint);
                if let Some(coordinator) = &mut self.coordinator {
                    coordinator.found(&prepared.completed);
                }
                self.reporter.report(Step::RestorePointChosen { restored }).await;
                self.prepared = Some(prepared);
                self.lifecycle_event(LifecycleEvent::RestorePointRead).await;
            }
            Event::Prepared(Err(error)) => self.lifecycle_event(LifecycleEvent::RestoreFailed { error }).await,
            Event::Coordinator(event) => {
                let mut freed = false;
                if let CoordinatorEvent::ManifestPublished { checkpoint, retired } = &event {
                    self.published = Some(*checkpoint);
                    freed = !retired.is_empty();
                }
                self.coordinator_event(event).await;
                if freed {
                    self.remove_stale_files();
                }
            }
            // What an older attempt found says nothing of what that has left itself.
            Event::StaleFilesRemoved { attempt, left } => {
                self.stale_files &= left || self.lifecycle.attempt() != Some(attempt);
            }
            Event::CleanedUp(Ok(())) => self.lifecycle_event(LifecycleEvent::CleanedUp).await,
            Event::CleanedUp(Err(error)) => {
                self.ended = Some(JobStatus::Failed(error.at("recording the end of the job")));
            }
        }
    }

    async fn on_message(&mut self, session: SessionId, message: ToJobManager) {
        match message {
            ToJobManager::Register(registration) => self.register(session, registration).await,
            ToJobManager::Heartbeat => {}
            ToJobManager::TaskRunning { task } => self.lifecycle_event(LifecycleEvent::TaskRunning { task }).await,
            ToJobManager::TaskFinished { task } => self.lifecycle_event(LifecycleEvent::TaskFinished { task }).await,
            ToJobManager::TaskFailed { task, error } => {
                self.lifecycle_event(LifecycleEvent::TaskFailed { task, error }).await;
            }
            ToJobManager::InputEnded { task } => self.coordinator_event(CoordinatorEvent::InputEnded { task }).await,
            ToJobManager::Acknowledge { task, checkpoint, handle, metrics } => {
                let event = CoordinatorEvent::Acknowledged { task, checkpoint, handle, metrics };
                self.coordinator_event(event).await;
            }
            ToJobManager::Decline { task, checkpoint, error } => {
                self.coordinator_event(CoordinatorEvent::Declined { task, checkpoint, error }).await;
            }
            ToJobManager::Committed { task, checkpoint } => {
                self.coordinator_event(CoordinatorEvent::Committed { task, checkpoint }).await;
            }
        }
    }

    async fn register(&mut self, session: SessionId, registration: Registration) {
        let (id, slots) = (registration.id.clone(), registration.slots);
        if registration.fingerprint != self.graph.fingerprint() {
            let message =
                format!("task manager {id} runs another program or another version of job {}", self.graph.name);
            self.peers
                .refuse(session, Error::bad_input(message + ": start it with the job manager's program and arguments"));
            return;
        }
        if let Some(earlier) = self.peers.register(session, registration) {
            self.lose(earlier, &Error::unavailable("the task manager has registered anew")).await;
        }
        self.peers.send(&id, ToTaskManager::Welcome);
        self.reporter.report(Step::TaskManagerRegistered { task_manager: id.clone() }).await;
        self.lifecycle_event(LifecycleEvent::TaskManagerRegistered { id, slots }).await;
    }

    async fn lose(&mut self, session: SessionId, reason: &Error) {
        let Some(id) = self.peers.remove(session) else { return };
        self.reporter.report(Step::TaskManagerLost { task_manager: id.clone(), reason: reason.to_string() }).await;
        self.lifecycle_event(LifecycleEvent::TaskManagerLost { id }).await;
    }

    pub(super) async fn lifecycle_event(&mut self, event: LifecycleEvent) {
        let mut commands = Vec::new();
        self.lifecycle.handle(self.env.clock.now(), event, &mut commands);
        self.carry_out(commands).await;
    }

    pub(super) async fn coordinator_event(&mut self, event: CoordinatorEvent) {
        let Some(coordinator) = &mut self.coordinator else { return };
        let mut commands = Vec::new();
        coordinator.handle(self.env.clock.now(), event, &mut commands);
        self.carry_out_checkpoint(commands).await;
        let settled = self.coordinator.as_ref().is_none_or(|c| !c.is_publishing());
        if self.restore_point_wanted && settled {
            self.restore_point_wanted = false;
            self.read_restore_point();
        }
    }

    /// Tells everybody that it is over.
    async fn leave(self, status: JobStatus) -> JobStatus {
        self.reporter.report(Step::JobEnded { status: status.clone() }).await;
        self.peers.broadcast(&ToTaskManager::JobEnded { status: status.clone() });
        self.peers.flush().await;
        status
    }
}

/// What woke the loop.
enum Turn {
    Event(Event),
    CancelerGone { cancel: bool },
    Deadline,
}
