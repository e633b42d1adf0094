//! The engine on a disk that fails: whatever fails wherever, each record is visible exactly once, and the job ends.

use std::collections::{BTreeMap, BTreeSet};

use tidegate::probe::{Actor, Fact, Step, StepKind};
use tidegate_sim::{
    env::{Crash, DiskOp, DiskSettings, WorldSettings},
    fault::{Action, Anchor, DiskError, Fault, FaultKind, Victim},
    history::{Entry, Event},
    run::{Ending, RunReport, RunSpec},
};

use crate::support::words::{judge, words};

const OPS: [DiskOp; 7] =
    [DiskOp::Open, DiskOp::Read, DiskOp::Write, DiskOp::Sync, DiskOp::Rename, DiskOp::SyncDir, DiskOp::Other];

const ERRORS: [DiskError; 3] = [DiskError::Io, DiskError::NoSpace, DiskError::AfterEffect];

/// The steps of a run after its last crash: each kind once for the job manager, once for all task managers, and once for the
/// tasks of each vertex.
fn steps(faults: &[Fault]) -> Vec<Anchor> {
    let RunReport { history, graph, .. } = judge(&words(1, faults.to_vec()), &mut Vec::new());
    let is_crash = |entry: &&Entry| matches!(entry.event, Event::Crashed(_));
    let crash = history.entries.iter().rposition(|entry| is_crash(&entry)).unwrap_or(0);
    let (mut seen, mut occurrences) = (BTreeSet::new(), BTreeMap::new());
    let mut steps = Vec::new();
    for (i, Fact { actor, step, .. }) in history.facts() {
        let (who, name) = match actor {
            Actor::JobManager => ("job-manager", "job-manager".to_owned()),
            Actor::TaskManager(id) => ("task managers", id.to_string()),
            Actor::Task(task) => (&*graph.vertex(task.subtask.vertex).name, graph.subtask_name(task.subtask)),
        };
        let step = step.kind();
        let occurrence = occurrences.entry((name.clone(), step)).or_insert(0);
        *occurrence += 1;
        if i >= crash && seen.insert((who, step)) {
            steps.push(Anchor::Step { step, actor: Some(name), checkpoint: None, occurrence: *occurrence });
        }
    }
    steps
}

/// Lets each operation fail in each way at each step after these faults, on the node that takes the step.
fn fail_everywhere(faults: &[Fault]) -> BTreeMap<(DiskOp, DiskError), u32> {
    let mut broken = Vec::new();
    let mut happened = BTreeMap::new();
    for step in steps(faults) {
        for (op, error) in OPS.into_iter().flat_map(|op| ERRORS.map(|error| (op, error))) {
            let action = Action::FailDisk { victim: Victim::Here, op, error };
            let faults = [faults, &[Fault { at: step.clone(), action }]].concat();
            let report = judge(&words(1, faults), &mut broken);
            *happened.entry((op, error)).or_default() += u32::from(!report.disk_faults.is_empty());
        }
    }
    none(&broken);
    happened
}

#[track_caller]
fn none(broken: &[String]) {
    assert!(broken.is_empty(), "{} broken:\n{}", broken.len(), broken.join("\n"));
}

fn crash(node: Victim, crash: Crash) -> Fault {
    let action = Action::Crash { victim: node, crash, restart_after_us: 1_000 };
    let at = Anchor::Step { step: StepKind::CheckpointCompleted, actor: None, checkpoint: None, occurrence: 1 };
    Fault { at, action }
}

#[test]
fn any_operation_may_fail_at_any_step() {
    let happened = fail_everywhere(&[]);
    assert!(happened.values().all(|n| *n >= 5), "{happened:?}");
}

#[test]
fn any_operation_may_fail_while_a_job_recovers_from_the_loss_of_a_task_manager() {
    let happened = fail_everywhere(&[crash(Victim::TaskManager("tm-1".into()), Crash::Process)]);
    assert!(happened.values().all(|n| *n >= 5), "{happened:?}");
}

#[test]
fn any_operation_may_fail_while_a_job_recovers_from_the_loss_of_its_job_manager() {
    let happened = fail_everywhere(&[crash(Victim::JobManager, Crash::Power)]);
    assert!(happened.values().all(|n| *n >= 5), "{happened:?}");
}

/// Also between two steps: while a job manager opens its directory, claims its term, prepares the sink.
#[test]
fn any_operation_may_fail_at_any_time() {
    let whole = judge(&words(1, Vec::new()), &mut Vec::new()).virtual_time;
    let mut broken = Vec::new();
    let mut happened = 0;
    for us in (0..whole.as_micros() as u64).step_by(601) {
        for victim in [Victim::JobManager, Victim::TaskManager("tm-1".into())] {
            for (op, error) in OPS.into_iter().flat_map(|op| ERRORS.map(|error| (op, error))) {
                let action = Action::FailDisk { victim: victim.clone(), op, error };
                let report = judge(&words(1, vec![Fault { at: Anchor::Time { us }, action }]), &mut broken);
                happened += u32::from(!report.disk_faults.is_empty());
            }
        }
    }
    none(&broken);
    assert!(happened > 250, "{happened} operations failed");
}

/// The node's next operation may be that of a snapshot, which is declined: so at many times, and each is met at some.
#[test]
fn an_error_of_the_sink_fails_its_task() {
    let cases = [
        (DiskOp::Write, DiskError::NoSpace, ".inprogress cannot be written"),
        (DiskOp::Sync, DiskError::Io, ".inprogress cannot be synced"),
        (DiskOp::Rename, DiskError::AfterEffect, ".pending cannot be renamed"),
        (DiskOp::Rename, DiskError::AfterEffect, "cannot be committed"),
        (DiskOp::SyncDir, DiskError::AfterEffect, "the output /output/words cannot be synced"),
    ];
    let whole = judge(&words(1, Vec::new()), &mut Vec::new()).virtual_time;
    let mut broken = Vec::new();
    for (op, error, said) in cases {
        let mut failed = 0;
        for us in (0..whole.as_micros() as u64).step_by(300) {
            for victim in ["tm-1", "tm-2"].map(|name| Victim::TaskManager(name.into())) {
                let action = Action::FailDisk { victim, op, error };
                let report = judge(&words(1, vec![Fault { at: Anchor::Time { us }, action }]), &mut broken);
                let is_it = |fact: &Fact| match &fact.step {
                    Step::TaskFailed { error } => error.to_string().contains(said),
                    _ => false,
                };
                failed += u32::from(report.history.facts().any(|(_, fact)| is_it(fact)));
            }
        }
        assert!(failed > 0, "no {op:?} has failed with {error:?} so that {said}");
    }
    none(&broken);
}

fn always_full(room_bytes: u64, for_us: Option<u64>) -> RunSpec {
    let fault = Fault { at: Anchor::Time { us: 1_000 }, action: Action::FillDisk { room_bytes, for_us } };
    words(1, vec![fault])
}

#[test]
fn a_disk_that_is_full_for_a_while_costs_nothing_but_time() {
    let mut broken = Vec::new();
    let mut full = 0;
    for room in (0..3_000).step_by(29) {
        let report = judge(&always_full(room, Some(300_000)), &mut broken);
        full += u32::from(report.disk_faults.contains_key(&FaultKind::FillDisk));
    }
    none(&broken);
    assert!(full > 30, "{full} runs met the full disk");
}

#[test]
fn a_disk_that_is_full_for_ever_explains_why_the_job_does_not_end() {
    let mut broken = Vec::new();
    let mut endings = BTreeMap::new();
    for room in (0..3_000).step_by(499) {
        let RunReport { ending, .. } = judge(&always_full(room, None), &mut broken);
        *endings.entry(matches!(ending, Ending::Explained(_))).or_insert(0) += 1;
    }
    none(&broken);
    assert!(endings[&true] >= 2, "{endings:?}");
}

#[test]
fn a_disk_that_hangs_costs_nothing_but_time() {
    let mut broken = Vec::new();
    let mut hung = 0;
    for step in steps(&[]) {
        for for_us in [30_000, 200_000] {
            let action = Action::StallDisk { victim: Victim::Here, for_us };
            let report = judge(&words(1, vec![Fault { at: step.clone(), action }]), &mut broken);
            hung += report.disk_faults.get(&FaultKind::StallDisk).copied().unwrap_or(0);
        }
    }
    none(&broken);
    assert!(hung > 100, "{hung} operations hung");
}

#[test]
fn short_reads_are_read_on() {
    let mut broken = Vec::new();
    for seed in 0..20 {
        let disk = DiskSettings { short_reads: 90, ..DiskSettings::default() };
        let kill = crash(Victim::TaskManager("tm-1".into()), Crash::Process);
        let world = WorldSettings { disk, ..WorldSettings::default() };
        let report = judge(&RunSpec { world, ..words(seed, vec![kill]) }, &mut broken);
        assert!(report.restores > 0, "seed {seed} has read no snapshot");
    }
    none(&broken);
}
