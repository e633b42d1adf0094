//! Where the next attempt starts: read from storage, and checked against the job and the outside world.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use super::rpc::RestorePoint;
use crate::{
    checkpoint::{RestoreChoice, RestoreMode, choose_restore_point, validate_manifest},
    env::Disk,
    error::{Context, Error, Result},
    graph::{JobGraph, PrepareContext, SplitAssignment},
    id::{CheckpointId, VertexId},
    storage::{CheckpointStore, checkpoint_path, parse_checkpoint_path, read_manifest, settle_manifest},
};

/// All that an attempt needs before it can be deployed.
pub(crate) struct Prepared {
    pub restore: Option<RestorePoint>,
    pub splits: BTreeMap<VertexId, SplitAssignment>,
    /// The checkpoints that completed, ascending.
    pub completed: Vec<CheckpointId>,
    /// All numbers up to this one may have been used.
    pub reserved: Option<CheckpointId>,
    /// Whether the job's end is recorded there.
    pub finished: bool,
}

/// Surveys the checkpoint directory, chooses, and prepares every vertex. `mode` holds until a checkpoint of this job
/// manager's own life exists: from `own_from` on; `None` at its start. `published` is the newest that it has completed itself.
pub(crate) async fn prepare(
    disk: &Arc<dyn Disk>,
    graph: &JobGraph,
    store: Option<&CheckpointStore>,
    directory: Option<&Path>,
    mode: &RestoreMode,
    own_from: Option<CheckpointId>,
    published: Option<CheckpointId>,
) -> Result<Prepared> {
    let mut prepared =
        Prepared { restore: None, splits: BTreeMap::new(), completed: Vec::new(), reserved: None, finished: false };
    if let (Some(store), Some(directory)) = (store, directory) {
        let survey = store.survey().await?;
        let newest = survey.completed.last().copied();
        let own = own_from.is_some_and(|own| newest.is_some_and(|newest| newest >= own));
        let mode = if own { &RestoreMode::Latest } else { mode };
        // What cannot be read matters only where it could be chosen: whoever names another checkpoint can get past it.
        if let (Some(unreadable), RestoreMode::Latest | RestoreMode::None) = (survey.unreadable, mode) {
            return Err(unreadable);
        }
        if let Some(gone) = published.filter(|published| newest < Some(*published)) {
            return Err(manifest_gone(gone, directory));
        }
        prepared.restore = match choose_restore_point(mode, &survey.completed, directory)? {
            RestoreChoice::Fresh => None,
            RestoreChoice::Newest(id) => {
                let manifest = read_manifest(&**disk, &checkpoint_path(directory, id)).await?;
                Some(RestorePoint { directory: directory.to_owned(), manifest })
            }
            RestoreChoice::At(path) => {
                let manifest = settle_manifest(&**disk, &path).await?;
                let (directory, _) = parse_checkpoint_path(&path).expect("its manifest was found");
                Some(RestorePoint { directory: directory.to_owned(), manifest })
            }
        };
        (prepared.completed, prepared.reserved) = (survey.completed, survey.reserved);
        prepared.finished = survey.finished;
    }
    if let Some(point) = &prepared.restore {
        validate_manifest(&point.manifest, &graph.checkpointed())?;
    }
    for vertex in &graph.vertices {
        let context = prepare_context(disk, graph, vertex.id, prepared.restore.as_ref().map(|r| r.manifest.checkpoint));
        let splits = vertex.factory.prepare(&context).await.at(|| format!("vertex {}", vertex.name))?;
        prepared.splits.insert(vertex.id, splits);
    }
    Ok(prepared)
}

/// The newest checkpoint is never deleted: an older one in its place would bring back output that is visible already.
fn manifest_gone(checkpoint: CheckpointId, directory: &Path) -> Error {
    Error::damaged(format!(
        "manifest {} is damaged: it is gone, though checkpoint {checkpoint} has completed; bring it back from a copy, or \
         restore another checkpoint by its path",
        checkpoint_path(directory, checkpoint).display()
    ))
}

/// Leaves nothing behind that the finished job does not need.
pub(crate) async fn clean_up(disk: &Arc<dyn Disk>, graph: &JobGraph, restored: Option<CheckpointId>) -> Result<()> {
    for vertex in &graph.vertices {
        let context = prepare_context(disk, graph, vertex.id, restored);
        vertex.factory.clean_up(&context).await.at(|| format!("vertex {}", vertex.name))?;
    }
    Ok(())
}

fn prepare_context(
    disk: &Arc<dyn Disk>,
    graph: &JobGraph,
    vertex: VertexId,
    restored: Option<CheckpointId>,
) -> PrepareContext {
    let parallelism = graph.vertex(vertex).parallelism;
    PrepareContext { disk: disk.clone(), job: graph.name.clone(), parallelism, restored }
}
