//! Runs on an engine with a defect that was planted on purpose: does anybody notice?

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use tidegate::{
    defect::{Defect, plant},
    error::Result,
};

use crate::run::{RunReport, RunSpec, run_within};

/// What came of such a run.
pub struct PlantedRun {
    /// The run, judged as if nobody knew.
    pub report: RunReport,
    /// What it took of a processor.
    pub cpu_time: Duration,
}

/// Runs it with the defect; with none, it is the run that [`crate::run::run`] gives.
///
/// # Errors
/// Those of [`crate::run::run`].
pub fn run_planted(spec: &RunSpec, defect: Option<Defect>) -> Result<PlantedRun> {
    run_within(spec, |simulate| {
        let started = cpu_time_of_this_thread();
        let _planted = defect.map(plant);
        let report = simulate();
        PlantedRun { report, cpu_time: cpu_time_of_this_thread().saturating_sub(started) }
    })
}

/// How long this thread has been on a processor.
fn cpu_time_of_this_thread() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}
