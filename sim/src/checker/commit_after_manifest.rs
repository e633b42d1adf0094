//! I6: nothing becomes visible before the checkpoint that allows it is durable.

use std::{collections::BTreeSet, path::PathBuf};

use tidegate::{
    connector::PartFile,
    id::CheckpointId,
    probe::{Fact, Step},
};

use super::{Checker, DiskView, ground::Ground, output_once::is_visible_part};

/// Compares the order of events. A part names the checkpoint that it was prepared for; that one, or a later one, must have
/// completed. Names may appear without a word, so now and then it looks for itself.
pub(super) struct CommitAfterManifest {
    output: PathBuf,
    completed: BTreeSet<CheckpointId>,
    /// The names that were visible and rightly so: they will be for ever.
    right: BTreeSet<String>,
    /// A manifest that is about to get its name may turn out to be durable after a crash or an error of the disk, without
    /// anybody having said so.
    in_doubt: BTreeSet<CheckpointId>,
}

impl CommitAfterManifest {
    pub(super) fn new(ground: &Ground) -> Self {
        let output = ground.workload.output_directory().to_owned();
        Self { output, completed: BTreeSet::new(), right: BTreeSet::new(), in_doubt: BTreeSet::new() }
    }

    fn look(&mut self, disk: &dyn DiskView) -> Result<(), String> {
        for name in disk.list(&self.output) {
            if !self.right.contains(&name) && is_visible_part(&name) {
                self.check(&name)?;
                self.right.insert(name);
            }
        }
        Ok(())
    }

    fn check(&self, name: &str) -> Result<(), String> {
        match PartFile::parse(name) {
            Some(PartFile::Visible(_, id)) if self.completed.last() < Some(&id) => {
                Err(format!("{name} is made visible before checkpoint {id} is durable"))
            }
            Some(PartFile::Visible(..)) => Ok(()),
            _ => Err(format!("{name} is made visible under a name that is no part's")),
        }
    }
}

impl Checker for CommitAfterManifest {
    fn id(&self) -> &'static str {
        "I6"
    }

    fn observe(&mut self, fact: &Fact, disk: &dyn DiskView) -> Result<(), String> {
        match (&fact.step, fact.checkpoint) {
            (Step::CheckpointCompleted, Some(id)) => {
                self.completed.insert(id);
            }
            (Step::ManifestSynced | Step::ManifestShown, Some(id)) => {
                self.in_doubt.insert(id);
            }
            // A restart found it whole: it was durable.
            (Step::RestorePointChosen { restored: Some(id) }, _) => {
                if !self.completed.contains(id) && !self.in_doubt.contains(id) {
                    return Err(format!("checkpoint {id} is restored, but its manifest was never written"));
                }
                self.completed.insert(*id);
            }
            (Step::PartRenamed { path }, _) => {
                let name = path.file_name().and_then(|n| n.to_str());
                return self.check(name.unwrap_or_default());
            }
            (Step::CheckpointTriggered { .. } | Step::AttemptStarted { .. } | Step::JobEnded { .. }, _) => {
                return self.look(disk);
            }
            _ => {}
        }
        Ok(())
    }

    fn holds_beyond(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checker::testing::{
        Event, Story, all_break, all_hold, chosen, completed, ground, manager, renamed, started, write,
    };

    fn checker() -> CommitAfterManifest {
        CommitAfterManifest::new(&ground())
    }

    fn manifest(checkpoint: u64) -> Event {
        manager(checkpoint, Step::ManifestShown)
    }

    const FIRST: &str = "part-0-1-1.1-0";
    const SECOND: &str = "part-0-2-1.1-1";

    /// Checkpoint 2 is in doubt after a crash, and turns out to exist.
    fn story() -> Story {
        let first =
            [started(1, 0), manifest(1), completed(1), renamed(1, FIRST), write("/output/part-0-1-1.1-0", "a\t1\n")];
        Story::new(first.into_iter().chain([manifest(2), chosen(2), renamed(2, SECOND), started(2, 2)]))
    }

    #[test]
    fn a_later_checkpoint_allows_as_well() {
        let later = Story::new([manifest(3), completed(3), renamed(1, FIRST), renamed(1, SECOND)]);
        all_hold(checker, [story(), later]);
    }

    #[test]
    fn a_commit_before_its_checkpoint_is_seen() {
        let early = "part-0-1-1.1-0 is made visible before checkpoint 1 is durable";
        all_break(
            checker,
            [
                (story().without(completed(1)), early),
                (story().instead(completed(1), completed(0)), early),
                (story().without(chosen(2)), "part-0-2-1.1-1 is made visible before checkpoint 2 is durable"),
                (story().without(manifest(2)), "checkpoint 2 is restored, but its manifest was never written"),
                (
                    story().instead(renamed(1, FIRST), renamed(1, "part-0-01-1.1-0")),
                    "part-0-01-1.1-0 is made visible under a name that is no part's",
                ),
                // Written under its visible name, so that no rename is ever reported.
                (
                    story().before(started(2, 2), write("/output/part-0-3-1.1-2", "b\t1\n")),
                    "part-0-3-1.1-2 is made visible before checkpoint 3 is durable",
                ),
            ],
        );
    }
}
