//! Beyond the guarantee: a stored snapshot or manifest rots, is cut short, vanishes, or is written to the wrong place, and then
//! the job has to restore it. It must say so, and show no wrong output; what it never reads need not trouble it.

use tidegate::{error::Result, probe::StepKind};
use tidegate_sim::{
    fault::{Action, Damage, FileKind, Victim},
    run::RunSpec,
    seed::{Draw, Seed},
};

use super::{
    aim::{aimed, at, crash, fault},
    ledger,
};

/// The run of a seed.
///
/// # Errors
/// Those of a job graph that makes no sense.
pub fn spec(seed: Seed) -> Result<RunSpec> {
    aimed(seed, ledger::spec(seed), |random, _| {
        let file = *random.pick(&[FileKind::Snapshot, FileKind::Snapshot, FileKind::Manifest]);
        let occurrence = random.between(1, 3);
        let damage = if random.chance(25) {
            let step = if file == FileKind::Manifest { StepKind::AllAcknowledged } else { StepKind::StateFrozen };
            fault(at(step, random.between(1, 8)), Action::MisdirectWrite { victim: Victim::Here, file })
        } else if random.chance(40) {
            // The newest snapshot is that of the task which acknowledges it.
            let damage = rot_of_entries(random);
            let step = at(StepKind::Acknowledged, random.between(1, 8));
            fault(step, Action::DamageFile { file: FileKind::Snapshot, damage })
        } else {
            // The newest snapshot is that of a sink, as a rule.
            let damage = Damage::draw(random);
            fault(at(StepKind::CheckpointCompleted, occurrence), Action::DamageFile { file, damage })
        };
        let victim = if random.chance(50) { Victim::JobManager } else { Victim::Here };
        vec![damage, fault(at(StepKind::CompletionNotified, occurrence), crash(random, victim))]
    })
}

/// A bit of the first entries of a snapshot, which follow its header: most of a small file is its index, and most of the rest says which
/// entries there are, so that bits anywhere would hardly ever be those of a value, which only its checksum can tell.
fn rot_of_entries(random: &mut impl Draw) -> Damage {
    const HEADER: u64 = 12;
    let byte = random.between(HEADER, HEADER + 36);
    if random.chance(30) { Damage::FlipBitOnRead { byte } } else { Damage::FlipBit { byte } }
}
