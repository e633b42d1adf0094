//! I4: what is restored is, byte for byte, what was frozen at the barrier, whatever ran, and whatever the disk did, since
//! then. A completed checkpoint vouches for the bytes that its tasks froze (that they stand there durably is I5), and a task
//! that restores it gets these bytes, of all subtasks of its vertex, or an error.
//!
//! A restore is judged by what came to the task, not by what stands on the disk: bytes may rot before, after, or on the way.

use std::collections::{BTreeMap, BTreeSet};

use tidegate::{
    checkpoint::SnapshotHandle,
    id::{CheckpointId, SubtaskId, TaskId},
    probe::{Actor, Fact, Step},
};

use super::{Checker, DiskView, ground::Ground};

/// Remembers the checksum of what each task has frozen.
pub(super) struct SnapshotPurity {
    ground: Ground,
    /// By task: the checkpoint, and the checksum.
    newest: BTreeMap<TaskId, (CheckpointId, u64)>,
    /// By checkpoint and by the name of the file that was taken for it, and by that of the subtask: what stands in a manifest
    /// goes by that.
    frozen: BTreeMap<(CheckpointId, String), (TaskId, u64)>,
}

impl SnapshotPurity {
    pub(super) fn new(ground: &Ground) -> Self {
        Self { ground: ground.clone(), newest: BTreeMap::new(), frozen: BTreeMap::new() }
    }

    /// The subtask that froze these bytes.
    fn owner(&self, id: CheckpointId, file: &str, digest: u64) -> Result<SubtaskId, String> {
        match self.frozen.get(&(id, file.to_owned())) {
            None => Err(format!("{file} of checkpoint {id}, which no task has frozen")),
            Some((_, frozen)) if *frozen != digest => {
                Err(format!("{file} of checkpoint {id}, which is not what was frozen"))
            }
            Some((task, _)) => Ok(task.subtask),
        }
    }

    fn completed(&self, id: CheckpointId, disk: &dyn DiskView) -> Result<(), String> {
        // A manifest that cannot be read vouches for nothing.
        let Ok(manifest) = self.ground.manifest(id, disk) else { return Ok(()) };
        for vertex in &manifest.vertices {
            for (index, handle) in vertex.snapshots.iter().enumerate() {
                if let SnapshotHandle::Inline(inline) = handle {
                    let subtask = format!("{}/{index}", vertex.name);
                    self.ground.decode_inline(id, inline)?;
                    let owner = self.owner(id, &subtask, inline.digest);
                    owner.map_err(|e| format!("the manifest holds {e}"))?;
                }
            }
        }
        manifest.files().try_for_each(|file| {
            let owner = self.owner(file.written_for, &file.name, file.digest);
            owner.map(drop).map_err(|e| format!("the manifest names {e}"))
        })
    }

    fn read(&self, task: TaskId, id: CheckpointId, files: &[(String, CheckpointId, u64)]) -> Result<(), String> {
        let mut owners = BTreeSet::new();
        for (file, written_for, digest) in files {
            owners.insert(self.owner(*written_for, file, *digest).map_err(|e| format!("{task} restores {e}"))?);
        }
        let mut frozen = self.frozen.range((id, String::new())..).take_while(|((of, _), _)| *of == id);
        let Some((_, (freezer, _))) = frozen.next() else {
            return Err(format!("{task} restores checkpoint {id}, of which no task has frozen anything"));
        };
        let graph = self.ground.graph_of(freezer.attempt);
        let vertex = graph.vertex(task.subtask.vertex);
        let subtasks = if vertex.operators.iter().any(|o| o.stateful) { vertex.parallelism } else { 0 };
        let due: BTreeSet<_> = (0..subtasks).map(|index| SubtaskId { vertex: vertex.id, index }).collect();
        match due.symmetric_difference(&owners).next() {
            None => Ok(()),
            Some(subtask) if due.contains(subtask) => Err(format!("{task} restores nothing of {subtask}")),
            Some(subtask) => Err(format!("{task} restores the state of {subtask}")),
        }
    }
}

impl Checker for SnapshotPurity {
    fn id(&self) -> &'static str {
        "I4"
    }

    fn observe(&mut self, fact: &Fact, disk: &dyn DiskView) -> Result<(), String> {
        match (&fact.step, fact.checkpoint, &fact.actor) {
            (Step::SnapshotEncoded { digest, .. }, Some(id), Actor::Task(task)) => {
                let subtask = self.ground.graph_of(task.attempt).subtask_name(task.subtask);
                self.frozen.insert((id, subtask), (*task, *digest));
                self.newest.insert(*task, (id, *digest));
                Ok(())
            }
            (Step::SnapshotFileTaken { file, .. }, Some(id), Actor::Task(task)) => {
                if let Some((_, digest)) = self.newest.get(task).filter(|(frozen, _)| *frozen == id) {
                    self.frozen.insert((id, file.clone()), (*task, *digest));
                }
                Ok(())
            }
            (Step::CheckpointCompleted, Some(id), _) => self.completed(id, disk),
            (Step::SnapshotRead { restored, files }, _, Actor::Task(task)) => self.read(*task, *restored, files),
            _ => Ok(()),
        }
    }

    /// Damage must be noticed, never used.
    fn holds_beyond(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use tidegate::{
        checkpoint::{InlineSnapshot, VertexManifest},
        metrics::CheckpointMetrics,
        state::SubtaskSnapshot,
        storage::{encode_manifest, encode_snapshot, snapshot_digest},
    };

    use super::*;
    use crate::checker::testing::{
        Event, Story, all_break, all_hold, by, checkpoint, completed, ground, manifest_of, operator, task, write,
    };

    fn checker() -> SnapshotPurity {
        SnapshotPurity::new(&ground())
    }

    /// The two sources, their checksums, and the events that write them.
    fn files() -> ([(String, CheckpointId, u64); 2], Vec<Event>) {
        let (files, events) = checkpoint(1, &[("source", vec![operator("source"), operator("source")])]);
        let named = |i: usize| (files[i].name.clone(), CheckpointId(1), files[i].digest);
        ([named(0), named(1)], events)
    }

    fn frozen(subtask: &str, digest: u64) -> Event {
        by(task(subtask, 1), 1, Step::SnapshotEncoded { digest, bytes: 0, builds_on: None })
    }

    fn taken(subtask: &str, file: &str) -> Event {
        by(task(subtask, 1), 1, Step::SnapshotFileTaken { file: file.to_owned(), reused: false })
    }

    fn restores(subtask: &str, files: &[(String, CheckpointId, u64)]) -> Event {
        by(task(subtask, 2), 0, Step::SnapshotRead { restored: CheckpointId(1), files: files.to_vec() })
    }

    fn both_frozen() -> [Event; 2] {
        let ([first, second], _) = files();
        [frozen("source/0", first.2), frozen("source/1", second.2)]
    }

    fn story() -> Story {
        let (named, written) = files();
        let taken = [taken("source/0", &named[0].0), taken("source/1", &named[1].0)];
        let before = both_frozen().into_iter().chain(taken).chain(written);
        Story::new(before.chain([completed(1), restores("source/1", &named)]))
    }

    #[test]
    fn what_was_frozen_may_be_restored() {
        let damaged = story().before(completed(1), write("/chk/manifest-1", "rotten"));
        all_hold(checker, [story(), damaged]);
    }

    #[test]
    fn other_bytes_are_seen() {
        let (named, _) = files();
        let [first, second] = named.clone();
        let [_, other] = both_frozen();
        let restoring = |files: &[(String, CheckpointId, u64)]| {
            story().instead(restores("source/1", &named), restores("source/1", files))
        };
        all_break(
            checker,
            [
                // FLINK-9269: the writer goes through the live table while the stream goes on.
                (
                    story().instead(other.clone(), frozen("source/1", 7)),
                    "the manifest names source-1-1.1-1.state of checkpoint 1, which is not what was frozen",
                ),
                (
                    story().without(other),
                    "the manifest names source-1-1.1-1.state of checkpoint 1, which no task has frozen",
                ),
                (
                    restoring(&[first.clone(), (second.0.clone(), second.1, 7)]),
                    "v0/1@1.2 restores source-1-1.1-1.state of checkpoint 1, which is not what was frozen",
                ),
                (
                    restoring(&[first.clone(), ("source-1-1.2-1.state".into(), second.1, second.2)]),
                    "v0/1@1.2 restores source-1-1.2-1.state of checkpoint 1, which no task has frozen",
                ),
                (
                    restoring(&[first.clone(), (second.0.clone(), CheckpointId(2), second.2)]),
                    "v0/1@1.2 restores source-1-1.1-1.state of checkpoint 2, which no task has frozen",
                ),
                (restoring(&[first]), "v0/1@1.2 restores nothing of v0/1"),
                (story().then(restores("count/0", &named)), "v1/0@1.2 restores the state of v0/0"),
            ],
        );
    }

    /// The bytes of the two sources, which differ.
    fn contents() -> [Bytes; 2] {
        let bytes = |operators| encode_snapshot(&SubtaskSnapshot { operators }).expect("plain data");
        [bytes(vec![operator("source")]), bytes(Vec::new())]
    }

    fn in_manifest(contents: [Bytes; 2]) -> Event {
        in_manifest_as(contents.map(|bytes| (bytes.clone(), snapshot_digest(&bytes))))
    }

    /// With these digests.
    fn in_manifest_as(contents: [(Bytes, u64); 2]) -> Event {
        let inline = |(contents, digest)| SnapshotHandle::Inline(InlineSnapshot { contents, digest });
        let (name, metrics) = ("source".to_owned(), CheckpointMetrics::default());
        let snapshots = contents.map(inline).into();
        let vertex = VertexManifest { name, operators: Vec::new(), snapshots, metrics };
        write("/chk/manifest-1", encode_manifest(&manifest_of(1, vec![vertex])))
    }

    /// Both sources are small enough for the manifest.
    fn inline_story() -> (Story, [(String, CheckpointId, u64); 2]) {
        let [first, second] = contents().map(|bytes| snapshot_digest(&bytes));
        let named = [("source/0".to_owned(), CheckpointId(1), first), ("source/1".to_owned(), CheckpointId(1), second)];
        let before = [frozen("source/0", first), frozen("source/1", second), in_manifest(contents()), completed(1)];
        (Story::new(before.into_iter().chain([restores("source/1", &named)])), named)
    }

    #[test]
    fn other_bytes_in_the_manifest_are_seen() {
        let (story, named) = inline_story();
        all_hold(checker, [story.clone()]);
        let [first, second] = contents();
        let [zero, one] = named.clone();
        let restoring = |files: &[(String, CheckpointId, u64)]| {
            story.clone().instead(restores("source/1", &named), restores("source/1", files))
        };
        all_break(
            checker,
            [
                // FLINK-2808: what the manifest holds has changed since the barrier.
                (
                    story.clone().instead(frozen("source/1", one.2), frozen("source/1", 7)),
                    "the manifest holds source/1 of checkpoint 1, which is not what was frozen",
                ),
                (
                    story.clone().instead(in_manifest(contents()), in_manifest([second, first])),
                    "the manifest holds source/0 of checkpoint 1, which is not what was frozen",
                ),
                (
                    story.clone().without(frozen("source/1", one.2)),
                    "the manifest holds source/1 of checkpoint 1, which no task has frozen",
                ),
                (
                    restoring(&[zero.clone(), (one.0.clone(), one.1, 7)]),
                    "v0/1@1.2 restores source/1 of checkpoint 1, which is not what was frozen",
                ),
                (
                    restoring(&[zero.clone(), (one.0, CheckpointId(2), one.2)]),
                    "v0/1@1.2 restores source/1 of checkpoint 2, which no task has frozen",
                ),
                (restoring(&[zero]), "v0/1@1.2 restores nothing of v0/1"),
            ],
        );
    }

    /// The manifest tells the digest that was acknowledged, but its bytes are others.
    #[test]
    fn a_digest_does_not_vouch_for_other_bytes() {
        let (story, _) = inline_story();
        let [first, second] = contents();
        let digests = [&first, &second].map(|bytes| snapshot_digest(bytes));
        let telling = |contents: [Bytes; 2]| {
            let told = in_manifest_as(std::array::from_fn(|i| (contents[i].clone(), digests[i])));
            story.clone().instead(in_manifest([first.clone(), second.clone()]), told)
        };
        all_hold(checker, [telling([first.clone(), second.clone()])]);
        let message = "a snapshot in /chk/chk-1 is not whole";
        all_break(checker, [(telling([second.clone(), second.clone()]), message)]);
        // It ends as it ended.
        let mut torn = first.to_vec();
        torn[20] ^= 1;
        let message = telling([torn.into(), second.clone()]).told_to(&mut checker()).expect_err("it is torn");
        assert!(message.contains("is damaged"), "{message}");
    }
}
