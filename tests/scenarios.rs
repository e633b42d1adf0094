//! Every scenario over many seeds. `TIDEGATE_SEED=7` or `TIDEGATE_SEEDS=0..10000` chooses others.

use std::{collections::BTreeSet, ops::Range, thread};

use tidegate::{
    id::CheckpointId,
    probe::{Fact, Step, StepKind},
    runtime::MessageKind,
    stream::CheckpointMode,
};
use tidegate_scenarios::{
    catalogue::{SCENARIOS, find},
    scenarios::was_hit,
};
use tidegate_sim::{fault::FaultKind, many::run_many, run::RunReport};
use tidegate_suite::{failure, seeds};

/// Runs the seeds of a scenario, requires that all hold, and hands the reports on.
fn all_hold(name: &str, default: Range<u64>, mut look: impl FnMut(&RunReport)) {
    let scenario = find(name).unwrap();
    let jobs = thread::available_parallelism().map_or(1, usize::from);
    let mut failures = Vec::new();
    let judge = |seed, report: RunReport| {
        look(&report);
        failures.extend(failure(&report, &format!("sim {name} --seed {seed}")));
        failures.len() < 3
    };
    run_many(seeds(default), jobs, |seed| scenario.spec(seed), judge).unwrap();
    assert!(failures.is_empty(), "{name}: {}", failures.join("\n\n"));
}

/// Whether the seeds are those of the test, which are enough to reach everything; luck has no part in it.
fn are_default_seeds() -> bool {
    seeds(0..0).is_empty()
}

/// Faults are tied to steps, so that a thousand seeds are enough to interrupt every one of them by every kind of crash that
/// can hit it, and to see every kind of fault happen, and every control message lost, late and doubled.
#[test]
fn wordcount() {
    let (mut reached, mut messages, mut on_disk) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    let mut of_tasks = BTreeSet::new();
    all_hold("wordcount", 0..1_000, |report| {
        reached.extend(report.coverage.keys().copied());
        on_disk.extend(report.disk_faults.keys().copied());
        of_tasks
            .extend(report.history.facts().filter(|(_, fact)| is_of_a_task_at_work(fact)).map(|(_, f)| f.step.kind()));
        messages.extend(report.fired.iter().filter_map(|fired| Some((fired.message?, fired.action.kind()))));
    });
    if !are_default_seeds() {
        return;
    }
    for crash in [FaultKind::Process, FaultKind::Power] {
        let missed: Vec<_> = StepKind::ALL.iter().filter(|step| !reached.contains(&(**step, crash))).collect();
        assert_eq!(missed, Vec::<&StepKind>::new(), "never interrupted by {crash}");
    }
    let missed: Vec<_> = of_tasks.iter().filter(|step| !reached.contains(&(**step, FaultKind::KillTask))).collect();
    assert_eq!(missed, Vec::<&StepKind>::new(), "no task was ever killed there");
    // What is armed need not go off.
    for kind in [FaultKind::DiskError, FaultKind::NoSpace, FaultKind::AfterEffect, FaultKind::StallDisk] {
        assert!(on_disk.contains(&kind), "no disk operation ever suffered {kind}");
    }
    let drawn: BTreeSet<FaultKind> = reached.iter().map(|(_, kind)| *kind).collect();
    let missed: Vec<_> =
        FaultKind::ALL.iter().filter(|kind| !drawn.contains(kind) && !NOT_DRAWN.contains(kind)).collect();
    assert_eq!(missed, Vec::<&FaultKind>::new(), "never happened");
    for message in MessageKind::LOSABLE {
        for kind in [FaultKind::Lose, FaultKind::Late, FaultKind::Repeat] {
            assert!(messages.contains(&(*message, kind)), "{kind} never happened to a message of kind {message:?}");
        }
    }
}

fn is_of_a_task_at_work(fact: &Fact) -> bool {
    let at_its_end = matches!(fact.step, Step::TaskFinished | Step::TaskFailed { .. } | Step::TaskCanceled);
    fact.task().is_some() && !at_its_end
}

/// Faults that only a plan written by hand has: with `remove` a job may have no slots left, and a lying sync is not the
/// engine's to notice.
const NOT_DRAWN: &[FaultKind] = &[FaultKind::Remove, FaultKind::LyingSync];

#[test]
fn ledger() {
    all_hold("ledger", 0..1_000, |_| {});
}

/// What a scenario aims at it hits, in most of its runs.
#[test]
fn aimed_scenarios() {
    for scenario in SCENARIOS.iter().filter(|s| s.is_aimed) {
        let (mut runs, mut hits) = (0, 0);
        all_hold(scenario.name, 0..100, |report| {
            runs += 1;
            hits += u64::from(was_hit(report));
        });
        assert!(
            !are_default_seeds() || hits * 2 > runs,
            "{} hits what it aims at in {hits} of {runs} runs",
            scenario.name
        );
    }
}

/// Most of its state does not change from one checkpoint to the next, and so is not written again.
#[test]
fn large_state() {
    let mut incremental = 0;
    all_hold("large-state", 0..100, |report| {
        let metrics = report.costs.completed.values().filter_map(|checkpoint| checkpoint.metrics);
        incremental += metrics.map(|metrics| u64::from(metrics.incremental)).sum::<u64>();
    });
    assert!(!are_default_seeds() || incremental > 100, "{incremental} snapshots hold only what has changed");
}

/// Small enough to be swept whole, which is another test; seeds also delay, cut and stall it.
#[test]
fn small() {
    all_hold("small", 0..500, |_| {});
}

/// The same with some of its snapshots in the manifest.
#[test]
fn small_inline() {
    all_hold("small-inline", 0..300, |_| {});
}

/// There are runs with files, runs without, and runs with both; and all of them recover.
#[test]
fn inline_snapshots() {
    let [mut with_files, mut without, mut with_both] = [0; 3];
    all_hold("inline-snapshots", 0..500, |report| {
        if report.restores == 0 {
            return;
        }
        let steps = |kind| report.steps.get(&kind).copied().unwrap_or_default();
        match (steps(StepKind::Acknowledged), steps(StepKind::SnapshotFileTaken)) {
            (_, 0) => without += 1,
            (all, files) if all > files => with_both += 1,
            _ => with_files += 1,
        }
    });
    let seen = [with_both, without];
    assert!(!are_default_seeds() || seen.iter().all(|n| *n > 20), "{with_files} with files, {seen:?} otherwise");
}

/// The weaker promise is a weaker one: some snapshots do reflect records from behind the barrier.
#[test]
fn at_least_once() {
    let mut overtaken = 0;
    all_hold("at-least-once", 0..1_000, |report| {
        assert_eq!(report.graph.checkpoints.as_ref().unwrap().mode, CheckpointMode::AtLeastOnce);
        for (id, checkpoint) in &report.costs.completed {
            let seen = records_that_overtook_their_barrier(report, *id);
            assert_eq!(checkpoint.metrics.unwrap().overtaken, seen, "checkpoint {id} of {}", report.trace_hash);
            overtaken += seen;
        }
    });
    if are_default_seeds() {
        assert!(overtaken > 0, "no record ever overtook its barrier: is something blocked?");
    }
}

fn records_that_overtook_their_barrier(report: &RunReport, id: CheckpointId) -> u64 {
    let facts = || report.history.facts().map(|(_, fact)| fact).filter(|fact| fact.checkpoint == Some(id));
    let sent = |attempt, channel| {
        facts().find_map(|fact: &Fact| match (&fact.step, fact.task()) {
            (Step::BarrierForwarded { channel: c, records }, Some(task))
                if *c == channel && task.attempt == attempt =>
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
            overtaken += records - sent(task.attempt, *channel).unwrap_or(*records);
        }
    }
    overtaken
}

#[test]
fn every_scenario_of_the_catalogue_is_tested() {
    let names: Vec<&str> = SCENARIOS.iter().filter(|s| !s.is_aimed).map(|s| s.name).collect();
    assert_eq!(
        names,
        ["wordcount", "ledger", "at-least-once", "large-state", "small", "inline-snapshots", "small-inline"],
        "a new scenario needs a test above"
    );
}
