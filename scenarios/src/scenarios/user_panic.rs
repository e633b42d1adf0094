//! User code panics on a record: once, as if something outside had failed, or always, and then no restart helps. The job must
//! then give up with what the code said, and what is visible until then must be right.

use std::{cell::Cell, panic::resume_unwind, time::Duration};

use tidegate::{
    error::{ErrorKind, Result},
    job::RestartStrategy,
    probe::StepKind,
    stream::CheckpointMode,
};
use tidegate_sim::{
    fault::{FaultPlan, Victim},
    run::{Expectation, RunSpec},
    seed::{Draw, Seed, Stream},
};

use super::{
    aim::{at, crash, fault},
    entries::LogJob,
    ledger,
};
use crate::jobs::entry_log::{self, Entry};

thread_local! {
    /// A run has a thread of its own, and its tasks are all there.
    static PANICKED: Cell<bool> = const { Cell::new(false) };
}

/// Every log has such entries, but for those of empty partitions: the amounts count up.
fn is_poison((_, amount): &Entry) -> bool {
    (8_000..9_000).contains(amount)
}

fn panic_once(entry: &Entry) {
    if is_poison(entry) && !PANICKED.replace(true) {
        // A panic like any other, but without a word on standard error.
        resume_unwind(Box::new("poison, once"));
    }
}

fn panic_always(entry: &Entry) {
    if is_poison(entry) {
        resume_unwind(Box::new("poison, always"));
    }
}

/// The run of a seed.
///
/// # Errors
/// Those of a job graph that makes no sense.
pub fn spec(seed: Seed) -> Result<RunSpec> {
    let random = &mut seed.stream(Stream::Plan);
    let always = random.chance(30);
    let mut job = LogJob::draw(seed, CheckpointMode::ExactlyOnce);
    job.audit = Some(if always { panic_always } else { panic_once });
    if always {
        job.restart = RestartStrategy::FixedDelay { attempts: 3, delay: Duration::from_millis(5) };
    }
    let base = ledger::run(seed, job)?;
    let victim = if random.chance(50) { Victim::Here } else { Victim::JobManager };
    // The panic itself is the aim: what follows it shows that it came.
    let mut faults = vec![fault(at(StepKind::RestartScheduled, 1), crash(random, victim))];
    let mut expectation = Expectation::Finishes;
    let has_poison = |bytes: &Vec<u8>| entry_log::decode(bytes).any(|entry| is_poison(&entry));
    if always && base.workload.input_files().values().any(has_poison) {
        faults.clear();
        expectation = Expectation::FailsWith(ErrorKind::UserCode);
    }
    Ok(RunSpec { plan: FaultPlan::new(faults), expectation, ..base })
}
