//! What the checkers of a run stand on: the job, what must come of it, and its checkpoints, each opened once for all of them.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use tidegate::{
    checkpoint::Manifest,
    graph::JobGraph,
    id::CheckpointId,
    state::OperatorSnapshot,
    storage::{checkpoint_directory, decode_manifest, decode_snapshot},
    stream::CheckpointMode,
};

use super::{Context, DiskView, expected_output::ExpectedOutput};
use crate::workload::Workload;

/// Cheap to clone; clones share what was opened.
#[derive(Clone)]
pub(super) struct Ground {
    pub graph: Arc<JobGraph>,
    pub workload: Arc<dyn Workload>,
    /// The checkpoint directory.
    pub root: PathBuf,
    /// The whole output.
    pub expected: Arc<ExpectedOutput>,
    opened: Arc<Mutex<Option<Arc<OpenCheckpoint>>>>,
}

/// A checkpoint as it stands on the disk.
pub(super) struct OpenCheckpoint {
    pub manifest: Manifest,
    /// The snapshots of each stateful operator, by uid, in the order of the manifest, which is that of the subtask's index.
    pub operators: BTreeMap<String, Vec<OperatorSnapshot>>,
    /// The files that it was read from, the manifest's first.
    contents: Vec<Bytes>,
}

impl Ground {
    pub(super) fn new(context: &Context) -> Self {
        Self {
            graph: context.graph.clone(),
            workload: context.workload.clone(),
            root: context.checkpoint_directory.clone(),
            expected: Arc::new(ExpectedOutput::new(context.workload.expected_output())),
            opened: Arc::default(),
        }
    }

    /// Whether the job takes checkpoints of which each record is part once.
    pub(super) fn is_exact(&self) -> bool {
        self.graph.checkpoints.as_ref().is_none_or(|c| c.mode == CheckpointMode::ExactlyOnce)
    }

    /// How many completed checkpoints the job keeps.
    pub(super) fn retained(&self) -> usize {
        self.graph.checkpoints.as_ref().map_or(1, |c| c.retained.max(1) as usize)
    }

    /// The manifest that stands on the disk, and its bytes.
    pub(super) fn manifest(&self, id: CheckpointId, disk: &dyn DiskView) -> Result<(Manifest, Bytes), String> {
        let path = checkpoint_directory(&self.root, id).join("manifest");
        let bytes = read(&path, disk)?;
        let manifest = decode_manifest(&bytes, &path).map_err(|e| e.to_string())?;
        if manifest.checkpoint != id {
            return Err(format!("{} is that of checkpoint {}", path.display(), manifest.checkpoint));
        }
        Ok((manifest, bytes))
    }

    /// Opens a checkpoint. Reads all of its files, and decodes them if they are not those that were opened last.
    pub(super) fn open(&self, id: CheckpointId, disk: &dyn DiskView) -> Result<Arc<OpenCheckpoint>, String> {
        let cannot = |e: String| format!("checkpoint {id} cannot be opened: {e}");
        let mut opened = self.opened.lock().expect("nobody panics while holding this lock");
        let last = opened.as_ref().filter(|last| last.manifest.checkpoint == id);
        if let Some(last) = last.filter(|last| last.is_still(&checkpoint_directory(&self.root, id), disk)) {
            return Ok(last.clone());
        }
        let (manifest, bytes) = self.manifest(id, disk).map_err(cannot)?;
        let new = OpenCheckpoint::read(manifest, bytes, &checkpoint_directory(&self.root, id), disk).map_err(cannot)?;
        Ok(opened.insert(Arc::new(new)).clone())
    }
}

impl OpenCheckpoint {
    fn read(manifest: Manifest, bytes: Bytes, directory: &Path, disk: &dyn DiskView) -> Result<Self, String> {
        let mut opened = Self { manifest, operators: BTreeMap::new(), contents: vec![bytes] };
        for handle in opened.manifest.vertices.iter().flat_map(|v| &v.snapshots) {
            let path = directory.join(&handle.file);
            let bytes = read(&path, disk)?;
            for operator in decode_snapshot(&bytes, &path).map_err(|e| e.to_string())?.operators {
                opened.operators.entry(operator.uid.clone()).or_default().push(operator);
            }
            opened.contents.push(bytes);
        }
        Ok(opened)
    }

    /// Whether its files are what they were.
    fn is_still(&self, directory: &Path, disk: &dyn DiskView) -> bool {
        let snapshots = self.manifest.vertices.iter().flat_map(|v| &v.snapshots).map(|s| &*s.file);
        let names = std::iter::once("manifest").chain(snapshots);
        names.zip(&self.contents).all(|(name, contents)| disk.read(&directory.join(name)).as_ref() == Some(contents))
    }
}

fn read(path: &Path, disk: &dyn DiskView) -> Result<Bytes, String> {
    disk.read(path).ok_or_else(|| format!("{} is not there", path.display()))
}
