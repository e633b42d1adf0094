//! What checkpoints cost word count: its throughput with them over its throughput without, over their interval, the size of the
//! state, and what is written of it.
//!
//! A machine's speed drifts by more than the few per cent in question. So a run takes checkpoints in phases, each between two
//! phases without (`measured::phases`), and each ratio is to the mean of these. How far a ratio can be trusted, the rows `off`
//! say: they are phases without checkpoints, against their neighbours without. Every run's totals must be exact. Criterion cannot
//! pair; so this bench prints a table of its own, and leaves it with two pictures in `target/tmp/checkpoint_overhead*`:
//!
//! ```sh
//! cargo bench --bench checkpoint_overhead                    # everything, once: about a quarter of an hour
//! cargo bench --bench checkpoint_overhead -- 1M full         # the cells whose names hold both: about a minute
//! cargo bench --bench checkpoint_overhead -- --list          # the names of all cells
//! cargo bench --bench checkpoint_overhead -- --rounds 10 --minutes 600   # narrower spreads
//! ```
//!
//! After `--minutes` (45 unless told otherwise) no further round is begun, on however slow a machine; the first one is
//! always finished.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "benches measure real time")]

mod measured;
mod support;

use std::{
    collections::BTreeMap,
    fmt::{self, Write as _},
    fs, io,
    path::Path,
    time::{Duration, Instant},
};

use clap::Parser;
use tidegate::checkpoint::{CheckpointOptions, SnapshotPolicy};

use measured::{Line, Measured, Spread, Trial, Window, draw, noise, over_neighbours, quantile};
use support::{Job, Totals, Work, is_test};

#[derive(Parser)]
struct Options {
    /// Only cells whose names hold all of these, as `1M`, `100ms`, `full`
    filters: Vec<String>,
    /// Only say which cells there are
    #[arg(long)]
    list: bool,
    /// How often each cell is measured
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// After so long no further round is begun
    #[arg(long, default_value_t = 45)]
    minutes: u64,
    // Cargo passes these.
    #[arg(long, hide = true)]
    bench: bool,
    #[arg(long, hide = true)]
    test: bool,
}

/// A size of state.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Size {
    keys: u64,
    name: &'static str,
    /// About so many records come in a second: how long a run takes hangs on it, and nothing else.
    a_second: u64,
}

const SIZES: [Size; 4] = [
    Size { keys: 1_000, name: "1k", a_second: 40_000_000 },
    Size { keys: 100_000, name: "100k", a_second: 28_000_000 },
    Size { keys: 1_000_000, name: "1M", a_second: 16_000_000 },
    Size { keys: 10_000_000, name: "10M", a_second: 8_000_000 },
];

/// A phase with checkpoints takes at least so long.
const PHASE: Duration = Duration::from_millis(500);

/// In a run, phases with checkpoints that are between two without; and where a phase takes long.
const PHASES: u32 = 4;
const LONG_PHASES: u32 = 2;

const INTERVALS: [Duration; 4] =
    [Duration::from_secs(5), Duration::from_secs(1), Duration::from_millis(100), Duration::from_millis(10)];

/// What is written: everything each time, or what has changed wherever that is possible.
const POLICIES: [(SnapshotPolicy, &str); 2] =
    [(SnapshotPolicy::Full, "full"), (SnapshotPolicy::Incremental, "incremental")];

/// One setting that is measured: indices into the lists above.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Cell {
    size: usize,
    interval: usize,
    policy: usize,
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (size, interval, policy) = (SIZES[self.size].name, INTERVALS[self.interval], POLICIES[self.policy].1);
        write!(f, "{size} keys, every {interval:?}, {policy}")
    }
}

impl Cell {
    fn all() -> Vec<Self> {
        let sizes = 0..SIZES.len();
        let cells = sizes.flat_map(|size| (0..INTERVALS.len()).map(move |interval| (size, interval)));
        cells
            .flat_map(|(size, interval)| (0..POLICIES.len()).map(move |policy| Self { size, interval, policy }))
            .collect()
    }

    /// So many records that all phases find their time after most keys have come.
    fn job(self) -> Job {
        let Size { keys, a_second, .. } = SIZES[self.size];
        if is_test() {
            return Job { work: Work::WordCount, keys: keys.min(1_000), records: a_second / 5, parallelism: 2 };
        }
        let interval = INTERVALS[self.interval];
        let phases = if interval > Duration::from_secs(1) { LONG_PHASES } else { PHASES };
        // One pair more than is wanted, and a tenth for what lies between phases.
        let seconds = 2.2 * interval.max(PHASE).as_secs_f64() * f64::from(phases + 1);
        let records = (a_second as f64 * seconds) as u64 + 8 * keys;
        Job { work: Work::WordCount, keys, records, parallelism: 2 }
    }

    fn trial(self) -> Trial {
        let shorter = if is_test() { 50 } else { 1 };
        let (interval, snapshots) = (INTERVALS[self.interval] / shorter, POLICIES[self.policy].0);
        let options = CheckpointOptions { interval, snapshots, ..CheckpointOptions::default() };
        Trial { checkpoints: Some(options), ..Trial::of(self.job()) }.in_phases(PHASE / shorter)
    }
}

/// What came of one cell, a number for each phase with checkpoints; of checkpoints, for each checkpoint.
#[derive(Default)]
struct Figures {
    ratio: Vec<f64>,
    off: Vec<f64>,
    on: Vec<f64>,
    duration_ms: Vec<f64>,
    still_ms: Vec<f64>,
    mib: Vec<f64>,
}

impl Figures {
    fn add(&mut self, measured: Measured) {
        let Measured { phases, checkpoints, .. } = measured;
        self.ratio.extend(over_neighbours(&phases, Window::records_per_second));
        let rates = |has| phases.iter().filter(move |p| p.has_checkpoints == has).map(|p| million_a_second(&p.window));
        self.off.extend(rates(false));
        self.on.extend(rates(true));
        self.duration_ms.extend(checkpoints.duration_ms);
        self.still_ms.extend(checkpoints.synchronous_ms);
        self.mib.extend(checkpoints.bytes.iter().map(|bytes| *bytes as f64 / f64::from(1 << 20)));
    }
}

fn million_a_second(window: &Window) -> f64 {
    window.records_per_second() / 1e6
}

/// All that is measured.
#[derive(Default)]
struct Campaign {
    expected: BTreeMap<(u64, u64), Totals>,
    cells: BTreeMap<Cell, Figures>,
    /// By size: phases without checkpoints over their neighbours without.
    noise: BTreeMap<usize, Vec<f64>>,
}

impl Campaign {
    /// Measures a cell once.
    fn measure(&mut self, cell: Cell) {
        let job = cell.job();
        let expected = *self.expected.entry((job.keys, job.records)).or_insert_with(|| job.expected());
        let measured = cell.trial().run_checked(expected);
        self.noise.entry(cell.size).or_default().extend(noise(&measured.phases, Window::records_per_second));
        self.cells.entry(cell).or_default().add(measured);
    }

    fn table(&self) -> String {
        let mut table = format!(
            "word count at parallelism 2; million records per second, median of phases; in parentheses, least and most\n\
             {:>5} {:>6} {:<11} {:>6} {:>6} {:>22} {:>6} {:>6} {:>10} {:>10} {:>12} {:>8}\n",
            "keys",
            "every",
            "snapshots",
            "off",
            "on",
            "on / off",
            "phases",
            "chk",
            "p50 ms",
            "p99 ms",
            "still p99 ms",
            "MiB p50"
        );
        let number = |value: Option<f64>, digits| value.map_or("-".to_owned(), |value| format!("{value:.digits$}"));
        let spread =
            |numbers: &[f64]| Spread::of(numbers.iter().copied()).map_or("-".to_owned(), |s| format!("{s:.3}"));
        let mut last = None;
        for (cell, figures) in &self.cells {
            let size = SIZES[cell.size].name;
            if last.replace(cell.size) != Some(cell.size) {
                let noise = self.noise.get(&cell.size).map_or(&[][..], |noise| noise);
                let row = format!(
                    "{size:>5} {:>6} {:<11} {:>6} {:>6} {:>22} {:>6}",
                    "off",
                    "-",
                    "",
                    "",
                    spread(noise),
                    noise.len()
                );
                writeln!(table, "{row}").expect("a string takes everything");
            }
            let mid = |numbers: &[f64]| quantile(numbers, 0.5);
            writeln!(
                table,
                "{size:>5} {:>6} {:<11} {:>6} {:>6} {:>22} {:>6} {:>6} {:>10} {:>10} {:>12} {:>8}",
                format!("{:?}", INTERVALS[cell.interval]),
                POLICIES[cell.policy].1,
                number(mid(&figures.off), 2),
                number(mid(&figures.on), 2),
                spread(&figures.ratio),
                figures.ratio.len(),
                figures.duration_ms.len(),
                number(mid(&figures.duration_ms), 1),
                number(quantile(&figures.duration_ms, 0.99), 1),
                number(quantile(&figures.still_ms, 0.99), 2),
                number(mid(&figures.mib), 2),
            )
            .expect("a string takes everything");
        }
        table
    }

    /// One picture a policy, with a line for each size.
    fn draw(&self, directory: &Path) {
        for (policy, (_, name)) in POLICIES.into_iter().enumerate() {
            let lines: Vec<Line> = SIZES
                .into_iter()
                .enumerate()
                .map(|(i, size)| {
                    let of_line = self.cells.iter().filter(|(cell, _)| (cell.size, cell.policy) == (i, policy));
                    let lost = of_line.filter_map(|(cell, figures)| {
                        let lost = figures.ratio.iter().map(|ratio| 100.0 * (1.0 - ratio));
                        Some((cell.interval, Spread::of(lost)?))
                    });
                    (format!("{} keys", size.name), lost.collect())
                })
                .filter(|(_, points): &Line| !points.is_empty())
                .collect();
            if lines.is_empty() {
                continue;
            }
            let file = directory.join(format!("checkpoint_overhead-{name}.svg"));
            let title = format!("per cent of the throughput lost to {name} snapshots");
            let positions = INTERVALS.map(|interval| format!("{interval:?}"));
            draw(&file, &title, "a checkpoint every", &positions, &lines).expect("the target directory is writable");
            println!("drawn into {}", file.display());
        }
    }
}

fn main() -> io::Result<()> {
    let options = Options::parse();
    let mut cells = Cell::all();
    cells.retain(|cell| options.filters.iter().all(|filter| cell.to_string().contains(filter)));
    if options.list || cells.is_empty() {
        cells.iter().for_each(|cell| println!("{cell}"));
        return if options.list { Ok(()) } else { Err(io::Error::other("no cell has such a name: --list shows all")) };
    }
    let (rounds, limit) = (if is_test() { 1 } else { options.rounds }, Duration::from_secs(60 * options.minutes));
    let (mut campaign, started) = (Campaign::default(), Instant::now());
    for round in 0..rounds {
        if round > 0 && started.elapsed() > limit {
            println!("time is up: {round} of {rounds} rounds");
            break;
        }
        for cell in &cells {
            eprintln!("{:>5} s, round {}: {cell}", started.elapsed().as_secs(), round + 1);
            campaign.measure(*cell);
        }
    }
    let table = campaign.table();
    print!("{table}");
    if !is_test() {
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let file = directory.join("checkpoint_overhead.txt");
        fs::write(&file, table)?;
        println!("written to {}", file.display());
        campaign.draw(directory);
    }
    Ok(())
}
