//! What a subtask gets back from a checkpoint.

use std::{collections::BTreeMap, sync::Arc};

use super::rpc::RestorePoint;
use crate::{
    checkpoint::VertexManifest,
    env::Disk,
    error::{Context, Error, Result},
    graph::JobGraph,
    id::SubtaskId,
    state::{OperatorSnapshot, RestoredState, SubtaskSnapshot, redistribute_operator},
    storage::SnapshotStore,
};

/// Reads and checks the snapshots that hold this subtask's share of the checkpoint, and takes that share out.
pub(crate) async fn restore(
    disk: &Arc<dyn Disk>,
    graph: &JobGraph,
    point: &RestorePoint,
    subtask: SubtaskId,
) -> Result<RestoredState> {
    let store = SnapshotStore::new(disk.clone(), &point.directory);
    let vertex = graph.vertex(subtask.vertex);
    let mut operators = BTreeMap::new();
    // Chaining may have changed since: the snapshots of one vertex are read once for all operators that it held.
    let mut read: BTreeMap<&str, Vec<SubtaskSnapshot>> = BTreeMap::new();
    for operator in vertex.operators.iter().filter(|o| o.stateful) {
        let Some(holder) = point.manifest.vertices.iter().find(|v| v.operators.contains(&operator.uid)) else {
            continue;
        };
        if !read.contains_key(&*holder.name) {
            read.insert(&holder.name, read_snapshots(&store, point, holder).await?);
        }
        let old = operator_snapshots(&read[&*holder.name], holder, &operator.uid)?;
        let share = redistribute_operator(&old, subtask.index, vertex.parallelism, graph.max_parallelism)
            .at(|| &operator.uid)?;
        operators.insert(operator.uid.clone(), share);
    }
    Ok(RestoredState { checkpoint: Some(point.manifest.checkpoint), splits: Vec::new(), operators })
}

async fn read_snapshots(
    store: &SnapshotStore,
    point: &RestorePoint,
    vertex: &VertexManifest,
) -> Result<Vec<SubtaskSnapshot>> {
    let mut snapshots = Vec::new();
    for handle in &vertex.snapshots {
        snapshots.push(store.read(point.manifest.checkpoint, handle).await?);
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
