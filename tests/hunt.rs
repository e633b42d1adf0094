//! The testbed bites: each defect that is planted is found, and without one the same runs hold.
#![cfg(feature = "defects")]

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

use tidegate::defect::Defect;
use tidegate_scenarios::hunt::{Search, search};

/// So many runs are enough to find any defect that the faults, scenarios and checkers of today can reach.
const MOST: u64 = 1_000;

/// Defects that they cannot reach, or so rarely that it takes thousands of runs. Whoever adds what one of them needs
/// (`Defect::needs`) takes it off the list.
const OUT_OF_REACH: &[Defect] = &[
    // Control messages that are lost, late or doubled.
    Defect::OldTriggerTaken,
    Defect::RepeatedCommitNotAnswered,
    // The same; today a message is seldom under way just when its attempt fails.
    Defect::DeadAttemptCounts,
    // Errors of the disk at a step, and when a restore point is read.
    Defect::IndeterminateManifestDiscarded,
    Defect::UnreadableNewestSkipped,
    // Nodes that are paused and wake up.
    Defect::PartWithoutAttempt,
    // Wide sinks.
    Defect::CleanUpByPrefix,
    // Checkers of operator lists, and of who is connected with whom.
    Defect::ListsDealtAnew,
    Defect::StaleProducerLetIn,
];

/// The searches for these defects from the first base on, one thread a core.
fn searches(defects: &[Defect]) -> Vec<(Defect, Search)> {
    let next = AtomicUsize::new(0);
    let hunt = || {
        let take = || defects.get(next.fetch_add(1, Ordering::Relaxed));
        std::iter::from_fn(take).map(|defect| (*defect, search(Some(*defect), 0, MOST).unwrap())).collect::<Vec<_>>()
    };
    let cores = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        let hunters: Vec<_> = (0..cores).map(|_| scope.spawn(hunt)).collect();
        hunters.into_iter().flat_map(|hunter| hunter.join().unwrap()).collect()
    })
}

#[test]
fn each_defect_is_found() {
    let within_reach: Vec<Defect> = Defect::ALL.iter().copied().filter(|d| !OUT_OF_REACH.contains(d)).collect();
    let searches = searches(&within_reach);
    let missed: Vec<_> = searches.iter().filter(|(_, s)| s.caught.is_none()).map(|(d, _)| d.slug()).collect();
    assert!(missed.is_empty(), "not found within {MOST} runs: {}", missed.join(", "));
}

/// The runs that convict a defect acquit the engine.
#[test]
fn without_a_defect_the_same_runs_hold() {
    let Search { caught, runs, .. } = search(None, 0, MOST).unwrap();
    assert!(caught.is_none(), "{caught:?}");
    assert_eq!(runs, MOST);
}
