//! A probe that notes when the steps of checkpoints and of recovery are taken, and what can be read from that.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Instant,
};

use tidegate::{
    id::{CheckpointId, TaskId},
    probe::{Actor, Fact, Probe, Reached, Step},
};

use super::run::CheckpointFigures;

/// Notes steps with their times.
#[derive(Default)]
pub struct Watcher(Mutex<Vec<(Instant, Noted)>>);

/// A step that matters here.
#[derive(Clone, Copy)]
enum Noted {
    Triggered(CheckpointId),
    /// The first sign of a checkpoint at a task: the trigger at a source, a barrier elsewhere.
    Reached(CheckpointId, TaskId),
    Aligned(CheckpointId, TaskId),
    Frozen(CheckpointId, TaskId, u64),
    Completed(CheckpointId),
    Aborted,
    FailureDetected,
    Restored,
}

impl Probe for Watcher {
    fn reach(&self, fact: &Fact) -> Reached {
        if let Some(noted) = noted(fact) {
            self.0.lock().expect("no holder panics").push((Instant::now(), noted));
        }
        Reached::Continue
    }
}

fn noted(fact: &Fact) -> Option<Noted> {
    let id = fact.checkpoint;
    let at_task = || Some((id?, fact.task()?));
    match &fact.step {
        Step::CheckpointTriggered { .. } => id.map(Noted::Triggered),
        Step::TriggerReceived | Step::BarrierReceived { .. } => at_task().map(|(id, task)| Noted::Reached(id, task)),
        Step::Aligned => at_task().map(|(id, task)| Noted::Aligned(id, task)),
        Step::StateFrozen { bytes, .. } => at_task().map(|(id, task)| Noted::Frozen(id, task, *bytes)),
        Step::CheckpointCompleted => id.map(Noted::Completed),
        Step::CheckpointAborted { .. } => Some(Noted::Aborted),
        Step::RestartScheduled { .. } if fact.actor == Actor::JobManager => Some(Noted::FailureDetected),
        Step::AttemptStarted { restored: Some(_), .. } => Some(Noted::Restored),
        _ => None,
    }
}

/// The times of one checkpoint.
#[derive(Default)]
struct Times {
    triggered: Option<Instant>,
    completed: Option<Instant>,
    last_aligned: Option<Instant>,
    bytes: u64,
    tasks: BTreeMap<TaskId, TaskTimes>,
}

#[derive(Default)]
struct TaskTimes {
    reached: Option<Instant>,
    aligned: Option<Instant>,
    frozen: Option<Instant>,
}

fn ms(from: Option<Instant>, to: Option<Instant>) -> Option<f64> {
    Some(to?.saturating_duration_since(from?).as_secs_f64() * 1e3)
}

impl Watcher {
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// When the job manager decided to restart the job.
    pub fn detected(&self) -> Option<Instant> {
        let notes = self.0.lock().expect("no holder panics");
        notes.iter().find(|(_, noted)| matches!(noted, Noted::FailureDetected)).map(|(at, _)| *at)
    }

    /// Whether an attempt went back to a checkpoint.
    pub fn has_restored(&self) -> bool {
        let notes = self.0.lock().expect("no holder panics");
        notes.iter().any(|(_, noted)| matches!(noted, Noted::Restored))
    }

    /// The figures of the completed checkpoints that were triggered from `since` to `until`.
    pub fn checkpoints(&self, since: Instant, until: Instant) -> CheckpointFigures {
        let notes = self.0.lock().expect("no holder panics");
        let mut all = BTreeMap::<CheckpointId, Times>::new();
        let mut figures = CheckpointFigures::default();
        for (at, noted) in notes.iter() {
            let at = Some(*at);
            match *noted {
                Noted::Triggered(id) => all.entry(id).or_default().triggered = at,
                Noted::Reached(id, task) => {
                    let task = all.entry(id).or_default().tasks.entry(task).or_default();
                    task.reached = task.reached.or(at);
                }
                Noted::Aligned(id, task) => {
                    let times = all.entry(id).or_default();
                    times.last_aligned = at;
                    times.tasks.entry(task).or_default().aligned = at;
                }
                Noted::Frozen(id, task, bytes) => {
                    let times = all.entry(id).or_default();
                    times.bytes += bytes;
                    times.tasks.entry(task).or_default().frozen = at;
                }
                Noted::Completed(id) => {
                    figures.completed += 1;
                    all.entry(id).or_default().completed = at;
                }
                Noted::Aborted => figures.aborted += 1,
                Noted::FailureDetected | Noted::Restored => {}
            }
        }
        let in_window = |times: &&Times| times.triggered.is_some_and(|at| since <= at && at < until);
        for times in all.values().filter(in_window).filter(|times| times.completed.is_some()) {
            figures.duration_ms.extend(ms(times.triggered, times.completed));
            figures.barrier_ms.extend(ms(times.triggered, times.last_aligned));
            figures.bytes.push(times.bytes);
            for task in times.tasks.values() {
                figures.alignment_ms.extend(ms(task.reached, task.aligned));
                // A source has nothing to align.
                figures.synchronous_ms.extend(ms(task.aligned.or(task.reached), task.frozen));
            }
        }
        figures
    }
}
