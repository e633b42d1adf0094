//! A part of a run: what came in it, and what it took.

use std::{thread, time::Duration};

use serde::{Deserialize, Serialize};

use super::machine::Snapshot;
use crate::support::TotalsBoard;

/// How far a run has come, and when.
pub struct Moment {
    pub records: u64,
    pub clocks: Snapshot,
}

impl Moment {
    pub fn now(board: &TotalsBoard) -> Self {
        Self { records: board.get().records, clocks: Snapshot::now() }
    }
}

/// What lies between two moments.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Window {
    pub records: u64,
    pub seconds: f64,
    /// Of the whole process.
    pub cpu_seconds: f64,
    /// What other processes have used meanwhile.
    pub foreign_cores: f64,
}

impl Window {
    pub fn between(begin: &Moment, end: &Moment) -> Self {
        Self {
            records: end.records - begin.records,
            seconds: (end.clocks.at - begin.clocks.at).as_secs_f64(),
            cpu_seconds: end.clocks.cpu_seconds - begin.clocks.cpu_seconds,
            foreign_cores: end.clocks.foreign_cores_since(&begin.clocks),
        }
    }

    /// Several, as if one had followed the other; `None` of nothing.
    pub fn sum(windows: impl IntoIterator<Item = Self>) -> Option<Self> {
        windows.into_iter().reduce(|a, b| Self {
            records: a.records + b.records,
            seconds: a.seconds + b.seconds,
            cpu_seconds: a.cpu_seconds + b.cpu_seconds,
            foreign_cores: (a.foreign_cores * a.seconds + b.foreign_cores * b.seconds) / (a.seconds + b.seconds),
        })
    }

    pub fn records_per_second(&self) -> f64 {
        self.records as f64 / self.seconds
    }

    pub fn cpu_ns_per_record(&self) -> f64 {
        self.cpu_seconds * 1e9 / self.records as f64
    }

    /// Waits until the board shows that so many records have come, or that the run has ended. Gives the moments between which
    /// the run was steady: from a quarter of the records to the last one. Start-up and most insertions of keys are before.
    ///
    /// # Panics
    /// If the run has ended without a record.
    pub fn watch(board: &TotalsBoard, records: u64, has_ended: impl Fn() -> bool) -> (Moment, Moment) {
        let await_records = |records| {
            while board.get().records < records && !has_ended() {
                thread::sleep(Duration::from_millis(1));
            }
            Moment::now(board)
        };
        let start = Moment { records: 0, clocks: Snapshot::now() };
        let quarter = await_records(records / 4);
        let end = await_records(records);
        // A run that is over before anybody looks is taken as a whole.
        let begin = if quarter.records < end.records { quarter } else { start };
        assert!(end.records > begin.records, "the run has ended without a record");
        (begin, end)
    }
}
