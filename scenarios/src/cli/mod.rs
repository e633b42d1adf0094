//! The command line.
//!
//! | exit code | meaning |
//! |---|---|
//! | 0 | the job finished; all guarantees held |
//! | 1 | a guarantee was broken (`sim`, `replay`, `kill-sweep`, `cost`); a planted defect was not found in time (`hunt`) |
//! | 2 | wrong use, bad input, or a failed job, which can be resumed; runs that `--budget` left undone, or that missed their point |
//! | 3 | a run was not deterministic (`sim`, `replay`) |
//! | 130 | canceled by a signal; the job can be resumed; of many runs, some were not done |
//!
//! Deliberately absent: anything about streams and checkpoints; that is the engine's.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "the command line runs in the real world, on tokio's runtime"
)]

mod cost;
mod figures;
mod hunt;
mod inspect;
mod inspect_report;
mod inspect_state;
mod job_args;
mod kill_sweep;
mod kill_sweep_report;
mod many_runs;
mod progress;
mod run;
mod sim;
mod sim_report;
mod snapshot_args;
mod task_manager;
mod task_manager_processes;
mod timeline;

use std::{
    io::{self, Write},
    process::ExitCode,
};

use clap::{Parser, Subcommand};
use tidegate::error::{Error, Result};
use tidegate_sim::run::Verdict;

/// The job finished, or all guarantees held.
pub(crate) const SUCCESS: u8 = 0;
/// A guarantee was broken.
pub(crate) const BROKEN: u8 = 1;
/// Wrong use, bad input or a failed job.
pub(crate) const FAILURE: u8 = 2;
/// Two runs of one seed differ.
pub(crate) const NONDETERMINISTIC: u8 = 3;
/// Canceled by a signal.
pub(crate) const CANCELED: u8 = 130;

/// A stateful stream engine with exactly-once results, and the simulated world that proves it.
#[derive(Debug, Parser)]
#[command(name = "tidegate", version, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a job for real: on this machine's files, processes and network
    Run(run::RunArgs),
    /// Show what is in a checkpoint directory
    Inspect(inspect::InspectArgs),
    /// Run a scenario in the simulated world, and judge it
    Sim(sim::SimArgs),
    /// Crash a scenario's job at every step in turn, and judge each run
    KillSweep(kill_sweep::KillSweepArgs),
    /// Count what the checkpoints of a scenario's job cost: bytes, syncs, frames, messages
    Cost(cost::CostArgs),
    /// Run a saved run again
    Replay(sim::ReplayArgs),
    /// Plant real engines' bugs, one at a time, and see how long they take to be found
    Hunt(hunt::HuntArgs),
    /// Name the scenarios
    List,
    /// Run the tasks of a job; started by `run --task-managers`
    #[command(hide = true)]
    TaskManager(task_manager::TaskManagerArgs),
}

/// Does what the command line says.
#[must_use]
pub fn main() -> ExitCode {
    ExitCode::from(match Cli::parse().command {
        Command::Run(args) => run::run(&args),
        Command::Inspect(args) => inspect::inspect(&args),
        Command::Sim(args) => sim::sim(&args),
        Command::KillSweep(args) => kill_sweep::kill_sweep(&args),
        Command::Cost(args) => cost::cost(&args),
        Command::Replay(args) => sim::replay(&args),
        Command::Hunt(args) => hunt::hunt(&args),
        Command::List => sim::list(),
        Command::TaskManager(args) => task_manager::run(&args),
    })
}

/// The exit code of a judgement. An error is told.
pub(crate) fn exit_code(verdict: Result<Verdict>) -> u8 {
    match verdict {
        Ok(Verdict::Held) => SUCCESS,
        Ok(Verdict::Broken) => BROKEN,
        Ok(Verdict::Nondeterministic) => NONDETERMINISTIC,
        Err(error) => fail(&error),
    }
}

/// Tells the error; gives the exit code.
pub(crate) fn fail(error: &Error) -> u8 {
    complain(&format!("error: {error}"));
    FAILURE
}

/// Prints a line to standard output. A reader that has gone away is no reason to fail.
pub(crate) fn say(line: &str) {
    let _ = writeln!(io::stdout(), "{line}");
}

/// Prints a line to standard error, likewise.
pub(crate) fn complain(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}
