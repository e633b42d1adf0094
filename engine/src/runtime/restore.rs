//! What a subtask gets back from a checkpoint.

use std::{collections::BTreeMap, sync::Arc};

use futures_util::future::try_join_all;

use super::rpc::RestorePoint;
use crate::{
    checkpoint::VertexManifest,
    env::Disk,
    error::{Context, Error, Result},
    graph::JobGraph,
    id::{CheckpointId, SubtaskId},
    key_group::KeyGroupRange,
    operator::SPLITS_STATE,
    probe::{GivenState, Share},
    state::{OperatorSnapshot, RestoredState, SubtaskSnapshot, redistribute_operator},
    storage::{FilesRead, SnapshotStore},
    stream::hash_bytes,
};

/// Reads and checks the snapshots that hold this subtask's share of the checkpoint, and takes that share out.
pub(crate) async fn restore(
    disk: &Arc<dyn Disk>,
    graph: &JobGraph,
    point: &RestorePoint,
    subtask: SubtaskId,
) -> Result<(RestoredState, FilesRead)> {
    let store = SnapshotStore::new(disk.clone(), &point.directory);
    let vertex = graph.vertex(subtask.vertex);
    let groups = KeyGroupRange::of_subtask(subtask.index, vertex.parallelism, graph.max_parallelism);
    let mut operators = BTreeMap::new();
    let mut files = FilesRead::new();
    // Chaining may have changed since: the snapshots of one vertex are read once for all operators that it held.
    let mut read: BTreeMap<&str, Vec<SubtaskSnapshot>> = BTreeMap::new();
    for operator in vertex.operators.iter().filter(|o| o.stateful) {
        let Some(holder) = point.manifest.vertices.iter().find(|v| v.operators.contains(&operator.uid)) else {
            continue;
        };
        if !read.contains_key(&*holder.name) {
            read.insert(
                &holder.name,
                read_snapshots(&store, point.manifest.checkpoint, holder, groups, &mut files).await?,
            );
        }
        let old = operator_snapshots(&read[&*holder.name], holder, &operator.uid)?;
        let share = redistribute_operator(&old, subtask.index, vertex.parallelism, graph.max_parallelism)
            .at(|| &operator.uid)?;
        operators.insert(operator.uid.clone(), share);
    }
    Ok((RestoredState { checkpoint: Some(point.manifest.checkpoint), splits: Vec::new(), operators }, files))
}

/// What is reported of the lists that a subtask begins with. `source` is the operator that gets the splits of a job that
/// starts afresh.
pub(crate) fn given(state: &RestoredState, source: Option<&str>) -> Vec<GivenState> {
    let entry = |uid: &str, state: &str, share| GivenState { uid: uid.to_owned(), state: state.to_owned(), share };
    let digests = |items: &[Vec<u8>]| Share::Items(items.iter().map(|item| hash_bytes(item).0).collect());
    let mut given = Vec::new();
    if let (None, Some(source)) = (state.checkpoint, source) {
        given.push(entry(source, SPLITS_STATE, digests(&state.splits)));
    }
    for (uid, operator) in &state.operators {
        given.extend(operator.lists.iter().map(|(name, items)| entry(uid, name, digests(items))));
    }
    given
}

/// The snapshots of all subtasks of a vertex, as far as they concern these key groups.
async fn read_snapshots(
    store: &SnapshotStore,
    checkpoint: CheckpointId,
    vertex: &VertexManifest,
    groups: KeyGroupRange,
    files: &mut FilesRead,
) -> Result<Vec<SubtaskSnapshot>> {
    let names: Vec<_> = (0..vertex.snapshots.len()).map(|index| format!("{}/{index}", vertex.name)).collect();
    let handles = names.iter().zip(&vertex.snapshots);
    let read = handles.map(|(subtask, handle)| store.read(checkpoint, subtask, handle, groups));
    let mut snapshots = Vec::new();
    for (snapshot, read) in try_join_all(read).await? {
        snapshots.push(snapshot);
        files.extend(read);
    }
    Ok(snapshots)
}

fn operator_snapshots<'a>(
    snapshots: &'a [SubtaskSnapshot],
    vertex: &VertexManifest,
    uid: &str,
) -> Result<Vec<&'a OperatorSnapshot>> {
    let find = |(index, snapshot): (usize, &'a SubtaskSnapshot)| {
        let found = snapshot.operators.iter().find(|o| o.uid == uid);
        let missing =
            || Error::damaged(format!("snapshot of {}/{index} holds nothing for operator {uid}", vertex.name));
        found.ok_or_else(missing)
    };
    snapshots.iter().enumerate().map(find).collect()
}
