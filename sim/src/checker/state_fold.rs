//! I1: the state of a completed checkpoint is the fold of exactly the input before its source positions, and it is the state
//! of every stateful operator in every subtask.

use tidegate::{
    id::CheckpointId,
    probe::{Fact, Step},
};

use super::{Checker, DiskView, ground::Ground};

/// Opens every checkpoint at the moment of its completion. One that a crash kept from being called complete is opened when
/// recovery chooses it.
pub(super) struct StateFold {
    ground: Ground,
    /// Whether barriers block: else a state may be ahead of its sources, and only has to be all there.
    exact: bool,
}

impl StateFold {
    pub(super) fn new(ground: &Ground) -> Self {
        Self { ground: ground.clone(), exact: ground.is_exact() }
    }

    fn judge(&self, id: CheckpointId, disk: &dyn DiskView) -> Result<(), String> {
        let opened = self.ground.open(id, disk)?;
        for vertex in &self.ground.graph_of(opened.manifest.attempt).vertices {
            for operator in vertex.operators.iter().filter(|o| o.stateful) {
                let (uid, found) = (&operator.uid, opened.operators.get(&operator.uid).map_or(0, Vec::len));
                if found != vertex.parallelism as usize {
                    let subtasks = vertex.parallelism;
                    return Err(format!("checkpoint {id} holds the state of {found} of {subtasks} subtasks of {uid}"));
                }
            }
        }
        if self.exact {
            self.ground.workload.check_state(&opened.operators).map_err(|e| format!("checkpoint {id}: {e}"))?;
        }
        Ok(())
    }
}

impl Checker for StateFold {
    fn id(&self) -> &'static str {
        "I1"
    }

    fn observe(&mut self, fact: &Fact, disk: &dyn DiskView) -> Result<(), String> {
        match (&fact.step, fact.checkpoint) {
            (Step::CheckpointCompleted, Some(id)) => self.judge(id, disk),
            (Step::RestorePointChosen { restored: Some(id) }, _) => self.judge(*id, disk),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use tidegate::{
        checkpoint::{Manifest, SnapshotHandle, VertexManifest},
        state::{ListStateSnapshot, OperatorSnapshot, SubtaskSnapshot},
        storage::{encode_manifest, encode_snapshot},
    };

    use super::*;
    use crate::checker::testing::{
        Event, Story, all_break, all_hold, attempt, chosen, completed, ground, ground_of, remove, snapshot_file, write,
    };
    use tidegate::stream::CheckpointMode;

    fn checker() -> StateFold {
        StateFold::new(&ground())
    }

    /// The snapshot of a subtask that has seen so many records.
    fn snapshot(file: &str, uid: &str, seen: u8) -> Event {
        let list = ListStateSnapshot { name: "seen".into(), items: vec![vec![seen]] };
        let operator = OperatorSnapshot { uid: uid.into(), key_groups: None, keyed: Vec::new(), lists: vec![list] };
        let bytes = encode_snapshot(&SubtaskSnapshot { operators: vec![operator] }).expect("plain data");
        write(&format!("/chk/state/{file}"), bytes)
    }

    fn manifest(checkpoint: u64, files: &[&str]) -> Event {
        let snapshot = |name: &&str| SnapshotHandle::Files(vec![snapshot_file(1, name, &[0; 64])]);
        let snapshots = files.iter().map(snapshot).collect();
        let vertex = VertexManifest {
            name: "all".into(),
            operators: Vec::new(),
            snapshots,
            metrics: tidegate::metrics::CheckpointMetrics::default(),
        };
        let manifest = Manifest {
            job: "Letters".into(),
            checkpoint: CheckpointId(checkpoint),
            oldest: CheckpointId(1),
            attempt: attempt(1),
            is_final: false,
            max_parallelism: 128,
            vertices: vec![vertex],
            completed_at_ms: 0,
            duration_us: 0,
        };
        write("/chk/manifest-1", encode_manifest(&manifest))
    }

    const ALL: &[&str] = &["source-0", "source-1", "count-0", "sink-0"];

    fn story() -> Story {
        let sources = [snapshot("source-0", "source", 1), snapshot("source-1", "source", 2)];
        let others = [snapshot("count-0", "count", 3), snapshot("sink-0", "sink", 3), manifest(1, ALL)];
        Story::new(sources.into_iter().chain(others).chain([completed(1)]))
    }

    #[test]
    fn the_fold_of_what_was_read_is_right() {
        all_hold(checker, [story(), story().instead(completed(1), chosen(1))]);
        let ahead = story().instead(snapshot("count-0", "count", 3), snapshot("count-0", "count", 4));
        all_hold(|| StateFold::new(&ground_of(CheckpointMode::AtLeastOnce)), [ahead]);
    }

    #[test]
    fn another_state_is_seen() {
        let counted = |n| story().instead(snapshot("count-0", "count", 3), snapshot("count-0", "count", n));
        let named = |files| story().instead(manifest(1, ALL), manifest(1, files));
        let gone = |path| story().before(completed(1), remove(path));
        all_break(
            checker,
            [
                (counted(2), "checkpoint 1: 3 records are read, and 2 are counted"),
                (counted(4), "checkpoint 1: 3 records are read, and 4 are counted"),
                (counted(4).instead(completed(1), chosen(1)), "checkpoint 1: 3 records are read, and 4 are counted"),
                // A subtask that has not read anything yet: the sums agree, but its splits are gone.
                (
                    named(&["source-1", "count-0", "sink-0"]),
                    "checkpoint 1 holds the state of 1 of 2 subtasks of source",
                ),
                (named(&[]), "checkpoint 1 holds the state of 0 of 2 subtasks of source"),
                (
                    story().instead(manifest(1, ALL), manifest(2, ALL)),
                    "checkpoint 1 cannot be opened: /chk/chk-1 is not there",
                ),
                (gone("/chk/manifest-1"), "checkpoint 1 cannot be opened: /chk/chk-1 is not there"),
                (gone("/chk/state/count-0"), "checkpoint 1 cannot be opened: /chk/state/count-0 is not there"),
            ],
        );
        let at_least_once = || StateFold::new(&ground_of(CheckpointMode::AtLeastOnce));
        let unopened = "checkpoint 1 cannot be opened: /chk/state/count-0 is not there";
        let chosen_unopened = gone("/chk/state/count-0").instead(completed(1), chosen(1));
        all_break(at_least_once, [(gone("/chk/state/count-0"), unopened), (chosen_unopened, unopened)]);
        let torn = story().before(completed(1), write("/chk/state/count-0", "torn"));
        let message = torn.told_to(&mut checker()).expect_err("it is torn");
        assert!(message.contains("snapshot file /chk/state/count-0 is damaged: it is cut short"), "{message}");
    }
}
