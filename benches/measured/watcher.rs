//! A probe that notes when the steps of checkpoints and of recovery are taken, and what can be read from that.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Instant,
};

use tidegate::{
    id::CheckpointId,
    metrics::{CheckpointMetrics, Measurement},
    probe::{Actor, Fact, Probe, Reached, Step},
};

use super::{phases::Phases, run::CheckpointFigures};

/// Notes steps with their times, and makes the phases of a run that has some.
pub struct Watcher {
    notes: Mutex<Vec<(Instant, Noted)>>,
    phases: Option<Arc<Phases>>,
}

/// A step that matters here.
#[derive(Clone, Copy)]
enum Noted {
    Triggered(CheckpointId),
    Aligned(CheckpointId),
    Completed(CheckpointId),
    Measured(CheckpointId, CheckpointMetrics),
    Aborted,
    FailureDetected,
    Restored,
}

impl Watcher {
    fn note(&self, noted: Noted) {
        self.notes.lock().expect("no holder panics").push((Instant::now(), noted));
    }
}

impl Probe for Watcher {
    fn reach(&self, fact: &Fact) -> Reached {
        if let Some(noted) = noted(fact) {
            self.note(noted);
        }
        match &self.phases {
            Some(phases) if matches!(fact.step, Step::CompletionNotified) => phases.completed(),
            _ => Reached::Continue,
        }
    }

    fn measure(&self, measurement: &Measurement) {
        if let Measurement::Checkpoint { checkpoint, metrics, .. } = measurement {
            self.note(Noted::Measured(*checkpoint, *metrics));
        }
    }
}

fn noted(fact: &Fact) -> Option<Noted> {
    let id = fact.checkpoint;
    match &fact.step {
        Step::CheckpointTriggered { .. } => id.map(Noted::Triggered),
        Step::Aligned => id.map(Noted::Aligned),
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
    metrics: CheckpointMetrics,
}

fn ms(from: Option<Instant>, to: Option<Instant>) -> Option<f64> {
    Some(to?.saturating_duration_since(from?).as_secs_f64() * 1e3)
}

impl Watcher {
    pub fn new(phases: Option<Arc<Phases>>) -> Arc<Self> {
        Arc::new(Self { notes: Mutex::default(), phases })
    }

    /// When the job manager decided to restart the job.
    pub fn detected(&self) -> Option<Instant> {
        let notes = self.notes.lock().expect("no holder panics");
        notes.iter().find(|(_, noted)| matches!(noted, Noted::FailureDetected)).map(|(at, _)| *at)
    }

    /// Whether an attempt went back to a checkpoint.
    pub fn has_restored(&self) -> bool {
        let notes = self.notes.lock().expect("no holder panics");
        notes.iter().any(|(_, noted)| matches!(noted, Noted::Restored))
    }

    /// The figures of the completed checkpoints that were triggered at a time that counts.
    pub fn checkpoints(&self, counts: impl Fn(Instant) -> bool) -> CheckpointFigures {
        let notes = self.notes.lock().expect("no holder panics");
        let mut all = BTreeMap::<CheckpointId, Times>::new();
        let mut figures = CheckpointFigures::default();
        for (at, noted) in notes.iter() {
            let at = Some(*at);
            match *noted {
                Noted::Triggered(id) => all.entry(id).or_default().triggered = at,
                Noted::Aligned(id) => all.entry(id).or_default().last_aligned = at,
                Noted::Measured(id, metrics) => all.entry(id).or_default().metrics = metrics,
                Noted::Completed(id) => {
                    figures.completed += 1;
                    all.entry(id).or_default().completed = at;
                }
                Noted::Aborted => figures.aborted += 1,
                Noted::FailureDetected | Noted::Restored => {}
            }
        }
        let in_time = |times: &&Times| times.triggered.is_some_and(&counts);
        for times in all.values().filter(in_time).filter(|times| times.completed.is_some()) {
            figures.duration_ms.extend(ms(times.triggered, times.completed));
            figures.barrier_ms.extend(ms(times.triggered, times.last_aligned));
            figures.alignment_ms.push(times.metrics.alignment_us as f64 / 1e3);
            figures.synchronous_ms.push(times.metrics.synchronous_us as f64 / 1e3);
            figures.bytes.push(times.metrics.bytes_written);
        }
        figures
    }
}
