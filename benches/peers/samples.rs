//! What was measured, as it is kept between the measuring and the report.

use std::fs;

use serde::{Deserialize, Serialize};

use super::{
    Result,
    contender::{Cell, Contender, Setup},
    scratch,
};
use crate::measured::{Measured, Recovery, Spread};

/// One run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Sample {
    pub setup: Setup,
    pub round: u32,
    /// For a run with checkpoints of Tidegate: the records per second of its neighbour without.
    pub paired_with: Option<Pair>,
    pub measured: Measured,
}

impl Sample {
    /// The failure, if there was one and a checkpoint to restore: the way back to the beginning is a short one.
    pub fn recovery(&self) -> Option<Recovery> {
        self.measured.recovery.filter(|recovery| recovery.restored)
    }
}

/// The run without checkpoints beside a run with them.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Pair {
    pub records_per_second: f64,
    pub cpu_ns: f64,
}

impl Pair {
    pub fn of(measured: &Measured) -> Self {
        Self { records_per_second: measured.window.records_per_second(), cpu_ns: measured.window.cpu_ns_per_record() }
    }
}

/// All that a report is made of.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Campaigned {
    pub rounds: u32,
    /// Runs with checkpoints of Tidegate at one interval, in each round.
    #[serde(default)]
    pub pairs: u32,
    /// Whether it was long enough for its figures to mean something.
    pub is_full: bool,
    pub samples: Vec<Sample>,
    /// Name and version of all that took part.
    pub versions: Vec<(String, String)>,
    /// Name and reason of all that did not.
    pub skipped: Vec<(String, String)>,
    /// Complete simulated runs per second, of each round.
    pub simulated_runs: Vec<f64>,
    /// Year, month and day.
    pub date: String,
}

impl Campaigned {
    fn file(is_full: bool) -> Result<std::path::PathBuf> {
        Ok(scratch::directory("results")?.join(if is_full { "report.json" } else { "quick.json" }))
    }

    pub fn save(&self, is_full: bool) -> Result<()> {
        Ok(fs::write(Self::file(is_full)?, serde_json::to_string(self)?)?)
    }

    /// What was saved last.
    pub fn load(is_full: bool) -> Result<Self> {
        let file = Self::file(is_full)?;
        let text = fs::read(&file).map_err(|e| format!("{}: {e}: nothing was measured yet", file.display()))?;
        Ok(serde_json::from_slice(&text)?)
    }

    /// The runs of one kind that did not fail.
    pub fn of(&self, contender: Contender, cell: Cell, interval_ms: Option<u64>) -> impl Iterator<Item = &Sample> {
        let is_it = move |s: &&Sample| {
            let setup = &s.setup;
            setup.contender == contender && setup.cell == cell && setup.interval_ms == interval_ms && !setup.fails
        };
        self.samples.iter().filter(is_it)
    }

    /// Records per second of each run.
    pub fn rates(&self, contender: Contender, cell: Cell, interval_ms: Option<u64>) -> Vec<f64> {
        self.of(contender, cell, interval_ms).map(|s| s.measured.window.records_per_second()).collect()
    }

    /// Their spread.
    pub fn rate(&self, contender: Contender, cell: Cell, interval_ms: Option<u64>) -> Option<Spread> {
        Spread::of(self.rates(contender, cell, interval_ms))
    }

    /// CPU time per record in nanoseconds.
    pub fn cpu(&self, contender: Contender, cell: Cell, interval_ms: Option<u64>) -> Option<Spread> {
        Spread::of(self.of(contender, cell, interval_ms).map(|s| s.measured.window.cpu_ns_per_record()))
    }

    /// Which way of running Flink is the faster one there, without checkpoints.
    pub fn best_flink(&self, cell: Cell) -> Option<Contender> {
        let ways = [true, false].map(|reuse| Contender::Flink { reuse });
        let rate = |way: &Contender| Some((self.rate(*way, cell, None)?.median, *way));
        ways.iter().filter_map(rate).max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, way)| way)
    }

    /// The share of the throughput that checkpoints take, of each pair of neighbours; negative if the run with them was faster.
    pub fn losses(&self, contender: Contender, cell: Cell, interval_ms: u64) -> Vec<f64> {
        let loss = |s: &Sample| Some(1.0 - s.measured.window.records_per_second() / s.paired_with?.records_per_second);
        self.of(contender, cell, Some(interval_ms)).filter_map(loss).collect()
    }

    /// The share by which CPU time per record grows.
    pub fn cpu_loss(&self, contender: Contender, cell: Cell, interval_ms: u64) -> Option<Spread> {
        let loss = |s: &Sample| Some(s.measured.window.cpu_ns_per_record() / s.paired_with?.cpu_ns - 1.0);
        Spread::of(self.of(contender, cell, Some(interval_ms)).filter_map(loss))
    }

    /// One list of numbers of all checkpoints of all such runs.
    pub fn of_checkpoints(
        &self,
        contender: Contender,
        cell: Cell,
        interval_ms: u64,
        list: impl Fn(&Sample) -> Vec<f64>,
    ) -> Vec<f64> {
        self.of(contender, cell, Some(interval_ms)).flat_map(list).collect()
    }

    /// The runs with a failure.
    pub fn failing(&self, contender: Contender, interval_ms: u64) -> impl Iterator<Item = &Sample> {
        let is_it = move |s: &&Sample| {
            s.setup.fails && s.setup.contender == contender && s.setup.interval_ms == Some(interval_ms)
        };
        self.samples.iter().filter(is_it)
    }
}
