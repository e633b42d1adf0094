//! What happened in a run, in order: the ground that checkers stand on, and the proof that two runs are the same.

use std::{
    fmt::Write as _,
    sync::{Arc, Mutex},
};

use serde::{Deserialize, Serialize};
use tidegate::{
    graph::JobGraph,
    id::{CheckpointId, TaskId},
    instant::Instant,
    probe::{Actor, Fact, Step},
};
use xxhash_rust::xxh3::Xxh3;

use crate::env::Crash;

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// When, in virtual time.
    pub at: Instant,
    /// On which node.
    pub node: Arc<str>,
    /// What.
    pub event: Event,
}

/// What can happen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Event {
    /// The engine took a step.
    Fact(Fact),
    /// The node was crashed by a fault.
    Crashed(Crash),
    /// The node runs again.
    Restarted,
    /// Another fault began or ended.
    Fault(String),
}

/// A run's events, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct History {
    /// The events.
    pub entries: Vec<Entry>,
}

impl History {
    /// A checksum over everything that happened, and when, and where: equal for two runs of the same seed.
    #[must_use]
    pub fn trace_hash(&self) -> u64 {
        let (mut hasher, mut bytes) = (Xxh3::new(), Vec::new());
        for entry in &self.entries {
            bytes = postcard::to_extend(entry, bytes).expect("an event is plain data");
            hasher.update(&bytes);
            bytes.clear();
        }
        hasher.digest()
    }

    /// Where two histories part ways.
    #[must_use]
    pub fn first_difference(&self, other: &Self) -> Option<usize> {
        let common = self.entries.iter().zip(&other.entries).position(|(a, b)| a != b);
        let shorter = self.entries.len().min(other.entries.len());
        common.or((self.entries.len() != other.entries.len()).then_some(shorter))
    }

    /// The facts, with their place in the history.
    pub fn facts(&self) -> impl Iterator<Item = (usize, &Fact)> {
        self.entries.iter().enumerate().filter_map(|(i, entry)| match &entry.event {
            Event::Fact(fact) => Some((i, fact)),
            _ => None,
        })
    }
}

/// A history that is being written. Cheap to clone.
#[derive(Clone, Default)]
pub struct Recorder(Arc<Mutex<History>>);

impl Recorder {
    /// Adds an event; gives its place.
    pub fn record(&self, entry: Entry) -> usize {
        let mut history = self.0.lock().expect("nobody panics while holding this lock");
        history.entries.push(entry);
        history.entries.len() - 1
    }

    /// Looks at what was recorded so far.
    pub fn look<T>(&self, look: impl FnOnce(&History) -> T) -> T {
        look(&self.0.lock().expect("nobody panics while holding this lock"))
    }

    /// What was recorded; the recorder is empty after that.
    #[must_use]
    pub fn take(&self) -> History {
        std::mem::take(&mut *self.0.lock().expect("nobody panics while holding this lock"))
    }
}

/// One line for people: `0.012345s tm-2 count/1@1.2 chk 3 SnapshotSynced`.
#[must_use]
pub fn describe(entry: &Entry, graph: &JobGraph) -> String {
    let mut line = format!("{} {}", entry.at, entry.node);
    match &entry.event {
        Event::Crashed(crash) => line += &format!(" CRASH {crash:?}").to_lowercase(),
        Event::Restarted => line += " restarted",
        Event::Fault(what) => line += &format!(" fault: {what}"),
        Event::Fact(fact) => {
            if let Actor::Task(task) = &fact.actor {
                line += &format!(" {}", task_name(*task, graph));
            }
            if let Some(checkpoint) = fact.checkpoint {
                line += &format!(" chk {checkpoint}");
            }
            let _ = write!(line, " {}", describe_step(&fact.step, graph));
        }
    }
    line
}

/// `count/1@1.2`.
#[must_use]
pub fn task_name(task: TaskId, graph: &JobGraph) -> String {
    format!("{}@{}", graph.subtask_name(task.subtask), task.attempt)
}

fn describe_start(restored: Option<CheckpointId>) -> String {
    restored.map_or_else(|| "the beginning".to_owned(), |id| format!("checkpoint {id}"))
}

fn describe_step(step: &Step, graph: &JobGraph) -> String {
    let channel = |c: &tidegate::id::ChannelId| format!("{}->{}", graph.subtask_name(c.from), graph.subtask_name(c.to));
    let kind = step.kind();
    match step {
        Step::ChannelOpened { channel: c, producer, .. } => format!("{kind} {} for attempt {producer}", channel(c)),
        Step::BarrierReceived { channel: c, records } | Step::BarrierForwarded { channel: c, records } => {
            format!("{kind} {} after {records} records", channel(c))
        }
        Step::AcknowledgementReceived { task } => format!("{kind} of {}", task_name(*task, graph)),
        Step::TaskDeployed { task, task_manager } => format!("{kind} {} on {task_manager}", task_name(*task, graph)),
        Step::SnapshotEncoded { bytes, digest, builds_on } => {
            let kept = builds_on.map_or_else(String::new, |id| format!(", changes since checkpoint {id}"));
            format!("{kind} {bytes} bytes, digest {digest:016x}{kept}")
        }
        Step::PartOpened { path }
        | Step::PartSynced { path }
        | Step::PartPending { path }
        | Step::PartRenamed { path } => {
            format!("{kind} {}", path.display())
        }
        Step::TaskFailed { error } => format!("{kind}: {error}"),
        Step::RestartScheduled { delay, error } => format!("{kind} in {delay:?}: {error}"),
        Step::AttemptStarted { attempt, restored } => format!("{kind} {attempt} from {}", describe_start(*restored)),
        Step::RestorePointChosen { restored } => format!("{kind} {}", describe_start(*restored)),
        Step::CheckpointAborted { reason } | Step::Declined { reason } => format!("{kind}: {reason}"),
        Step::TaskManagerLost { task_manager, reason } => format!("{kind} {task_manager}: {reason}"),
        Step::TaskManagerRegistered { task_manager } => format!("{kind} {task_manager}"),
        Step::Committed { committables } | Step::CommitPrepared { committables } => {
            format!("{kind} {}", committables.join(" "))
        }
        Step::JobEnded { status } => format!("{kind} {status:?}"),
        _ => kind.to_string(),
    }
}
