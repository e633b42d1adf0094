//! Tells people how a job is doing: what the job manager reports, on standard error.

use std::{
    io::{self, IsTerminal},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use indicatif::{ProgressBar, ProgressStyle};
use tidegate::{
    id::{AttemptId, CheckpointId},
    metrics::Measurement,
    probe::{Actor, Fact, Probe, Reached, Step},
};

use super::{
    complain,
    figures::{Figures, cost, duration},
};

/// A probe that shows a spinner on a terminal, and plain lines elsewhere.
pub(crate) struct Progress {
    /// `None` if standard error is not a terminal.
    spinner: Option<ProgressBar>,
    /// Whether each checkpoint's cost is told.
    is_verbose: bool,
    seen: Mutex<Seen>,
}

/// What was reported so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    /// The newest attempt that was started.
    pub attempt: Option<AttemptId>,
    /// The newest checkpoint that completed.
    pub completed: Option<CheckpointId>,
    /// How many checkpoints completed.
    pub checkpoints: u64,
    /// How often the job was restarted.
    pub restarts: u64,
    /// What that has cost.
    pub figures: Figures,
}

impl Progress {
    /// Shows nothing before something happens.
    pub fn new(is_verbose: bool) -> Self {
        let spinner = io::stderr().is_terminal().then(|| {
            let style = ProgressStyle::with_template("{spinner} {elapsed_precise} {wide_msg}");
            let spinner = ProgressBar::new_spinner().with_style(style.expect("the template is well formed"));
            spinner.enable_steady_tick(Duration::from_millis(100));
            spinner
        });
        Self { spinner, is_verbose, seen: Mutex::default() }
    }

    /// What was reported so far.
    pub fn seen(&self) -> Seen {
        self.lock().clone()
    }

    /// Prints a line above the spinner.
    pub fn line(&self, line: &str) {
        match &self.spinner {
            Some(spinner) => spinner.suspend(|| complain(line)),
            None => complain(line),
        }
    }

    /// Ends the display.
    pub fn end(&self) {
        if let Some(spinner) = &self.spinner {
            spinner.finish_and_clear();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is worth a line; on a terminal the spinner tells of what comes again and again.
    fn line_for(&self, fact: &Fact) -> Option<String> {
        let checkpoint = fact.checkpoint.unwrap_or(CheckpointId(0));
        match &fact.step {
            Step::AttemptStarted { attempt, restored: None } => Some(format!("attempt {attempt} starts afresh")),
            Step::AttemptStarted { attempt, restored: Some(restored) } => {
                Some(format!("attempt {attempt} goes on from checkpoint {restored}"))
            }
            Step::CheckpointCompleted if self.spinner.is_none() && !self.is_verbose => {
                Some(format!("checkpoint {checkpoint} completed"))
            }
            Step::CheckpointAborted { reason } => Some(format!("checkpoint {checkpoint} aborted: {reason}")),
            Step::TaskManagerLost { task_manager, reason } => {
                Some(format!("task manager {task_manager} is lost: {reason}"))
            }
            Step::RestartScheduled { delay, error } => {
                Some(format!("restarting in {}: {error}", humantime::format_duration(*delay)))
            }
            _ => None,
        }
    }
}

impl Seen {
    fn note(&mut self, fact: &Fact) {
        match &fact.step {
            Step::AttemptStarted { attempt, .. } => self.attempt = Some(*attempt),
            Step::CheckpointCompleted => {
                self.completed = fact.checkpoint;
                self.checkpoints += 1;
            }
            Step::RestartScheduled { .. } => self.restarts += 1,
            _ => {}
        }
    }

    fn message(&self) -> String {
        let attempt = self.attempt.map_or("starting".to_owned(), |attempt| format!("attempt {attempt}"));
        let completed = self.completed.map_or(String::new(), |id| format!(", checkpoint {id} completed"));
        let restarts = if self.restarts == 0 { String::new() } else { format!(", {} restarts", self.restarts) };
        attempt + &completed + &restarts
    }
}

impl Probe for Progress {
    fn reach(&self, fact: &Fact) -> Reached {
        if fact.actor == Actor::JobManager {
            let mut seen = self.lock();
            seen.note(fact);
            if let Some(spinner) = &self.spinner {
                spinner.set_message(seen.message());
            }
            let figures = seen.figures.note(fact);
            drop(seen);
            self.line_for(fact).into_iter().chain(figures).for_each(|line| self.line(&line));
        }
        Reached::Continue
    }

    fn measure(&self, measurement: &Measurement) {
        let said = self.lock().figures.measure(measurement);
        if let Some(line) = said {
            self.line(&line);
        }
        if let (true, Measurement::Checkpoint { checkpoint, duration_us, metrics }) = (self.is_verbose, *measurement) {
            self.line(&format!("checkpoint {checkpoint} completed in {}: {}", duration(duration_us), cost(&metrics)));
        }
    }
}
