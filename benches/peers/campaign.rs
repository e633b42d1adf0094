//! The order of the runs. What is compared runs in turn, so that a drift of the machine meets all alike.

use std::time::SystemTime;

use super::{
    Contender, Result, child,
    contender::{Cell, Setup},
    flink::{Flink, FlinkProcess},
    reference::Reference,
    samples::{Campaigned, Pair, Sample},
    scratch,
    timely::Timely,
};
use crate::{measured::Measured, support::Work};

/// Records of the first runs, which only show how fast a contender is.
const FIRST_RECORDS: u64 = 4_000_000;
/// Runs have at least so many records a key: after a quarter of them, most keys are there.
const RECORDS_PER_KEY: u64 = 8;
/// The intervals of checkpoints in milliseconds.
pub const INTERVALS: [u64; 3] = [1000, 100, 10];

const fn cell(work: Work, keys: u64, parallelism: u32) -> Cell {
    Cell { work, keys, parallelism }
}

/// The cells of the comparison.
pub const CELLS: [Cell; 4] = [
    cell(Work::WordCount, 1_000_000, 2),
    cell(Work::WordCount, 1_000, 1),
    cell(Work::KeyedSum, 1_000, 1),
    cell(Work::KeyedSum, 1_000_000, 2),
];
/// A steady window shall hold so many checkpoints: the median of two or three tells of the first of them, which finds
/// cold memory and new files.
const CHECKPOINTS_A_WINDOW: u64 = 7;

/// A phase with checkpoints takes at least so long, or [`CHECKPOINTS_A_PHASE`], and the one without after it as long.
const PHASE_MS: u64 = 500;
/// A phase that holds so many checkpoints is long enough: the shorter it is, the more alike the neighbours are to it and to the one
/// that it is compared with, and the more pairs the same time gives.
const CHECKPOINTS_A_PHASE: u64 = 20;

/// Where recovery is measured, and one checkpoint.
pub const LARGE: Cell = CELLS[0];
/// Where only Tidegate runs, with checkpoints every second: how long it stands still must not grow with the state.
pub const HUGE: Cell = cell(Work::WordCount, 10_000_000, 2);

/// Of a run whose steady window takes so long.
fn whole_run(seconds: f64) -> f64 {
    seconds * 4.0 / 3.0
}

/// What is to be measured.
pub struct Campaign {
    cells: Vec<Cell>,
    rounds: u32,
    /// How many phases of [`PHASE_MS`] with checkpoints a round has of Tidegate at each interval, each between two without, or shorter
    /// ones in the same time: differences of a few per cent need more repetitions than those between engines.
    pairs: u32,
    /// Of a steady window; `None` takes the first records only.
    seconds: Option<f64>,
    without: Vec<String>,
}

impl Campaign {
    pub fn full(rounds: u32, pairs: u32, seconds: f64) -> Self {
        let cells = CELLS.into_iter().chain([HUGE]).collect();
        Self { cells, rounds, pairs, seconds: Some(seconds), without: Vec::new() }
    }

    /// Everything that the full one does, on few keys and few records.
    pub fn quick() -> Self {
        let cells = vec![cell(Work::WordCount, 20_000, 2), cell(Work::KeyedSum, 1_000, 1)];
        Self { cells, rounds: 1, pairs: 1, seconds: None, without: Vec::new() }
    }

    #[must_use]
    pub fn without(mut self, names: &[&str]) -> Self {
        self.without.extend(names.iter().map(|name| (*name).to_owned()));
        self
    }

    /// # Errors
    /// That no cell is called so.
    pub fn only_cells(mut self, text: &str) -> Result<Self> {
        let names: Vec<String> = self.cells.iter().map(Cell::to_string).collect();
        let wanted = |text: &str| text.replace(' ', "").to_lowercase();
        self.cells.retain(|cell| wanted(&cell.to_string()).contains(&wanted(text)));
        if self.cells.is_empty() {
            return Err(format!("no cell is called {text:?}; there are {}", names.join("; ")).into());
        }
        Ok(self)
    }

    /// How many runs with a failure a round has of each engine: each tells one time, and tens of milliseconds vary much.
    fn failures(&self) -> u32 {
        if self.seconds.is_some() { 4 } else { 1 }
    }

    /// This run, made so long that its steady window holds enough checkpoints at this interval.
    fn long_enough(&self, setup: &Setup, interval_ms: u64) -> Setup {
        let Some(seconds) = self.seconds else { return *setup };
        let wanted = (CHECKPOINTS_A_WINDOW * interval_ms) as f64 / 1e3;
        Setup { records: (setup.records as f64 * (wanted / seconds).max(1.0)) as u64, ..*setup }
    }

    /// With checkpoints in as many phases as are wanted, and one phase more without them.
    fn in_phases(&self, off: &Setup, interval_ms: u64) -> Setup {
        let (phase_ms, records) = match self.seconds {
            Some(seconds) => {
                let rate = off.records as f64 / whole_run(seconds);
                // Each with the way back to small snapshots; one with, in which most keys come, and one without more than there are pairs.
                let pair = 2.1 * PHASE_MS.max(interval_ms) as f64 / 1e3;
                let records = (rate * pair * f64::from(self.pairs + 1)) as u64 + off.cell.keys * RECORDS_PER_KEY;
                (PHASE_MS.min(CHECKPOINTS_A_PHASE * interval_ms), records)
            }
            None => (PHASE_MS / 50, 4 * off.records),
        };
        Setup { records, interval_ms: Some(interval_ms), phase_ms: Some(phase_ms), ..*off }
    }

    fn runs(&self, contender: Contender) -> bool {
        !self.without.iter().any(|name| name == contender.family())
    }

    /// Measures all of it.
    ///
    /// # Errors
    /// A run that failed, or whose totals are wrong.
    pub fn run(&self) -> Result<Campaigned> {
        let mut measuring = Measuring::begin(self)?;
        for cell in &self.cells {
            measuring.cell(*cell)?;
        }
        if !self.without.iter().any(|name| name == "simulator") {
            for _ in 0..self.rounds {
                measuring.results.simulated_runs.push(simulated_runs(self.seconds.is_none())?);
            }
        }
        Ok(measuring.results)
    }
}

/// A campaign at work.
struct Measuring<'a> {
    campaign: &'a Campaign,
    flink: Option<Flink>,
    timely: Option<Timely>,
    reference: Reference,
    results: Campaigned,
}

impl<'a> Measuring<'a> {
    fn begin(campaign: &'a Campaign) -> Result<Self> {
        let now = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
        let mut results = Campaigned {
            rounds: campaign.rounds,
            pairs: campaign.pairs,
            is_full: campaign.seconds.is_some(),
            date: now[..10].to_owned(),
            ..Campaigned::default()
        };
        let mut version = |name: &str, version: String| results.versions.push((name.to_owned(), version));
        version("Tidegate", env!("CARGO_PKG_VERSION").to_owned());
        version("Rust", scratch::version_of("rustc", &["--version"]).unwrap_or_else(|e| e.to_string()));
        let flink = campaign.runs(Contender::Flink { reuse: true }).then(Flink::set_up).transpose();
        let timely = campaign.runs(Contender::Timely).then(Timely::set_up).transpose();
        let mut skip = |name: &str, reason: String| {
            eprintln!("peers: without {name}: {reason}");
            results.skipped.push((name.to_owned(), reason));
        };
        let flink = flink.unwrap_or_else(|error| {
            skip("Apache Flink", error.to_string());
            None
        });
        let timely = timely.unwrap_or_else(|error| {
            skip("timely dataflow", error.to_string());
            None
        });
        campaign.without.iter().for_each(|name| skip(name, "it was not asked for".to_owned()));
        if let Some(flink) = &flink {
            results.versions.push(("Apache Flink".to_owned(), super::flink::VERSION.to_owned()));
            results.versions.push(("Java".to_owned(), flink.java.clone()));
        }
        if timely.is_some() {
            results.versions.push(("timely dataflow".to_owned(), Timely::version()));
        }
        Ok(Self { campaign, flink, timely, reference: Reference::default(), results })
    }

    /// All runs of a cell.
    fn cell(&mut self, cell: Cell) -> Result<()> {
        let only_tidegate = cell == HUGE;
        let contenders: Vec<Contender> = Contender::ALL
            .into_iter()
            .filter(|who| self.campaign.runs(*who) && (*who == Contender::Tidegate || !only_tidegate))
            .filter(|who| *who != Contender::Timely || self.timely.is_some())
            .filter(|who| who.family() != "flink" || self.flink.is_some())
            .collect();
        let mut flink = match &self.flink {
            Some(flink) if !only_tidegate => Some(flink.start(cell)?),
            _ => None,
        };
        let mut records = Vec::new();
        for contender in &contenders {
            records.push((*contender, self.records(*contender, cell, &mut flink)?));
        }
        for round in 0..self.campaign.rounds {
            for (contender, records) in &records {
                let setup = Setup {
                    contender: *contender,
                    cell,
                    records: *records,
                    interval_ms: None,
                    phase_ms: None,
                    fails: false,
                };
                let campaign = self.campaign;
                let mut turn = Turn { measuring: self, flink: &mut flink, round };
                if only_tidegate {
                    let setup = campaign.long_enough(&setup, INTERVALS[0]);
                    turn.sample(&Setup { interval_ms: Some(INTERVALS[0]), ..setup }, None)?;
                } else {
                    turn.all(&setup)?;
                }
            }
        }
        Ok(())
    }

    /// How many records a contender shall have there: those of so many seconds, as far as its first runs tell.
    fn records(&mut self, contender: Contender, cell: Cell, flink: &mut Option<FlinkProcess>) -> Result<u64> {
        let least = FIRST_RECORDS.max(cell.keys * RECORDS_PER_KEY);
        let Some(seconds) = self.campaign.seconds else { return Ok(FIRST_RECORDS / 4) };
        let mut setup = Setup { contender, cell, records: least, interval_ms: None, phase_ms: None, fails: false };
        let first = self.run(&setup, flink)?.window;
        // The first was too short to tell, filled the table for the most part, or compiled. Then also with checkpoints, whose code is cold.
        setup.records = least.max((first.records_per_second() * 2.0) as u64);
        let rate = self.run(&setup, flink)?.window.records_per_second();
        if contender.family() == "flink" {
            self.run(&Setup { interval_ms: Some(INTERVALS[0]), ..setup }, flink)?;
        }
        let wanted = (rate * whole_run(seconds)) as u64;
        let million = 1_000_000;
        Ok(least.max(wanted.div_ceil(million) * million))
    }

    /// One run, which must be exact.
    fn run(&mut self, setup: &Setup, flink: &mut Option<FlinkProcess>) -> Result<Measured> {
        let missing = || format!("{} was not set up", setup.contender);
        let measured = match setup.contender {
            Contender::Flink { .. } => flink.as_mut().ok_or_else(missing)?.run(setup)?,
            Contender::Timely => self.timely.as_ref().ok_or_else(missing)?.run(setup)?,
            _ => child::start(setup)?,
        };
        self.reference
            .check(setup, measured.totals)
            .map_err(|what| format!("{} on {} is not exact: {what}", setup.contender, setup.cell))?;
        Ok(measured)
    }
}

/// A contender's turn in a round.
struct Turn<'a, 'b> {
    measuring: &'a mut Measuring<'b>,
    flink: &'a mut Option<FlinkProcess>,
    round: u32,
}

impl Turn<'_, '_> {
    /// Without checkpoints, at each interval, and with a failure, as far as the contender can.
    fn all(&mut self, off: &Setup) -> Result<()> {
        let alone = self.sample(off, None)?;
        if self.round == 0 {
            self.measuring.reference.assert_it_bites(off, alone.totals);
        }
        let with_checkpoints = matches!(off.contender, Contender::Tidegate | Contender::Flink { reuse: true });
        if !with_checkpoints {
            return Ok(());
        }
        for (i, interval) in INTERVALS.into_iter().enumerate() {
            if off.contender == Contender::Tidegate {
                // Further runs without checkpoints: it is short, and compared with all others.
                if i > 0 {
                    self.sample(off, None)?;
                }
                self.sample(&self.measuring.campaign.in_phases(off, interval), None)?;
            } else {
                // The difference is large and a run is dear: one without checkpoints is the neighbour of all with them.
                let on = Setup { interval_ms: Some(interval), ..self.measuring.campaign.long_enough(off, interval) };
                self.sample(&on, Some(Pair::of(&alone)))?;
            }
        }
        if off.cell.work == Work::WordCount && off.cell.parallelism == LARGE.parallelism {
            // So long that there is a checkpoint to go back to when half of the records have come, however short the others are.
            let (records, interval_ms) = (2 * off.records, Some(INTERVALS[0]));
            for _ in 0..self.measuring.campaign.failures() {
                self.sample(&Setup { records, interval_ms, fails: true, ..*off }, None)?;
            }
        }
        Ok(())
    }

    fn sample(&mut self, setup: &Setup, paired_with: Option<Pair>) -> Result<Measured> {
        let measured = self.measuring.run(setup, self.flink)?;
        let interval = setup.interval_ms.map_or("off".to_owned(), |ms| format!("{ms} ms"));
        eprintln!(
            "round {}: {}: {}, checkpoints {interval}{}: {:.2} M records/s",
            self.round + 1,
            setup.cell,
            setup.contender,
            if setup.fails { ", failing once" } else { "" },
            measured.window.records_per_second() / 1e6,
        );
        let sample = Sample { setup: *setup, round: self.round, paired_with, measured: measured.clone() };
        self.measuring.results.samples.push(sample);
        Ok(measured)
    }
}

/// Complete simulated runs of small word counts per second, on all cores.
fn simulated_runs(is_quick: bool) -> Result<f64> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let seeds = if is_quick { "0..20" } else { "0..2000" };
    let arguments = ["run", "--release", "--quiet", "-p", "tidegate-scenarios", "--bin", "tidegate", "--"];
    let output = std::process::Command::new(cargo)
        .args(arguments)
        .args(["sim", "wordcount", "--seeds", seeds])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let rate = text.lines().find_map(|line| line.strip_suffix(" runs/s")?.rsplit(' ').next()?.parse().ok());
    Ok(rate.ok_or_else(|| format!("tidegate sim says nothing of runs/s and ends with {}", output.status))?)
}
