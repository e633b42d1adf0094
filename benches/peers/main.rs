//! Tidegate, Apache Flink, timely dataflow and plain loops on the same work, in alternation: the report in docs/BENCHMARKS.md.
//!
//! ```sh
//! cargo bench --bench peers -- --report     # about half an hour; needs java, javac and python3 with pip for Flink
//! cargo bench --bench peers -- --quick      # everything once in a minute, a report under target/ that says nothing
//! ```
//!
//! The work (`benches/support`): W1 counts words, W2 sums integers by key; records are made inside the job, their keys are
//! drawn evenly from K keys by SplitMix64, every record makes an update, and the sink keeps number and sum of all updates,
//! in its checkpoints. Every run's totals are compared with a loop over the records.
//!
//! Each engine runs in a process of its own; a run of Tidegate is a process, Flink stays up for all runs of a cell, because a
//! Java program needs to warm up. What is missing is left out, and the report says why.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "benches measure real time")]

#[path = "../measured/mod.rs"]
mod measured;
#[path = "../support/mod.rs"]
mod support;

mod campaign;
mod child;
mod contender;
mod flink;
mod limit;
mod reference;
mod report;
mod samples;
mod scratch;
mod timely;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::Parser;

use campaign::Campaign;
use contender::Contender;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// Runs Tidegate and its peers on the same work and reports.
#[derive(Parser)]
struct Options {
    /// Measure everything and write docs/BENCHMARKS.md with its plot
    #[arg(long)]
    report: bool,
    /// Everything once on little input, to see that it works; writes under target/
    #[arg(long, conflicts_with = "report")]
    quick: bool,
    /// Write the report once more from what was measured last
    #[arg(long)]
    again: bool,
    /// Rounds: how often each run is repeated, in turn with the others
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// How many phases with checkpoints a round has of Tidegate at each interval, each between two without; more at short intervals
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    pairs: u32,
    /// About how long the steady part of a run shall take
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,
    /// Only cells whose name contains this, as in "W1" or "1M"
    #[arg(long, value_name = "TEXT")]
    cells: Option<String>,
    /// Leave something out: flink, timely, plain, simulator
    #[arg(long, value_name = "NAME")]
    without: Vec<String>,
    /// Write the report there instead
    #[arg(long, value_name = "DIRECTORY")]
    out: Option<PathBuf>,
    /// One run in a process of its own: what the report starts
    #[arg(long, hide = true)]
    child: Option<String>,
    // Cargo passes these.
    #[arg(long, hide = true)]
    bench: bool,
    #[arg(long, hide = true)]
    test: bool,
}

fn main() -> ExitCode {
    let options = Options::parse();
    if let Some(setup) = &options.child {
        child::run(setup);
        return ExitCode::SUCCESS;
    }
    match start(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("peers: {error}");
            ExitCode::FAILURE
        }
    }
}

fn start(options: &Options) -> Result<()> {
    let campaign = if options.report || options.again {
        Campaign::full(options.rounds, options.pairs, options.seconds)
    } else if options.quick {
        Campaign::quick()
    } else if options.test || !options.bench {
        // `cargo bench -- --test`, `cargo test --benches`: only what needs nothing from outside.
        Campaign::quick().without(&["flink", "timely", "simulator"])
    } else {
        println!("peers: takes about half an hour; run it by itself: cargo bench --bench peers -- --report");
        return Ok(());
    };
    let is_full = options.report || options.again;
    let campaign = campaign
        .without(&options.without.iter().map(String::as_str).collect::<Vec<_>>())
        .only_cells(options.cells.as_deref().unwrap_or(""))?;
    let out = match &options.out {
        Some(directory) => directory.clone(),
        None if is_full => Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("docs"),
        None => scratch::directory("quick")?,
    };
    let measured = if options.again { samples::Campaigned::load(is_full)? } else { campaign.run()? };
    measured.save(is_full)?;
    report::write(&measured, &command(options), &out)?;
    println!("wrote {} and its plots", out.join("BENCHMARKS.md").display());
    Ok(())
}

/// How to get the same report.
fn command(options: &Options) -> String {
    let mut command = "cargo bench --bench peers --".to_owned();
    command += if options.report || options.again { " --report" } else { " --quick" };
    let defaults = Options::parse_from(["peers"]);
    if options.rounds != defaults.rounds {
        command += &format!(" --rounds {}", options.rounds);
    }
    if options.pairs != defaults.pairs {
        command += &format!(" --pairs {}", options.pairs);
    }
    if options.seconds != defaults.seconds {
        command += &format!(" --seconds {}", options.seconds);
    }
    if let Some(cells) = &options.cells {
        command += &format!(" --cells {cells}");
    }
    options.without.iter().for_each(|name| command += &format!(" --without {name}"));
    command
}
