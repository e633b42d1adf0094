//! One run: a job on a cluster under a plan of faults, and the verdict on it.
//!
//! Safety first: faults happen as the plan says, and the checkers watch. Once nothing is broken any more, and nothing of the
//! plan is left that could break something soon, the job has a bounded virtual time to end (I15).

use std::{
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Duration,
};

use madsim::{
    runtime::{Handle, Runtime},
    time::TimeHandle,
};
use serde::{Deserialize, Serialize};
use tidegate::{
    env::spawner::panic_message,
    error::Result,
    graph::JobGraph,
    instant::Instant,
    probe::{Fact, JobStatus, Step, StepKind},
};
use tokio::sync::mpsc;

use crate::{
    checker::{self, Violation},
    cluster::{Judge, Order, Stage, node_names},
    env::{Crash, World, WorldSettings, WorldStreams},
    fault::{Action, Anchor, FaultPlan, PlanMatcher, Victim},
    history::{Event, History, Recorder, describe},
    seed::{Seed, Stream},
    workload::Workload,
};

/// How long, in virtual time, a job may take from the last disturbance to its end.
const LIVENESS_LIMIT: Duration = Duration::from_secs(30);

/// The cluster of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterShape {
    /// How many task managers.
    pub task_managers: u32,
    /// How many slots each has.
    pub slots: u32,
    /// How many records a batch has.
    pub batch_size: usize,
    /// How many batches may be under way on a channel.
    pub channel_credits: u32,
}

/// Everything that decides a run.
#[derive(Clone)]
pub struct RunSpec {
    /// The scenario's name, for people.
    pub scenario: String,
    /// The seed, from which the world's own randomness follows.
    pub seed: Seed,
    /// The job.
    pub workload: Arc<dyn Workload>,
    /// The cluster.
    pub shape: ClusterShape,
    /// The world when nothing is broken.
    pub world: WorldSettings,
    /// What goes wrong.
    pub plan: FaultPlan,
}

/// A fault that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fired {
    /// Its place in the plan.
    pub fault: usize,
    /// What it did.
    pub action: Action,
    /// At which step, if it was tied to one.
    pub step: Option<StepKind>,
    /// Its place in the history.
    pub event: usize,
}

/// Whether the guarantees held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// All of them.
    Held,
    /// At least one did not.
    Broken,
    /// Two runs of the same seed differ; nothing else that the runs say counts.
    Nondeterministic,
}

/// How a crash that hit a step is counted: what was killed, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CrashKind {
    /// A task.
    Task,
    /// A node, by a kill of its process.
    Process,
    /// A node, by loss of power.
    Power,
}

/// What came of a run.
#[derive(Clone)]
pub struct RunReport {
    /// Whether the guarantees held.
    pub verdict: Verdict,
    /// Which did not.
    pub violations: Vec<Violation>,
    /// Checksum of the history.
    pub trace_hash: u64,
    /// Completed checkpoints.
    pub checkpoints_completed: u64,
    /// Checkpoints that were given up.
    pub checkpoints_aborted: u64,
    /// How often an attempt started from a checkpoint.
    pub restores: u64,
    /// How often an attempt started, from wherever.
    pub attempts: u64,
    /// The faults that happened.
    pub fired: Vec<Fired>,
    /// How often each step was interrupted by each kind of crash.
    pub crash_coverage: BTreeMap<(StepKind, CrashKind), u64>,
    /// How often each step was taken.
    pub steps: BTreeMap<StepKind, u64>,
    /// Virtual time from start to end.
    pub virtual_time: Duration,
    /// What happened.
    pub history: History,
    /// The job, for names.
    pub graph: Arc<JobGraph>,
}

/// Runs it.
///
/// # Errors
/// `BadInput` if the job's graph makes no sense or the plan does not fit it.
pub fn run(spec: &RunSpec) -> Result<RunReport> {
    run_within(spec, |simulate| simulate())
}

/// Runs it in a thread of its own, where `around` is called, which may do something before the simulation and after it.
pub(crate) fn run_within<T: Send>(
    spec: &RunSpec,
    around: impl FnOnce(&dyn Fn() -> RunReport) -> T + Send,
) -> Result<T> {
    let graph = Arc::new(spec.workload.graph()?);
    spec.plan.validate(&graph, &node_names(spec.shape.task_managers))?;
    // A thread that has run a simulation has used up its standard library's first random keys.
    let finished = std::thread::scope(|scope| scope.spawn(|| around(&|| simulate(spec, &graph))).join());
    Ok(finished.expect("the simulation catches panics itself"))
}

/// Runs it in this thread, which must be a fresh one.
fn simulate(spec: &RunSpec, graph: &Arc<JobGraph>) -> RunReport {
    use rand_chacha::rand_core::Rng;
    let scheduler_seed = spec.seed.stream(Stream::Scheduler).next_u64();
    let runtime = Runtime::with_seed_and_config(scheduler_seed, madsim::Config::default());
    let recorder = Recorder::default();
    let outcome = catch_unwind(AssertUnwindSafe(|| runtime.block_on(conduct(spec, graph.clone(), recorder.clone()))));
    let history = recorder.take();
    match outcome {
        Ok(ended) => report(history, ended, graph.clone()),
        Err(panic) => {
            let message = format!("the simulation panicked: {}", panic_message(&*panic));
            // What was running when it panicked cannot be dropped outside of its runtime.
            std::mem::forget(runtime);
            let event = history.entries.len().checked_sub(1);
            let violation = Violation { invariant: "I15".into(), message, event };
            let ended = Ended { violations: vec![violation], fired: Vec::new(), at: Instant(0) };
            report(history, ended, graph.clone())
        }
    }
}

/// How the run ended, apart from its history.
struct Ended {
    violations: Vec<Violation>,
    fired: Vec<Fired>,
    at: Instant,
}

async fn conduct(spec: &RunSpec, graph: Arc<JobGraph>, recorder: Recorder) -> Ended {
    let streams = WorldStreams {
        network: spec.seed.stream(Stream::Network),
        disk: spec.seed.stream(Stream::Disk),
        entropy: spec.seed.stream(Stream::Entropy),
    };
    let world = World::new(streams, spec.world.clone());
    for (path, contents) in spec.workload.input_files() {
        world.disk.write_file_now(path, contents);
    }
    let checkpoint_directory = PathBuf::from("/checkpoints");
    world.disk.create_directory_now(spec.workload.output_directory().parent().expect("it is not the root"));
    let context = checker::Context {
        graph: graph.clone(),
        workload: spec.workload.clone(),
        checkpoint_directory: checkpoint_directory.clone(),
    };
    let judge = Judge {
        matcher: PlanMatcher::new(&spec.plan, &graph),
        checkers: checker::all(&context),
        violations: Vec::new(),
        fired: Vec::new(),
    };
    let (orders, incoming) = mpsc::unbounded_channel();
    let stage = Arc::new(Stage {
        world,
        graph,
        shape: spec.shape.clone(),
        checkpoint_directory,
        recorder,
        time: TimeHandle::current(),
        orders,
        judge: Mutex::new(judge),
        nodes: Mutex::default(),
    });
    stage.start();
    let outcome = Director::new(stage.clone(), &spec.plan).run(incoming).await;
    let at = stage.now();
    shut_down(&stage).await;
    let mut judge = stage.judge.lock().expect("nobody panics while holding this lock");
    let Judge { checkers, violations, fired, .. } = &mut *judge;
    let finished = outcome.is_ok();
    if let Err(message) = outcome {
        violations.push(Violation { invariant: "I15".into(), message, event: None });
    }
    for checker in checkers {
        if let Err(message) = checker.finish(finished, &*stage.world.disk) {
            violations.push(Violation { invariant: checker.id().to_owned(), message, event: None });
        }
    }
    Ended { violations: std::mem::take(violations), fired: std::mem::take(fired), at }
}

/// Madsim leaks what still waits at the end: so all nodes die, and get the time to do so.
async fn shut_down(stage: &Stage) {
    let names = node_names(stage.shape.task_managers);
    for name in &names {
        stage.world.end(name);
    }
    let ids: Vec<_> = stage.nodes.lock().expect("nobody panics while holding this lock").values().copied().collect();
    for id in ids {
        Handle::current().kill(id);
    }
    madsim::time::sleep(Duration::from_millis(10)).await;
}

/// Carries out what is to happen later, and waits for the job's end.
struct Director {
    stage: Arc<Stage>,
    /// By time, then by order of asking.
    agenda: BTreeMap<(Instant, u64), Task>,
    asked: u64,
    /// When the run was last disturbed.
    disturbed: Instant,
}

enum Task {
    Restart(String),
    Heal(String, String),
    EndDelay(String, String),
    Fault(usize, Action),
}

impl Director {
    fn new(stage: Arc<Stage>, plan: &FaultPlan) -> Self {
        let mut director = Self { stage, agenda: BTreeMap::new(), asked: 0, disturbed: Instant(0) };
        for (i, fault) in plan.faults.iter().enumerate() {
            if let Anchor::Time { us } = fault.at {
                director.plan(Instant(us * 1_000), Task::Fault(i, fault.action.clone()));
            }
        }
        director
    }

    fn plan(&mut self, at: Instant, task: Task) {
        self.asked += 1;
        self.agenda.insert((at, self.asked), task);
    }

    /// Until the job has finished, or it is clear that it will not.
    async fn run(mut self, mut incoming: mpsc::UnboundedReceiver<Order>) -> Result<(), String> {
        loop {
            let deadline = self.disturbed + LIVENESS_LIMIT;
            let next = self.agenda.keys().next().map_or(deadline, |(at, _)| *at);
            let sleep = self.stage.world.sleep_until(next);
            let order = match futures_util::future::select(std::pin::pin!(incoming.recv()), sleep).await {
                futures_util::future::Either::Left((order, _)) => order.expect("the stage holds a sender"),
                futures_util::future::Either::Right(_) => {
                    match self.agenda.pop_first() {
                        Some((_, task)) => self.carry_out(task),
                        None => return Err(self.stuck()),
                    }
                    continue;
                }
            };
            match order {
                Order::Restart { node, at } => self.plan(at, Task::Restart(node)),
                Order::Heal { a, b, at } => self.plan(at, Task::Heal(a, b)),
                Order::EndDelay { a, b, at } => self.plan(at, Task::EndDelay(a, b)),
                Order::Returned { node, result: Err(error) } => return Err(format!("node {node} gave up: {error}")),
                Order::Returned { result: Ok(Some(JobStatus::Finished)), .. } => return Ok(()),
                Order::Returned { result: Ok(Some(status)), .. } => return Err(format!("the job ended as {status:?}")),
                // A task manager has heard that the job has ended.
                Order::Returned { result: Ok(None), .. } => {}
            }
            self.disturbed = self.stage.now();
        }
    }

    fn carry_out(&mut self, task: Task) {
        self.disturbed = self.stage.now();
        let network = &self.stage.world.network;
        match task {
            Task::Restart(node) => self.stage.restart(&node),
            Task::Heal(a, b) => network.heal(&a, &b),
            Task::EndDelay(a, b) => network.delay_link(&a, &b, Duration::ZERO),
            Task::Fault(fault, action) => {
                if self.stage.disturb(crate::cluster::JOB_MANAGER, &action) {
                    let mut judge = self.stage.judge.lock().expect("nobody panics while holding this lock");
                    judge.fired.push(Fired { fault, action, step: None, event: 0 });
                }
            }
        }
    }

    fn stuck(&self) -> String {
        format!("nothing is broken any more, and the job has not ended within {LIVENESS_LIMIT:?} of virtual time")
    }
}

fn report(history: History, ended: Ended, graph: Arc<JobGraph>) -> RunReport {
    let mut steps = BTreeMap::new();
    let (mut restores, mut attempts) = (0, 0);
    for (_, fact) in history.facts() {
        *steps.entry(fact.step.kind()).or_default() += 1;
        if let Fact { step: Step::AttemptStarted { restored, .. }, .. } = fact {
            attempts += 1;
            restores += u64::from(restored.is_some());
        }
    }
    let mut crash_coverage = BTreeMap::new();
    for fired in &ended.fired {
        let kind = match &fired.action {
            Action::KillTask => CrashKind::Task,
            Action::Crash { victim: Victim::Here | Victim::JobManager | Victim::TaskManager(_), crash, .. } => {
                match crash {
                    Crash::Process => CrashKind::Process,
                    Crash::Power => CrashKind::Power,
                }
            }
            _ => continue,
        };
        if let Some(step) = fired.step {
            *crash_coverage.entry((step, kind)).or_default() += 1;
        }
    }
    let count = |kind| steps.get(&kind).copied().unwrap_or(0);
    RunReport {
        verdict: if ended.violations.is_empty() { Verdict::Held } else { Verdict::Broken },
        trace_hash: history.trace_hash(),
        checkpoints_completed: count(StepKind::CheckpointCompleted),
        checkpoints_aborted: count(StepKind::CheckpointAborted),
        restores,
        attempts,
        violations: ended.violations,
        fired: ended.fired,
        crash_coverage,
        steps,
        virtual_time: Duration::from_nanos(ended.at.0),
        history,
        graph,
    }
}

/// Two runs of the same spec, in two threads. Equal histories, or a report that says where they part.
///
/// # Errors
/// Those of [`run`].
pub fn check_determinism(spec: &RunSpec) -> Result<RunReport> {
    let (first, second) = (run(spec)?, run(spec)?);
    let Some(at) = first.history.first_difference(&second.history) else { return Ok(first) };
    let line =
        |history: &History| history.entries.get(at).map_or_else(|| "nothing".into(), |e| describe(e, &first.graph));
    let message = format!("event {at} is {} in one run and {} in another", line(&first.history), line(&second.history));
    let violation = Violation { invariant: "I19".into(), message, event: Some(at) };
    Ok(RunReport { verdict: Verdict::Nondeterministic, violations: vec![violation], ..first })
}

/// Whether the event is one that people want to read of in a short story.
#[must_use]
pub fn is_notable(event: &Event) -> bool {
    match event {
        Event::Fact(fact) => matches!(
            fact.step,
            Step::AttemptStarted { .. }
                | Step::CheckpointCompleted
                | Step::CheckpointAborted { .. }
                | Step::TaskFailed { .. }
                | Step::TaskManagerLost { .. }
                | Step::RestartScheduled { .. }
                | Step::TermClaimed { .. }
                | Step::JobEnded { .. }
        ),
        _ => true,
    }
}
