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

#[cfg(test)]
mod tests {
    use tidegate::error::Error;

    use super::*;
    use crate::checker::testing::{Event, Story, all_break, all_hold, context, context_of, ended, sync, write};

    const END: Event = Event::End { finished: true };
    const FIRST: &str = "/output/part-0-1-1.1-0";
    const SECOND: &str = "/output/part-0-2-1.1-1";

    fn checker() -> FinishedIsCommitted {
        FinishedIsCommitted::new(&context())
    }

    fn story() -> Story {
        let output = [write(FIRST, "a\t1\nb\t1\n"), sync(FIRST), write(SECOND, "a\t2\n"), sync(SECOND)];
        let end = [write("/chk/finished", ""), sync("/chk/finished"), ended(JobStatus::Finished), END];
        Story::new(output.into_iter().chain(end))
    }

    #[test]
    fn other_ends_promise_nothing() {
        let failed = ended(JobStatus::Failed(Error::bad_input("no")));
        all_hold(checker, [story(), Story::new([failed, Event::End { finished: false }])]);
        let twice = story().instead(write(SECOND, "a\t2\n"), write(SECOND, "a\t2\na\t2\n"));
        all_hold(|| FinishedIsCommitted::new(&context_of(CheckpointMode::AtLeastOnce)), [twice]);
    }

    #[test]
    fn an_end_without_all_output_is_seen() {
        let lacking = r#"the job is finished, but "a\t2" is durable 0 times instead of 1"#;
        let second = |contents: &'static str| story().instead(write(SECOND, "a\t2\n"), write(SECOND, contents));
        all_break(
            checker,
            [
                // Feldera a5d8d17cf: the status is set although the last checkpoint failed.
                (story().without(write(SECOND, "a\t2\n")).without(sync(SECOND)), lacking),
                (second(""), lacking),
                (second("a\t2\na\t2\n"), r#"the job is finished, but "a\t2" is durable 2 times instead of 1"#),
                (story().without(sync(SECOND)), "the job is finished, but part-0-2-1.1-1 is not durable"),
                (story().without(sync("/chk/finished")), "the job is finished, but /chk/finished is not durable"),
                (story().without(ended(JobStatus::Finished)), "the job is finished, but has not said so"),
            ],
        );
    }
}
