//! I9, the other half: a job that has FINISHED leaves nothing behind. In the checkpoint directory there are the lock, the job's
//! file, the newest term, the record of the end, and the newest completed checkpoints, as many as the job keeps, each with
//! exactly the files that its manifest names. In the output directory there are visible parts and the marker.
//!
//! Exempt are hidden parts (in progress or pending) of a superseded attempt, unless they are known to have been there when
//! the last checkpoint completed. A task that was cut off and does not know that it is superseded may begin or rename a
//! part while the last clean-up runs, and after it: it asks nobody, and it may be out of reach. What such a part holds is never
//! visible. A task of the newest attempt has nothing left to write by then. Nor does a cut-off task find anywhere to put a
//! snapshot: the directories of checkpoints that never completed are gone, and of one that completed it has written its file.

use std::collections::BTreeSet;

use tidegate::{
    connector::{MARKER_FILE, PartFile},
    id::{AttemptId, CheckpointId},
    probe::{Fact, JobStatus, Step},
};

use super::{Checker, DiskView, ground::Ground};

/// Lists both directories at the end.
pub(super) struct NothingLeft {
    ground: Ground,
    term: Option<u32>,
    attempt: Option<AttemptId>,
    completed: BTreeSet<CheckpointId>,
    /// Hidden parts that were reported since the last checkpoint completed, and those that were reported before.
    recent: BTreeSet<String>,
    early: BTreeSet<String>,
}

impl NothingLeft {
    pub(super) fn new(ground: &Ground) -> Self {
        Self {
            ground: ground.clone(),
            term: None,
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
        let directories: Vec<String> = kept.iter().map(|id| format!("chk-{id}")).collect();
        let term = self.term.map(|term| format!("term-{term}"));
        for name in disk.list(root) {
            let files = ["lock", "job.json", "finished"].contains(&&*name) || Some(&name) == term.as_ref();
            if !files && !directories.contains(&name) {
                return Err(format!("{} is left behind", root.join(name).display()));
            }
        }
        for id in kept {
            let manifest = self.ground.manifest(id, disk)?;
            let named: BTreeSet<&str> = manifest.files().map(|file| &*file.name).collect();
            let directory = root.join(format!("chk-{id}"));
            let found = disk.list(&directory);
            if let Some(name) = found.iter().find(|name| *name != "manifest" && !named.contains(&***name)) {
                return Err(format!("{} is left behind", directory.join(name).display()));
            }
        }
        Ok(())
    }
}

impl Checker for NothingLeft {
    fn id(&self) -> &'static str {
        "I9"
    }

    fn observe(&mut self, fact: &Fact, disk: &dyn DiskView) -> Result<(), String> {
        match (&fact.step, fact.checkpoint) {
            (Step::TermClaimed { term }, _) => self.term = Some(*term),
            (Step::AttemptStarted { attempt, .. }, _) => self.attempt = Some(*attempt),
            (Step::CheckpointCompleted, Some(id)) => self.complete(id),
            // A crash may have kept it from being called complete.
            (Step::RestorePointChosen { restored: Some(id) }, _) => {
                self.completed.insert(*id);
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

    /// A sink of the first attempt begins a part.
    fn opened() -> Event {
        by(task("sink/0", 1), 0, Step::PartOpened { path: CUT_OFF.into() })
    }

    /// The second attempt ends; checkpoint 1 is retired, 2 and 3 are kept.
    fn story() -> Story {
        let files = ["/chk/lock", "/chk/job.json", "/chk/term-2", "/chk/finished", "/output/.tidegate-sink.json"];
        let files = files.into_iter().chain(["/output/part-0-3-1.2-0"]).map(|file| write(file, ""));
        let begun = [manager(0, Step::TermClaimed { term: 2 }), started(1, 0), started(2, 1)];
        let retired = ["count-0-1.1.snapshot", "manifest"].map(|name| remove(&format!("/chk/chk-1/{name}")));
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
        let pending = left("/output/.part-0-1.1-7-3.pending");
        all_hold(checker, [story(), left("/chk/rubbish").instead(finished(), failed), left(CUT_OFF), late(), pending]);
    }

    #[test]
    fn what_is_left_behind_is_seen() {
        let case = |file: &'static str| (left(file), format!("{file} is left behind"));
        let mut cases: Vec<_> = [
            "/chk/chk-1/count-0-1.1.snapshot",
            "/chk/chk-4/sink-0-1.1.snapshot.tmp",
            "/chk/chk-3/sink-0-1.1.snapshot",
            "/chk/term-1",
            "/chk/finished.tmp",
            "/output/.part-0-1.2-7.inprogress",
            "/output/.part-0-1.2-7-3.pending",
            "/output/.tidegate-sink.json.tmp",
        ]
        .map(case)
        .into();
        // Of a checkpoint that is not kept the directory is named.
        for (case, directory) in cases.iter_mut().zip(["/chk/chk-1", "/chk/chk-4"]) {
            case.1 = format!("{directory} is left behind");
        }
        // It was there when the clean-up began.
        let early = story().before(completed(3), write(CUT_OFF, "")).before(completed(3), opened());
        cases.push((early, format!("{CUT_OFF} is left behind")));
        all_break(checker, cases);
    }
}
