//! The engine's actors on simulated nodes, and the hand that crashes and restarts them.
//!
//! ```text
//!   node jm: run_job_manager      nodes tm-1, tm-2, …: run_task_manager
//!        └── each step ──► NodeProbe ──► history, checkers, and the faults that are due
//!                                             └── what ends them, later ──► Director (outside of all nodes)
//! ```
//!
//! A crash happens inside of `Probe::reach`, on the very step that it is tied to: the world forgets the node first, then
//! madsim kills it, and the step's future never resumes.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use madsim::{
    runtime::{Handle, NodeHandle},
    task::NodeId,
    time::TimeHandle,
};
use tidegate::{
    checkpoint::RestoreMode,
    env::{Address, Env},
    error::{Error, ErrorKind},
    exchange::Secret,
    graph::JobGraph,
    id::TaskManagerId,
    instant::Instant,
    metrics::Measurement,
    probe::{Actor, Fact, JobStatus, Probe, Reached, Step},
    runtime::{ClusterOptions, ControlMessage, JobManagerConfig, TaskManagerConfig, run_job_manager, run_task_manager},
};
use tokio::sync::mpsc;

use crate::{
    checker::{Checker, Deployments, Violation},
    disturb::Relief,
    env::{Crash, World},
    fault::{Action, PlanMatcher},
    history::{Entry, Event, Recorder},
    run::{ClusterShape, Fired},
};

/// The name of the job manager's node.
pub const JOB_MANAGER: &str = "jm";
const JOB_MANAGER_PORT: u16 = 6123;

/// How long it takes, in virtual time, until a process that has exited is started again.
const EXIT_PAUSE: Duration = Duration::from_millis(50);

fn job_manager_address() -> String {
    format!("{JOB_MANAGER}:{JOB_MANAGER_PORT}")
}

/// The names of all nodes of a cluster, the job manager's first.
#[must_use]
pub fn node_names(task_managers: u32) -> Vec<String> {
    std::iter::once(JOB_MANAGER.to_owned()).chain((1..=task_managers).map(|i| format!("tm-{i}"))).collect()
}

/// What the director is told.
pub(crate) enum Order {
    /// A fault is to end at this time.
    Relieve { relief: Relief, at: Instant },
    /// An actor of a node has returned.
    Returned { node: String, result: Result<Option<JobStatus>, Error> },
}

/// What all nodes of a run share.
pub(crate) struct Stage {
    pub world: World,
    /// The job, and if it can be, the same with another parallelism.
    pub graphs: Vec<Arc<JobGraph>>,
    /// Which of them new processes run.
    pub deployed: AtomicUsize,
    /// What the checkers know of that.
    pub deployments: Deployments,
    pub shape: ClusterShape,
    pub checkpoint_directory: PathBuf,
    pub recorder: Recorder,
    pub time: TimeHandle,
    pub orders: mpsc::UnboundedSender<Order>,
    pub judge: Mutex<Judge>,
    pub nodes: Mutex<Nodes>,
}

/// The madsim nodes that were made.
#[derive(Default)]
pub(crate) struct Nodes {
    ids: BTreeMap<String, NodeId>,
    paused: BTreeSet<String>,
    /// How many task managers were named after the first ones: more than were made yet.
    replacements: u32,
}

/// What watches the run and disturbs it.
pub(crate) struct Judge {
    pub matcher: PlanMatcher,
    pub checkers: Vec<Box<dyn Checker>>,
    pub violations: Vec<Violation>,
    pub fired: Vec<Fired>,
}

impl Stage {
    pub(crate) fn now(&self) -> Instant {
        Instant(u64::try_from(self.time.elapsed().as_nanos()).unwrap_or(u64::MAX))
    }

    /// The job that a process that starts now runs.
    pub(crate) fn graph(&self) -> Arc<JobGraph> {
        self.graphs[self.deployed.load(Ordering::Relaxed)].clone()
    }

    pub(crate) fn judge(&self) -> MutexGuard<'_, Judge> {
        self.judge.lock().expect("nobody panics while holding this lock")
    }

    fn nodes(&self) -> MutexGuard<'_, Nodes> {
        self.nodes.lock().expect("nobody panics while holding this lock")
    }

    /// All nodes there ever were, by name.
    pub(crate) fn node_ids(&self) -> BTreeMap<String, NodeId> {
        self.nodes().ids.clone()
    }

    pub(crate) fn node_id(&self, node: &str) -> NodeId {
        self.nodes().ids[node]
    }

    /// A name for one more task manager.
    pub(crate) fn new_name(&self) -> String {
        let mut nodes = self.nodes();
        nodes.replacements += 1;
        format!("tm-{}", self.shape.task_managers + nodes.replacements)
    }

    /// Gives false if the node was paused, or not, before.
    pub(crate) fn set_paused(&self, node: &str, paused: bool) -> bool {
        let mut nodes = self.nodes();
        if paused { nodes.paused.insert(node.to_owned()) } else { nodes.paused.remove(node) }
    }

    pub(crate) fn is_paused(&self, node: &str) -> bool {
        self.nodes().paused.contains(node)
    }

    pub(crate) fn record(&self, node: impl Into<Arc<str>>, event: Event) -> usize {
        self.recorder.record(Entry { at: self.now(), node: node.into(), event })
    }

    /// Makes the madsim nodes, and listens in on the job manager's control connections.
    pub(crate) fn start(self: &Arc<Self>) {
        let stage = Arc::downgrade(self);
        let tap = move |from: &str, to: &str, message: &ControlMessage| match stage.upgrade() {
            Some(stage) => stage.carry(from, to, message),
            None => vec![Duration::ZERO],
        };
        self.world.network.tap_control(&job_manager_address(), Arc::new(tap));
        for name in node_names(self.shape.task_managers) {
            self.create_node(&name);
        }
    }

    /// Makes a madsim node. It runs its actor when it starts, and again after each restart.
    pub(crate) fn create_node(self: &Arc<Self>, name: &str) {
        let (stage, node) = (self.clone(), name.to_owned());
        let run = move || {
            let (stage, node) = (stage.clone(), node.clone());
            // It is large, and madsim moves it about.
            Box::pin(stage.live(node))
        };
        let handle: NodeHandle = Handle::current().create_node().name(name).init(run).build();
        self.nodes().ids.insert(name.to_owned(), handle.id());
    }

    /// When a control message is to arrive, each time as so much later than it would: never, once, or twice.
    fn carry(&self, from: &str, to: &str, message: &ControlMessage) -> Vec<Duration> {
        let task_manager = if from == JOB_MANAGER { to } else { from };
        let due = self.judge().matcher.on_message(message, task_manager);
        let mut arrivals = vec![Duration::ZERO];
        for (fault, action) in due {
            let what = match &action {
                Action::LoseMessage => {
                    arrivals.clear();
                    "is lost".to_owned()
                }
                Action::DelayMessage { by_us } => {
                    arrivals.iter_mut().for_each(|arrival| *arrival += Duration::from_micros(*by_us));
                    format!("comes {by_us} µs late")
                }
                Action::RepeatMessage { after_us } => {
                    arrivals.push(Duration::from_micros(*after_us));
                    format!("comes again after {after_us} µs")
                }
                _ => unreachable!("a plan is validated: nothing else is tied to a message"),
            };
            let kind = message.kind;
            let of = message.checkpoint.map_or_else(String::new, |id| format!(" {id}"));
            let event = self.record(from, Event::Fault(format!("{kind:?}{of} to {to} {what}")));
            self.judge().fired.push(Fired { fault, action, step: None, message: Some(kind), event });
        }
        arrivals
    }

    /// One life of a node. A process that exits because something it needs does not work is started again after a while, as an
    /// init system or an orchestrator does it, for as long as it takes: whether the job gets anywhere is not judged here. The
    /// engine itself does not wait for a disk to mend before it has begun, because nobody could tell that from being stuck.
    async fn live(self: Arc<Self>, node: String) {
        loop {
            match self.live_once(&node).await {
                Err(error) if error.kind == ErrorKind::Unavailable => {
                    self.record(&*node, Event::Fault(format!("its process exits: {error}")));
                    self.world.sleep(EXIT_PAUSE).await;
                    // What the process held is free, and its peers see their connections end.
                    self.world.crash(&node, Crash::Process);
                    self.record(&*node, Event::Restarted);
                }
                result => {
                    // The director is gone when the run is over.
                    let _ = self.orders.send(Order::Returned { node, result });
                    return;
                }
            }
        }
    }

    /// One life of a node's process.
    async fn live_once(self: &Arc<Self>, node: &str) -> Result<Option<JobStatus>, Error> {
        let env = self.world.boot(node);
        let probe = Arc::new(NodeProbe { stage: self.clone(), node: node.into() });
        if node == JOB_MANAGER {
            run_job_manager(env, probe, self.job_manager()).await.map(Some)
        } else {
            self.task_manager(env, probe, node).await.map(|()| None)
        }
    }

    fn options(&self) -> ClusterOptions {
        ClusterOptions {
            heartbeat_interval: Duration::from_millis(10),
            heartbeat_timeout: Duration::from_millis(60),
            batch_size: self.shape.batch_size,
            channel_credits: self.shape.channel_credits,
            connect_timeout: Duration::from_secs(2),
            job_manager_timeout: Duration::from_secs(3600),
            ..ClusterOptions::new(Secret([7; 32]))
        }
    }

    fn job_manager(&self) -> JobManagerConfig {
        JobManagerConfig {
            graph: self.graph(),
            address: Address::new(&job_manager_address()),
            checkpoint_directory: Some(self.checkpoint_directory.clone()),
            restore: RestoreMode::Latest,
            options: self.options(),
            on_bound: None,
            cancel: None,
        }
    }

    async fn task_manager(&self, env: Env, probe: Arc<NodeProbe>, node: &str) -> tidegate::error::Result<()> {
        let config = TaskManagerConfig {
            id: TaskManagerId::new(node),
            job_manager: Address::new(&job_manager_address()),
            data_address: Address::new(&format!("{node}:0")),
            slots: self.shape.slots,
            graph: self.graph(),
            checkpoint_directory: Some(self.checkpoint_directory.clone()),
            options: self.options(),
        };
        run_task_manager(env, probe, config).await
    }
}

/// The probe of one node.
struct NodeProbe {
    stage: Arc<Stage>,
    node: Arc<str>,
}

impl NodeProbe {
    /// Lets all checkers look.
    fn check(&self, index: usize, fact: &Fact) {
        let mut judge = self.stage.judge();
        let Judge { checkers, violations, .. } = &mut *judge;
        for checker in checkers {
            if let Err(message) = checker.observe(fact, &*self.stage.world.disk) {
                let invariant = checker.id().to_owned();
                violations.push(Violation { invariant, message, event: Some(index) });
            }
        }
    }
}

/// Whether the actor's future is one whose panic is a failure of that task, and of nothing else.
fn is_task_at_work(fact: &Fact) -> bool {
    let at_its_end = matches!(fact.step, Step::TaskCanceled | Step::TaskFinished | Step::TaskFailed { .. });
    matches!(fact.actor, Actor::Task(_)) && !at_its_end
}

impl Probe for NodeProbe {
    fn measure(&self, measurement: &Measurement) {
        self.stage.world.ledger.measure(measurement);
    }

    fn wants_content(&self) -> bool {
        true
    }

    fn reach(&self, fact: &Fact) -> Reached {
        if !self.stage.world.is_alive(&self.node) {
            // The rest of a dead node's last poll: nobody sees it.
            return Reached::Hold(Box::pin(std::future::pending()));
        }
        let index = self.stage.record(self.node.clone(), Event::Fact(fact.clone()));
        self.stage.world.ledger.step(self.stage.now(), fact);
        self.check(index, fact);
        let due = self.stage.judge().matcher.on_fact(fact);
        let mut stall = None;
        let mut kill = None;
        for (fault, action) in due {
            let done = match &action {
                Action::KillTask if !is_task_at_work(fact) => false,
                Action::KillTask => {
                    kill = Some(fault);
                    true
                }
                Action::Stall { us } => {
                    stall = Some(Duration::from_micros(*us));
                    self.stage.record(self.node.clone(), Event::Fault(format!("stalled for {us} µs")));
                    true
                }
                action => self.stage.disturb(&self.node, action),
            };
            if done {
                self.stage.judge().fired.push(Fired {
                    fault,
                    action,
                    step: Some(fact.step.kind()),
                    message: None,
                    event: index,
                });
            }
        }
        if !self.stage.world.is_alive(&self.node) {
            return Reached::Hold(Box::pin(std::future::pending()));
        }
        if self.stage.is_paused(&self.node) {
            // Whatever the poll would do after this step it does when the node goes on.
            stall = stall.or(Some(Duration::from_micros(1)));
        }
        if let Some(fault) = kill {
            // A panic like any other, but without the message and the backtrace on standard error.
            std::panic::resume_unwind(Box::new(format!("killed by fault {fault} of the plan")));
        }
        match stall {
            Some(stall) => Reached::Hold(self.stage.world.sleep(stall)),
            None => Reached::Continue,
        }
    }
}
