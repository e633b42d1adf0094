//! `tidegate inspect`: what is in a checkpoint directory. Changes nothing, and may look while a job runs there.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use clap::Args;
use tidegate::{
    checkpoint::VertexManifest,
    env::{Disk, EntryKind, real},
    error::{Context, Error, Result},
    id::CheckpointId,
    key_group::KeyGroupRange,
    state::SubtaskSnapshot,
    storage::{
        JobFile, ManifestSlots, Slot, SnapshotStore, checkpoint_path, parse_checkpoint_path, read_manifest, survey,
    },
};

use super::{
    FAILURE, SUCCESS, complain,
    inspect_report::{CheckpointReport, Condition, DirectoryReport, SubtaskReport, VertexReport},
    inspect_state::describe_operators,
    say,
};

/// How often one looks again because a checkpoint was deleted in between.
const LOOKS: u32 = 5;

#[derive(Args, Clone, Debug)]
pub(crate) struct InspectArgs {
    /// A checkpoint directory, or one checkpoint in it (`DIR/chk-<id>`)
    #[arg(value_name = "CHECKPOINT_DIR")]
    directory: PathBuf,
    /// Show the contents of all checkpoints, not only of the newest
    #[arg(long)]
    all: bool,
    /// Show so many entries of each keyed state
    #[arg(long, default_value_t = 5, value_name = "N")]
    state: usize,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Which checkpoints are opened.
#[derive(Clone, Copy)]
enum Choice {
    Newest,
    All,
    Only(CheckpointId),
}

/// Shows the directory; gives the exit code.
pub(crate) fn inspect(args: &InspectArgs) -> u8 {
    match real::block_on(look(real::env().disk, args.clone())) {
        Ok(report) => {
            say(if args.json { report.json() } else { report.text() }.trim_end());
            let damage = report.damage();
            damage.iter().for_each(|what| complain(&format!("error: {what}")));
            if damage.is_empty() { SUCCESS } else { FAILURE }
        }
        Err(error) => {
            complain(&format!("error: {error}"));
            FAILURE
        }
    }
}

async fn look(disk: Arc<dyn Disk>, args: InspectArgs) -> Result<DirectoryReport> {
    let (root, choice) = find_root(&*disk, &args.directory, args.all).await?;
    let mut looks = 1;
    loop {
        match look_once(&disk, &root, choice, args.state).await? {
            Some(report) => return Ok(report),
            None if looks < LOOKS => looks += 1,
            None => {
                let message = "a running job deletes its checkpoints faster than they can be read: try again";
                return Err(Error::unavailable(message).at(format!("checkpoint directory {}", root.display())));
            }
        }
    }
}

/// The checkpoint directory that is meant, and which of its checkpoints.
async fn find_root(disk: &dyn Disk, path: &Path, all: bool) -> Result<(PathBuf, Choice)> {
    let (root, choice) = match parse_checkpoint_path(path) {
        Some((root, id)) => (root, Choice::Only(id)),
        None => (path, if all { Choice::All } else { Choice::Newest }),
    };
    match disk.metadata(root).await {
        Ok(metadata) if metadata.kind == EntryKind::Directory => Ok((root.to_owned(), choice)),
        Ok(_) => Err(Error::bad_input(format!("{} is not a directory: {REMEDY}", root.display()))),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Err(does_not_exist(path)),
        Err(e) => Err(e).at(|| root.display()),
    }
}

fn does_not_exist(path: &Path) -> Error {
    Error::bad_input(format!("{} does not exist: {REMEDY}", path.display()))
}

const REMEDY: &str = "name the directory that a job was given as --checkpoint-dir, or a chk-<id> in it";

/// `None` if a checkpoint was deleted while it was read.
async fn look_once(
    disk: &Arc<dyn Disk>,
    root: &Path,
    choice: Choice,
    entries: usize,
) -> Result<Option<DirectoryReport>> {
    let found = survey(&**disk, root).await?;
    let job = match JobFile::read(&**disk, root).await {
        Ok(None) if found.slots == ManifestSlots::default() => {
            let message = format!("{} is not a checkpoint directory of Tidegate's: {REMEDY}", root.display());
            return Err(Error::bad_input(message));
        }
        // One checkpoint may have been copied elsewhere; its manifest says whose it is.
        Ok(job) => Ok(job),
        Err(error) => Err(error.at(format!("checkpoint directory {}", root.display())).to_string()),
    };
    let newest = found.completed.last().copied();
    let mut checkpoints = Vec::new();
    for id in found.completed.iter().copied() {
        let (listed, open) = match choice {
            Choice::Newest => (true, Some(id) == newest),
            Choice::All => (true, true),
            Choice::Only(only) => (only == id, true),
        };
        if !listed {
            continue;
        }
        let path = checkpoint_path(root, id).display().to_string();
        let file = found.slots.of(id).map(Slot::name).unwrap_or_default().to_owned();
        let Some(condition) = inspect_checkpoint(disk, root, id, open.then_some(entries)).await? else {
            return Ok(None);
        };
        checkpoints.push(CheckpointReport { checkpoint: id, path, file, condition });
    }
    let mut unreadable: Vec<_> = found.slots.unreadable().map(ToString::to_string).collect();
    if let Choice::Only(id) = choice {
        if !checkpoints.is_empty() {
            // Only what was asked for is judged.
            unreadable.clear();
        } else if unreadable.is_empty() {
            return Err(does_not_exist(&checkpoint_path(root, id)));
        }
    }
    Ok(Some(DirectoryReport::new(root, job, found.finished, unreadable, checkpoints)))
}

/// `None` if it has been deleted meanwhile.
async fn inspect_checkpoint(
    disk: &Arc<dyn Disk>,
    root: &Path,
    id: CheckpointId,
    entries: Option<usize>,
) -> Result<Option<Condition>> {
    let path = checkpoint_path(root, id);
    let condition = match read_manifest(&**disk, &path).await {
        Ok(manifest) => {
            let mut vertices = Vec::new();
            if let Some(entries) = entries {
                for vertex in &manifest.vertices {
                    vertices.push(inspect_vertex(disk, root, id, vertex, entries).await);
                }
            }
            Condition::completed(&manifest, vertices)
        }
        Err(error) => Condition::Damaged { reason: error.to_string() },
    };
    // Whoever deletes a checkpoint begins with its manifest: what then seems to be damaged is not.
    let deleted = !condition.damage().is_empty() && !survey(&**disk, root).await?.completed.contains(&id);
    Ok((!deleted).then_some(condition))
}

const ALL_GROUPS: KeyGroupRange = KeyGroupRange { start: 0, end: u32::MAX };

async fn inspect_vertex(
    disk: &Arc<dyn Disk>,
    root: &Path,
    checkpoint: CheckpointId,
    vertex: &VertexManifest,
    entries: usize,
) -> VertexReport {
    let store = SnapshotStore::new(disk.clone(), root);
    let mut subtasks = Vec::new();
    let mut snapshots: Vec<(usize, SubtaskSnapshot)> = Vec::new();
    for (index, handle) in vertex.snapshots.iter().enumerate() {
        let name = format!("{}/{index}", vertex.name);
        let read = store.read(checkpoint, &name, handle, ALL_GROUPS).await.map(|(snapshot, _)| snapshot);
        let damage = read.as_ref().err().map(ToString::to_string);
        snapshots.extend(read.ok().map(|snapshot| (index, snapshot)));
        let file = handle.files().last().map(|file| file.name.clone());
        subtasks.push(SubtaskReport { subtask: index, file, bytes: handle.bytes(), damage });
    }
    let operators = describe_operators(&vertex.operators, &snapshots, entries);
    VertexReport {
        name: vertex.name.clone(),
        parallelism: subtasks.len(),
        metrics: vertex.metrics,
        subtasks,
        operators,
    }
}
