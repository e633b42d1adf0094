//! Snapshots that stand in the manifest: which do, and that a job goes on from them, also with another threshold and another
//! parallelism.

use std::collections::{BTreeMap, BTreeSet};

use tidegate::{
    graph::JobGraph,
    probe::{Step, StepKind},
};
use tidegate_scenarios::catalogue::find;
use tidegate_sim::{
    env::Crash,
    fault::{Action, Anchor, Fault, FaultPlan, Victim},
    run::{RunReport, RunSpec, run},
};
use tidegate_suite::{ChangedJob, failure};

/// More than any snapshot has.
const ALL: u64 = 20 << 10;

/// The run with these thresholds: at the job's parallelism, and at the other one.
fn spec(scenario: &str, seed: u64, threshold: u64, rescaled: u64) -> RunSpec {
    let spec = find(scenario).unwrap().spec(seed).unwrap();
    let set = |threshold| {
        move |graph: &mut JobGraph| {
            graph.checkpoints.as_mut().expect("the job takes checkpoints").inline_threshold = threshold;
        }
    };
    ChangedJob::of(&spec, set(threshold)).rescaled(set(rescaled)).in_place(spec)
}

fn held(spec: &RunSpec) -> RunReport {
    let report = run(spec).unwrap();
    if let Some(failure) = failure(&report, "test") {
        panic!("{failure}");
    }
    report
}

/// The length of each snapshot, whether it holds everything, and whether it has got a file.
fn snapshots(report: &RunReport) -> Vec<(u64, bool, bool)> {
    let mut encoded = BTreeMap::new();
    for (_, fact) in report.history.facts() {
        let key = (fact.task(), fact.checkpoint);
        match &fact.step {
            Step::SnapshotEncoded { bytes, builds_on, .. } => {
                encoded.insert(key, (*bytes, builds_on.is_none(), false));
            }
            Step::SnapshotFileTaken { .. } => encoded.get_mut(&key).expect("it is encoded first").2 = true,
            _ => {}
        }
    }
    encoded.into_values().collect()
}

fn undisturbed(threshold: u64) -> Vec<(u64, bool, bool)> {
    snapshots(&held(&RunSpec { plan: FaultPlan::new(Vec::new()), ..spec("small", 1, threshold, 0) }))
}

#[test]
fn a_snapshot_gets_a_file_if_it_is_longer_than_the_threshold_or_builds_on_another() {
    let without = undisturbed(0);
    assert!(without.iter().all(|(_, _, has_file)| *has_file));
    assert!(without.iter().any(|(_, is_full, _)| !is_full), "none builds on another");
    let lengths: BTreeSet<u64> = without.iter().filter(|(_, is_full, _)| *is_full).map(|(len, ..)| *len).collect();
    assert!(lengths.len() > 3, "{lengths:?}");
    let mut at_the_threshold = 0;
    for len in lengths {
        for threshold in [len - 1, len] {
            let snapshots = undisturbed(threshold);
            for (bytes, is_full, has_file) in &snapshots {
                assert_eq!(*has_file, !is_full || *bytes > threshold, "{bytes} bytes, {is_full}, {threshold}");
            }
            at_the_threshold += snapshots.iter().filter(|(bytes, ..)| *bytes == threshold).count();
        }
    }
    assert!(at_the_threshold > 3, "{at_the_threshold}");
}

fn crash(step: StepKind, occurrence: u32, victim: Victim, crash: Crash) -> Fault {
    let at = Anchor::Step { step, actor: None, checkpoint: None, occurrence };
    Fault { at, action: Action::Crash { victim, crash, restart_after_us: 2_000 } }
}

/// Each task in turn, and the job manager, in the middle of the job: what is restored is judged by all checkers.
#[test]
fn a_job_without_any_snapshot_file_recovers() {
    let mut restored = 0;
    for seed in 1..6 {
        for victim in ["tm-1", "tm-2", "tm-3"].map(|name| Victim::TaskManager(name.into())) {
            let faults = vec![
                crash(StepKind::CheckpointCompleted, 1, victim, Crash::Power),
                crash(StepKind::CheckpointCompleted, 2, Victim::JobManager, Crash::Process),
            ];
            let report = held(&RunSpec { plan: FaultPlan::new(faults), ..spec("small", seed, ALL, ALL) });
            assert!(!report.steps.contains_key(&StepKind::SnapshotFileTaken));
            restored += report.restores;
        }
    }
    assert!(restored >= 15, "{restored}");
}

/// What one threshold has put into manifests and into files is read at another parallelism, by a job with another threshold.
#[test]
fn a_job_goes_on_with_another_threshold_and_another_parallelism() {
    for (threshold, rescaled) in [(ALL, ALL), (ALL, 0), (0, ALL), (300, 100)] {
        let [mut from_manifests, mut from_files, mut redeployed] = [0; 3];
        for seed in 0..24 {
            let report = held(&spec("rescale", seed, threshold, rescaled));
            redeployed += report.fired.iter().filter(|f| matches!(f.action, Action::Redeploy { .. })).count();
            for (_, fact) in report.history.facts() {
                if let Step::SnapshotRead { files, .. } = &fact.step {
                    let inline = files.iter().filter(|(name, ..)| name.contains('/')).count();
                    from_manifests += inline;
                    from_files += files.len() - inline;
                }
            }
        }
        let seen = format!("{threshold}, {rescaled}: {redeployed}; {from_manifests} and {from_files}");
        assert!(redeployed > 20, "{seen}");
        assert_eq!(from_manifests > 0, threshold + rescaled > 0, "{seen}");
        assert_eq!(from_files > 0, threshold.min(rescaled) < ALL, "{seen}");
    }
}
