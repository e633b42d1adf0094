//! Short hand-made histories, to prove that each checker can fail.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::RangeInclusive,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use tidegate::{
    checkpoint::{Manifest, SnapshotFile, SnapshotHandle, VertexManifest},
    connector::FileSink,
    graph::{JobGraph, StreamExecutionEnvironment},
    id::{AttemptId, CheckpointId, TaskId},
    probe::{Actor, Fact, GivenState, JobStatus, Share, Step},
    state::{KeyGroupEntries, OperatorSnapshot, SubtaskSnapshot},
    storage::{encode_manifest, encode_snapshot, snapshot_digest},
    stream::{CheckpointMode, hash_bytes},
};

use super::{Checker, Context, Deployments, DiskView, ground::Ground};
use crate::workload::{Lines, StateEntry, Workload, entries_of};

/// Two sources, one counter or more, one sink; the words are `a b a`.
struct Letters {
    mode: CheckpointMode,
    counters: u32,
    retained: u32,
    inline_threshold: u64,
}

impl Workload for Letters {
    fn input_files(&self) -> &BTreeMap<PathBuf, Vec<u8>> {
        unreachable!("a checker does not ask for it")
    }

    fn graph(&self) -> tidegate::error::Result<JobGraph> {
        let mut env = StreamExecutionEnvironment::new();
        env.enable_checkpointing(Duration::from_secs(1)).set_checkpoint_mode(self.mode);
        env.checkpoint_options_mut().retained = self.retained;
        env.checkpoint_options_mut().inline_threshold = self.inline_threshold;
        let words = env.from_elements(["a", "b", "a"].map(str::to_owned)).uid("source").set_parallelism(2);
        let counts = words.key_by(String::clone).sum(|_| 1_u64).uid("count").set_parallelism(self.counters);
        counts
            .sink_to(FileSink::new("/output", |(word, n): &(String, u64), line: &mut Vec<u8>| {
                line.extend(format!("{word}\t{n}").bytes());
            }))
            .uid("sink");
        env.job_graph("Letters")
    }

    fn output_directory(&self) -> &Path {
        Path::new("/output")
    }

    fn expected_output(&self) -> Lines {
        ["a\t1", "a\t2", "b\t1"].map(|line| (line.as_bytes().to_vec(), 1)).into()
    }

    /// Each operator's state is how many records it has seen.
    fn check_state(&self, operators: &BTreeMap<String, Vec<OperatorSnapshot>>) -> Result<(), String> {
        let seen = |uid: &str| operators[uid].iter().map(|o| u64::from(o.lists[0].items[0][0])).sum::<u64>();
        let (read, counted) = (seen("source"), seen("count"));
        if read == counted { Ok(()) } else { Err(format!("{read} records are read, and {counted} are counted")) }
    }

    fn entries(&self, _: &str, _: &str, group: &KeyGroupEntries) -> Result<Vec<StateEntry>, String> {
        entries_of::<String, u64>(group)
    }

    fn splits(&self) -> BTreeMap<String, RangeInclusive<u64>> {
        [("0..1".to_owned(), 0..=1), ("1..3".to_owned(), 1..=3)].into()
    }

    /// Without the checks that the engine makes when it decodes one.
    fn split(&self, item: &[u8]) -> Result<(String, u64), String> {
        let [start, end, position, _] = *item else { return Err(format!("{item:?} is no split")) };
        Ok((format!("{start}..{end}"), position.into()))
    }
}

fn ground_for(workload: Letters) -> Ground {
    let workload = Arc::new(workload);
    let graph = Arc::new(workload.graph().expect("the graph makes sense"));
    Ground::new(&Context { deployments: Deployments::new(graph), workload, checkpoint_directory: "/chk".into() })
}

const LETTERS: Letters = Letters { mode: CheckpointMode::ExactlyOnce, counters: 1, retained: 1, inline_threshold: 0 };

pub(super) fn ground() -> Ground {
    ground_for(LETTERS)
}

pub(super) fn ground_of(mode: CheckpointMode) -> Ground {
    ground_for(Letters { mode, ..LETTERS })
}

pub(super) fn ground_of_counters(counters: u32) -> Ground {
    ground_for(Letters { counters, ..LETTERS })
}

pub(super) fn ground_retaining(retained: u32) -> Ground {
    ground_for(Letters { retained, ..LETTERS })
}

pub(super) fn ground_inlining(inline_threshold: u64) -> Ground {
    ground_for(Letters { inline_threshold, ..LETTERS })
}

/// The first term's attempt of this number.
pub(super) fn attempt(number: u32) -> AttemptId {
    AttemptId { term: 1, number }
}

/// `count/0` in an attempt of the first term.
pub(super) fn task(name: &str, number: u32) -> TaskId {
    let subtask = ground().graph.subtask_named(name).expect("the graph has this subtask");
    TaskId { subtask, attempt: attempt(number) }
}

/// What happens in a history.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Event {
    Fact(Fact),
    /// The contents are visible, and no more.
    Write(PathBuf, Bytes),
    /// What is visible is durable.
    Sync(PathBuf),
    Remove(PathBuf),
    /// Nobody sees it any more, but it is still durable.
    Hide(PathBuf),
    /// The run is over.
    End {
        finished: bool,
    },
}

/// The job manager takes a step of a checkpoint, or of none (0).
pub(super) fn manager(checkpoint: u64, step: Step) -> Event {
    Event::Fact(Fact { actor: Actor::JobManager, checkpoint: some(checkpoint), step })
}

/// A task takes a step of a checkpoint, or of none (0).
pub(super) fn by(task: TaskId, checkpoint: u64, step: Step) -> Event {
    Event::Fact(Fact { actor: Actor::Task(task), checkpoint: some(checkpoint), step })
}

/// A checkpoint; 0 stands for none.
pub(super) fn some(checkpoint: u64) -> Option<CheckpointId> {
    (checkpoint > 0).then_some(CheckpointId(checkpoint))
}

pub(super) fn completed(checkpoint: u64) -> Event {
    manager(checkpoint, Step::CheckpointCompleted)
}

/// Recovery chooses a checkpoint.
pub(super) fn chosen(checkpoint: u64) -> Event {
    manager(0, Step::RestorePointChosen { restored: some(checkpoint) })
}

/// An attempt of the first term starts from a checkpoint.
pub(super) fn started(number: u32, checkpoint: u64) -> Event {
    manager(0, Step::AttemptStarted { attempt: attempt(number), restored: some(checkpoint) })
}

/// `sink/0` of an attempt gives a part its visible name.
pub(super) fn renamed(number: u32, name: &str) -> Event {
    by(task("sink/0", number), 0, Step::PartRenamed { path: Path::new("/output").join(name) })
}

/// One list state, as a task begins with it.
pub(super) fn given(uid: &str, state: &str, items: &[&[u8]]) -> GivenState {
    let share = Share::Items(items.iter().map(|item| hash_bytes(item).0).collect());
    GivenState { uid: uid.into(), state: state.into(), share }
}

/// A task of the first term has its state from a checkpoint.
pub(super) fn restored(subtask: &str, attempt: u32, checkpoint: u64, given: Vec<GivenState>) -> Event {
    by(task(subtask, attempt), 0, Step::StateRestored { restored: some(checkpoint), given })
}

/// An operator without any state.
pub(super) fn operator(uid: &str) -> OperatorSnapshot {
    OperatorSnapshot { uid: uid.into(), key_groups: None, keyed: Vec::new(), lists: Vec::new() }
}

/// A checkpoint of the first attempt, of vertices of one operator each: its snapshots, and its files being written. The snapshot
/// files have its number.
pub(super) fn checkpoint(id: u64, vertices: &[(&str, Vec<OperatorSnapshot>)]) -> (Vec<SnapshotFile>, Vec<Event>) {
    let (mut files, mut events, mut manifest) = (Vec::new(), Vec::new(), Vec::new());
    for (name, operators) in vertices {
        let first = files.len();
        for (index, operator) in operators.iter().enumerate() {
            let bytes = encode_snapshot(&SubtaskSnapshot { operators: vec![operator.clone()] }).expect("plain data");
            files.push(snapshot_file(id, &format!("{name}-{index}-1.1-{id}.state"), &bytes));
            events.push(write(&format!("/chk/state/{}", files[files.len() - 1].name), bytes));
        }
        let alone = |file: &SnapshotFile| SnapshotHandle::Files(vec![file.clone()]);
        let (name, snapshots) = ((*name).to_owned(), files[first..].iter().map(alone).collect());
        manifest.push(VertexManifest {
            name,
            operators: Vec::new(),
            snapshots,
            metrics: tidegate::metrics::CheckpointMetrics::default(),
        });
    }
    events.push(write(&format!("/chk/manifest-{id}"), encode_manifest(&manifest_of(id, manifest))));
    (files, events)
}

/// A snapshot file with these contents.
pub(super) fn snapshot_file(written_for: u64, name: &str, contents: &[u8]) -> SnapshotFile {
    SnapshotFile {
        name: name.into(),
        written_for: CheckpointId(written_for),
        len: contents.len() as u64,
        digest: snapshot_digest(contents),
    }
}

/// The manifest of a checkpoint of the first attempt, which keeps the one before.
pub(super) fn manifest_of(id: u64, vertices: Vec<VertexManifest>) -> Manifest {
    Manifest {
        job: "Letters".into(),
        checkpoint: CheckpointId(id),
        oldest: CheckpointId(id.saturating_sub(1)),
        attempt: attempt(1),
        is_final: false,
        max_parallelism: 128,
        vertices,
        completed_at_ms: 0,
        duration_us: 0,
    }
}

pub(super) fn ended(status: JobStatus) -> Event {
    manager(0, Step::JobEnded { status })
}

pub(super) fn write(path: &str, contents: impl Into<Bytes>) -> Event {
    Event::Write(path.into(), contents.into())
}

pub(super) fn sync(path: &str) -> Event {
    Event::Sync(path.into())
}

pub(super) fn hide(path: &str) -> Event {
    Event::Hide(path.into())
}

pub(super) fn remove(path: &str) -> Event {
    Event::Remove(path.into())
}

/// A history that is made to be told.
#[derive(Clone)]
pub(super) struct Story(Vec<Event>);

impl Story {
    pub(super) fn new(events: impl IntoIterator<Item = Event>) -> Self {
        Self(events.into_iter().collect())
    }

    fn place(&self, event: &Event) -> usize {
        self.0.iter().position(|e| e == event).unwrap_or_else(|| panic!("{event:?} is no part of the story"))
    }

    /// The same story without an event.
    pub(super) fn without(mut self, event: Event) -> Self {
        self.0.remove(self.place(&event));
        self
    }

    /// The same story with another event in the place of one.
    pub(super) fn instead(mut self, event: Event, other: Event) -> Self {
        let place = self.place(&event);
        self.0[place] = other;
        self
    }

    /// The same story with one more event before one.
    pub(super) fn before(mut self, event: Event, other: Event) -> Self {
        self.0.insert(self.place(&event), other);
        self
    }

    /// The same story with one more event at its end.
    pub(super) fn then(mut self, event: Event) -> Self {
        self.0.push(event);
        self
    }

    /// What a checker says of it.
    pub(super) fn told_to(self, checker: &mut dyn Checker) -> Result<(), String> {
        let mut files = Files::default();
        for event in self.0 {
            files.version += u64::from(!matches!(event, Event::Fact(_) | Event::End { .. }));
            match event {
                Event::Fact(fact) => checker.observe(&fact, &files)?,
                Event::End { finished } => checker.finish(finished, &files)?,
                Event::Write(path, contents) => drop(files.visible.insert(path, contents)),
                Event::Sync(path) => drop(files.durable.insert(path.clone(), files.visible[&path].clone())),
                Event::Hide(path) => drop(files.visible.remove(&path)),
                Event::Remove(path) => {
                    files.visible.remove(&path);
                    files.durable.remove(&path);
                }
            }
        }
        Ok(())
    }
}

/// Each of the stories breaks the guarantee, and a new checker says of it what stands beside it.
pub(super) fn all_break<C: Checker, M: Into<String>>(
    checker: impl Fn() -> C,
    cases: impl IntoIterator<Item = (Story, M)>,
) {
    for (story, message) in cases {
        assert_eq!(story.told_to(&mut checker()), Err(message.into()));
    }
}

/// All of the stories hold.
pub(super) fn all_hold<C: Checker>(checker: impl Fn() -> C, stories: impl IntoIterator<Item = Story>) {
    for (i, story) in stories.into_iter().enumerate() {
        assert_eq!(story.told_to(&mut checker()), Ok(()), "story {i}");
    }
}

/// Files in two states, without anything that could go wrong.
#[derive(Default)]
struct Files {
    visible: BTreeMap<PathBuf, Bytes>,
    durable: BTreeMap<PathBuf, Bytes>,
    version: u64,
}

impl DiskView for Files {
    fn version(&self) -> u64 {
        self.version
    }

    fn read(&self, path: &Path) -> Option<Bytes> {
        self.visible.get(path).cloned()
    }

    fn read_as_is(&self, path: &Path) -> Option<Bytes> {
        self.read(path)
    }

    fn read_durable(&self, path: &Path) -> Option<Bytes> {
        self.durable.get(path).cloned()
    }

    fn list(&self, directory: &Path) -> Vec<String> {
        names_in(directory, &self.visible)
    }

    fn list_durable(&self, directory: &Path) -> Vec<String> {
        names_in(directory, &self.durable)
    }
}

fn names_in(directory: &Path, files: &BTreeMap<PathBuf, Bytes>) -> Vec<String> {
    let name = |path: &PathBuf| path.strip_prefix(directory).ok()?.iter().next()?.to_str().map(str::to_owned);
    let names: BTreeSet<String> = files.keys().filter_map(name).collect();
    names.into_iter().collect()
}
