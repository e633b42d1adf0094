//! What was measured, as it is kept between the measuring and the report.

use std::fs;

use serde::{Deserialize, Serialize};

use super::{
    Result,
    contender::{Cell, Contender, Setup},
    scratch,
};
use crate::measured::{Measured, Recovery, Spread, Window, noise, over_neighbours};

/// One run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Sample {
    pub setup: Setup,
    pub round: u32,
    /// Of a run with checkpoints that has no phases without: its neighbour without.
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
    /// Phases with checkpoints of Tidegate at one interval, in each round.
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

    /// The share of the throughput that checkpoints take, of each phase or run with them beside those without; negative if it was
    /// faster than these.
    pub fn losses(&self, contender: Contender, cell: Cell, interval_ms: u64) -> Vec<f64> {
        let ratios =
            self.ratios(contender, cell, interval_ms, Window::records_per_second, |pair| pair.records_per_second);
        ratios.map(|ratio| 1.0 - ratio).collect()
    }

    /// The shares by which CPU time per record grows.
    pub fn cpu_losses(&self, contender: Contender, cell: Cell, interval_ms: u64) -> Vec<f64> {
        let ratios = self.ratios(contender, cell, interval_ms, Window::cpu_ns_per_record, |pair| pair.cpu_ns);
        ratios.map(|ratio| ratio - 1.0).collect()
    }

    /// A number with checkpoints over the one without.
    fn ratios(
        &self,
        contender: Contender,
        cell: Cell,
        interval_ms: u64,
        number: fn(&Window) -> f64,
        of_pair: fn(&Pair) -> f64,
    ) -> impl Iterator<Item = f64> {
        self.of(contender, cell, Some(interval_ms)).flat_map(move |sample| {
            let paired = sample.paired_with.map(|pair| number(&sample.measured.window) / of_pair(&pair));
            over_neighbours(&sample.measured.phases, number).into_iter().chain(paired)
        })
    }

    /// All phases without checkpoints in a cell's runs.
    pub fn phases_without(&self, cell: Cell) -> impl Iterator<Item = &Window> {
        let phases = self.samples.iter().filter(move |s| s.setup.cell == cell).flat_map(|s| &s.measured.phases);
        phases.filter(|phase| !phase.has_checkpoints).map(|phase| &phase.window)
    }

    /// By what share phases without checkpoints are slower than their neighbours without.
    pub fn noise(&self, cell: Cell) -> Vec<f64> {
        let runs = self.samples.iter().filter(|s| s.setup.cell == cell);
        let ratios = runs.flat_map(|s| noise(&s.measured.phases, Window::records_per_second));
        ratios.map(|ratio| 1.0 - ratio).collect()
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
