//! The testbed bites: each defect that is planted is found, and without one the same runs hold.
#![cfg(feature = "defects")]

use std::{collections::BTreeMap, thread};

use tidegate::defect::Defect;
use tidegate_scenarios::hunt::{Search, search};

/// So many runs are enough to find any defect that today's faults can reach.
const MOST: u64 = 2_000;

/// Defects that need a fault or a scenario that does not exist yet.
const OUT_OF_REACH: &[Defect] = &[];

/// The search for each defect, two at a time.
fn searches(defects: &[Defect], most: u64) -> BTreeMap<Defect, Search> {
    let jobs = thread::available_parallelism().map_or(1, usize::from);
    let mut found = BTreeMap::new();
    for some in defects.chunks(jobs) {
        thread::scope(|scope| {
            let hunt = |defect: &Defect| scope.spawn({
                let defect = *defect;
                move || search(Some(defect), 0, most).unwrap()
            });
            let hunts: Vec<_> = some.iter().map(hunt).collect();
            found.extend(some.iter().copied().zip(hunts.into_iter().map(|hunt| hunt.join().unwrap())));
        });
    }
    found
}

#[test]
fn each_defect_is_found() {
    let within_reach: Vec<Defect> = Defect::ALL.iter().copied().filter(|d| !OUT_OF_REACH.contains(d)).collect();
    let searches = searches(&within_reach, MOST);
    let missed: Vec<_> = searches.iter().filter(|(_, s)| s.caught.is_none()).map(|(d, _)| d.slug()).collect();
    assert!(missed.is_empty(), "not found within {MOST} runs: {}", missed.join(", "));
}

/// The runs that convict a defect acquit the engine: nothing else is wrong with them.
#[test]
fn without_a_defect_the_same_runs_hold() {
    let most = if OUT_OF_REACH.is_empty() { MOST } else { 600 };
    let Search { caught, runs, .. } = search(None, 0, most).unwrap();
    assert!(caught.is_none(), "{caught:?}");
    assert_eq!(runs, most);
}
