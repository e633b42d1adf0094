//! Phases with checkpoints and phases without, in turn, within one run of a job.
//!
//! ```text
//!   without            │ catching up │ with: whole intervals │ without            │ catching up │ …
//!                      ▲             ▲                       ▲                    ▲
//!   the job manager goes on      a checkpoint has completed: the job manager is held as long as the phase with them took
//! ```
//!
//! What checkpoints cost is a few per cent of a throughput that drifts by more: from second to second with what a machine's
//! neighbours do, from process to process with where memory lies. Phases of one process that follow each other share all that.
//! The first checkpoint after a phase without writes what has changed in all of it; it belongs to neither.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};
use tidegate::probe::Reached;

use super::window::{Moment, Window};
use crate::support::{Job, TotalsBoard};

/// A part of a run.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Phase {
    pub has_checkpoints: bool,
    pub window: Window,
}

/// For each phase with checkpoints between two without: a number of it over the mean of theirs.
pub fn over_neighbours(phases: &[Phase], number: impl Fn(&Window) -> f64) -> Vec<f64> {
    let ratio = |three: &[Phase]| {
        let [before, phase, after] = [0, 1, 2].map(|i| number(&three[i].window));
        three[1].has_checkpoints.then(|| phase / f64::midpoint(before, after))
    };
    phases.windows(3).filter_map(ratio).collect()
}

/// The same for the phases without, whose neighbours without are the last and the next of them: what is not 1 is noise, and the
/// other ratios can be trusted no further.
pub fn noise(phases: &[Phase], number: impl Fn(&Window) -> f64) -> Vec<f64> {
    let without: Vec<f64> = phases.iter().filter(|p| !p.has_checkpoints).map(|p| number(&p.window)).collect();
    without.windows(3).map(|three| three[1] / f64::midpoint(three[0], three[2])).collect()
}

/// Makes the phases of a run, and keeps them.
pub struct Phases {
    board: Arc<TotalsBoard>,
    /// From so many records on: most keys are there.
    from: u64,
    /// The last record.
    to: u64,
    /// A phase with checkpoints is over when one completes after so long.
    least: Duration,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Whether the job manager waits.
    is_held: bool,
    /// Since when checkpoints are taken in this phase; `None` in a phase without, and while it is caught up.
    with_since: Option<Moment>,
    over: Vec<Phase>,
    /// When checkpoints began that count.
    with: Vec<(Instant, Instant)>,
}

/// So many records a key, and all but a few thousandths of the keys have come.
const RECORDS_PER_KEY: u64 = 6;

impl Phases {
    pub fn new(job: &Job, board: Arc<TotalsBoard>, least: Duration) -> Arc<Self> {
        let (from, to) = (job.keys * RECORDS_PER_KEY, job.records);
        Arc::new(Self { board, from, to, least, state: Mutex::default() })
    }

    /// A checkpoint has completed, and its tasks will be told.
    pub fn completed(self: &Arc<Self>) -> Reached {
        let now = Moment::now(&self.board);
        if now.records < self.from || now.records == self.to {
            return Reached::Continue;
        }
        let mut state = self.state.lock().expect("no holder panics");
        assert!(!state.is_held, "a checkpoint has completed in a phase without");
        let Some(begin) = state.with_since.take_if(|begin| now.clocks.at - begin.clocks.at >= self.least) else {
            state.with_since.get_or_insert(now);
            return Reached::Continue;
        };
        let length = now.clocks.at - begin.clocks.at;
        state.over.push(Phase { has_checkpoints: true, window: Window::between(&begin, &now) });
        state.with.push((begin.clocks.at, now.clocks.at));
        state.is_held = true;
        let this = self.clone();
        Reached::Hold(Box::pin(async move {
            tokio::time::sleep(length).await;
            this.end_without(&now);
        }))
    }

    fn end_without(&self, begin: &Moment) {
        let now = Moment::now(&self.board);
        let mut state = self.state.lock().expect("no holder panics");
        state.is_held = false;
        // Whoever waits for the end of the job does not work.
        if now.records < self.to {
            state.over.push(Phase { has_checkpoints: false, window: Window::between(begin, &now) });
        }
    }

    /// All phases that are over, in order.
    pub fn over(&self) -> Vec<Phase> {
        self.state.lock().expect("no holder panics").over.clone()
    }

    /// Whether a checkpoint that was triggered then belongs to a phase with checkpoints.
    pub fn count(&self, at: Instant) -> bool {
        let state = self.state.lock().expect("no holder panics");
        state.with.iter().any(|(since, until)| *since <= at && at < *until)
    }
}
