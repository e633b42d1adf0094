//! I16: FINISHED is said only when all output is visible, and the end of the job is recorded, and both would be so after a
//! loss of all power.

use std::{path::PathBuf, sync::Arc};

use tidegate::probe::{Fact, JobStatus, Step};

use super::{
    Checker, DiskView,
    expected_output::ExpectedOutput,
    ground::Ground,
    output_once::{lines, show, visible_parts},
};

/// Reads the durable output when the job says that it is finished.
pub(super) struct FinishedIsCommitted {
    /// What says that the job is finished to those who start it again.
    record: Option<PathBuf>,
    said: bool,
    directory: PathBuf,
    expected: Arc<ExpectedOutput>,
    exact: bool,
}

impl FinishedIsCommitted {
    pub(super) fn new(ground: &Ground) -> Self {
        let with_checkpoints = ground.graph.checkpoints.is_some();
        Self {
            record: with_checkpoints.then(|| ground.root.join("finished")),
            said: false,
            directory: ground.workload.output_directory().to_owned(),
            expected: ground.expected.clone(),
            exact: ground.is_exact(),
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
        let mut durable = self.expected.tally();
        for name in visible_parts(&self.directory, disk) {
            let contents = disk.read_durable(&self.directory.join(&name));
            let contents = contents.ok_or_else(|| format!("the job is finished, but {name} is not durable"))?;
            for line in lines(&contents) {
                // A line that no run can give is another checker's business.
                if let Some((number, _)) = self.expected.find(line) {
                    durable[number] += 1;
                }
            }
        }
        for (line, wanted, found) in self.expected.compare(&durable) {
            let fits = if self.exact { found == wanted } else { found >= wanted };
            if !fits {
                let line = show(line);
                return Err(format!("the job is finished, but {line} is durable {found} times instead of {wanted}"));
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
    use tidegate::{error::Error, stream::CheckpointMode};

    use super::*;
    use crate::checker::testing::{Event, Story, all_break, all_hold, ended, ground, ground_of, sync, write};

    const END: Event = Event::End { finished: true };
    const FIRST: &str = "/output/part-0-1-1.1-0";
    const SECOND: &str = "/output/part-0-2-1.1-1";

    fn checker() -> FinishedIsCommitted {
        FinishedIsCommitted::new(&ground())
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
        all_hold(|| FinishedIsCommitted::new(&ground_of(CheckpointMode::AtLeastOnce)), [twice]);
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
