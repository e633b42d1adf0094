//! What the checkers of a run stand on: the job, what must come of it, and its checkpoints, each opened once for all of them.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard},
};

use bytes::Bytes;
use tidegate::{
    checkpoint::{InlineSnapshot, Manifest, SnapshotHandle},
    graph::JobGraph,
    id::{AttemptId, CheckpointId, TaskId},
    probe::KeyGroupContent,
    state::{KeyedStateSnapshot, OperatorSnapshot, SubtaskSnapshot},
    storage::{
        ManifestSlots, Slot, checkpoint_path, decode_header, decode_manifest, decode_snapshot, parse_slot, slot_path,
        snapshot_digest, snapshot_directory,
    },
    stream::CheckpointMode,
};

use super::{
    Context, Deployments, DiskView,
    expected_output::ExpectedOutput,
    named_files::{NamedFile, NamedFiles},
};
use crate::workload::Workload;

/// Cheap to clone; clones share what was opened.
#[derive(Clone)]
pub(super) struct Ground {
    /// The job when it started first: for what no deployment changes.
    pub graph: Arc<JobGraph>,
    deployments: Deployments,
    pub workload: Arc<dyn Workload>,
    /// The checkpoint directory.
    pub root: PathBuf,
    /// The whole output.
    pub expected: Arc<ExpectedOutput>,
    /// What was decoded last, to be used again while the bytes are the same.
    decoded: Arc<Mutex<Decoded>>,
}

#[derive(Default)]
struct Decoded {
    /// With the disk's version at which they were looked at last.
    slots: BTreeMap<View, (u64, Arc<OpenSlots>)>,
    manifests: BTreeMap<(View, CheckpointId), (Bytes, Arc<NamedFiles>)>,
    /// By the names of the snapshot files. A file is part of many checkpoints, and several checkers ask for each.
    snapshots: BTreeMap<String, (Bytes, Arc<SubtaskSnapshot>)>,
    checkpoint: Option<Arc<OpenCheckpoint>>,
}

/// How one may look at a disk.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum View {
    /// As everybody sees it.
    Visible,
    /// What would be left if all power were lost now.
    Durable,
}

impl View {
    const BOTH: &[Self] = &[Self::Visible, Self::Durable];

    fn list(self, disk: &dyn DiskView, path: &Path) -> Vec<String> {
        match self {
            Self::Visible => disk.list(path),
            Self::Durable => disk.list_durable(path),
        }
    }

    fn read(self, disk: &dyn DiskView, path: &Path) -> Option<Bytes> {
        match self {
            Self::Visible => disk.read(path),
            Self::Durable => disk.read_durable(path),
        }
    }
}

/// The slots of a checkpoint directory, and what stands in each.
struct OpenSlots {
    slots: ManifestSlots,
    contents: Vec<(PathBuf, Bytes)>,
}

impl OpenSlots {
    fn were_made_from(&self, contents: &[(PathBuf, Bytes)]) -> bool {
        let same = |((a, from), (b, bytes)): (&(PathBuf, Bytes), &(PathBuf, Bytes))| a == b && is_same(from, bytes);
        self.contents.len() == contents.len() && self.contents.iter().zip(contents).all(same)
    }
}

/// A checkpoint as it stands on the disk.
pub(super) struct OpenCheckpoint {
    pub manifest: Arc<NamedFiles>,
    /// The snapshots of each stateful operator, by uid, in the order of the manifest, which is that of the subtask's index.
    pub operators: BTreeMap<String, Vec<OperatorSnapshot>>,
    /// What counts of the files that the manifest names, in its order.
    contents: Vec<Bytes>,
}

impl Ground {
    pub(super) fn new(context: &Context) -> Self {
        Self {
            graph: context.deployments.of(AttemptId { term: 0, number: 0 }),
            deployments: context.deployments.clone(),
            workload: context.workload.clone(),
            root: context.checkpoint_directory.clone(),
            expected: Arc::new(ExpectedOutput::new(context.workload.expected_output())),
            decoded: Arc::default(),
        }
    }

    /// The job as an attempt runs it.
    pub(super) fn graph_of(&self, attempt: AttemptId) -> Arc<JobGraph> {
        self.deployments.of(attempt)
    }

    /// Whether the job takes checkpoints of which each record is part once.
    pub(super) fn is_exact(&self) -> bool {
        self.graph.checkpoints.as_ref().is_none_or(|c| c.mode == CheckpointMode::ExactlyOnce)
    }

    /// Whether a task is to write no file for this snapshot: it holds everything, and is small enough for the manifest.
    pub(super) fn is_inline(&self, task: TaskId, builds_on: Option<CheckpointId>, bytes: u64) -> bool {
        let graph = self.graph_of(task.attempt);
        let limit = graph.checkpoints.as_ref().map_or(0, |c| c.inline_limit(graph.subtasks().count()));
        builds_on.is_none() && bytes <= limit
    }

    /// How many completed checkpoints the job keeps.
    pub(super) fn retained(&self) -> usize {
        self.graph.checkpoints.as_ref().map_or(1, |c| c.retained.max(1) as usize)
    }

    /// The manifest of a checkpoint as everybody sees it.
    pub(super) fn manifest(&self, id: CheckpointId, disk: &dyn DiskView) -> Result<Arc<NamedFiles>, String> {
        self.find_manifest(id, View::Visible, disk, "is not there")
    }

    /// The manifest of a checkpoint as it would be left if all power were lost now.
    pub(super) fn durable_manifest(&self, id: CheckpointId, disk: &dyn DiskView) -> Result<Arc<NamedFiles>, String> {
        self.find_manifest(id, View::Durable, disk, "is not durable")
    }

    /// The name of the slot that holds a checkpoint's manifest.
    pub(super) fn slot(&self, id: CheckpointId, disk: &dyn DiskView) -> Option<String> {
        let slots = self.slots(View::Visible, disk);
        slots.slots.of(id).map(|slot| slot.name().to_owned())
    }

    fn find_manifest(
        &self,
        id: CheckpointId,
        view: View,
        disk: &dyn DiskView,
        otherwise: &str,
    ) -> Result<Arc<NamedFiles>, String> {
        let slots = self.slots(view, disk);
        let slot = slots.slots.of(id).ok_or_else(|| format!("{} {otherwise}", self.checkpoint_path(id).display()))?;
        let contents = slots.contents.iter().find(|(path, _)| *path == slot.path);
        let (path, bytes) = contents.expect("each slot was made from its contents");
        self.decode_manifest((view, id), path, bytes)
    }

    fn checkpoint_path(&self, id: CheckpointId) -> PathBuf {
        checkpoint_path(&self.root, id)
    }

    /// The slots of the checkpoint directory. A file that a fault has taken away is there to those who ask for it.
    fn slots(&self, view: View, disk: &dyn DiskView) -> Arc<OpenSlots> {
        let version = disk.version();
        let mut decoded = self.decoded();
        let last = decoded.slots.get(&view);
        if let Some((_, slots)) = last.filter(|(seen, _)| *seen == version) {
            return slots.clone();
        }
        let listed = view.list(disk, &self.root).iter().filter_map(|name| parse_slot(name)).max();
        let all = 0..=listed.unwrap_or_default().max(self.retained() as u64);
        let paths = all.map(|number| slot_path(&self.root, number));
        let contents: Vec<_> = paths.filter_map(|path| view.read(disk, &path).map(|bytes| (path, bytes))).collect();
        let same = last.filter(|(_, slots)| slots.were_made_from(&contents)).map(|(_, slots)| slots.clone());
        let slots = same.unwrap_or_else(|| {
            let slots = contents.iter().map(|(path, bytes)| Slot::new(path.clone(), bytes));
            Arc::new(OpenSlots { slots: ManifestSlots::new(slots.collect()), contents })
        });
        decoded.slots.insert(view, (version, slots.clone()));
        slots
    }

    /// The newest checkpoint that a node finds in the directory, whatever the medium has made of it. What cannot be read counts as
    /// what was stored there.
    pub(super) fn newest(&self, disk: &dyn DiskView) -> Option<CheckpointId> {
        let checkpoint = |name: String| {
            let path = parse_slot(&name).map(|_| self.root.join(&name))?;
            let [found, stored] =
                [disk.read_as_is(&path)?, disk.read(&path)?].map(|bytes| decode_header(&bytes, &path));
            Some(found.or(stored).ok()?.checkpoint)
        };
        disk.list(&self.root).into_iter().filter_map(checkpoint).max()
    }

    /// The manifests that anybody could come across, now or after a loss of all power, as far as they can be read.
    pub(super) fn existing_manifests(&self, disk: &dyn DiskView) -> Vec<Arc<NamedFiles>> {
        let all = |view| {
            let completed = self.slots(view, disk).slots.completed();
            completed.into_iter().map(move |id| self.find_manifest(id, view, disk, "is gone"))
        };
        all(View::Visible).chain(all(View::Durable)).flatten().collect()
    }

    /// Where a snapshot file rests.
    pub(super) fn snapshot_path(&self, name: &str) -> PathBuf {
        snapshot_directory(&self.root).join(name)
    }

    /// What the files of a keyed state hold when they are taken together: only groups with entries, ascending.
    pub(super) fn content(&self, uid: &str, state: &KeyedStateSnapshot) -> Result<Vec<KeyGroupContent>, String> {
        let mut content = Vec::new();
        for group in &state.groups {
            let entries = self.workload.entries(uid, &state.name, group)?;
            if !entries.is_empty() {
                let sum = entries.iter().fold(0_u64, |sum, entry| sum.wrapping_add(entry.checksum));
                content.push(KeyGroupContent { group: group.group, sum });
            }
        }
        Ok(content)
    }

    fn decoded(&self) -> MutexGuard<'_, Decoded> {
        self.decoded.lock().expect("nobody panics while holding this lock")
    }

    fn decode_manifest(&self, of: (View, CheckpointId), path: &Path, bytes: &Bytes) -> Result<Arc<NamedFiles>, String> {
        let mut decoded = self.decoded();
        if let Some((_, manifest)) = decoded.manifests.get(&of).filter(|(from, _)| is_same(from, bytes)) {
            return Ok(manifest.clone());
        }
        let mut elsewhere = View::BOTH.iter().filter_map(|view| decoded.manifests.get(&(*view, of.1)));
        let manifest = match elsewhere.find(|(from, _)| from == bytes) {
            Some((_, manifest)) => manifest.clone(),
            None => {
                let manifest = decode_manifest(bytes, path).map_err(|e| e.to_string())?;
                Arc::new(NamedFiles::of(manifest, |name| self.snapshot_path(name)))
            }
        };
        decoded.manifests.insert(of, (bytes.clone(), manifest.clone()));
        Ok(manifest)
    }

    /// Whether these contents of a snapshot file hold what was written for the checkpoint.
    pub(super) fn is_whole(&self, contents: &Bytes, named: &NamedFile) -> bool {
        named.holds(contents, |beginning| {
            snapshot_digest(beginning) == named.file.digest && self.decode_snapshot(&named.file.name, beginning).is_ok()
        })
    }

    /// What these contents of a snapshot file hold. They are decoded unless the file held the very same bytes before.
    pub(super) fn decode_snapshot(&self, name: &str, contents: &Bytes) -> Result<Arc<SubtaskSnapshot>, String> {
        let snapshots = &mut self.decoded().snapshots;
        if let Some((_, snapshot)) = snapshots.get(name).filter(|(from, _)| is_same(from, contents)) {
            return Ok(snapshot.clone());
        }
        let (_, snapshot) = decode_snapshot(contents, &self.snapshot_path(name)).map_err(|e| e.to_string())?;
        let snapshot = Arc::new(snapshot);
        snapshots.insert(name.to_owned(), (contents.clone(), snapshot.clone()));
        Ok(snapshot)
    }

    /// What a snapshot holds that stands in the manifest of this checkpoint.
    pub(super) fn decode_inline(&self, id: CheckpointId, inline: &InlineSnapshot) -> Result<SubtaskSnapshot, String> {
        let decoded = decode_snapshot(&inline.contents, &self.checkpoint_path(id));
        if snapshot_digest(&inline.contents) != inline.digest {
            return Err(format!("a snapshot in {} is not whole", self.checkpoint_path(id).display()));
        }
        decoded.map(|(_, snapshot)| snapshot).map_err(|e| e.to_string())
    }

    /// Opens a checkpoint: reads all of its files, and decodes them if they are not those that were opened last.
    pub(super) fn open(&self, id: CheckpointId, disk: &dyn DiskView) -> Result<Arc<OpenCheckpoint>, String> {
        let opened = self.manifest(id, disk).and_then(|manifest| self.open_from(manifest, disk));
        opened.map_err(|e| format!("checkpoint {id} cannot be opened: {e}"))
    }

    fn open_from(&self, manifest: Arc<NamedFiles>, disk: &dyn DiskView) -> Result<Arc<OpenCheckpoint>, String> {
        let mut contents = Vec::new();
        for named in &manifest.files {
            let bytes = disk.read(&named.path).ok_or_else(|| format!("{} is not there", named.path.display()))?;
            contents.push(named.beginning(&bytes));
        }
        let last = self.decoded().checkpoint.clone();
        if let Some(same) = last.filter(|last| last.is(&manifest, &contents)) {
            return Ok(same);
        }
        let operators = self.operators(&manifest, &contents)?;
        Ok(self.decoded().checkpoint.insert(Arc::new(OpenCheckpoint { manifest, operators, contents })).clone())
    }

    /// The snapshots of each stateful operator, of files with these contents.
    fn operators(
        &self,
        manifest: &Manifest,
        contents: &[Bytes],
    ) -> Result<BTreeMap<String, Vec<OperatorSnapshot>>, String> {
        let mut operators = BTreeMap::<String, Vec<OperatorSnapshot>>::new();
        let mut contents = contents.iter();
        for handle in manifest.vertices.iter().flat_map(|v| &v.snapshots) {
            let mut snapshot = SubtaskSnapshot::default();
            if let SnapshotHandle::Inline(inline) = handle {
                snapshot = self.decode_inline(manifest.checkpoint, inline)?;
            }
            for (file, bytes) in handle.files().iter().zip(contents.by_ref()) {
                let newer = self.decode_snapshot(&file.name, bytes)?;
                snapshot.apply((*newer).clone()).map_err(|e| e.to_string())?;
            }
            snapshot.check_complete().map_err(|e| e.to_string())?;
            for operator in snapshot.operators {
                operators.entry(operator.uid.clone()).or_default().push(operator);
            }
        }
        Ok(operators)
    }
}

/// Whether both are the same bytes. What is one and the same memory needs no look: nobody can have changed it.
pub(super) fn is_same(a: &Bytes, b: &Bytes) -> bool {
    (a.as_ptr(), a.len()) == (b.as_ptr(), b.len()) || a == b
}

impl OpenCheckpoint {
    /// Whether it was opened from these.
    fn is(&self, manifest: &Arc<NamedFiles>, contents: &[Bytes]) -> bool {
        let same = |(a, b)| is_same(a, b);
        (Arc::ptr_eq(&self.manifest, manifest) || **self.manifest == ***manifest)
            && self.contents.len() == contents.len()
            && self.contents.iter().zip(contents).all(same)
    }
}
