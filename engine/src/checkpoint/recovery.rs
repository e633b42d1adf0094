//! Where a job starts: decided from what storage holds and what the user asked for.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::Manifest;
use crate::{
    error::{Error, Result},
    graph::JobGraph,
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
    /// This checkpoint: the path of a `chk-<id>` directory.
    Path(PathBuf),
}

/// Where the job starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RestoreChoice {
    /// From the beginning.
    Fresh,
    /// The newest completed checkpoint of the directory.
    Newest(CheckpointId),
    /// The checkpoint in this directory.
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
pub fn validate_manifest(manifest: &Manifest, graph: &JobGraph) -> Result<()> {
    let checkpoint = manifest.checkpoint;
    if manifest.job != graph.name {
        return Err(Error::bad_input(format!(
            "checkpoint {checkpoint} belongs to job {}, not to job {}: restore one of this job",
            manifest.job, graph.name
        )));
    }
    if manifest.max_parallelism != graph.max_parallelism {
        return Err(Error::bad_input(format!(
            "checkpoint {checkpoint} was taken with a maximum parallelism of {}, which cannot be changed to {}: run the job with the old one",
            manifest.max_parallelism, graph.max_parallelism
        )));
    }
    let known = |uid: &String| graph.vertices.iter().flat_map(|v| &v.operators).any(|o| o.uid == *uid && o.stateful);
    match manifest.vertices.iter().flat_map(|v| &v.operators).find(|uid| !known(uid)) {
        None => Ok(()),
        Some(uid) => Err(Error::bad_input(format!(
            "checkpoint {checkpoint} holds state of operator {uid}, which job {} does not have: its state would be lost; \
             restore it with the program that took it, or give the operator its uid back",
            graph.name
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
