//! The price of a checkpoint, in operations and bytes: a change that makes checkpoints dearer shows in review as a change of
//! these files, without a clock. `INSTA_UPDATE=always cargo test --test checkpoint_cost` writes them anew.

use tidegate_scenarios::catalogue::{SCENARIOS, find};
use tidegate_sim::{
    cost::{Bill, FileOp, Item, Region},
    fault::FaultPlan,
    run::{RunReport, RunSpec, Verdict, run},
};
use tidegate_suite::{failure, seeds};

/// A scenario's job of this seed, without its faults.
fn undisturbed(scenario: &str, seed: u64) -> RunReport {
    let spec = find(scenario).unwrap().spec(seed).unwrap();
    let report = run(&RunSpec { plan: FaultPlan::new(Vec::new()), ..spec }).unwrap();
    assert_eq!(report.verdict, Verdict::Held, "{scenario} {seed}: {:?}", report.violations);
    report
}

#[test]
fn a_small_word_count() {
    insta::assert_snapshot!(undisturbed("small", 1).costs.to_string());
}

#[test]
fn a_word_count() {
    insta::assert_snapshot!(undisturbed("wordcount", 7).costs.to_string());
}

#[test]
fn a_large_state() {
    insta::assert_snapshot!(undisturbed("large-state", 1).costs.to_string());
}

/// What hangs on the job alone is the same whatever the seed: there is no hidden work that comes and goes.
#[test]
fn the_same_job_costs_the_same_whatever_the_seed() {
    let fixed = |bill: &Bill| {
        let files = |region, op| bill.of(Item::File(region, op)).count;
        let synced = files(Region::Snapshot, FileOp::Sync) + files(Region::Manifest, FileOp::Sync);
        [bill.of(Item::Barrier).count, bill.of(Item::BarrierFrame).count, bill.of(Item::Message).count, synced]
    };
    let of = |seed| undisturbed("small", seed).costs.completed.values().map(|c| fixed(&c.bill)).collect::<Vec<_>>();
    let first = of(1);
    assert_eq!(first.len(), 3);
    for seed in seeds(2..22) {
        assert_eq!(of(seed), first, "seed {seed}");
    }
}

/// Each operation is booked once: what completed, what was given up and what is neither add up to what was done, whatever
/// breaks meanwhile.
#[test]
fn under_faults_too_the_books_are_complete() {
    let (mut completed, mut given_up) = (0, 0);
    for seed in seeds(0..4) {
        for scenario in SCENARIOS {
            let report = run(&scenario.spec(seed).unwrap()).unwrap();
            assert_eq!(failure(&report, &format!("sim {} --seed {seed}", scenario.name)), None);
            let costs = &report.costs;
            assert_eq!(costs.completed.len() as u64, report.checkpoints_completed, "{} {seed}", scenario.name);
            let bills = costs.completed.values().chain(costs.given_up.values());
            let steps: u64 = bills.map(|c| c.bill.of(Item::Step).count).sum();
            let of_checkpoints = report.history.facts().filter(|(_, fact)| fact.checkpoint.is_some()).count();
            assert_eq!(steps, of_checkpoints as u64, "{} {seed}", scenario.name);
            completed += costs.completed.len();
            given_up += costs.given_up.len();
        }
    }
    assert!(completed > given_up && given_up > 0, "{completed} completed, {given_up} given up");
}
