//! I5: durable before acknowledged. The claim of a term, a snapshot that is acknowledged, the output that it prepared,
//! everything that a completed checkpoint's manifest names, the manifest itself, and what was committed, survive a loss of
//! all power at that very moment. What a task of a superseded attempt prepares and acknowledges counts for nothing: recovery
//! may have removed it already.

use std::collections::BTreeMap;

use tidegate::{
    checkpoint::SnapshotHandle,
    connector::{Committable, PartFile},
    id::{AttemptId, CheckpointId, TaskId},
    probe::{Actor, Fact, Step},
    storage::snapshot_digest,
};

use super::{Checker, DiskView, ground::Ground};

/// Looks at what would be left.
pub(super) struct DurableFirst {
    ground: Ground,
    /// The newest attempt.
    attempt: Option<AttemptId>,
    /// Each task's newest snapshot.
    frozen: BTreeMap<TaskId, Frozen>,
    /// The file that each task has taken last.
    taken: BTreeMap<TaskId, (CheckpointId, String)>,
}

/// What a task has frozen.
struct Frozen {
    checkpoint: CheckpointId,
    builds_on: Option<CheckpointId>,
    digest: u64,
    len: u64,
}

impl DurableFirst {
    pub(super) fn new(ground: &Ground) -> Self {
        Self { ground: ground.clone(), attempt: None, frozen: BTreeMap::new(), taken: BTreeMap::new() }
    }

    fn snapshot(&self, id: CheckpointId, task: TaskId, disk: &dyn DiskView) -> Result<(), String> {
        let frozen = self.frozen.get(&task).filter(|frozen| frozen.checkpoint == id);
        let taken = self.taken.get(&task).filter(|(taken, _)| *taken == id);
        // What is small is durable with the manifest, and is looked at when that is said to be so.
        if frozen.is_some_and(|frozen| self.ground.is_inline(task, frozen.builds_on, frozen.len)) {
            let file = taken.map(|(_, name)| format!("{task} takes {name} for what belongs into the manifest"));
            return file.map_or(Ok(()), Err);
        }
        let Some((_, name)) = taken else {
            return Err(format!("{task} acknowledges checkpoint {id} without a file"));
        };
        let path = self.ground.snapshot_path(name);
        let bytes = disk.read_durable(&path);
        let bytes = bytes.ok_or_else(|| format!("{} is acknowledged, but not durable", path.display()))?;
        let Some(&Frozen { digest, len, .. }) = frozen else {
            return Err(format!("{} is acknowledged, but nothing was frozen", path.display()));
        };
        // The file may have been used for more before.
        let bytes = bytes.slice(..bytes.len().min(usize::try_from(len).unwrap_or(usize::MAX)));
        self.ground.decode_snapshot(name, &bytes).map_err(|e| format!("acknowledged, but: {e}"))?;
        if snapshot_digest(&bytes) != digest {
            return Err(format!("{} is acknowledged, but is not what was frozen", path.display()));
        }
        Ok(())
    }

    /// A file of the output as everybody sees it, or a sign of what is wrong with it.
    fn check_output(&self, name: &str, disk: &dyn DiskView) -> Result<(), &'static str> {
        let path = self.ground.workload.output_directory().join(name);
        match disk.read_durable(&path) {
            None => Err("its name is not durable"),
            durable if durable != disk.read(&path) => Err("its contents are not durable"),
            _ => Ok(()),
        }
    }

    /// What a snapshot holds must be there under its pending name, or the visible one if it has been committed already.
    fn check_prepared(&self, name: &str, disk: &dyn DiskView) -> Result<(), String> {
        let Some(PartFile::Visible(part, checkpoint)) = PartFile::parse(name) else {
            return Err(format!("{name} is prepared, but that is no part's name"));
        };
        let pending = Committable { part, checkpoint }.pending_name();
        let why = |e: &str| format!("{name} is prepared, but {e}");
        self.check_output(&pending, disk).or_else(|e| self.check_output(name, disk).map_err(|_| why(e)))
    }

    fn manifest(&self, id: CheckpointId, disk: &dyn DiskView) -> Result<(), String> {
        let manifest = self.ground.durable_manifest(id, disk)?;
        for vertex in &manifest.vertices {
            for (index, handle) in vertex.snapshots.iter().enumerate() {
                match handle {
                    SnapshotHandle::Inline(inline) => drop(self.ground.decode_inline(id, inline)?),
                    SnapshotHandle::Files(files) if files.is_empty() => {
                        return Err(format!("nothing is durable of {}/{index}", vertex.name));
                    }
                    SnapshotHandle::Files(_) => {}
                }
            }
        }
        for named in &manifest.files {
            let path = named.path.display();
            let bytes = disk.read_durable(&named.path).ok_or_else(|| format!("{path} is not durable"))?;
            if !self.ground.is_whole(&bytes, named) {
                return Err(format!("{path} is durable only in part"));
            }
        }
        Ok(())
    }
}

impl Checker for DurableFirst {
    fn id(&self) -> &'static str {
        "I5"
    }

    fn observe(&mut self, fact: &Fact, disk: &dyn DiskView) -> Result<(), String> {
        // What a superseded task says counts for nobody, and what it wrote may have been deleted meanwhile.
        let is_superseded = fact.task().is_some_and(|task| Some(task.attempt) < self.attempt);
        match (&fact.step, fact.checkpoint, &fact.actor) {
            (Step::TermClaimed { term }, ..) if self.ground.graph.checkpoints.is_some() => {
                let path = self.ground.root.join(format!("term-{term}"));
                let claimed = disk.read_durable(&path);
                claimed
                    .map(drop)
                    .ok_or_else(|| format!("term {term} is claimed, but {} is not durable", path.display()))
            }
            (Step::AttemptStarted { attempt, .. }, ..) => {
                self.attempt = Some(*attempt);
                Ok(())
            }
            (Step::CommitPrepared { .. } | Step::Acknowledged, ..) if is_superseded => Ok(()),
            (Step::SnapshotEncoded { digest, bytes, builds_on }, Some(checkpoint), Actor::Task(task)) => {
                let frozen = Frozen { checkpoint, builds_on: *builds_on, digest: *digest, len: *bytes };
                self.frozen.insert(*task, frozen);
                Ok(())
            }
            (Step::SnapshotFileTaken { file, .. }, Some(id), Actor::Task(task)) => {
                self.taken.insert(*task, (id, file.clone()));
                Ok(())
            }
            (Step::CommitPrepared { committables }, ..) => {
                committables.iter().try_for_each(|name| self.check_prepared(name, disk))
            }
            (Step::Acknowledged, Some(id), Actor::Task(task)) => self.snapshot(id, *task, disk),
            (Step::CheckpointCompleted, Some(id), _) => {
                self.manifest(id, disk).map_err(|e| format!("checkpoint {id} is completed, but {e}"))
            }
            // What recovery acts upon must not be taken away after that.
            (Step::RestorePointChosen { restored: Some(id) }, ..) => {
                self.manifest(*id, disk).map_err(|e| format!("checkpoint {id} is restored, but {e}"))
            }
            // What a commit has made visible must stay so.
            (Step::Committed { committables }, ..) => {
                let check = |name| self.check_output(name, disk).map_err(|e| format!("{name} is committed, but {e}"));
                committables.iter().try_for_each(|name| check(name))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use tidegate::{
        checkpoint::{InlineSnapshot, Manifest, VertexManifest},
        state::SubtaskSnapshot,
        storage::{encode_manifest, encode_snapshot},
    };

    use super::*;
    use crate::checker::testing::{
        Event, Story, all_break, all_hold, attempt, by, chosen, completed, ground, ground_inlining, manager, remove,
        snapshot_file, started, sync, task, write,
    };

    const TERM: &str = "/chk/term-1";
    const SNAPSHOT: &str = "/chk/state/sink-0-1.1-1.state";
    const MANIFEST: &str = "/chk/manifest-1";
    const PENDING: &str = "/output/.part-0-1.1-0-1.pending";
    const VISIBLE: &str = "/output/part-0-1-1.1-0";

    fn checker() -> DurableFirst {
        DurableFirst::new(&ground())
    }

    fn snapshot() -> Bytes {
        encode_snapshot(&SubtaskSnapshot::default()).expect("it is plain data")
    }

    /// The file has been used for more before.
    fn used() -> Vec<u8> {
        [&snapshot()[..], b"more"].concat()
    }

    fn manifest() -> Vec<u8> {
        manifest_with(SnapshotHandle::Files(vec![snapshot_file(1, "sink-0-1.1-1.state", &snapshot())]))
    }

    fn manifest_with(handle: SnapshotHandle) -> Vec<u8> {
        let metrics = tidegate::metrics::CheckpointMetrics::default();
        let vertex = VertexManifest { name: "sink".into(), operators: Vec::new(), snapshots: vec![handle], metrics };
        encode_manifest(&Manifest {
            job: "Letters".into(),
            checkpoint: CheckpointId(1),
            oldest: CheckpointId(1),
            attempt: attempt(1),
            is_final: false,
            max_parallelism: 128,
            vertices: vec![vertex],
            completed_at_ms: 0,
            duration_us: 0,
        })
    }

    fn claimed() -> Event {
        manager(0, Step::TermClaimed { term: 1 })
    }

    fn sink(step: Step) -> Event {
        by(task("sink/0", 1), 1, step)
    }

    fn prepared() -> Event {
        sink(Step::CommitPrepared { committables: vec!["part-0-1-1.1-0".into()] })
    }

    fn frozen() -> Event {
        sink(Step::SnapshotEncoded {
            digest: snapshot_digest(&snapshot()),
            bytes: snapshot().len() as u64,
            builds_on: None,
        })
    }

    fn taken() -> Event {
        sink(Step::SnapshotFileTaken { file: "sink-0-1.1-1.state".into(), reused: true })
    }

    fn committed() -> Event {
        sink(Step::Committed { committables: vec!["part-0-1-1.1-0".into()] })
    }

    /// One subtask's part in a checkpoint, from the output that it prepares to the commit of that.
    fn story() -> Story {
        let prepare = [write(TERM, ""), sync(TERM), claimed(), write(PENDING, "a\t1\n"), sync(PENDING), prepared()];
        let snapshot = [frozen(), taken(), write(SNAPSHOT, used()), sync(SNAPSHOT), sink(Step::Acknowledged)];
        let publish = [write(MANIFEST, manifest()), sync(MANIFEST), completed(1), chosen(1)];
        let commit = [remove(PENDING), write(VISIBLE, "a\t1\n"), sync(VISIBLE), committed()];
        Story::new(prepare.into_iter().chain(snapshot).chain(publish).chain(commit))
    }

    #[test]
    fn first_durable_then_said() {
        // What is still in doubt is prepared again with the next checkpoint, when it may have been committed.
        all_hold(checker, [story(), story().then(prepared())]);
    }

    #[test]
    fn what_a_superseded_attempt_says_counts_for_nothing() {
        for said in [prepared(), sink(Step::Acknowledged)] {
            let in_attempt = |current| Story::new([started(current, 0), said.clone()]);
            assert!(in_attempt(1).told_to(&mut checker()).is_err());
            all_hold(checker, [in_attempt(2)]);
        }
    }

    #[test]
    fn what_is_said_too_early_is_seen() {
        all_break(
            checker,
            [
                (story().without(sync(TERM)), "term 1 is claimed, but /chk/term-1 is not durable"),
                (story().without(sync(PENDING)), "part-0-1-1.1-0 is prepared, but its name is not durable"),
                // Durable, and then written to once more.
                (
                    story().before(prepared(), write(PENDING, "a\t1\nb\t1\n")),
                    "part-0-1-1.1-0 is prepared, but its contents are not durable",
                ),
                (
                    story().then(sink(Step::CommitPrepared { committables: vec!["part".into()] })),
                    "part is prepared, but that is no part's name",
                ),
                (story().without(sync(SNAPSHOT)), "/chk/state/sink-0-1.1-1.state is acknowledged, but not durable"),
                (story().without(taken()), "v2/0@1.1 acknowledges checkpoint 1 without a file"),
                (story().without(frozen()), "/chk/state/sink-0-1.1-1.state is acknowledged, but nothing was frozen"),
                (story().without(sync(MANIFEST)), "checkpoint 1 is completed, but /chk/chk-1 is not durable"),
                // SlateDB 433: the manifest names what is not durable yet.
                (
                    story().before(completed(1), remove(SNAPSHOT)),
                    "checkpoint 1 is completed, but /chk/state/sink-0-1.1-1.state is not durable",
                ),
                (
                    story().without(completed(1)).without(sync(MANIFEST)),
                    "checkpoint 1 is restored, but /chk/chk-1 is not durable",
                ),
                (story().without(sync(VISIBLE)), "part-0-1-1.1-0 is committed, but its name is not durable"),
                (
                    story().before(committed(), write(VISIBLE, "a\t1\nb\t1\n")),
                    "part-0-1-1.1-0 is committed, but its contents are not durable",
                ),
            ],
        );
    }

    fn inlining() -> DurableFirst {
        DurableFirst::new(&ground_inlining(snapshot().len() as u64))
    }

    fn inline(contents: Bytes, digest: u64) -> Event {
        write(MANIFEST, manifest_with(SnapshotHandle::Inline(InlineSnapshot { contents, digest })))
    }

    fn whole() -> Event {
        inline(snapshot(), snapshot_digest(&snapshot()))
    }

    /// The same subtask, whose snapshot is small enough for the manifest.
    fn inline_story() -> Story {
        let publish = [whole(), sync(MANIFEST), completed(1), chosen(1)];
        Story::new([frozen(), sink(Step::Acknowledged)].into_iter().chain(publish))
    }

    #[test]
    fn what_is_small_is_durable_with_the_manifest() {
        all_hold(inlining, [inline_story()]);
        // One byte more than the manifest takes, or on top of another one, and it needs a file.
        let len = snapshot().len() as u64;
        let other = |builds_on, bytes| sink(Step::SnapshotEncoded { digest: 7, bytes, builds_on });
        let without_file = "v2/0@1.1 acknowledges checkpoint 1 without a file";
        let half = snapshot().slice(..8);
        let none = write(MANIFEST, manifest_with(SnapshotHandle::Files(Vec::new())));
        all_break(
            inlining,
            [
                (inline_story().instead(frozen(), other(None, len + 1)), without_file),
                (inline_story().instead(frozen(), other(Some(CheckpointId(0)), len)), without_file),
                (inline_story().without(frozen()), without_file),
                (
                    inline_story().before(sink(Step::Acknowledged), taken()),
                    "v2/0@1.1 takes sink-0-1.1-1.state for what belongs into the manifest",
                ),
                (inline_story().without(sync(MANIFEST)), "checkpoint 1 is completed, but /chk/chk-1 is not durable"),
                (
                    inline_story().instead(whole(), inline(snapshot(), 7)),
                    "checkpoint 1 is completed, but a snapshot in /chk/chk-1 is not whole",
                ),
                (inline_story().instead(whole(), none), "checkpoint 1 is completed, but nothing is durable of sink/0"),
            ],
        );
        let cut = inline_story().instead(whole(), inline(half.clone(), snapshot_digest(&half)));
        let message = cut.told_to(&mut inlining()).expect_err("half of it is durable");
        assert!(message.contains("/chk/chk-1 is damaged: it is cut short"), "{message}");
    }

    /// It is whole, and as long as what was frozen.
    #[test]
    fn another_snapshot_is_none() {
        let bytes = snapshot().len() as u64;
        let other = story().instead(frozen(), sink(Step::SnapshotEncoded { digest: 7, bytes, builds_on: None }));
        let message = "/chk/state/sink-0-1.1-1.state is acknowledged, but is not what was frozen";
        all_break(checker, [(other, message)]);
    }

    #[test]
    fn half_of_a_snapshot_is_none() {
        let half = snapshot().slice(..8);
        let early = story().instead(write(SNAPSHOT, used()), write(SNAPSHOT, half.clone()));
        let message = early.told_to(&mut checker()).expect_err("half of it is durable");
        assert!(message.starts_with("acknowledged, but: "), "{message}");
        // It is as long as it was, and ends as it ended, but what lies between is another's.
        let mut torn = snapshot().to_vec();
        torn[20] ^= 1;
        let message = "checkpoint 1 is completed, but /chk/state/sink-0-1.1-1.state is durable only in part";
        let late = |contents: Bytes| {
            let story = story().before(completed(1), write(SNAPSHOT, contents)).before(completed(1), sync(SNAPSHOT));
            (story, message)
        };
        all_break(checker, [late(half), late(torn.into())]);
    }
}
