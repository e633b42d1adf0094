//! Short hand-made histories, to prove that each checker can fail.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use tidegate::{
    connector::FileSink,
    error::Result,
    graph::{JobGraph, StreamExecutionEnvironment},
    id::{AttemptId, CheckpointId, TaskId},
    probe::{Actor, Fact, JobStatus, Step},
    state::OperatorSnapshot,
    stream::CheckpointMode,
};

use super::{Checker, Context, DiskView};
use crate::workload::{Lines, Workload};

/// Two sources, one counter, one sink; the words are `a b a`.
struct Letters {
    mode: CheckpointMode,
}

impl Workload for Letters {
    fn input_files(&self) -> &BTreeMap<PathBuf, Vec<u8>> {
        unreachable!("a checker does not ask for it")
    }

    fn graph(&self) -> Result<JobGraph> {
        let mut env = StreamExecutionEnvironment::new();
        env.enable_checkpointing(Duration::from_secs(1)).set_checkpoint_mode(self.mode);
        let words = env.from_elements(["a", "b", "a"].map(str::to_owned)).uid("source").set_parallelism(2);
        let counts = words.key_by(String::clone).sum(|_| 1_u64).uid("count");
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
}

pub(super) fn context() -> Context {
    context_of(CheckpointMode::ExactlyOnce)
}

pub(super) fn context_of(mode: CheckpointMode) -> Context {
    let workload = Arc::new(Letters { mode });
    let graph = Arc::new(workload.graph().expect("the graph makes sense"));
    Context { graph, workload, checkpoint_directory: "/chk".into() }
}

/// The first term's attempt of this number.
pub(super) fn attempt(number: u32) -> AttemptId {
    AttemptId { term: 1, number }
}

/// `count/0` in an attempt of the first term.
pub(super) fn task(name: &str, number: u32) -> TaskId {
    let subtask = context().graph.subtask_named(name).expect("the graph has this subtask");
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

pub(super) fn ended(status: JobStatus) -> Event {
    manager(0, Step::JobEnded { status })
}

pub(super) fn write(path: &str, contents: impl Into<Bytes>) -> Event {
    Event::Write(path.into(), contents.into())
}

pub(super) fn sync(path: &str) -> Event {
    Event::Sync(path.into())
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
            match event {
                Event::Fact(fact) => checker.observe(&fact, &files)?,
                Event::End { finished } => checker.finish(finished, &files)?,
                Event::Write(path, contents) => drop(files.visible.insert(path, contents)),
                Event::Sync(path) => drop(files.durable.insert(path.clone(), files.visible[&path].clone())),
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
pub(super) fn all_break<C: Checker>(checker: impl Fn() -> C, cases: impl IntoIterator<Item = (Story, &'static str)>) {
    for (story, message) in cases {
        assert_eq!(story.told_to(&mut checker()), Err(message.to_owned()));
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
}

impl DiskView for Files {
    fn read(&self, path: &Path) -> Option<Bytes> {
        self.visible.get(path).cloned()
    }

    fn read_durable(&self, path: &Path) -> Option<Bytes> {
        self.durable.get(path).cloned()
    }

    fn list(&self, directory: &Path) -> Vec<String> {
        let names = self.visible.keys().filter(|path| path.parent() == Some(directory));
        names.filter_map(|path| path.file_name()?.to_str().map(str::to_owned)).collect()
    }
}
