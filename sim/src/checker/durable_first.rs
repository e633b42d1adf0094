//! I5: durable before acknowledged. The claim of a term, a snapshot that is acknowledged, the output that it prepared,
//! everything that a completed checkpoint's manifest names, the manifest itself, and what was committed, survive a loss of
//! all power at that very moment.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use tidegate::{
    connector::{Committable, PartFile},
    graph::JobGraph,
    id::{CheckpointId, TaskId},
    probe::{Actor, Fact, Step},
    storage::{checkpoint_directory, decode_manifest, decode_snapshot},
    stream::hash_bytes,
};

use super::{Checker, Context, DiskView};
use crate::workload::Workload;

/// Looks at what would be left.
pub(super) struct DurableFirst {
    graph: Arc<JobGraph>,
    workload: Arc<dyn Workload>,
    root: PathBuf,
    /// The digest of each task's newest snapshot.
    frozen: BTreeMap<TaskId, (CheckpointId, u64)>,
}

impl DurableFirst {
    pub(super) fn new(context: &Context) -> Self {
        Self {
            graph: context.graph.clone(),
            workload: context.workload.clone(),
            root: context.checkpoint_directory.clone(),
            frozen: BTreeMap::new(),
        }
    }

    fn snapshot(&self, id: CheckpointId, task: TaskId, disk: &dyn DiskView) -> Result<(), String> {
        let vertex = &self.graph.vertex(task.subtask.vertex).name;
        let name = format!("{vertex}-{}-{}.snapshot", task.subtask.index, task.attempt);
        let path = checkpoint_directory(&self.root, id).join(name);
        let bytes = disk.read_durable(&path);
        let bytes = bytes.ok_or_else(|| format!("{} is acknowledged, but not durable", path.display()))?;
        decode_snapshot(&bytes, &path).map_err(|e| format!("acknowledged, but: {e}"))?;
        if self.frozen.get(&task) != Some(&(id, hash_bytes(&bytes).0)) {
            return Err(format!("{} is acknowledged, but is not what was frozen", path.display()));
        }
        Ok(())
    }

    /// A file of the output as everybody sees it, or a sign of what is wrong with it.
    fn check_output(&self, name: &str, disk: &dyn DiskView) -> Result<(), &'static str> {
        let path = self.workload.output_directory().join(name);
        match disk.read_durable(&path) {
            None => Err("its name is not durable"),
            durable if durable != disk.read(&path) => Err("its contents are not durable"),
            _ => Ok(()),
        }
    }

    /// What a snapshot holds must be there under its pending name, or the visible one if it has been committed already.
    fn check_prepared(&self, name: &str, disk: &dyn DiskView) -> Result<(), String> {
        let Some(PartFile::Visible(part, checkpoint)) = PartFile::parse(name) else {
            return Err(format!("{name} is prepared, but that is no part's name"));
        };
        let pending = Committable { part, checkpoint }.pending_name();
        let why = |e: &str| format!("{name} is prepared, but {e}");
        self.check_output(&pending, disk).or_else(|e| self.check_output(name, disk).map_err(|_| why(e)))
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
            (Step::TermClaimed { term }, ..) if self.graph.checkpoints.is_some() => {
                let path = self.root.join(format!("term-{term}"));
                let claimed = disk.read_durable(&path);
                claimed
                    .map(drop)
                    .ok_or_else(|| format!("term {term} is claimed, but {} is not durable", path.display()))
            }
            (Step::StateFrozen { digest, .. }, Some(id), Actor::Task(task)) => {
                self.frozen.insert(*task, (id, *digest));
                Ok(())
            }
            (Step::CommitPrepared { committables }, ..) => {
                committables.iter().try_for_each(|name| self.check_prepared(name, disk))
            }
            (Step::Acknowledged, Some(id), Actor::Task(task)) => self.snapshot(id, *task, disk),
            (Step::CheckpointCompleted, Some(id), _) => {
                self.manifest(id, disk).map_err(|e| format!("checkpoint {id} is completed, but {e}"))
            }
            // What recovery acts upon must not be taken away after that.
            (Step::RestorePointChosen { restored: Some(id) }, ..) => {
                self.manifest(*id, disk).map_err(|e| format!("checkpoint {id} is restored, but {e}"))
            }
            // What a commit has made visible must stay so.
            (Step::Committed { committables }, ..) => {
                let check = |name| self.check_output(name, disk).map_err(|e| format!("{name} is committed, but {e}"));
                committables.iter().try_for_each(|name| check(name))
            }
            _ => Ok(()),
        }
    }
}
