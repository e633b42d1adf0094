//! I1: the state of a completed checkpoint is the fold of exactly the input before its source positions, and it is the state
//! of every stateful operator in every subtask.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use tidegate::{
    graph::JobGraph,
    id::CheckpointId,
    probe::{Fact, Step},
    state::OperatorSnapshot,
    storage::{checkpoint_directory, decode_manifest, decode_snapshot},
    stream::CheckpointMode,
};

use super::{Checker, Context, DiskView};
use crate::workload::Workload;

/// Opens every checkpoint at the moment of its completion. One that a crash kept from being called complete is opened when
/// recovery chooses it.
pub(super) struct StateFold {
    graph: Arc<JobGraph>,
    workload: Arc<dyn Workload>,
    root: PathBuf,
    exact: bool,
}

impl StateFold {
    pub(super) fn new(context: &Context) -> Self {
        let exact = context.mode() == CheckpointMode::ExactlyOnce;
        Self {
            graph: context.graph.clone(),
            workload: context.workload.clone(),
            root: context.checkpoint_directory.clone(),
            exact,
        }
    }

    fn judge(&self, id: CheckpointId, disk: &dyn DiskView) -> Result<(), String> {
        let operators = self.operators(id, disk).map_err(|e| format!("checkpoint {id} cannot be opened: {e}"))?;
        for vertex in &self.graph.vertices {
            for operator in vertex.operators.iter().filter(|o| o.stateful) {
                let (uid, found) = (&operator.uid, operators.get(&operator.uid).map_or(0, Vec::len));
                if found != vertex.parallelism as usize {
                    let subtasks = vertex.parallelism;
                    return Err(format!("checkpoint {id} holds the state of {found} of {subtasks} subtasks of {uid}"));
                }
            }
        }
        self.workload.check_state(&operators).map_err(|e| format!("checkpoint {id}: {e}"))
    }

    fn operators(
        &self,
        id: CheckpointId,
        disk: &dyn DiskView,
    ) -> Result<BTreeMap<String, Vec<OperatorSnapshot>>, String> {
        let directory = checkpoint_directory(&self.root, id);
        let path = directory.join("manifest");
        let bytes = disk.read(&path).ok_or_else(|| format!("{} is not there", path.display()))?;
        let manifest = decode_manifest(&bytes, &path).map_err(|e| e.to_string())?;
        if manifest.checkpoint != id {
            return Err(format!("{} is that of checkpoint {}", path.display(), manifest.checkpoint));
        }
        let mut operators: BTreeMap<String, Vec<OperatorSnapshot>> = BTreeMap::new();
        for handle in manifest.vertices.iter().flat_map(|v| &v.snapshots) {
            let path = directory.join(&handle.file);
            let bytes = disk.read(&path).ok_or_else(|| format!("{} is not there", path.display()))?;
            for operator in decode_snapshot(&bytes, &path).map_err(|e| e.to_string())?.operators {
                operators.entry(operator.uid.clone()).or_default().push(operator);
            }
        }
        Ok(operators)
    }
}

impl Checker for StateFold {
    fn id(&self) -> &'static str {
        "I1"
    }

    fn observe(&mut self, fact: &Fact, disk: &dyn DiskView) -> Result<(), String> {
        match (&fact.step, fact.checkpoint) {
            (Step::CheckpointCompleted, Some(id)) if self.exact => self.judge(id, disk),
            (Step::RestorePointChosen { restored: Some(id) }, _) if self.exact => self.judge(*id, disk),
            _ => Ok(()),
        }
    }
}
