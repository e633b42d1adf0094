//! The sweep: one scenario is struck everywhere, of all it is known how many points they have, and a sweep can fail.

use std::{collections::BTreeMap, fmt::Write as _, sync::Arc, thread};

use tidegate::{graph::JobGraph, job::RestartStrategy, probe::StepKind};
use tidegate_scenarios::catalogue::{SCENARIOS, find};
use tidegate_sim::{
    env::Crash,
    fault::FaultPlan,
    many::in_order,
    run::{RunSpec, Verdict},
    sweep::{Aim, Counts, Fate, Outcome, Pairs, Point, Survey, Tally},
    workload::Lines,
};
use tidegate_suite::{ChangedJob, seeds};

const ALL: &[Crash] = &[Crash::Process, Crash::Power];

fn survey(scenario: &str, seed: u64) -> Survey {
    let survey = Survey::of(&find(scenario).unwrap().spec(seed).unwrap()).unwrap();
    assert_eq!(survey.report.verdict, Verdict::Held, "{scenario} {seed}: {:?}", survey.report.violations);
    survey
}

/// Runs the points on all cores; each outcome is looked at, in order.
fn sweep(spec: &RunSpec, points: &[Point], mut look: impl FnMut(&Point, Outcome)) -> Counts {
    let jobs = thread::available_parallelism().map_or(1, usize::from);
    let mut tally = Tally::default();
    let tell = |i: u64, outcome: Outcome| {
        let point = &points[i as usize];
        tally.add(point.step(), outcome.fate);
        look(point, outcome);
        true
    };
    in_order(0..points.len() as u64, jobs, &|| true, |i| points[i as usize].run_and_follow(spec), tell).unwrap();
    tally.total()
}

/// Fails with everything that is needed to repeat the run.
fn must_hold(point: &Point, outcome: &Outcome) {
    let plan = point.plan().to_json();
    assert_eq!(outcome.fate, Fate::Held, "{point}: {:?}\nits plan is\n{plan}", outcome.violations);
}

#[test]
fn small_holds_at_every_point() {
    let survey = survey("small", 1);
    let points = survey.points(ALL);
    let counts = sweep(&survey.spec, &points, |point, outcome| must_hold(point, &outcome));
    assert_eq!(counts, Counts { held: points.len() as u64, broken: 0, missed: 0 });
    assert!(points.len() > 1_000, "only {} points", points.len());
}

/// Snapshots in the manifest and in files, side by side.
#[test]
fn small_inline_holds_at_every_point() {
    let survey = survey("small-inline", 1);
    let points = survey.points(ALL);
    let counts = sweep(&survey.spec, &points, |point, outcome| must_hold(point, &outcome));
    assert_eq!(counts, Counts { held: points.len() as u64, broken: 0, missed: 0 });
    let steps = |kind| survey.report.steps.get(&kind).copied().unwrap_or_default();
    assert_eq!(survey.report.checkpoints_aborted, 0, "something builds on what has no file");
    let (all, files) = (steps(StepKind::Acknowledged), steps(StepKind::SnapshotFileTaken));
    assert!(0 < files && files < all, "{files} of {all} snapshots are in files");
}

/// The job is the same whatever the seed, and so is the number of its checkpoints.
#[test]
fn small_has_three_checkpoints() {
    for seed in seeds(0..100) {
        let survey = survey("small", seed);
        assert_eq!(survey.report.checkpoints_completed, 3, "seed {seed}");
        assert_eq!(survey.report.checkpoints_aborted, 0, "seed {seed}");
    }
}

/// A step that nobody can be struck at any more, or a new one that nobody is struck at, changes this table. Review it, then
/// `INSTA_UPDATE=always cargo test --test kill_sweep`.
#[test]
fn how_many_points_there_are() {
    let count = |name: &str| {
        let mut counts = BTreeMap::<StepKind, usize>::new();
        for point in survey(name, 1).points(ALL) {
            *counts.entry(point.step()).or_default() += 1;
        }
        counts
    };
    let counts: Vec<_> = SCENARIOS.iter().map(|scenario| (scenario, count(scenario.name))).collect();
    // Aimed scenarios run the same jobs: their totals will do.
    let columns: Vec<_> = counts.iter().filter(|(s, _)| !s.is_aimed).map(|(s, counts)| (s.name, counts)).collect();
    let mut table = format!("{:27}", "");
    columns.iter().for_each(|(name, _)| write!(table, " {name:>14}").unwrap());
    for step in StepKind::ALL {
        write!(table, "\n{:27}", step.to_string()).unwrap();
        columns.iter().for_each(|(_, counts)| write!(table, " {:>14}", counts.get(step).unwrap_or(&0)).unwrap());
    }
    for (scenario, counts) in &counts {
        write!(table, "\nall of {:20} {:>14}", scenario.name, counts.values().sum::<usize>()).unwrap();
    }
    insta::assert_snapshot!(table);
}

/// The whole of the recovery from one crash, struck again: a manifest that was shown and not synced, and then the loss of power
/// that may take it away.
#[test]
fn a_second_crash_falls_into_the_recovery_from_the_first() {
    let survey = survey("small", 1);
    let is_first = |point: &&Point| {
        let strike = &point.first;
        strike.place.step == StepKind::ManifestShown && strike.place.checkpoint == Some(2) && strike.aim == Aim::Here
    };
    let firsts: Vec<Point> = survey.points(&[Crash::Process]).iter().filter(is_first).cloned().collect();
    assert_eq!(firsts.len(), 1);
    let mut pairs = Pairs::default();
    sweep(&survey.spec, &firsts, |point, outcome| {
        must_hold(point, &outcome);
        let recovery = outcome.recovery.expect("the first crash has fallen");
        pairs.add(&point.first, &recovery, &[Crash::Power]);
        let found = pairs.points.len();
        pairs.add(&point.first, &recovery, &[Crash::Power]);
        assert_eq!((pairs.points.len(), pairs.pruned.firsts, pairs.pruned.pairs), (found, 1, found as u64));
    });
    let struck = |step| pairs.points.iter().any(|point| point.step() == step);
    for step in [StepKind::RestorePointChosen, StepKind::SnapshotRead, StepKind::AttemptRunning] {
        assert!(struck(step), "nobody is struck at {step}");
    }
    let last = pairs.points.last().unwrap();
    assert_eq!(last.step(), StepKind::CheckpointCompleted, "the recovery ends with it");
    let counts = sweep(&survey.spec, &pairs.points, must_hold_both);
    assert_eq!(counts.held, pairs.points.len() as u64);
}

fn must_hold_both(point: &Point, outcome: Outcome) {
    assert_eq!(point.plan().faults.len(), 2);
    must_hold(point, &outcome);
}

/// The job of a scenario, made worse.
fn worse(may_restart: bool, expected_lines: Option<Lines>) -> RunSpec {
    let spec = find("small").unwrap().spec(1).unwrap();
    let give_up = move |graph: &mut JobGraph| {
        if !may_restart {
            graph.restart = RestartStrategy::None;
        }
    };
    ChangedJob::of(&spec, give_up).expecting(expected_lines).in_place(spec)
}

/// A job that gives up at its first failure does well without one. Only the sweep shows what is wrong with it.
#[test]
fn what_cannot_recover_is_found() {
    let survey = Survey::of(&worse(false, None)).unwrap();
    assert_eq!(survey.report.verdict, Verdict::Held);
    let at_the_counter = |point: &&Point| {
        let place = &point.first.place;
        place.step == StepKind::StateFrozen && &*place.actor == "count/1" && point.first.aim == Aim::Here
    };
    let points: Vec<Point> = survey.points(ALL).iter().filter(at_the_counter).cloned().collect();
    let counts = sweep(&survey.spec, &points, |point, outcome| {
        assert_eq!(outcome.fate, Fate::Broken, "{point}");
        assert_eq!(outcome.violations[0].invariant, "I15", "{point}: {:?}", outcome.violations);
    });
    assert_eq!(counts, Counts { held: 0, broken: 6, missed: 0 }, "three checkpoints, two kinds of crash");
}

/// A wrong expectation is not taken for a fault of the crashes: the survey has it already.
#[test]
fn what_is_wrong_without_any_crash_is_found_first() {
    let survey = Survey::of(&worse(true, Some(Lines::new()))).unwrap();
    assert_eq!(survey.spec.plan, FaultPlan::new(Vec::new()));
    assert_eq!(survey.report.verdict, Verdict::Broken);
    assert_eq!(survey.report.violations[0].invariant, "I2");
}

/// Nothing goes wrong in a run whose crash does not happen. That is not to be taken for a proof.
#[test]
fn a_crash_that_does_not_happen_is_missed() {
    let survey = survey("small", 1);
    let mut point = survey.points(ALL).swap_remove(0);
    Arc::make_mut(&mut point.first.place).occurrence = 1_000;
    let counts = sweep(&survey.spec, &[point], |_, outcome| assert!(outcome.recovery.is_none()));
    assert_eq!(counts, Counts { held: 0, broken: 0, missed: 1 });
}
