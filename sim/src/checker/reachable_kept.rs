//! I9: what can still be needed is never deleted. Every file that a retained checkpoint names is there and whole: of the newest
//! completed ones as many as the job keeps, and the one that an attempt restores, until all of its tasks have done so. And no
//! task writes over a file that any manifest names, be it that of a checkpoint which is about to go.

use std::collections::BTreeSet;

use tidegate::{
    id::CheckpointId,
    probe::{Fact, Step},
};

use super::{Checker, DiskView, ground::Ground, restoring::Restoring};

/// Looks after every deletion, and wherever somebody relies on what is left.
pub(super) struct ReachableKept {
    ground: Ground,
    /// The newest that completed, as many as the job keeps.
    retained: BTreeSet<CheckpointId>,
    /// The manifest that may be shown, and not yet durable.
    in_doubt: Option<CheckpointId>,
    restoring: Restoring,
}

impl ReachableKept {
    pub(super) fn new(ground: &Ground) -> Self {
        Self { ground: ground.clone(), retained: BTreeSet::new(), in_doubt: None, restoring: Restoring::new(ground) }
    }

    /// It is durable, and with it all before it.
    fn retain(&mut self, id: CheckpointId) {
        self.in_doubt = None;
        self.retained.insert(id);
        while self.retained.len() > self.ground.retained() {
            self.retained.pop_first();
        }
    }

    fn check(&mut self, disk: &dyn DiskView) -> Result<(), String> {
        // Durable, and not yet said to be.
        if let Some(id) = self.in_doubt.filter(|id| self.ground.durable_manifest(*id, disk).is_ok()) {
            self.retain(id);
        }
        let mut needed = self.retained.clone();
        needed.extend(self.restoring.pending());
        let whole =
            |id: &CheckpointId| self.whole(*id, disk).map_err(|e| format!("checkpoint {id} is still needed, but {e}"));
        needed.iter().try_for_each(whole)
    }

    /// While a manifest is shown and not durable, a loss of power may leave it or not: those before it must be there still.
    fn check_durable(&self, disk: &dyn DiskView) -> Result<(), String> {
        self.retained.iter().try_for_each(|id| {
            let durable = self.ground.durable_manifest(*id, disk);
            durable.map(drop).map_err(|e| format!("checkpoint {id} is still needed, but {e}"))
        })
    }

    /// What a manifest does not keep that is in doubt has its own only in what a loss of power would leave.
    fn whole(&self, id: CheckpointId, disk: &dyn DiskView) -> Result<(), String> {
        let visible = self.ground.manifest(id, disk);
        let manifest = if self.in_doubt.is_some() {
            visible.or_else(|_| self.ground.durable_manifest(id, disk))
        } else {
            visible
        }?;
        for named in &manifest.files {
            let bytes = disk.read(&named.path).ok_or_else(|| format!("{} is not there", named.path.display()))?;
            if !self.ground.is_whole(&bytes, named) {
                return Err(format!("{} is not whole", named.path.display()));
            }
        }
        Ok(())
    }
}

/// Nobody may write over what a manifest names.
fn is_free(ground: &Ground, name: &str, disk: &dyn DiskView) -> Result<(), String> {
    let manifests = ground.existing_manifests(disk);
    let claim = manifests.iter().find(|manifest| manifest.files.iter().any(|named| named.file.name == name));
    claim.map_or(Ok(()), |m| {
        Err(format!("{name} is about to be written over, but checkpoint {} names it", m.checkpoint))
    })
}

impl Checker for ReachableKept {
    fn id(&self) -> &'static str {
        "I9"
    }

    fn observe(&mut self, fact: &Fact, disk: &dyn DiskView) -> Result<(), String> {
        self.restoring.observe(fact);
        match (&fact.step, fact.checkpoint) {
            (Step::CheckpointCompleted, Some(id)) => self.retain(id),
            // A crash may have kept it from being called complete.
            (Step::RestorePointChosen { restored: Some(id) }, _) => self.retain(*id),
            (Step::ManifestShown, id) => {
                self.in_doubt = id;
                return self.check_durable(disk);
            }
            (Step::SnapshotFileTaken { file, reused: true }, _) => return is_free(&self.ground, file, disk),
            (Step::ManifestSynced, id) => {
                self.check(disk)?;
                self.in_doubt = id;
                return Ok(());
            }
            (
                Step::ManifestWritten | Step::CheckpointRetired | Step::StaleFilesRemoved | Step::AttemptStarted { .. },
                _,
            ) => {}
            _ => return Ok(()),
        }
        self.check(disk)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checker::testing::{
        Event, Story, all_break, all_hold, by, checkpoint, chosen, completed, ground_retaining, hide, manager,
        operator, remove, some, started, sync, task, write,
    };

    fn checker() -> ReachableKept {
        ReachableKept::new(&ground_retaining(2))
    }

    fn written(id: u64) -> Vec<Event> {
        checkpoint(id, &[("count", vec![operator("count")])]).1
    }

    fn retired(id: u64) -> [Event; 3] {
        let file = |name: &str| remove(&format!("/chk/{name}"));
        let snapshot = file(&format!("state/count-0-1.1-{id}.state"));
        [file(&format!("manifest-{id}")), snapshot, manager(id, Step::CheckpointRetired)]
    }

    /// The manifest of the checkpoint is shown, and not yet durable.
    fn shown(id: u64) -> Event {
        manager(id, Step::ManifestShown)
    }

    fn restores(subtask: &str) -> Event {
        by(task(subtask, 1), 0, Step::StateRestored { restored: some(1), given: Vec::new() })
    }

    /// Attempt 1 restores checkpoint 1; 2 and 3 complete, and 1 goes.
    fn story() -> Story {
        let tasks = ["source/0", "source/1", "count/0", "sink/0"].map(restores);
        let first = written(1).into_iter().chain([chosen(1), started(1, 1)]).chain(tasks);
        let more = [2, 3].into_iter().flat_map(|id| written(id).into_iter().chain([completed(id)]));
        Story::new(first.chain(more).chain(retired(1)))
    }

    fn and_then(story: Story, events: impl IntoIterator<Item = Event>) -> Story {
        events.into_iter().fold(story, Story::then)
    }

    #[test]
    fn what_nobody_needs_may_go() {
        all_hold(
            checker,
            [
                story(),
                and_then(and_then(story(), written(4)), [completed(4)].into_iter().chain(retired(2))),
                in_doubt(),
                and_then(in_doubt(), [sync("/chk/manifest-4"), manager(0, Step::StaleFilesRemoved)]),
                and_then(in_doubt(), [completed(4)]),
            ],
        );
    }

    /// Another step while everybody sees a manifest, and a loss of power would leave those before it.
    fn in_doubt() -> Story {
        let durable = and_then(story(), [2, 3].map(|id| sync(&format!("/chk/manifest-{id}"))));
        let seen = [manager(4, Step::ManifestSynced)].into_iter().chain(written(4));
        let meanwhile = [manager(0, Step::StaleFilesRemoved), shown(4), manager(0, Step::StaleFilesRemoved)];
        and_then(durable, seen.chain(meanwhile))
    }

    fn taken(id: u64, reused: bool) -> Event {
        by(task("count/0", 1), 4, Step::SnapshotFileTaken { file: format!("count-0-1.1-{id}.state"), reused })
    }

    /// FLINK-25395: a file is taken for unused though an earlier checkpoint names it.
    #[test]
    fn what_a_manifest_names_is_not_written_over() {
        all_hold(checker, [story().then(taken(1, true)), story().then(taken(2, false))]);
        let named = |id| format!("count-0-1.1-{id}.state is about to be written over, but checkpoint {id} names it");
        let durable = || and_then(story(), [sync("/chk/manifest-2"), taken(2, true)]);
        let (unsynced, now) = (hide("/chk/manifest-2"), taken(2, true));
        all_break(
            checker,
            [
                (story().then(taken(2, true)), named(2)),
                (story().then(taken(3, true)), named(3)),
                // It is removed, but a loss of power would bring it back.
                (durable().before(now, unsynced), named(2)),
            ],
        );
    }

    #[test]
    fn what_is_needed_and_gone_is_seen() {
        let gone = "checkpoint 2 is still needed, but /chk/chk-2 is not there";
        let snapshot = "/chk/state/count-0-1.1-3.state";
        let now = manager(1, Step::CheckpointRetired);
        // As long as what was there when the checkpoint completed, and was found whole.
        let len = checkpoint(3, &[("count", vec![operator("count")])]).0[0].len as usize;
        let other = write(snapshot, vec![b'x'; len]);
        all_break(
            checker,
            [
                (and_then(story(), retired(2)), gone),
                // Its slot is written over while no durable header says that it is not kept.
                (story().then(write("/chk/manifest-2", "torn")).then(manager(4, Step::ManifestWritten)), gone),
                (
                    and_then(story(), [sync("/chk/manifest-3"), shown(4)]),
                    "checkpoint 2 is still needed, but /chk/chk-2 is not durable",
                ),
                // What is not kept any more is needed until that is durable.
                (
                    in_doubt().before(shown(4), remove("/chk/state/count-0-1.1-2.state")),
                    "checkpoint 2 is still needed, but /chk/state/count-0-1.1-2.state is not there",
                ),
                (and_then(in_doubt(), [chosen(3)]), gone),
                // FLINK-22494: deleted, because its publication was taken for failed.
                (story().then(remove("/chk/manifest-2")).then(chosen(3)), gone),
                (
                    story().before(now.clone(), remove(snapshot)),
                    "checkpoint 3 is still needed, but /chk/state/count-0-1.1-3.state is not there",
                ),
                (
                    story().before(now.clone(), write(snapshot, "half")),
                    "checkpoint 3 is still needed, but /chk/state/count-0-1.1-3.state is not whole",
                ),
                (
                    story().before(now, other),
                    "checkpoint 3 is still needed, but /chk/state/count-0-1.1-3.state is not whole",
                ),
                // A task has yet to read it.
                (story().without(restores("sink/0")), "checkpoint 1 is still needed, but /chk/chk-1 is not there"),
            ],
        );
    }
}
