//! Where a job starts: decided from what storage holds and what the user asked for.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{CheckpointedJob, Manifest};
use crate::{
    error::{Error, Result},
    id::CheckpointId,
};

/// What the user asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RestoreMode {
    /// The newest completed checkpoint, or from the beginning if there is none.
    #[default]
    Latest,
    /// From the beginning, in a checkpoint directory that holds no completed checkpoint.
    None,
    /// This checkpoint: its directory's path and `chk-<id>`.
    Path(PathBuf),
}

/// Where the job starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RestoreChoice {
    /// From the beginning.
    Fresh,
    /// The newest completed checkpoint of the directory.
    Newest(CheckpointId),
    /// The checkpoint with this manifest.
    At(PathBuf),
}

/// Chooses. `completed` are the completed checkpoints in `directory`, ascending.
///
/// # Errors
/// `BadInput` if starting from the beginning would leave completed checkpoints behind: output that they have made visible
/// would be made a second time.
pub fn choose_restore_point(mode: &RestoreMode, completed: &[CheckpointId], directory: &Path) -> Result<RestoreChoice> {
    match (mode, completed.last()) {
        (RestoreMode::Path(path), _) => Ok(RestoreChoice::At(path.clone())),
        (RestoreMode::Latest, Some(newest)) => Ok(RestoreChoice::Newest(*newest)),
        (RestoreMode::Latest | RestoreMode::None, None) => Ok(RestoreChoice::Fresh),
        (RestoreMode::None, Some(newest)) => Err(Error::bad_input(format!(
            "checkpoint directory {} holds completed checkpoints, the newest is {newest}: to start from the beginning, \
             choose another checkpoint directory and another output directory; to go on, restore the latest",
            directory.display()
        ))),
    }
}

/// Whether the job can be restored from this checkpoint.
///
/// # Errors
/// `BadInput` naming what does not fit.
pub fn validate_manifest(manifest: &Manifest, job: &CheckpointedJob) -> Result<()> {
    let checkpoint = manifest.checkpoint;
    if manifest.job != job.name {
        return Err(Error::bad_input(format!(
            "checkpoint {checkpoint} belongs to job {}, not to job {}: restore one of this job",
            manifest.job, job.name
        )));
    }
    if manifest.max_parallelism != job.max_parallelism {
        return Err(Error::bad_input(format!(
            "checkpoint {checkpoint} was taken with a maximum parallelism of {}, which cannot be changed to {}: run the job with the old one",
            manifest.max_parallelism, job.max_parallelism
        )));
    }
    let known = |uid: &String| job.vertices.iter().any(|v| v.operators.contains(uid));
    match manifest.vertices.iter().flat_map(|v| &v.operators).find(|uid| !known(uid)) {
        None => Ok(()),
        Some(uid) => Err(Error::bad_input(format!(
            "checkpoint {checkpoint} holds state of operator {uid}, which job {} does not have: its state would be lost; \
             restore it with the program that took it, or give the operator its uid back",
            job.name
        ))),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::{
        checkpoint::{CheckpointedVertex, PendingCheckpoint, SnapshotHandle},
        id::{AttemptId, SubtaskId, VertexId},
        instant::Instant,
        metrics::SubtaskCheckpointMetrics,
    };

    #[test]
    fn every_case_of_the_choice() {
        let path = || RestoreMode::Path("/elsewhere/chk-2".into());
        let cases = [
            (RestoreMode::Latest, vec![], Ok(RestoreChoice::Fresh)),
            (RestoreMode::Latest, vec![3, 7], Ok(RestoreChoice::Newest(CheckpointId(7)))),
            (RestoreMode::None, vec![], Ok(RestoreChoice::Fresh)),
            (RestoreMode::None, vec![3], Err(())),
            (path(), vec![], Ok(RestoreChoice::At("/elsewhere/chk-2".into()))),
            (path(), vec![3], Ok(RestoreChoice::At("/elsewhere/chk-2".into()))),
        ];
        for (mode, completed, expected) in cases {
            let completed: Vec<_> = completed.into_iter().map(CheckpointId).collect();
            let choice = choose_restore_point(&mode, &completed, Path::new("dir"));
            assert_eq!(choice.map_err(|_| ()), expected, "{mode:?} {completed:?}");
        }
    }

    #[test]
    fn a_manifest_of_another_job_is_refused_by_name() {
        let vertex = |uid: &str| CheckpointedVertex {
            id: VertexId(0),
            name: "count".into(),
            operators: vec![uid.into()],
            parallelism: 1,
        };
        let job = |name: &str, max_parallelism, uid| CheckpointedJob {
            name: name.into(),
            max_parallelism,
            vertices: vec![vertex(uid)],
            sources: BTreeSet::new(),
        };
        let attempt = AttemptId { term: 1, number: 1 };
        let mut pending =
            PendingCheckpoint::new(CheckpointId(3), attempt, Instant(0), false, job("words", 8, "count").subtasks());
        let part = (SnapshotHandle::Files(Vec::new()), SubtaskCheckpointMetrics::default());
        pending.acknowledge(SubtaskId { vertex: VertexId(0), index: 0 }, part);
        let manifest = pending.manifest(&job("words", 8, "count"), CheckpointId(3), Instant(0));
        validate_manifest(&manifest, &job("words", 8, "count")).unwrap();
        let others = [job("lines", 8, "count"), job("words", 16, "count"), job("words", 8, "sum")];
        let errors = others.map(|job| validate_manifest(&manifest, &job).unwrap_err().to_string());
        insta::assert_snapshot!(errors.join("\n"), @r"
        checkpoint 3 belongs to job words, not to job lines: restore one of this job
        checkpoint 3 was taken with a maximum parallelism of 8, which cannot be changed to 16: run the job with the old one
        checkpoint 3 holds state of operator count, which job words does not have: its state would be lost; restore it with the program that took it, or give the operator its uid back
        ");
    }
}
