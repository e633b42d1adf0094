//! Nearly every second control message of a checkpoint is lost, late or doubled, and then a node dies: what was never
//! notified, and what was notified twice, must be told apart from the files alone.

use tidegate::{error::Result, probe::StepKind, runtime::MessageKind};
use tidegate_sim::{
    fault::{Action, Anchor, Victim},
    run::RunSpec,
    seed::{Draw, Seed},
};

use super::{
    aim::{aimed, at, crash, fault},
    ledger, word_count,
};

/// The run of a seed.
///
/// # Errors
/// Those of a job graph that makes no sense.
pub fn spec(seed: Seed) -> Result<RunSpec> {
    let base = if seed.0.is_multiple_of(2) { ledger::spec(seed) } else { word_count::spec(seed) };
    aimed(seed, base, |random, _| {
        let mut faults = Vec::new();
        for _ in 0..random.between(4, 16) {
            let message = match faults.is_empty() {
                true => MessageKind::NotifyComplete,
                false => *random.pick(MessageKind::LOSABLE),
            };
            let action = match random.between(0, 3) {
                0 | 1 => Action::LoseMessage,
                2 => Action::DelayMessage { by_us: random.between(500, 120_000) },
                _ => Action::RepeatMessage { after_us: random.between(500, 120_000) },
            };
            let occurrence = random.between(1, 8) as u32;
            faults.push(fault(Anchor::Message { message, task_manager: None, checkpoint: None, occurrence }, action));
        }
        if random.chance(80) {
            let victim = if random.chance(50) { Victim::JobManager } else { Victim::Here };
            faults.push(fault(at(StepKind::CompletionNotified, random.between(2, 5)), crash(random, victim)));
        }
        faults
    })
}
