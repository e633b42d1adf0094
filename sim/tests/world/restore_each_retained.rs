//! A job that keeps several checkpoints can be started from each of them, not only from the newest: whatever was written
//! over or deleted since, each still has all that it needs.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};

use tidegate::{
    checkpoint::{Manifest, RestoreMode, SnapshotPolicy},
    connector::{FileSink, PartFile, TextFileSource},
    env::Address,
    exchange::Secret,
    graph::{JobGraph, StreamExecutionEnvironment},
    id::CheckpointId,
    probe::{Fact, JobStatus, Probe, Reached, Step},
    runtime::{ClusterOptions, LocalCluster},
    storage::{ManifestSlots, Slot, checkpoint_path, decode_manifest, parse_slot},
};
use tidegate_sim::env::{DiskSettings, World, WorldSettings};
use tokio::sync::oneshot;

use crate::support::{counts::put_line, in_world};

const INPUTS: [&str; 2] = ["/input/1", "/input/2"];
const RETAINED: u32 = 4;
/// So many checkpoints complete before the job is canceled: some are retired by then, and their files used again.
const CHECKPOINTS: usize = 9;

/// Words that come once, so that the state grows, among words that come again and again.
fn text(input: &str) -> String {
    let mut text = String::new();
    for line in 0..700 {
        let _ = writeln!(text, "often{} rare{}x{line} often{}", line % 7, &input[7..], line % 11);
    }
    text
}

/// Each line of the right output, once.
fn expected() -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    let texts = INPUTS.map(text);
    let updates = texts.iter().flat_map(|text| text.split_whitespace()).map(|word| {
        let n = counts.entry(word).and_modify(|n| *n += 1).or_insert(1_u64);
        (format!("{word}\t{n}"), 1)
    });
    updates.collect()
}

fn graph(output: &Path, policy: SnapshotPolicy) -> Arc<JobGraph> {
    let mut env = StreamExecutionEnvironment::new();
    env.set_parallelism(2)
        .enable_checkpointing(Duration::from_millis(6))
        .set_snapshot_policy(policy)
        .set_inline_snapshot_threshold(0)
        .set_retained_checkpoints(RETAINED);
    let lines = env.from_source(TextFileSource::new(INPUTS).split_size(512));
    let words = lines.flat_map(|line: String| line.split(' ').map(str::to_owned).collect::<Vec<_>>());
    let counts = words.uid("words").key_by(String::clone).sum(|_| 1_u64).uid("count");
    counts.sink_to(FileSink::new(output, put_line)).uid("sink");
    Arc::new(env.job_graph("Words").expect("the job makes sense"))
}

/// Sees which checkpoint the job starts from, and cancels it when so many have completed.
#[derive(Default)]
struct Watch {
    restored: Mutex<Vec<Option<CheckpointId>>>,
    completed: Mutex<usize>,
    cancel: Mutex<Option<oneshot::Sender<()>>>,
}

impl Probe for Watch {
    fn reach(&self, fact: &Fact) -> Reached {
        match fact.step {
            Step::AttemptStarted { restored, .. } => self.restored.lock().unwrap().push(restored),
            Step::CheckpointCompleted => {
                let mut completed = self.completed.lock().unwrap();
                *completed += 1;
                if *completed == CHECKPOINTS {
                    self.cancel.lock().unwrap().take().into_iter().for_each(|cancel| cancel.send(()).unwrap());
                }
            }
            _ => {}
        }
        Reached::Continue
    }
}

/// Runs the job; gives how it ended and what each of its attempts has restored.
async fn run(
    world: &World,
    graph: Arc<JobGraph>,
    checkpoints: &str,
    restore: RestoreMode,
    canceled: bool,
) -> (JobStatus, Vec<Option<CheckpointId>>) {
    let (cancel, is_canceled) = oneshot::channel();
    let watch = Arc::new(Watch { cancel: Mutex::new(canceled.then_some(cancel)), ..Watch::default() });
    let cluster = LocalCluster {
        graph,
        checkpoint_directory: Some(checkpoints.into()),
        restore,
        task_managers: 2,
        address: Address::new("node:0"),
        options: ClusterOptions { batch_size: 8, ..ClusterOptions::new(Secret([7; 32])) },
        cancel: Some(is_canceled),
    };
    let status = cluster.run(world.boot("node"), watch.clone()).await.expect("the cluster starts");
    // What it has begun to delete it goes on to delete.
    world.sleep(Duration::from_secs(1)).await;
    (status, watch.restored.lock().unwrap().clone())
}

/// The checkpoints that are there, ascending.
fn retained(world: &World, directory: &str) -> Vec<Manifest> {
    let slot = |name: String| {
        let path = parse_slot(&name).map(|_| Path::new(directory).join(&name))?;
        let bytes = world.disk.read_file_now(&path)?;
        Some((Slot::new(path.clone(), &bytes), decode_manifest(&bytes, &path)))
    };
    let (slots, manifests): (Vec<_>, Vec<_>) =
        world.disk.list_now(Path::new(directory)).into_iter().filter_map(slot).unzip();
    let completed = ManifestSlots::new(slots).completed();
    let mut manifests: Vec<_> = manifests.into_iter().map(Result::unwrap).collect();
    manifests.retain(|manifest| completed.contains(&manifest.checkpoint));
    manifests.sort_by_key(|manifest| manifest.checkpoint);
    manifests
}

/// All that is in a directory and below it, once more in another place.
fn copy_all(world: &World, from: &Path, to: &Path) {
    for (path, contents) in world.disk.tree_now() {
        if let Ok(name) = path.strip_prefix(from) {
            world.disk.write_file_now(&to.join(name), &contents);
        }
    }
}

/// The output as it was when this checkpoint completed: without the parts of later ones.
fn copy_output(world: &World, to: &Path, up_to: CheckpointId) {
    for name in world.disk.list_now(Path::new("/output")) {
        let is_of = |part| match part {
            PartFile::InProgress(_) => false,
            PartFile::Pending(_, checkpoint) | PartFile::Visible(_, checkpoint) => checkpoint <= up_to,
        };
        if PartFile::parse(&name).is_none_or(is_of) {
            let contents = world.disk.read_file_now(&Path::new("/output").join(&name)).unwrap();
            world.disk.write_file_now(&to.join(&name), &contents);
        }
    }
}

/// How often each line is visible.
fn visible(world: &World, output: &Path) -> BTreeMap<String, u64> {
    let mut lines = BTreeMap::new();
    for name in world.disk.list_now(output) {
        if let Some(PartFile::Visible(..)) = PartFile::parse(&name) {
            let part = world.disk.read_file_now(&output.join(name)).unwrap();
            for line in std::str::from_utf8(&part).unwrap().lines() {
                *lines.entry(line.to_owned()).or_default() += 1;
            }
        }
    }
    lines
}

/// Slow reads, so that the job lasts for many checkpoints.
fn settings() -> WorldSettings {
    let disk = DiskSettings { read_latency_max_us: 9_000, ..DiskSettings::default() };
    WorldSettings { disk, ..WorldSettings::default() }
}

/// Where the checkpoints rest of a job that goes on from one of another directory.
#[derive(Clone, Copy)]
enum GoesOn {
    /// Where those of the first run do, as far as the job can tell.
    InItsDirectory,
    /// In a new directory.
    Elsewhere,
}

/// Runs the job until some checkpoints are retained and others are gone; then from each that is left, with a copy of all
/// files, to its end. Gives of how many files the longest snapshot of each consisted.
fn restore_each(seed: u64, policy: SnapshotPolicy, goes_on: GoesOn) -> Vec<usize> {
    in_world(seed, settings(), async move |world| {
        for input in INPUTS {
            world.disk.write_file_now(Path::new(input), text(input).as_bytes());
        }
        let job = graph(Path::new("/output"), policy);
        let (status, restored) = run(&world, job, "/checkpoints", RestoreMode::Latest, true).await;
        assert_eq!((status, restored), (JobStatus::Canceled, vec![None]), "seed {seed}: the input is too short");
        let manifests = retained(&world, "/checkpoints");
        assert!(manifests.len() >= RETAINED as usize, "seed {seed}: {} retained", manifests.len());
        assert!(manifests[0].checkpoint > CheckpointId::FIRST, "seed {seed}: none was retired");
        for manifest in &manifests {
            let id = manifest.checkpoint;
            let output = PathBuf::from(format!("/output-{id}"));
            copy_output(&world, &output, id);
            let before: u64 = visible(&world, &output).values().sum();
            let own = format!("/checkpoints-{id}");
            let from = match goes_on {
                GoesOn::InItsDirectory => {
                    copy_all(&world, Path::new("/checkpoints"), Path::new(&own));
                    &own
                }
                GoesOn::Elsewhere => "/checkpoints",
            };
            let from = RestoreMode::Path(checkpoint_path(Path::new(from), id));
            let (status, restored) = run(&world, graph(&output, policy), &own, from, false).await;
            assert_eq!((status, restored), (JobStatus::Finished, vec![Some(id)]), "seed {seed}, checkpoint {id}");
            let lines = visible(&world, &output);
            assert!(lines == expected(), "seed {seed}, checkpoint {id}: the output is not what it should be");
            assert!(before < lines.len() as u64, "seed {seed}, checkpoint {id}: nothing was left to do");
        }
        let files =
            |manifest: &Manifest| manifest.vertices.iter().flat_map(|v| &v.snapshots).map(|s| s.files().len()).max();
        manifests.iter().map(|manifest| files(manifest).unwrap()).collect()
    })
}

#[test]
fn a_job_goes_on_from_each_retained_checkpoint() {
    for seed in 0..8 {
        for policy in [SnapshotPolicy::Incremental, SnapshotPolicy::ByCost, SnapshotPolicy::Full] {
            let files = restore_each(seed, policy, GoesOn::InItsDirectory);
            let chained = files.iter().filter(|n| **n > 1).count();
            match policy {
                // Each of them builds on files that older ones have written.
                SnapshotPolicy::Incremental => assert_eq!(chained, files.len(), "seed {seed}: {files:?}"),
                SnapshotPolicy::ByCost => {}
                SnapshotPolicy::Full => assert_eq!(chained, 0, "seed {seed}: {files:?}"),
            }
        }
    }
}

/// The numbers of its checkpoints go on, too: a task has no ear for one that is not newer than what it has restored.
#[test]
fn a_job_goes_on_in_another_directory() {
    (0..4).for_each(|seed| drop(restore_each(seed, SnapshotPolicy::Incremental, GoesOn::Elsewhere)));
}
