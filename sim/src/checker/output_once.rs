//! I2: visible output is that of a sequential run: whole lines, no record twice, at any moment; nothing visible ever changes
//! or goes away, and nothing but parts is visible; and in the end nothing is missing.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use bytes::Bytes;
use tidegate::{
    connector::PartFile,
    probe::{Fact, Step},
    stream::hash_bytes,
};

use super::{Checker, DiskView, expected_output::ExpectedOutput, ground::Ground};

/// Reads part files as they become visible.
pub(super) struct OutputOnce {
    directory: PathBuf,
    expected: Arc<ExpectedOutput>,
    exact: bool,
    /// Digest of each visible file that was read.
    files: BTreeMap<String, u64>,
    /// How often each line of the expected output was seen.
    seen: Vec<u64>,
}

impl OutputOnce {
    pub(super) fn new(ground: &Ground) -> Self {
        Self {
            directory: ground.workload.output_directory().to_owned(),
            expected: ground.expected.clone(),
            exact: ground.is_exact(),
            files: BTreeMap::new(),
            seen: ground.expected.tally(),
        }
    }

    /// Reads what has become visible since the last look.
    fn look(&mut self, disk: &dyn DiskView) -> Result<(), String> {
        for name in disk.list(&self.directory).into_iter().filter(|name| !name.starts_with('.')) {
            if self.files.contains_key(&name) {
                continue;
            }
            if !is_visible_part(&name) {
                return Err(format!("{name} is visible, and is no part of the output"));
            }
            let contents = read(&self.directory, &name, disk)?;
            self.files.insert(name.clone(), hash_bytes(&contents).0);
            if !contents.is_empty() && !contents.ends_with(b"\n") {
                return Err(format!("{name} ends in the middle of a line"));
            }
            for line in lines(&contents) {
                let Some((number, wanted)) = self.expected.find(line) else {
                    return Err(format!("{name} holds {}, which no run can give", show(line)));
                };
                let times = &mut self.seen[number];
                *times += 1;
                if self.exact && *times > wanted {
                    return Err(format!("{} is visible {times} times instead of {wanted}, last in {name}", show(line)));
                }
            }
        }
        Ok(())
    }
}

/// The names of the visible part files.
pub(super) fn visible_parts(directory: &Path, disk: &dyn DiskView) -> Vec<String> {
    disk.list(directory).into_iter().filter(|name| is_visible_part(name)).collect()
}

pub(super) fn is_visible_part(name: &str) -> bool {
    matches!(PartFile::parse(name), Some(PartFile::Visible(..)))
}

fn read(directory: &Path, name: &str, disk: &dyn DiskView) -> Result<Bytes, String> {
    disk.read(&directory.join(name)).ok_or_else(|| format!("{name} is listed, but cannot be read"))
}

/// The lines of a part file.
pub(super) fn lines(contents: &[u8]) -> impl Iterator<Item = &[u8]> {
    contents.split_inclusive(|b| *b == b'\n').map(|line| line.strip_suffix(b"\n").unwrap_or(line))
}

pub(super) fn show(line: &[u8]) -> String {
    format!("{:?}", String::from_utf8_lossy(line))
}

impl Checker for OutputOnce {
    fn id(&self) -> &'static str {
        "I2"
    }

    fn observe(&mut self, fact: &Fact, disk: &dyn DiskView) -> Result<(), String> {
        match fact.step {
            // Only now the names are durable: a name that reverts at a loss of power before was never promised.
            Step::CommitDirectorySynced => self.look(disk),
            _ => Ok(()),
        }
    }

    fn finish(&mut self, finished: bool, disk: &dyn DiskView) -> Result<(), String> {
        self.look(disk)?;
        for (name, digest) in &self.files {
            let contents = read(&self.directory, name, disk).map_err(|_| format!("{name} was visible, and is gone"))?;
            if hash_bytes(&contents).0 != *digest {
                return Err(format!("{name} has changed since it became visible"));
            }
        }
        if finished {
            let lacking = self.expected.compare(&self.seen).find(|(_, wanted, seen)| seen < wanted);
            if let Some((line, wanted, seen)) = lacking {
                let line = show(line);
                return Err(format!("{line} is visible {seen} times instead of {wanted}, and the job is finished"));
            }
        }
        Ok(())
    }

    fn holds_beyond(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use tidegate::stream::CheckpointMode;

    use super::*;
    use crate::checker::testing::{Event, Story, all_break, all_hold, by, ground, ground_of, remove, task, write};

    fn checker() -> OutputOnce {
        OutputOnce::new(&ground())
    }

    fn synced() -> Event {
        by(task("sink/0", 1), 1, Step::CommitDirectorySynced)
    }

    const END: Event = Event::End { finished: true };

    fn first() -> Event {
        write("/output/part-0-1-1.1-0", "a\t1\nb\t1\n")
    }

    fn second() -> Event {
        write("/output/part-0-2-1.1-1", "a\t2\n")
    }

    fn story() -> Story {
        let hidden = write("/output/.part-0-1.1-2.inprogress", "a\t7");
        Story::new([first(), hidden, synced(), second(), END])
    }

    #[test]
    fn each_line_once_is_right() {
        let unfinished = story().without(second()).instead(END, Event::End { finished: false });
        all_hold(checker, [story(), unfinished]);
    }

    #[test]
    fn at_least_once_may_repeat() {
        let again = write("/output/part-0-3-1.1-1", "a\t2\n");
        let checker = || OutputOnce::new(&ground_of(CheckpointMode::AtLeastOnce));
        all_hold(checker, [story().before(END, again)]);
        let lacking = r#""a\t2" is visible 0 times instead of 1, and the job is finished"#;
        all_break(checker, [(story().without(second()), lacking)]);
    }

    #[test]
    fn wrong_output_is_seen() {
        let part = |contents: &'static str| story().instead(second(), write("/output/part-0-2-1.1-1", contents));
        let between = |event| story().before(second(), event);
        all_break(
            checker,
            [
                (part("a\t2\na\t2\n"), r#""a\t2" is visible 2 times instead of 1, last in part-0-2-1.1-1"#),
                (part("a\t2\na\t1\n"), r#""a\t1" is visible 2 times instead of 1, last in part-0-2-1.1-1"#),
                (part("a\t3\n"), r#"part-0-2-1.1-1 holds "a\t3", which no run can give"#),
                (part("a\t2"), "part-0-2-1.1-1 ends in the middle of a line"),
                (part(""), r#""a\t2" is visible 0 times instead of 1, and the job is finished"#),
                (story().without(second()), r#""a\t2" is visible 0 times instead of 1, and the job is finished"#),
                (between(remove("/output/part-0-1-1.1-0")), "part-0-1-1.1-0 was visible, and is gone"),
                (
                    between(write("/output/part-0-1-1.1-0", "b\t1\na\t1\n")),
                    "part-0-1-1.1-0 has changed since it became visible",
                ),
                (
                    between(write("/output/part-0-01-1.1-0", "a\t1\n")),
                    "part-0-01-1.1-0 is visible, and is no part of the output",
                ),
            ],
        );
    }

    #[test]
    fn a_line_twice_is_seen_when_it_is_there_and_not_at_the_end() {
        let again = write("/output/part-0-2-1.1-1", "a\t1\n");
        let story = Story::new([first(), again, synced(), remove("/output/part-0-2-1.1-1")]);
        all_break(checker, [(story, r#""a\t1" is visible 2 times instead of 1, last in part-0-2-1.1-1"#)]);
    }
}
