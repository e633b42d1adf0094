//! I9, the other half: a job that has FINISHED leaves nothing behind. In the checkpoint directory there are the lock, the job's
//! file, the newest term, the newest claim on numbers, the record of the end, the manifests of the newest completed
//! checkpoints, as many as the job keeps, and exactly the snapshot files that these name. In the output directory there are visible parts and the marker.
//!
//! Exempt are hidden parts (in progress or pending) of a superseded attempt, unless they are known to have been there when
//! the last checkpoint completed. A task that was cut off and does not know that it is superseded may begin or rename a
//! part while the last clean-up runs, and after it: it asks nobody, and it may be out of reach. What such a part holds is never
//! visible. The same holds for a snapshot file that such a task creates. A task of the newest attempt has nothing left to write
//! by then.

use std::collections::BTreeSet;

use tidegate::{
    connector::{MARKER_FILE, PartFile},
    id::{AttemptId, CheckpointId},
    probe::{Fact, JobStatus, Step},
    storage::parse_snapshot_file,
};

use super::{Checker, DiskView, ground::Ground};

/// Lists both directories at the end.
pub(super) struct NothingLeft {
    ground: Ground,
    term: Option<u32>,
    reserved: Option<CheckpointId>,
    attempt: Option<AttemptId>,
    completed: BTreeSet<CheckpointId>,
    /// Hidden parts and snapshot files that were reported since the last checkpoint completed, and those that were reported before.
    recent: BTreeSet<String>,
    early: BTreeSet<String>,
}

impl NothingLeft {
    pub(super) fn new(ground: &Ground) -> Self {
        Self {
            ground: ground.clone(),
            term: None,
            reserved: None,
            attempt: None,
            completed: BTreeSet::new(),
            recent: BTreeSet::new(),
            early: BTreeSet::new(),
        }
    }

    fn complete(&mut self, id: CheckpointId) {
        self.completed.insert(id);
        self.early.append(&mut self.recent);
    }

    fn check(&self, disk: &dyn DiskView) -> Result<(), String> {
        if self.ground.graph.checkpoints.is_some() {
            self.check_checkpoints(disk)?;
        }
        let output = self.ground.workload.output_directory();
        let left = disk.list(output).into_iter().find(|name| !self.belongs_in_output(name));
        left.map_or(Ok(()), |name| Err(format!("{} is left behind", output.join(name).display())))
    }

    fn belongs_in_output(&self, name: &str) -> bool {
        match PartFile::parse(name) {
            Some(PartFile::Visible(..)) => true,
            Some(hidden) => Some(hidden.part().attempt) < self.attempt && !self.early.contains(name),
            None => name == MARKER_FILE,
        }
    }

    fn check_checkpoints(&self, disk: &dyn DiskView) -> Result<(), String> {
        let root = &self.ground.root;
        let kept: Vec<CheckpointId> = self.completed.iter().rev().take(self.ground.retained()).copied().collect();
        let claims = [self.term.map(|term| format!("term-{term}")), self.reserved.map(|n| format!("reserved-{n}"))];
        let manifests = kept.iter().filter_map(|id| self.ground.slot(*id, disk));
        let files = ["lock", "job.json", "finished", "state"].map(str::to_owned);
        let belongs: BTreeSet<String> =
            files.into_iter().chain(claims.into_iter().flatten()).chain(manifests).collect();
        if let Some(name) = disk.list(root).iter().find(|name| !belongs.contains(*name)) {
            return Err(format!("{} is left behind", root.join(name).display()));
        }
        let mut named = BTreeSet::new();
        for id in kept {
            named.extend(self.ground.manifest(id, disk)?.files().map(|file| file.name.clone()));
        }
        let belongs = |name: &String| named.contains(name) || self.was_cut_off(name);
        let left = disk.list(&root.join("state")).into_iter().find(|name| !belongs(name));
        left.map_or(Ok(()), |name| Err(format!("{} is left behind", self.ground.snapshot_path(&name).display())))
    }

    /// A snapshot file that a task without contact may have created too late for the clean-up.
    fn was_cut_off(&self, name: &str) -> bool {
        parse_snapshot_file(name).is_some_and(|attempt| Some(attempt) < self.attempt && !self.early.contains(name))
    }
}

impl Checker for NothingLeft {
    fn id(&self) -> &'static str {
        "I9"
    }

    fn observe(&mut self, fact: &Fact, disk: &dyn DiskView) -> Result<(), String> {
        match (&fact.step, fact.checkpoint) {
            (Step::TermClaimed { term }, _) => self.term = Some(*term),
            (Step::NumbersReserved { through }, _) => self.reserved = Some(*through),
            (Step::AttemptStarted { attempt, .. }, _) => self.attempt = Some(*attempt),
            (Step::CheckpointCompleted, Some(id)) => self.complete(id),
            // A crash may have kept it from being called complete.
            (Step::RestorePointChosen { restored: Some(id) }, _) => {
                self.completed.insert(*id);
            }
            (Step::SnapshotFileTaken { file, .. }, _) => {
                self.recent.insert(file.clone());
            }
            (Step::PartOpened { path } | Step::PartPending { path }, _) => {
                self.recent.extend(path.file_name().and_then(|name| name.to_str()).map(str::to_owned));
            }
            (Step::JobEnded { status: JobStatus::Finished }, _) => return self.check(disk),
            _ => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use tidegate::error::Error;

    use super::*;
    use crate::checker::testing::{
        Event, Story, all_break, all_hold, by, checkpoint, completed, ended, ground_retaining, manager, operator,
        remove, started, task, write,
    };

    fn checker() -> NothingLeft {
        NothingLeft::new(&ground_retaining(2))
    }

    fn finished() -> Event {
        ended(JobStatus::Finished)
    }

    fn written(id: u64) -> impl Iterator<Item = Event> {
        checkpoint(id, &[("count", vec![operator("count")])]).1.into_iter().chain([completed(id)])
    }

    const CUT_OFF: &str = "/output/.part-0-1.1-7.inprogress";

    const CUT_OFF_SNAPSHOT: &str = "/chk/state/sink-0-1.1-9.state";

    /// A sink of the first attempt takes a file for a snapshot.
    fn taken() -> Event {
        by(task("sink/0", 1), 4, Step::SnapshotFileTaken { file: "sink-0-1.1-9.state".into(), reused: false })
    }

    /// A sink of the first attempt begins a part.
    fn opened() -> Event {
        by(task("sink/0", 1), 0, Step::PartOpened { path: CUT_OFF.into() })
    }

    /// The second attempt ends; checkpoint 1 is retired, 2 and 3 are kept.
    fn story() -> Story {
        let files = ["/chk/lock", "/chk/job.json", "/chk/term-2", "/chk/reserved-16", "/chk/finished"];
        let files = files.into_iter().chain(["/output/.tidegate-sink.json", "/output/part-0-3-1.2-0"]);
        let files = files.map(|file| write(file, ""));
        let reserved = manager(0, Step::NumbersReserved { through: CheckpointId(16) });
        let begun = [manager(0, Step::TermClaimed { term: 2 }), reserved, started(1, 0), started(2, 1)];
        let retired = ["state/count-0-1.1-1.state", "manifest-1"].map(|name| remove(&format!("/chk/{name}")));
        let checkpoints = (1..4).flat_map(written);
        Story::new(begun.into_iter().chain(checkpoints).chain(retired).chain(files).chain([finished()]))
    }

    fn left(file: &str) -> Story {
        story().before(finished(), write(file, ""))
    }

    #[test]
    fn what_is_kept_may_be_there() {
        let failed = ended(JobStatus::Failed(Error::bad_input("no")));
        let late = || left(CUT_OFF).before(finished(), opened());
        let snapshot = left(CUT_OFF_SNAPSHOT).before(finished(), taken());
        let pending = left("/output/.part-0-1.1-7-3.pending");
        all_hold(
            checker,
            [story(), left("/chk/rubbish").instead(finished(), failed), left(CUT_OFF), late(), pending, snapshot],
        );
    }

    #[test]
    fn what_is_left_behind_is_seen() {
        let case = |file: &'static str| (left(file), format!("{file} is left behind"));
        let mut cases: Vec<_> = [
            "/chk/manifest-1",
            "/chk/manifest-4.tmp",
            "/chk/manifest-3.tmp",
            "/chk/state/sink-0-1.2-1.state",
            "/chk/state/notes",
            "/chk/term-1",
            "/chk/reserved-8",
            "/chk/finished.tmp",
            "/output/.part-0-1.2-7.inprogress",
            "/output/.part-0-1.2-7-3.pending",
            "/output/.tidegate-sink.json.tmp",
        ]
        .map(case)
        .into();
        // It was there when the clean-up began.
        let early = story().before(completed(3), write(CUT_OFF, "")).before(completed(3), opened());
        cases.push((early, format!("{CUT_OFF} is left behind")));
        let early = left(CUT_OFF_SNAPSHOT).before(completed(3), taken());
        cases.push((early, format!("{CUT_OFF_SNAPSHOT} is left behind")));
        all_break(checker, cases);
    }
}
