//! The engine's actors on simulated nodes, and the hand that crashes and restarts them.
//!
//! ```text
//!   node jm: run_job_manager      nodes tm-1, tm-2, …: run_task_manager
//!        └── each step ──► NodeProbe ──► history, checkers, and the faults that are due
//!                                             └── restarts and heals, later ──► Director (outside of all nodes)
//! ```
//!
//! A crash happens inside of `Probe::reach`, on the very step that it is tied to: the world forgets the node first, then
//! madsim kills it, and the step's future never resumes.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, Mutex},
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
    error::Error,
    exchange::Secret,
    graph::JobGraph,
    id::TaskManagerId,
    instant::Instant,
    probe::{Actor, Fact, JobStatus, Probe, Reached, Step},
    runtime::{ClusterOptions, JobManagerConfig, TaskManagerConfig, run_job_manager, run_task_manager},
};
use tokio::sync::mpsc;

use crate::{
    checker::{Checker, Violation},
    env::{Crash, World},
    fault::{Action, PlanMatcher, Victim},
    history::{Entry, Event, Recorder},
    run::{ClusterShape, Fired},
};

/// The name of the job manager's node.
pub const JOB_MANAGER: &str = "jm";
const JOB_MANAGER_PORT: u16 = 6123;

/// The names of all nodes of a cluster, the job manager's first.
#[must_use]
pub fn node_names(task_managers: u32) -> Vec<String> {
    std::iter::once(JOB_MANAGER.to_owned()).chain((1..=task_managers).map(|i| format!("tm-{i}"))).collect()
}

/// What the director is asked to do, now or later.
pub(crate) enum Order {
    Restart {
        node: String,
        at: Instant,
    },
    Heal {
        a: String,
        b: String,
        at: Instant,
    },
    EndDelay {
        a: String,
        b: String,
        at: Instant,
    },
    /// An actor of a node has returned.
    Returned {
        node: String,
        result: Result<Option<JobStatus>, Error>,
    },
}

/// What all nodes of a run share.
pub(crate) struct Stage {
    pub world: World,
    pub graph: Arc<JobGraph>,
    pub shape: ClusterShape,
    pub checkpoint_directory: PathBuf,
    pub recorder: Recorder,
    pub time: TimeHandle,
    pub orders: mpsc::UnboundedSender<Order>,
    pub judge: Mutex<Judge>,
    pub nodes: Mutex<BTreeMap<String, NodeId>>,
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

    fn judge(&self) -> std::sync::MutexGuard<'_, Judge> {
        self.judge.lock().expect("nobody panics while holding this lock")
    }

    fn record(&self, node: &str, event: Event) -> usize {
        self.recorder.record(Entry { at: self.now(), node: node.into(), event })
    }

    /// Makes the madsim nodes. Each runs its actor when it starts, and again after each restart.
    pub(crate) fn start(self: &Arc<Self>) {
        for name in node_names(self.shape.task_managers) {
            let (stage, node) = (self.clone(), name.clone());
            let run = move || {
                let (stage, node) = (stage.clone(), node.clone());
                async move { stage.live(node).await }
            };
            let handle: NodeHandle = Handle::current().create_node().name(&name).init(run).build();
            self.nodes.lock().expect("nobody panics while holding this lock").insert(name, handle.id());
        }
    }

    /// One life of a node.
    async fn live(self: Arc<Self>, node: String) {
        let env = self.world.boot(&node);
        let probe = Arc::new(NodeProbe { stage: self.clone(), node: node.as_str().into() });
        let result = if node == JOB_MANAGER {
            run_job_manager(env, probe, self.job_manager()).await.map(Some)
        } else {
            self.task_manager(env, probe, &node).await.map(|()| None)
        };
        // The director is gone when the run is over.
        let _ = self.orders.send(Order::Returned { node, result });
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
            graph: self.graph.clone(),
            address: Address::new(&format!("{JOB_MANAGER}:{JOB_MANAGER_PORT}")),
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
            job_manager: Address::new(&format!("{JOB_MANAGER}:{JOB_MANAGER_PORT}")),
            data_address: Address::new(&format!("{node}:0")),
            slots: self.shape.slots,
            graph: self.graph.clone(),
            checkpoint_directory: Some(self.checkpoint_directory.clone()),
            options: self.options(),
        };
        run_task_manager(env, probe, config).await
    }

    /// Ends a node's life now, and has it begin again later. False if it is dead already.
    pub(crate) fn crash(&self, node: &str, crash: Crash, restart_after: Duration) -> bool {
        if !self.world.is_alive(node) {
            return false;
        }
        self.record(node, Event::Crashed(crash));
        self.world.crash(node, crash);
        let id = self.nodes.lock().expect("nobody panics while holding this lock")[node];
        Handle::current().kill(id);
        let at = self.now() + restart_after;
        let _ = self.orders.send(Order::Restart { node: node.to_owned(), at });
        true
    }

    pub(crate) fn restart(&self, node: &str) {
        self.record(node, Event::Restarted);
        let id = self.nodes.lock().expect("nobody panics while holding this lock")[node];
        Handle::current().restart(id);
    }

    /// Does what a fault says, on behalf of `node`. Gives false if there was nothing to do it to.
    pub(crate) fn disturb(&self, node: &str, action: &Action) -> bool {
        let us = Duration::from_micros;
        let orders = |order| drop(self.orders.send(order));
        match action {
            Action::KillTask | Action::Stall { .. } => true,
            Action::Crash { victim, crash, restart_after_us } => {
                let victim = match victim {
                    Victim::Here => node,
                    Victim::JobManager => JOB_MANAGER,
                    Victim::TaskManager(name) => name,
                };
                self.crash(victim, *crash, us(*restart_after_us))
            }
            Action::Partition { a, b, heal_after_us } => {
                self.record(a, Event::Fault(format!("partition from {b}")));
                self.world.network.partition(a, b);
                orders(Order::Heal { a: a.clone(), b: b.clone(), at: self.now() + us(*heal_after_us) });
                true
            }
            Action::DelayLink { a, b, extra_us, for_us } => {
                self.record(a, Event::Fault(format!("{extra_us} µs further from {b}")));
                self.world.network.delay_link(a, b, us(*extra_us));
                orders(Order::EndDelay { a: a.clone(), b: b.clone(), at: self.now() + us(*for_us) });
                true
            }
            Action::ResetConnections { a, b } => {
                self.record(a, Event::Fault(format!("connections with {b} reset")));
                self.world.network.reset_connections(a, b);
                true
            }
        }
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
    fn reach(&self, fact: &Fact) -> Reached {
        if !self.stage.world.is_alive(&self.node) {
            // The rest of a dead node's last poll: nobody sees it.
            return Reached::Hold(Box::pin(std::future::pending()));
        }
        let index = self.stage.record(&self.node, Event::Fact(fact.clone()));
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
                    true
                }
                action => self.stage.disturb(&self.node, action),
            };
            if done {
                self.stage.judge().fired.push(Fired { fault, action, step: Some(fact.step.kind()), event: index });
            }
        }
        if !self.stage.world.is_alive(&self.node) {
            return Reached::Hold(Box::pin(std::future::pending()));
        }
        if let Some(fault) = kill {
            // A panic like any other, but without the message and the backtrace on standard error.
            std::panic::resume_unwind(Box::new(format!("killed by fault {fault} of the plan")));
        }
        match stall {
            Some(stall) => {
                self.stage.record(&self.node, Event::Fault(format!("stalled for {stall:?}")));
                Reached::Hold(self.stage.world.sleep(stall))
            }
            None => Reached::Continue,
        }
    }
}
