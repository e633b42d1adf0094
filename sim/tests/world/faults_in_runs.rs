//! A small job under every fault of messages, connections and nodes: it ends well each time, and each fault did happen.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::RangeInclusive,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use tidegate::{
    checkpoint::CheckpointOptions,
    connector::FileSink,
    error::Result,
    graph::{JobGraph, StreamExecutionEnvironment},
    job::RestartStrategy,
    probe::{Fact, Step, StepKind},
    runtime::MessageKind,
    state::{KeyGroupEntries, OperatorSnapshot},
};
use tidegate_sim::{
    env::{Crash, WorldSettings},
    fault::{Action, Anchor, Fault, FaultPlan, Victim},
    history::{Entry, Event},
    run::{ClusterShape, Ending, Expectation, RunReport, RunSpec, Verdict, run},
    seed::Seed,
    workload::{Lines, StateEntry, Workload, entries_of},
};

use crate::support::counts::{elements_split, put_line};

const WORDS: u64 = 60;

/// Counts words of one letter, which come one by one.
struct Letters {
    inputs: BTreeMap<PathBuf, Vec<u8>>,
    checkpoints: CheckpointOptions,
}

impl Letters {
    /// A checkpoint every 4 ms.
    fn new(timeout_ms: u64, tolerable_failures: u32) -> Self {
        let [interval, timeout] = [4, timeout_ms].map(Duration::from_millis);
        let checkpoints = CheckpointOptions {
            interval,
            timeout,
            tolerable_failures,
            inline_threshold: 0,
            ..CheckpointOptions::default()
        };
        Self { inputs: BTreeMap::new(), checkpoints }
    }
}

fn letter(i: u64) -> String {
    char::from(b'a' + (i % 7) as u8).to_string()
}

impl Workload for Letters {
    fn input_files(&self) -> &BTreeMap<PathBuf, Vec<u8>> {
        &self.inputs
    }

    fn graph(&self) -> Result<JobGraph> {
        let mut env = StreamExecutionEnvironment::new();
        *env.checkpoint_options_mut() = self.checkpoints.clone();
        let delay = Duration::from_millis(5);
        env.set_restart_strategy(RestartStrategy::FixedDelay { attempts: u32::MAX, delay });
        let words = env.from_elements((0..WORDS).map(letter));
        let counts = words.key_by(String::clone).sum(|_| 1_u64).set_parallelism(2);
        let sink = FileSink::new(self.output_directory(), put_line);
        counts.sink_to(sink).set_parallelism(2);
        env.job_graph("Letters")
    }

    fn output_directory(&self) -> &Path {
        Path::new("/output")
    }

    fn expected_output(&self) -> Lines {
        (0..WORDS).map(|i| (format!("{}\t{}", letter(i), i / 7 + 1).into_bytes(), 1)).collect()
    }

    fn check_state(&self, _: &BTreeMap<String, Vec<OperatorSnapshot>>) -> std::result::Result<(), String> {
        Ok(())
    }

    fn entries(&self, _: &str, _: &str, group: &KeyGroupEntries) -> std::result::Result<Vec<StateEntry>, String> {
        entries_of::<String, u64>(group)
    }

    fn splits(&self) -> BTreeMap<String, RangeInclusive<u64>> {
        [(format!("0..{WORDS}"), 0..=WORDS)].into()
    }

    fn split(&self, item: &[u8]) -> std::result::Result<(String, u64), String> {
        elements_split(item)
    }
}

/// What comes of the job on so many task managers with a slot each.
fn outcome(seed: u64, task_managers: u32, faults: &[Fault]) -> RunReport {
    outcome_of(Letters::new(100, 1), seed, task_managers, faults)
}

fn outcome_of(letters: Letters, seed: u64, task_managers: u32, faults: &[Fault]) -> RunReport {
    let spec = RunSpec {
        scenario: "letters".into(),
        seed: Seed(seed),
        workload: Arc::new(letters),
        shape: ClusterShape { task_managers, slots: 1, batch_size: 1, channel_credits: 1 },
        world: WorldSettings::default(),
        plan: FaultPlan::new(faults.to_vec()),
        expectation: Expectation::Finishes,
    };
    run(&spec).expect("the job makes sense")
}

/// Requires that the guarantees hold under each list of faults, over a few seeds, and that all faults happen in some seed.
#[track_caller]
fn all_hold(task_managers: u32, plans: impl IntoIterator<Item = Vec<Fault>>, mut look: impl FnMut(&RunReport)) {
    let mut broken = Vec::new();
    for faults in plans {
        let mut happened = 0;
        for seed in 1..4 {
            let report = outcome(seed, task_managers, &faults);
            happened = happened.max(report.fired.len());
            let violations =
                report.violations.iter().map(|v| format!("seed {seed}, {faults:?}: {}: {}", v.invariant, v.message));
            broken.extend(violations);
            assert_eq!(report.verdict == Verdict::Held, report.violations.is_empty());
            look(&report);
        }
        if happened < faults.len() {
            broken.push(format!("{faults:?}: {happened} happened"));
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

fn at(step: StepKind, occurrence: u32) -> Anchor {
    Anchor::Step { step, actor: None, checkpoint: None, occurrence }
}

fn on(message: MessageKind, occurrence: u32, action: Action) -> Fault {
    Fault { at: Anchor::Message { message, task_manager: None, checkpoint: None, occurrence }, action }
}

fn task_manager(name: &str) -> Victim {
    Victim::TaskManager(name.into())
}

fn message_faults() -> [Action; 6] {
    [
        Action::LoseMessage,
        Action::DelayMessage { by_us: 300 },
        Action::DelayMessage { by_us: 20_000 },
        Action::DelayMessage { by_us: 400_000 },
        Action::RepeatMessage { after_us: 1 },
        Action::RepeatMessage { after_us: 30_000 },
    ]
}

/// What makes a message be sent at all.
fn causes(message: MessageKind) -> Vec<Fault> {
    match message {
        MessageKind::Decline | MessageKind::NotifyAborted => {
            [2, 5].map(|n| Fault { at: at(StepKind::SnapshotWritten, n), action: Action::KillTask }).into()
        }
        _ => Vec::new(),
    }
}

/// I18: the protocol of checkpoints relies on no message, on no order of them, and on none coming once.
#[test]
fn control_messages_may_be_lost_late_and_repeated() {
    let mut plans = Vec::new();
    for message in MessageKind::LOSABLE {
        for action in message_faults() {
            // Each of the first, and several in a row.
            for occurrence in 1..=2 {
                plans.push([causes(*message), vec![on(*message, occurrence, action.clone())]].concat());
            }
            let row = (1..=4).map(|occurrence| on(*message, occurrence, action.clone()));
            if causes(*message).is_empty() {
                plans.push(row.collect());
            }
        }
    }
    all_hold(2, plans, |_| {});
}

/// The request and its reply, in the very last checkpoint: nothing comes after it that would make up for the loss.
#[test]
fn the_last_checkpoint_may_lose_messages_too() {
    let report = outcome(1, 2, &[]);
    let checkpoints = report.steps[&StepKind::CheckpointTriggered];
    let lost = |message, checkpoint| Fault {
        at: Anchor::Message { message, task_manager: None, checkpoint: Some(checkpoint), occurrence: 1 },
        action: Action::LoseMessage,
    };
    let kinds = [MessageKind::Trigger, MessageKind::Acknowledge, MessageKind::NotifyComplete, MessageKind::Committed];
    let mut broken = Vec::new();
    for message in kinds {
        let report = outcome(1, 2, &[lost(message, checkpoints)]);
        let violations = report.violations.iter().map(|v| format!("{message:?}: {}: {}", v.invariant, v.message));
        broken.extend(violations);
        assert_eq!(report.fired.len(), 1, "{message:?} of checkpoint {checkpoints}");
        assert_eq!(report.ending, Ending::Finished);
    }
    assert_eq!(broken, [""; 0]);
}

/// Its effect comes with the time-out of the checkpoint, long after the message was lost; it is still that fault's.
#[test]
fn a_message_that_is_lost_late_in_a_run_is_a_disturbance() {
    let lost = [on(MessageKind::Acknowledge, 1, Action::LoseMessage)];
    let again = [3, 4].map(|n| on(MessageKind::Trigger, n, Action::LoseMessage));
    let report = outcome_of(Letters::new(600, 0), 1, 2, &[&lost[..], &again].concat());
    assert_eq!((report.violations, report.fired.len(), report.attempts), (Vec::new(), 3, 3));
    assert!(report.virtual_time > Duration::from_millis(1_200), "{:?}", report.virtual_time);
}

/// Longer than the job manager waits for a sign of life, and not as long.
const PAUSES_US: [u64; 2] = [90_000, 20_000];

/// The steps of a task manager's tasks at which it matters most who else goes on meanwhile.
const TASK_STEPS: [StepKind; 9] = [
    StepKind::TaskRunning,
    StepKind::BarrierReceived,
    StepKind::StateFrozen,
    StepKind::SnapshotSynced,
    StepKind::Acknowledged,
    StepKind::PartOpened,
    StepKind::PartPending,
    StepKind::PartRenamed,
    StepKind::Committed,
];

fn fact(event: &Event) -> Option<&Fact> {
    if let Event::Fact(fact) = event { Some(fact) } else { None }
}

/// A node that stands still does nothing. Gives what it did after it had been given up, before it noticed.
fn deeds_of_zombies(report: &RunReport) -> usize {
    let (mut asleep, mut given_up) = (BTreeSet::new(), BTreeSet::new());
    let mut deeds = 0;
    for entry in &report.history.entries {
        match &entry.event {
            Event::Fault(what) if what == "stops" => drop(asleep.insert(entry.node.clone())),
            Event::Fault(what) if what == "goes on" => drop(asleep.remove(&entry.node)),
            Event::Crashed(_) => drop(asleep.remove(&entry.node)),
            event => {
                let Some(fact) = fact(event) else { continue };
                assert!(!asleep.contains(&entry.node), "{} does something in its sleep: {fact:?}", entry.node);
                match &fact.step {
                    Step::TaskManagerLost { task_manager, .. } => drop(given_up.insert(task_manager.to_string())),
                    Step::TaskManagerRegistered { task_manager } => drop(given_up.remove(&task_manager.to_string())),
                    _ => deeds += usize::from(given_up.contains(&*entry.node)),
                }
            }
        }
    }
    deeds
}

#[test]
fn a_task_manager_may_stop_and_go_on_as_a_zombie() {
    let pause = |step, n, for_us| Fault { at: at(step, n), action: Action::Pause { victim: Victim::Here, for_us } };
    let steps = TASK_STEPS.iter().flat_map(|step| [1, 3].map(|n| (*step, n)));
    let plans = steps.flat_map(|(step, n)| PAUSES_US.map(|for_us| vec![pause(step, n, for_us)]));
    let mut deeds = 0;
    all_hold(3, plans.collect::<Vec<_>>(), |report| deeds += deeds_of_zombies(report));
    assert!(deeds > 100, "nobody did anything after it had been given up: {deeds}");
}

#[test]
fn a_job_manager_may_stop_and_go_on() {
    let steps = [
        StepKind::TaskManagerRegistered,
        StepKind::CheckpointTriggered,
        StepKind::AllAcknowledged,
        StepKind::ManifestShown,
        StepKind::CheckpointCompleted,
    ];
    let plans = steps.into_iter().flat_map(|step| {
        PAUSES_US.map(|for_us| vec![Fault { at: at(step, 2), action: Action::Pause { victim: Victim::Here, for_us } }])
    });
    all_hold(2, plans.collect::<Vec<_>>(), |report| _ = deeds_of_zombies(report));
}

#[test]
fn a_node_that_stands_still_may_die() {
    let pause = Action::Pause { victim: task_manager("tm-1"), for_us: 300_000 };
    let crash = |crash| Action::Crash { victim: task_manager("tm-1"), crash, restart_after_us: 5_000 };
    let plans = [Crash::Process, Crash::Power].into_iter().flat_map(|kind| {
        [StepKind::CheckpointTriggered, StepKind::TaskManagerLost].map(|then| {
            let faults = [(StepKind::CheckpointTriggered, pause.clone()), (then, crash(kind))];
            faults.map(|(step, action)| Fault { at: at(step, 1), action }).into()
        })
    });
    all_hold(2, plans.collect::<Vec<_>>(), |report| {
        deeds_of_zombies(report);
        assert_eq!(report.ending, Ending::Finished);
    });
}

#[test]
fn a_task_manager_may_be_replaced() {
    for crash in [Crash::Process, Crash::Power] {
        let replace = Action::Replace { victim: Victim::Here, crash, after_us: 10_000 };
        let plans = TASK_STEPS.map(|step| vec![Fault { at: at(step, 2), action: replace.clone() }]);
        all_hold(2, plans, |report| {
            let by_another = |entry: &Entry| &*entry.node == "tm-3" && matches!(entry.event, Event::Fact(_));
            assert!(report.fired.is_empty() || report.history.entries.iter().any(by_another), "nobody took its place");
        });
    }
}

/// Each new one has a name of its own, also while another one has not started yet.
#[test]
fn two_task_managers_may_be_replaced_at_once() {
    let replace = |name, after_us| Fault {
        at: at(StepKind::CheckpointTriggered, 2),
        action: Action::Replace { victim: task_manager(name), crash: Crash::Power, after_us },
    };
    all_hold(2, [vec![replace("tm-1", 20_000), replace("tm-2", 10_000)]], |report| {
        let lives = |name: &str| report.history.entries.iter().any(|e| &*e.node == name && fact(&e.event).is_some());
        assert!(lives("tm-3") && lives("tm-4"));
    });
}

#[test]
fn a_task_manager_may_go_for_good_if_the_slots_are_enough() {
    let remove = Action::Remove { victim: Victim::Here, crash: Crash::Power };
    let plans = TASK_STEPS.map(|step| vec![Fault { at: at(step, 2), action: remove.clone() }]);
    all_hold(3, plans.clone(), |report| assert_eq!(report.ending, Ending::Finished));
    all_hold(2, plans, |report| {
        // A job whose last task has committed may end without them.
        let explained = Ending::Explained("1 slots are left, and the job needs 2".into());
        assert!([explained, Ending::Finished].contains(&report.ending), "{:?}", report.ending);
    });
}

/// One connection after another falls silent, where it is new, and where it matters.
#[test]
fn connections_may_fall_silent() {
    let pairs = [("jm", "tm-1"), ("tm-2", "jm"), ("tm-1", "tm-2")];
    let steps = [
        StepKind::TaskManagerRegistered,
        StepKind::TaskDeployed,
        StepKind::TaskRunning,
        StepKind::BarrierReceived,
        StepKind::CheckpointCompleted,
        StepKind::Committed,
        StepKind::TaskFinished,
    ];
    let silence = |(a, b): (&str, &str)| Action::Silence { a: a.into(), b: b.into() };
    let plans = steps
        .iter()
        .flat_map(|step| pairs.map(|pair| [1, 2].map(|n| Fault { at: at(*step, n), action: silence(pair) }).into()));
    all_hold(2, plans.collect::<Vec<_>>(), |report| assert_eq!(report.ending, Ending::Finished));
}

#[test]
fn a_link_may_be_narrow_cut_one_way_and_slow() {
    let (from, to) = ("tm-1".to_owned(), "jm".to_owned());
    let actions = [1, 10, 100].map(|bytes_per_ms| Action::Throttle {
        a: "tm-1".into(),
        b: "tm-2".into(),
        bytes_per_ms,
        for_us: 200_000,
    });
    let cuts = [
        Action::Cut { from: from.clone(), to: to.clone(), heal_after_us: 150_000 },
        Action::Cut { from: to.clone(), to: from.clone(), heal_after_us: 150_000 },
        Action::Cut { from: "tm-1".into(), to: "tm-2".into(), heal_after_us: 30_000 },
        Action::Throttle { a: to, b: from, bytes_per_ms: 3, for_us: 500_000 },
    ];
    let plans = actions.into_iter().chain(cuts).flat_map(|action| {
        [StepKind::TaskRunning, StepKind::BarrierReceived, StepKind::AllAcknowledged]
            .map(|step| vec![Fault { at: at(step, 2), action: action.clone() }])
    });
    all_hold(2, plans.collect::<Vec<_>>(), |report| assert_eq!(report.ending, Ending::Finished));
}
