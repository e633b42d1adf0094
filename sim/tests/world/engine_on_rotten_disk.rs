//! The engine on a disk that damages what rests on it: the damage is told, with the file's name, or it is not in the way;
//! never is there wrong output.

use std::collections::BTreeMap;

use tidegate::probe::StepKind;
use tidegate_sim::{
    env::Crash,
    fault::{Action, Anchor, Damage, Fault, FaultKind, FileKind, Victim},
    run::{Ending, RunReport},
};

use crate::support::words::{judge, words};

const STEPS: [StepKind; 6] = [
    StepKind::SnapshotSynced,
    StepKind::Acknowledged,
    StepKind::ManifestShown,
    StepKind::CheckpointCompleted,
    StepKind::PartRenamed,
    StepKind::Committed,
];

fn crash(victim: Victim, crash: Crash) -> Action {
    Action::Crash { victim, crash, restart_after_us: 1_000 }
}

fn crashes() -> [Action; 3] {
    let tm = || Victim::TaskManager("tm-1".into());
    [crash(tm(), Crash::Process), crash(Victim::JobManager, Crash::Process), crash(Victim::JobManager, Crash::Power)]
}

fn at(step: StepKind, occurrence: u32, action: Action) -> Fault {
    Fault { at: Anchor::Step { step, actor: None, checkpoint: None, occurrence }, action }
}

/// How the runs ended in which the fault had its effect.
#[derive(Debug, Default)]
struct Endings {
    told: u32,
    not_in_the_way: u32,
}

/// Lets this happen at several steps, and then a crash that makes the job restore a checkpoint.
fn then_crash(fault: &Action, kind: FaultKind, broken: &mut Vec<String>) -> Endings {
    let mut endings = Endings::default();
    for step in STEPS {
        for occurrence in [1, 2, 5, 9] {
            for crash in crashes() {
                let faults = vec![
                    at(step, occurrence, fault.clone()),
                    at(StepKind::CheckpointCompleted, occurrence.min(3), crash),
                ];
                let RunReport { ending, disk_faults, .. } = judge(&words(1, faults), broken);
                match ending {
                    _ if !disk_faults.contains_key(&kind) => {}
                    Ending::Finished => endings.not_in_the_way += 1,
                    Ending::Failed(said) => {
                        endings.told += 1;
                        if !(said.contains("is damaged: ")
                            && (said.contains("/checkpoints/chk-")
                                || said.contains("/checkpoints/manifest-")
                                || said.contains("/checkpoints/state/")))
                        {
                            broken.push(format!(
                                "{fault:?} at {step} {occurrence}: it is not told what is damaged: {said}"
                            ));
                        }
                    }
                    ending => broken.push(format!("{fault:?} at {step} {occurrence}: {ending:?}")),
                }
            }
        }
    }
    endings
}

#[track_caller]
fn none(broken: &[String]) {
    assert!(broken.is_empty(), "{} broken:\n{}", broken.len(), broken.join("\n"));
}

#[test]
fn a_rotten_file_is_told_or_not_in_the_way() {
    let damages = (0..60).step_by(7).map(|byte| Damage::FlipBit { byte });
    // The body of a manifest begins at 4096.
    let damages = damages.chain([18, 4100].map(|byte| Damage::FlipBit { byte }));
    let damages = damages.chain([0, 40, 4200].map(|to| Damage::Truncate { to }));
    let mut broken = Vec::new();
    let mut all = BTreeMap::new();
    for damage in damages {
        for file in [FileKind::Snapshot, FileKind::Manifest] {
            let fault = Action::DamageFile { file, damage };
            all.insert((file, damage), then_crash(&fault, FaultKind::Damage, &mut broken));
        }
    }
    none(&broken);
    assert!(all.values().all(|endings| endings.told >= 3), "{all:#?}");
}

#[test]
fn a_file_that_is_read_wrong_once_is_told_or_not_in_the_way() {
    let mut broken = Vec::new();
    let mut told = 0;
    for byte in (0..60).step_by(7) {
        for file in [FileKind::Snapshot, FileKind::Manifest] {
            let fault = Action::DamageFile { file, damage: Damage::FlipBitOnRead { byte } };
            told += then_crash(&fault, FaultKind::Damage, &mut broken).told;
        }
    }
    none(&broken);
    assert!(told >= 3);
}

#[test]
fn a_snapshot_that_is_gone_is_told_or_not_in_the_way() {
    let mut broken = Vec::new();
    let fault = Action::DamageFile { file: FileKind::Snapshot, damage: Damage::Remove };
    let endings = then_crash(&fault, FaultKind::Damage, &mut broken);
    none(&broken);
    assert!(endings.told >= 3, "{endings:?}");
}

/// A job manager knows which checkpoints it has completed. To one that starts, a checkpoint without a manifest is one that has
/// never completed, unless its output is visible. If that is not so, the job goes back behind it (I17), and nothing comes
/// twice.
#[test]
fn a_manifest_that_is_gone_is_told_by_who_can_know() {
    let fault = Action::DamageFile { file: FileKind::Manifest, damage: Damage::Remove };
    let mut endings = Vec::new();
    for step in [StepKind::CheckpointCompleted, StepKind::CommitDirectorySynced] {
        for crash in crashes() {
            let faults = vec![at(step, 1, fault.clone()), at(step, 1, crash.clone())];
            let report = judge(&words(1, faults), &mut Vec::new());
            let violations: Vec<_> =
                report.violations.iter().map(|v| format!("{}: {}", v.invariant, v.message)).collect();
            endings.push(format!("{step}, {:?}: {:?} {violations:?}", crash.victim(), report.ending));
        }
    }
    insta::assert_snapshot!(endings.join("\n"), @r#"
    checkpoint-completed, Some(TaskManager("tm-1")): Failed("manifest /checkpoints/chk-1 is damaged: it is gone, though checkpoint 1 has completed; bring it back from a copy, or restore another checkpoint by its path") []
    checkpoint-completed, Some(JobManager): Finished []
    checkpoint-completed, Some(JobManager): Finished []
    commit-directory-synced, Some(TaskManager("tm-1")): Failed("manifest /checkpoints/chk-1 is damaged: it is gone, though checkpoint 1 has completed; bring it back from a copy, or restore another checkpoint by its path") []
    commit-directory-synced, Some(JobManager): Failed("job Words: vertex sink: operator sink-3: the output /output/words/part-0-1-1.1-0 was committed by checkpoint 1, but the job starts afresh and would write it again: resume from the job's checkpoint directory, or move the output away") []
    commit-directory-synced, Some(JobManager): Failed("job Words: vertex sink: operator sink-3: the output /output/words/part-0-1-1.1-0 was committed by checkpoint 1, but the job starts afresh and would write it again: resume from the job's checkpoint directory, or move the output away") []
    "#);
}

#[test]
fn a_misdirected_write_is_told_or_not_in_the_way() {
    let mut broken = Vec::new();
    let mut all = BTreeMap::new();
    for (file, victim) in [
        (FileKind::Manifest, Victim::JobManager),
        (FileKind::Snapshot, Victim::TaskManager("tm-1".into())),
        (FileKind::Snapshot, Victim::TaskManager("tm-2".into())),
    ] {
        let fault = Action::MisdirectWrite { victim: victim.clone(), file };
        all.insert((file, victim), then_crash(&fault, FaultKind::Misdirect, &mut broken));
    }
    none(&broken);
    assert!(all.values().all(|endings| endings.told >= 3), "{all:#?}");
}

/// What lies under the guarantee is that a sync means something: where it does not, the checkers see it at once.
#[test]
fn a_sync_that_lies_is_seen() {
    let node = || Victim::TaskManager("tm-1".into());
    let lie = Action::LieOnSync { victim: node(), for_us: 50_000 };
    let mut lost = 0;
    for seed in 0..10 {
        let power = crash(node(), Crash::Power);
        let faults = vec![at(StepKind::TaskRunning, 1, lie.clone()), at(StepKind::Committed, 1, power)];
        let report = judge(&words(seed, faults), &mut Vec::new());
        assert!(report.disk_faults.contains_key(&FaultKind::LyingSync), "seed {seed}");
        let is_broken = |invariant: &str| report.violations.iter().any(|v| v.invariant == invariant);
        assert!(is_broken("I5"), "seed {seed}: {:?}", report.violations);
        lost += u32::from(is_broken("I2") || matches!(report.ending, Ending::Failed(_)));
    }
    assert!(lost > 0, "no loss of power has taken anything");
}
