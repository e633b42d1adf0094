//! A world as bad as it may be: the job ends all the same, in bounded memory. If a disk is slower than checkpoints are wanted,
//! it is told how often one was not taken, and why.

use std::time::Duration;

use tidegate::probe::{Step, StepKind};
use tidegate_scenarios::catalogue::find;
use tidegate_sim::{
    env::{DiskSettings, WorldSettings},
    fault::{Action, Anchor, Fault, FaultPlan, Victim},
    run::{RunReport, RunSpec, Verdict, run},
};
use tidegate_suite::seeds;

/// A checkpoint is wanted every 8 ms, and given up after 600 ms; two failures are tolerated.
const SCENARIO: &str = "large-state";

fn judged(spec: &RunSpec) -> RunReport {
    let report = run(spec).unwrap();
    assert_eq!(report.verdict, Verdict::Held, "{:?}", report.violations);
    report
}

fn undisturbed() -> RunSpec {
    RunSpec { plan: FaultPlan::new(Vec::new()), ..find(SCENARIO).unwrap().spec(1).unwrap() }
}

/// Why checkpoints were aborted.
fn reasons(report: &RunReport) -> Vec<&str> {
    let steps = report.history.facts().map(|(_, fact)| &fact.step);
    steps
        .filter_map(|step| if let Step::CheckpointAborted { reason } = step { Some(&**reason) } else { None })
        .collect()
}

#[test]
fn a_disk_slower_than_the_interval() {
    let usual = judged(&undisturbed());
    let spec = undisturbed();
    let disk = DiskSettings { sync_latency_max_us: 60_000, ..spec.world.disk.clone() };
    let slow = judged(&RunSpec { world: WorldSettings { disk, ..spec.world.clone() }, ..spec });
    assert_eq!(reasons(&slow), [""; 0]);
    assert!(slow.checkpoints_completed < usual.checkpoints_completed, "{} completed", slow.checkpoints_completed);
    // All that were wanted are accounted for: they were taken, or it is told that they were not. While the final one is
    // under way, none is wanted.
    let not_final = slow.costs.completed.values().rev().skip(1);
    let took: Duration = not_final.filter_map(|checkpoint| checkpoint.took).sum();
    let wanted = took.as_millis() / 8;
    let told = u128::from(slow.costs.skipped + slow.checkpoints_completed);
    assert!(told >= wanted && wanted > 20, "{told} told of {wanted}");
    assert_eq!(slow.attempts, 1);
}

/// One key has nearly all the traffic, and the link to it is narrow: whoever sends has to wait, and nothing piles up.
#[test]
fn a_key_with_all_the_traffic() {
    let mut waited = 0;
    for seed in seeds(0..20) {
        let spec = find("skewed-keys").unwrap().spec(seed).unwrap();
        let report = judged(&spec);
        let (most, credits) = (report.costs.most_under_way, u64::from(spec.shape.channel_credits));
        assert!(most <= credits, "seed {seed}: {most} batches under way, with {credits} credits");
        waited += u32::from(most == credits);
    }
    assert!(waited > 0, "the bound was never reached");
}

#[test]
fn a_disk_slower_than_the_time_out() {
    let at = Anchor::Step { step: StepKind::StateFrozen, actor: None, checkpoint: None, occurrence: 7 };
    let stall = |for_us| {
        let action = Action::StallDisk { victim: Victim::Here, for_us };
        judged(&RunSpec { plan: FaultPlan::new(vec![Fault { at: at.clone(), action }]), ..undisturbed() })
    };
    let limit = "the checkpoint did not complete within 600ms";
    let once = stall(700_000);
    assert_eq!((reasons(&once), once.attempts), (vec![limit], 1));
    // What is not tolerated any more fails the attempt, and says how often it has failed.
    let thrice = stall(3_000_000);
    assert_eq!(reasons(&thrice)[..3], [limit; 3]);
    let restarts = thrice.history.facts().filter_map(|(_, fact)| match &fact.step {
        Step::RestartScheduled { error, .. } => Some(error.to_string()),
        _ => None,
    });
    let restarts: Vec<String> = restarts.collect();
    assert!(restarts[0].ends_with(&format!("(3 failed in a row): {limit}")), "{restarts:?}");
}
