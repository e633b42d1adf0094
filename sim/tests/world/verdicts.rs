//! A run is judged: what does not end, what is wrong, and what differs from one run to the next is reported.

use std::{
    collections::BTreeMap,
    ops::RangeInclusive,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tidegate::{
    connector::FileSink,
    error::Result,
    graph::{JobGraph, StreamExecutionEnvironment},
    job::RestartStrategy,
    probe::StepKind,
    state::{KeyGroupEntries, OperatorSnapshot},
};
use tidegate_sim::{
    env::{Crash, WorldSettings},
    fault::{Action, Anchor, Fault, FaultPlan, Victim},
    run::{ClusterShape, Expectation, RunSpec, Verdict, check_determinism, run},
    seed::Seed,
    workload::{Lines, StateEntry, Workload, entries_of},
};

use crate::support::counts::{elements_split, put_line};

/// Counts the words `a b a c`, each sent through a function first.
#[derive(Clone)]
struct Letters {
    map: fn(String) -> String,
    restart: RestartStrategy,
    inputs: BTreeMap<PathBuf, Vec<u8>>,
    expected: fn() -> Lines,
    state: fn() -> std::result::Result<(), String>,
}

impl Default for Letters {
    fn default() -> Self {
        Self {
            map: |word| word,
            restart: RestartStrategy::FixedDelay { attempts: u32::MAX, delay: Duration::from_secs(1) },
            inputs: BTreeMap::new(),
            expected: || ["a\t1", "a\t2", "b\t1", "c\t1"].map(|line| (line.as_bytes().to_vec(), 1)).into(),
            state: || Ok(()),
        }
    }
}

impl Workload for Letters {
    fn input_files(&self) -> &BTreeMap<PathBuf, Vec<u8>> {
        &self.inputs
    }

    fn graph(&self) -> Result<JobGraph> {
        let mut env = StreamExecutionEnvironment::new();
        env.enable_checkpointing(Duration::from_millis(5))
            .set_inline_snapshot_threshold(0)
            .set_restart_strategy(self.restart.clone());
        let words = env.from_elements(["a", "b", "a", "c"].map(str::to_owned)).map(self.map);
        let counts = words.key_by(String::clone).sum(|_| 1_u64);
        counts.sink_to(FileSink::new(self.output_directory(), put_line));
        env.job_graph("Letters")
    }

    fn output_directory(&self) -> &Path {
        Path::new("/output")
    }

    fn expected_output(&self) -> Lines {
        (self.expected)()
    }

    fn check_state(&self, _: &BTreeMap<String, Vec<OperatorSnapshot>>) -> std::result::Result<(), String> {
        (self.state)()
    }

    fn entries(&self, _: &str, _: &str, group: &KeyGroupEntries) -> std::result::Result<Vec<StateEntry>, String> {
        entries_of::<String, u64>(group)
    }

    fn splits(&self) -> BTreeMap<String, RangeInclusive<u64>> {
        [("0..4".to_owned(), 0..=4)].into()
    }

    fn split(&self, item: &[u8]) -> std::result::Result<(String, u64), String> {
        elements_split(item)
    }
}

fn spec(workload: Letters) -> RunSpec {
    RunSpec {
        scenario: "letters".into(),
        seed: Seed(1),
        workload: Arc::new(workload),
        shape: ClusterShape { task_managers: 2, slots: 1, batch_size: 1, channel_credits: 1 },
        world: WorldSettings::default(),
        plan: FaultPlan::new(Vec::new()),
        expectation: Expectation::Finishes,
    }
}

/// Each violation of a run, with its name.
fn violations(workload: Letters) -> Vec<String> {
    let report = run(&spec(workload)).expect("the job makes sense");
    let broken = report.verdict == Verdict::Broken;
    assert_eq!(broken, !report.violations.is_empty());
    report.violations.iter().map(|v| format!("{}: {}", v.invariant, v.message)).collect()
}

#[test]
fn a_right_run_holds() {
    let report = check_determinism(&spec(Letters::default())).expect("the job makes sense");
    assert_eq!((report.verdict, report.violations), (Verdict::Held, Vec::new()));
    assert!(report.steps.contains_key(&StepKind::Committed), "{:?}", report.steps);
}

#[test]
fn a_job_that_does_not_end_well_is_reported() {
    // A panic like any other, but without a word on standard error.
    let poison = |_| std::panic::resume_unwind(Box::new("poison"));
    let foreign = BTreeMap::from([(PathBuf::from("/output/.notes"), Vec::new())]);
    let cases = [
        Letters { map: poison, ..Letters::default() },
        Letters { map: poison, restart: RestartStrategy::None, ..Letters::default() },
        Letters { inputs: foreign, ..Letters::default() },
        Letters { expected: || std::panic::resume_unwind(Box::new("no reference")), ..Letters::default() },
    ];
    insta::assert_snapshot!(cases.map(violations).concat().join("\n"), @r#"
    I15: livelock: nothing is broken any more, and the job has not ended within 30s of virtual time, in 30 attempts, the last of which failed: task source/0: panicked: poison
    I15: the job ended as Failed(Error { kind: UserCode, message: "panicked: poison", context: ["task source/0"] }), but it should finish
    I15: node jm gave up: job Letters: vertex sink: operator sink-3: the output directory /output holds .notes, which no sink wrote: choose an empty directory, or move the file away
    I15: the simulation panicked: no reference
    "#);
}

#[test]
fn wrong_output_and_state_are_reported() {
    let expected = || [("a\t1", 1), ("d\t1", 1)].map(|(line, n)| (line.as_bytes().to_vec(), n)).into();
    let mut output = violations(Letters { expected, ..Letters::default() });
    output.truncate(3);
    insta::assert_snapshot!(output.join("\n"), @r#"
    I2: part-0-1-1.1-0 holds "b\t1", which no run can give
    I16: the job is finished, but "d\t1" is durable 0 times instead of 1
    I2: "d\t1" is visible 0 times instead of 1, and the job is finished
    "#);
    let mut state = violations(Letters { state: || Err("no fold of anything".into()), ..Letters::default() });
    state.truncate(1);
    insta::assert_snapshot!(state.join("\n"), @"I1: checkpoint 1: no fold of anything");
}

#[test]
fn time_is_counted_from_the_end_of_the_faults_and_what_is_broken_then_is_mended() {
    let crash = Action::Crash { victim: Victim::JobManager, crash: Crash::Power, restart_after_us: 90_000_000 };
    let plan = FaultPlan::new(vec![Fault { at: Anchor::Time { us: 1_000 }, action: crash }]);
    let report = run(&RunSpec { plan, ..spec(Letters::default()) }).expect("the job makes sense");
    assert_eq!(report.verdict, Verdict::Held, "{:?}", report.violations);
    assert!((10..11).contains(&report.virtual_time.as_secs()), "{:?}", report.virtual_time);
}

#[test]
fn two_runs_that_differ_are_reported() {
    static RECORDS: AtomicU64 = AtomicU64::new(0);
    let map = |word| format!("{word}{}", RECORDS.fetch_add(1, Ordering::Relaxed));
    let report = check_determinism(&spec(Letters { map, ..Letters::default() })).expect("the job makes sense");
    assert_eq!(report.verdict, Verdict::Nondeterministic);
    let [violation] = &report.violations[..] else { panic!("{:?}", report.violations) };
    assert_eq!(violation.invariant, "I19");
    let event = violation.event.expect("there is a first event that differs");
    assert!(event < report.history.entries.len());
    for part in [&format!("event {event} is "), "sum/0@1.1 chk 1 state-frozen", " in one run and "] {
        assert!(violation.message.contains(part), "{}", violation.message);
    }
}

/// Also between two steps, where no fault can be tied to one: when the checkpoint directory is made, when the end is recorded.
#[test]
fn the_job_manager_may_be_killed_at_any_time() {
    let whole = run(&spec(Letters::default())).expect("the job makes sense").virtual_time;
    let mut broken = Vec::new();
    for us in (0..whole.as_micros() as u64).step_by(50) {
        let kill = Action::Crash { victim: Victim::JobManager, crash: Crash::Process, restart_after_us: 500 };
        let plan = FaultPlan::new(vec![Fault { at: Anchor::Time { us }, action: kill }]);
        let report = run(&RunSpec { plan, ..spec(Letters::default()) }).expect("the job makes sense");
        broken.extend(report.violations.into_iter().map(|v| format!("{us} µs: {}: {}", v.invariant, v.message)));
    }
    assert_eq!(broken, [""; 0]);
}
