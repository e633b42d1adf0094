//! I1: the state of a completed checkpoint is the fold of exactly the input before its source positions.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use tidegate::{
    id::CheckpointId,
    probe::{Fact, Step},
    state::OperatorSnapshot,
    storage::{checkpoint_directory, decode_manifest, decode_snapshot},
};

use super::{Checker, Context, DiskView};
use crate::workload::Workload;
use tidegate::stream::CheckpointMode;

/// Opens every checkpoint at the moment of its completion.
pub(super) struct StateFold {
    workload: Arc<dyn Workload>,
    root: PathBuf,
    exact: bool,
}

impl StateFold {
    pub(super) fn new(context: &Context) -> Self {
        let exact = context.mode() == CheckpointMode::ExactlyOnce;
        Self { workload: context.workload.clone(), root: context.checkpoint_directory.clone(), exact }
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
        let (Step::CheckpointCompleted, Some(id), true) = (&fact.step, fact.checkpoint, self.exact) else {
            return Ok(());
        };
        let operators = self.operators(id, disk).map_err(|e| format!("checkpoint {id} cannot be opened: {e}"))?;
        self.workload.check_state(&operators).map_err(|e| format!("checkpoint {id}: {e}"))
    }
}
