//! One run: a job on a cluster under a plan of faults, and the verdict on it.
//!
//! Safety first: faults happen as the plan says, and the checkers watch. Then what is left of the plan is void, what is broken
//! is mended, and the job has a bounded virtual time to end (I15); see `director`.

use std::{
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
    sync::{Arc, Mutex, atomic::AtomicUsize},
    time::Duration,
};

use madsim::{
    runtime::{Handle, Runtime},
    time::TimeHandle,
};
use serde::{Deserialize, Serialize};
use tidegate::{
    env::spawner::panic_message,
    error::{ErrorKind, Result},
    graph::JobGraph,
    instant::Instant,
    probe::{Fact, Step, StepKind},
    runtime::MessageKind,
};
use tokio::sync::mpsc;

use crate::{
    aftermath,
    checker::{self, Deployments, Violation},
    cluster::{Judge, Stage, node_names},
    cost::Costs,
    director::Director,
    env::{World, WorldSettings, WorldStreams},
    fault::{Action, FaultKind, FaultPlan, Guarantee, PlanMatcher},
    history::{Event, History, Recorder, describe},
    seed::{Seed, Stream},
    workload::Workload,
};

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
    /// How the job must end.
    pub expectation: Expectation,
}

/// How a job must end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Expectation {
    /// Well.
    #[default]
    Finishes,
    /// It gives up, because of an error of this kind; what is visible by then is right.
    FailsWith(ErrorKind),
}

/// How a job did end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ending {
    /// Well.
    Finished,
    /// It gave up, and said why, as was expected.
    Failed(String),
    /// It cannot go on, for a reason that lies outside of it: no slots are left, the disk is full for ever.
    Explained(String),
    /// It cannot go on, though it should, or has ended otherwise than it should.
    Wrong,
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
    /// To which control message it was done, if it was.
    pub message: Option<MessageKind>,
    /// Its place in the history: of the step, or of what was recorded of the fault.
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
    /// How the job ended.
    pub ending: Ending,
    /// How often each kind of fault happened right after each step: the one that it is tied to, or else the last one taken
    /// by anybody.
    pub coverage: BTreeMap<(StepKind, FaultKind), u64>,
    /// How often each kind of fault had an effect on the disk: an error that was armed may never have met its operation.
    pub disk_faults: BTreeMap<FaultKind, u64>,
    /// How often each step was taken.
    pub steps: BTreeMap<StepKind, u64>,
    /// Virtual time from start to end.
    pub virtual_time: Duration,
    /// What checkpoints have cost, in operations.
    pub costs: Costs,
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
    let rescaled = spec.workload.rescaled().transpose()?.map(Arc::new);
    spec.plan.validate(&graph, &node_names(spec.shape.task_managers))?;
    let graphs: Vec<_> = std::iter::once(graph).chain(rescaled).collect();
    // A thread that has run a simulation has used up its standard library's first random keys.
    let finished = std::thread::scope(|scope| scope.spawn(|| around(&|| simulate(spec, &graphs))).join());
    Ok(finished.expect("the simulation catches panics itself"))
}

/// Runs it in this thread, which must be a fresh one.
fn simulate(spec: &RunSpec, graphs: &[Arc<JobGraph>]) -> RunReport {
    use rand_chacha::rand_core::Rng;
    let scheduler_seed = spec.seed.stream(Stream::Scheduler).next_u64();
    let runtime = Runtime::with_seed_and_config(scheduler_seed, madsim::Config::default());
    let recorder = Recorder::default();
    let outcome = catch_unwind(AssertUnwindSafe(|| runtime.block_on(conduct(spec, graphs.to_vec(), recorder.clone()))));
    let (history, graph) = (recorder.take(), graphs[0].clone());
    match outcome {
        Ok(ended) => report(history, ended, graph),
        Err(panic) => {
            let message = format!("the simulation panicked: {}", panic_message(&*panic));
            // What was running when it panicked cannot be dropped outside of its runtime.
            std::mem::forget(runtime);
            let event = history.entries.len().checked_sub(1);
            let violation = Violation { invariant: "I15".into(), message, event };
            let ended = Ended {
                violations: vec![violation],
                fired: Vec::new(),
                disk_faults: BTreeMap::new(),
                ending: Ending::Wrong,
                at: Instant(0),
                costs: Costs::default(),
            };
            report(history, ended, graph)
        }
    }
}

/// How the run ended, apart from its history.
struct Ended {
    violations: Vec<Violation>,
    fired: Vec<Fired>,
    disk_faults: BTreeMap<FaultKind, u64>,
    ending: Ending,
    at: Instant,
    costs: Costs,
}

async fn conduct(spec: &RunSpec, graphs: Vec<Arc<JobGraph>>, recorder: Recorder) -> Ended {
    let world = World::new(WorldStreams::of(spec.seed), spec.world.clone());
    for (path, contents) in spec.workload.input_files() {
        world.disk.write_file_now(path, contents);
    }
    let checkpoint_directory = PathBuf::from("/checkpoints");
    world.disk.create_directory_now(spec.workload.output_directory().parent().expect("it is not the root"));
    world.ledger.lay_out(&checkpoint_directory, spec.workload.output_directory());
    let deployments = Deployments::new(graphs[0].clone());
    let context = checker::Context {
        deployments: deployments.clone(),
        workload: spec.workload.clone(),
        checkpoint_directory: checkpoint_directory.clone(),
    };
    let is_beyond = spec.plan.guarantee == Guarantee::Beyond;
    let judge = Judge {
        matcher: PlanMatcher::new(&spec.plan, &graphs[0]),
        checkers: checker::all(&context).into_iter().filter(|c| !is_beyond || c.holds_beyond()).collect(),
        violations: Vec::new(),
        fired: Vec::new(),
    };
    let (orders, incoming) = mpsc::unbounded_channel();
    let stage = Arc::new(Stage {
        world,
        graphs,
        deployed: AtomicUsize::new(0),
        deployments,
        shape: spec.shape.clone(),
        checkpoint_directory,
        recorder,
        time: TimeHandle::current(),
        orders,
        judge: Mutex::new(judge),
        nodes: Mutex::default(),
    });
    stage.start();
    let (outcome, disturbed) = Director::new(stage.clone(), spec).run(incoming).await;
    let (at, costs) = (stage.now(), stage.world.ledger.costs());
    shut_down(&stage).await;
    let mut judge = stage.judge();
    let Judge { checkers, violations, fired, .. } = &mut *judge;
    // An error of the disk waits for its operation, which may come long after the fault itself.
    let disturbed = disturbed.max(stage.world.disk.last_fault());
    let ending = outcome.unwrap_or_else(|message| {
        violations.push(Violation { invariant: "I15".into(), message, event: None });
        Ending::Wrong
    });
    // A job that rightly cannot go on fails again and again.
    if !is_beyond && ending == Ending::Finished {
        violations.extend(stage.recorder.look(|history| {
            // The director hears of what lasts; what is over at once, as the loss of a message, is in the history alone.
            let fired = fired.iter().filter_map(|fired| history.entries.get(fired.event)).map(|entry| entry.at);
            aftermath::judge(history, fired.fold(disturbed, Instant::max), at)
        }));
    }
    for checker in checkers {
        if let Err(message) = checker.finish(ending == Ending::Finished, &*stage.world.disk) {
            violations.push(Violation { invariant: checker.id().to_owned(), message, event: None });
        }
    }
    let (violations, fired) = (std::mem::take(violations), std::mem::take(fired));
    Ended { violations, fired, disk_faults: stage.world.disk.happened(), ending, at, costs }
}

/// Madsim leaks what still waits at the end: so all nodes die, and get the time to do so.
async fn shut_down(stage: &Stage) {
    let nodes = stage.node_ids();
    for name in nodes.keys() {
        stage.world.end(name);
    }
    for id in nodes.into_values() {
        Handle::current().kill(id);
    }
    madsim::time::sleep(Duration::from_millis(10)).await;
}

/// How often each kind of fault happened after each step.
fn coverage(history: &History, fired: &[Fired]) -> BTreeMap<(StepKind, FaultKind), u64> {
    let mut coverage = BTreeMap::new();
    for fired in fired {
        let before = history.entries.iter().take(fired.event + 1).rev();
        let last = || {
            before.clone().find_map(|e| if let Event::Fact(fact) = &e.event { Some(fact.step.kind()) } else { None })
        };
        if let Some(step) = fired.step.or_else(last) {
            *coverage.entry((step, fired.action.kind())).or_default() += 1;
        }
    }
    coverage
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
    let coverage = coverage(&history, &ended.fired);
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
        ending: ended.ending,
        coverage,
        disk_faults: ended.disk_faults,
        steps,
        virtual_time: Duration::from_nanos(ended.at.0),
        costs: ended.costs,
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
