//! The testbed bites: each defect that is planted is found, and without one the same runs hold.
#![cfg(feature = "defects")]

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

use tidegate::defect::Defect;
use tidegate_scenarios::hunt::{Search, search};

/// So many runs are enough to find any defect that the faults, scenarios and checkers of today can reach.
const MOST: u64 = 20_000;

/// The searches for these defects from the first base on, one thread a core.
fn searches(defects: &[Defect]) -> Vec<(Defect, Search)> {
    let next = AtomicUsize::new(0);
    let hunt = || {
        let take = || defects.get(next.fetch_add(1, Ordering::Relaxed));
        std::iter::from_fn(take)
            .map(|defect| (*defect, search(Some(*defect), 0, MOST, &|| true).unwrap()))
            .collect::<Vec<_>>()
    };
    let cores = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        let hunters: Vec<_> = (0..cores).map(|_| scope.spawn(hunt)).collect();
        hunters.into_iter().flat_map(|hunter| hunter.join().unwrap()).collect()
    })
}

#[test]
fn each_defect_is_found() {
    let searches = searches(Defect::ALL);
    let missed: Vec<_> = searches.iter().filter(|(_, s)| s.caught.is_none()).map(|(d, _)| d.slug()).collect();
    assert!(missed.is_empty(), "not found within {MOST} runs: {}", missed.join(", "));
}

/// The runs that convict nearly all defects acquit the engine.
#[test]
fn without_a_defect_the_same_runs_hold() {
    let Search { caught, runs, .. } = search(None, 0, 1_000, &|| true).unwrap();
    assert!(caught.is_none(), "{caught:?}");
    assert_eq!(runs, 1_000);
}
