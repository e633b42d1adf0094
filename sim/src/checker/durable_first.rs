//! I5: durable before acknowledged. A snapshot that is acknowledged, and everything that a completed checkpoint's manifest
//! names, and the manifest itself, survive a loss of all power at that very moment.

use std::path::PathBuf;

use tidegate::{
    id::CheckpointId,
    probe::{Actor, Fact, Step},
    storage::{checkpoint_directory, decode_manifest, decode_snapshot},
    stream::hash_bytes,
};

use super::{Checker, Context, DiskView};
use crate::workload::Workload;

/// Looks at what would be left.
pub(super) struct DurableFirst {
    graph: std::sync::Arc<tidegate::graph::JobGraph>,
    workload: std::sync::Arc<dyn Workload>,
    root: PathBuf,
}

impl DurableFirst {
    pub(super) fn new(context: &Context) -> Self {
        Self {
            graph: context.graph.clone(),
            workload: context.workload.clone(),
            root: context.checkpoint_directory.clone(),
        }
    }

    fn manifest(&self, id: CheckpointId, disk: &dyn DiskView) -> Result<(), String> {
        let directory = checkpoint_directory(&self.root, id);
        let path = directory.join("manifest");
        let bytes = disk.read_durable(&path).ok_or_else(|| format!("{} is not durable", path.display()))?;
        let manifest = decode_manifest(&bytes, &path).map_err(|e| e.to_string())?;
        for handle in manifest.vertices.iter().flat_map(|v| &v.snapshots) {
            let path = directory.join(&handle.file);
            let bytes = disk.read_durable(&path).ok_or_else(|| format!("{} is not durable", path.display()))?;
            if bytes.len() as u64 != handle.len || hash_bytes(&bytes).0 != handle.digest {
                return Err(format!("{} is durable only in part", path.display()));
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
        match (&fact.step, fact.checkpoint, &fact.actor) {
            (Step::Acknowledged, Some(id), Actor::Task(task)) => {
                let vertex = &self.graph.vertex(task.subtask.vertex).name;
                let name = format!("{vertex}-{}-{}.snapshot", task.subtask.index, task.attempt);
                let path = checkpoint_directory(&self.root, id).join(name);
                let bytes = disk.read_durable(&path);
                let bytes = bytes.ok_or_else(|| format!("{} is acknowledged, but not durable", path.display()))?;
                decode_snapshot(&bytes, &path).map(drop).map_err(|e| format!("acknowledged, but: {e}"))
            }
            (Step::CheckpointCompleted, Some(id), _) => {
                self.manifest(id, disk).map_err(|e| format!("checkpoint {id} is completed, but {e}"))
            }
            // What a commit has made visible must stay so.
            (Step::Committed { committables }, ..) => {
                let directory = self.workload.output_directory();
                let lost = committables.iter().find(|name| disk.read_durable(&directory.join(name)).is_none());
                lost.map_or(Ok(()), |name| Err(format!("{name} is committed, but its name is not durable")))
            }
            _ => Ok(()),
        }
    }
}
