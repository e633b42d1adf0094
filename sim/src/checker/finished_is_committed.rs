//! I16: FINISHED is said only when all output is visible, and the end of the job is recorded, and both would be so after a
//! loss of all power.

use std::path::PathBuf;

use tidegate::{
    probe::{Fact, JobStatus, Step},
    stream::CheckpointMode,
};

use super::{
    Checker, Context, DiskView,
    output_once::{lines, show, visible_parts},
};
use crate::workload::Lines;

/// Reads the durable output when the job says that it is finished.
pub(super) struct FinishedIsCommitted {
    /// What says that the job is finished to those who start it again.
    record: Option<PathBuf>,
    said: bool,
    directory: PathBuf,
    expected: Lines,
    exact: bool,
}

impl FinishedIsCommitted {
    pub(super) fn new(context: &Context) -> Self {
        let with_checkpoints = context.graph.checkpoints.is_some();
        Self {
            record: with_checkpoints.then(|| context.checkpoint_directory.join("finished")),
            said: false,
            directory: context.workload.output_directory().to_owned(),
            expected: context.workload.expected_output(),
            exact: context.mode() == CheckpointMode::ExactlyOnce,
        }
    }
}

impl Checker for FinishedIsCommitted {
    fn id(&self) -> &'static str {
        "I16"
    }

    fn observe(&mut self, fact: &Fact, disk: &dyn DiskView) -> Result<(), String> {
        if !matches!(&fact.step, Step::JobEnded { status: JobStatus::Finished }) {
            return Ok(());
        }
        self.said = true;
        if let Some(record) = self.record.as_ref().filter(|record| disk.read_durable(record).is_none()) {
            return Err(format!("the job is finished, but {} is not durable", record.display()));
        }
        let mut durable = Lines::new();
        for name in visible_parts(&self.directory, disk) {
            let contents = disk.read_durable(&self.directory.join(&name));
            let contents = contents.ok_or_else(|| format!("the job is finished, but {name} is not durable"))?;
            for line in lines(&contents) {
                *durable.entry(line.to_vec()).or_default() += 1;
            }
        }
        for (line, times) in &self.expected {
            let found = durable.get(line).copied().unwrap_or(0);
            let fits = if self.exact { found == *times } else { found >= *times };
            if !fits {
                return Err(format!(
                    "the job is finished, but {} is durable {found} times instead of {times}",
                    show(line)
                ));
            }
        }
        Ok(())
    }

    fn finish(&mut self, finished: bool, _: &dyn DiskView) -> Result<(), String> {
        let silent = finished && !self.said;
        if silent { Err("the job is finished, but has not said so".to_owned()) } else { Ok(()) }
    }
}
