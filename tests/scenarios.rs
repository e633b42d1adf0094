//! Every scenario over many seeds. `TIDEGATE_SEED=7` or `TIDEGATE_SEEDS=0..10000` chooses others.

use std::{collections::BTreeSet, thread};

use tidegate::{
    probe::{Fact, Step, StepKind},
    stream::CheckpointMode,
};
use tidegate_scenarios::catalogue::{SCENARIOS, find};
use tidegate_sim::{
    many::run_many,
    run::{CrashKind, RunReport},
};
use tidegate_suite::{failure, seeds};

/// Runs the seeds of a scenario, requires that all hold, and hands the reports on.
fn all_hold(name: &str, mut look: impl FnMut(&RunReport)) {
    let scenario = find(name).unwrap();
    let jobs = thread::available_parallelism().map_or(1, usize::from);
    let mut failures = Vec::new();
    let judge = |seed, report: RunReport| {
        look(&report);
        failures.extend(failure(&report, &format!("sim {name} --seed {seed}")));
        failures.len() < 3
    };
    run_many(seeds(0..1_000), jobs, |seed| scenario.spec(seed), judge).unwrap();
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}

/// Faults are tied to steps, so that a thousand seeds are enough to interrupt every one of them by every kind of crash that
/// can hit it; luck has no part in it.
#[test]
fn wordcount() {
    let mut reached = BTreeSet::new();
    all_hold("wordcount", |report| reached.extend(report.crash_coverage.keys().copied()));
    if seeds(0..0).is_empty() {
        let missed = |kind| StepKind::ALL.iter().filter(|step| !reached.contains(&(**step, kind))).collect::<Vec<_>>();
        assert_eq!(missed(CrashKind::Process), Vec::<&StepKind>::new(), "never interrupted by a kill of the process");
        assert_eq!(missed(CrashKind::Power), Vec::<&StepKind>::new(), "never interrupted by a loss of power");
    }
}

#[test]
fn ledger() {
    all_hold("ledger", |_| {});
}

/// Small enough to be swept whole, which is another test; seeds also delay, cut and stall it.
#[test]
fn small() {
    all_hold("small", |_| {});
}

/// The weaker promise is a weaker one: some snapshots do reflect records from behind the barrier.
#[test]
fn at_least_once() {
    let mut overtaken = 0;
    all_hold("at-least-once", |report| {
        assert_eq!(report.graph.checkpoints.as_ref().unwrap().mode, CheckpointMode::AtLeastOnce);
        overtaken += records_that_overtook_their_barrier(report);
    });
    if seeds(0..0).is_empty() {
        assert!(overtaken > 0, "no record ever overtook its barrier: is something blocked?");
    }
}

fn records_that_overtook_their_barrier(report: &RunReport) -> u64 {
    let facts = || report.history.facts().map(|(_, fact)| fact);
    let sent = |id, attempt, channel| {
        facts().find_map(|fact: &Fact| match (&fact.step, fact.task()) {
            (Step::BarrierForwarded { channel: c, records }, Some(task))
                if *c == channel && fact.checkpoint == id && task.attempt == attempt =>
            {
                Some(*records)
            }
            _ => None,
        })
    };
    let mut overtaken = 0;
    for fact in facts() {
        let (Step::StateFrozen { reflected, .. }, Some(task)) = (&fact.step, fact.task()) else { continue };
        for (channel, records) in reflected {
            overtaken += records - sent(fact.checkpoint, task.attempt, *channel).unwrap_or(*records);
        }
    }
    overtaken
}

#[test]
fn every_scenario_of_the_catalogue_is_tested() {
    let names: Vec<&str> = SCENARIOS.iter().map(|s| s.name).collect();
    assert_eq!(names, ["wordcount", "ledger", "at-least-once", "small"], "a new scenario needs a test above");
}
