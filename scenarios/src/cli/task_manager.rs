//! `tidegate task-manager`: a process that runs tasks, for as long as the one that started it lives.

use std::{
    io::{self, Read},
    net::{IpAddr, SocketAddr},
    sync::Arc,
    thread,
};

use clap::Args;
use tidegate::{
    env::{Address, real},
    error::{Error, Result},
    exchange::Secret,
    id::TaskManagerId,
    metrics::Measurement,
    probe::{Fact, Probe, Reached},
    runtime::{ClusterOptions, TaskManagerConfig, run_task_manager},
};

use super::{FAILURE, SUCCESS, complain, figures::replayed, job_args::JobArgs};

/// The environment variable that holds the job's secret, in 64 hexadecimal digits. Arguments can be seen by every user of
/// a machine, environments only by their own.
pub(crate) const SECRET_VARIABLE: &str = "TIDEGATE_SECRET";

#[derive(Args, Debug)]
pub(crate) struct TaskManagerArgs {
    /// Its name, unique in the job
    #[arg(long)]
    id: String,
    /// Where the job manager listens
    #[arg(long)]
    job_manager: SocketAddr,
    /// The address to listen on for records
    #[arg(long, default_value = "127.0.0.1")]
    listen: IpAddr,
    /// How many subtasks of each operator to run
    #[arg(long)]
    slots: u32,
    #[command(subcommand)]
    job: JobArgs,
}

/// Tells what the job manager does not see.
struct OnStandardError;

impl Probe for OnStandardError {
    fn reach(&self, _: &Fact) -> Reached {
        Reached::Continue
    }

    fn measure(&self, measurement: &Measurement) {
        if let Measurement::Replayed { restored, records } = *measurement {
            replayed(restored, records).iter().for_each(|line| complain(line));
        }
    }
}

/// Runs the task manager; gives the exit code.
pub(crate) fn run(args: &TaskManagerArgs) -> u8 {
    end_with_parent();
    let run = |config| real::block_on(run_task_manager(real::env(), Arc::new(OnStandardError), config));
    match config(args).and_then(run) {
        Ok(()) => SUCCESS,
        Err(error) => {
            complain(&format!("error: {error}"));
            FAILURE
        }
    }
}

fn config(args: &TaskManagerArgs) -> Result<TaskManagerConfig> {
    Ok(TaskManagerConfig {
        id: TaskManagerId::new(&args.id),
        job_manager: Address::new(&args.job_manager.to_string()),
        data_address: Address::new(&SocketAddr::new(args.listen, 0).to_string()),
        slots: args.slots,
        graph: args.job.job_graph()?,
        checkpoint_directory: Some(args.job.checkpoint_directory().to_owned()),
        options: ClusterOptions::new(secret_from_environment()?),
    })
}

fn secret_from_environment() -> Result<Secret> {
    let wrong = |what: &str| {
        Error::bad_input(format!(
            "{SECRET_VARIABLE} {what}: it is set by `tidegate run`, which starts task managers itself"
        ))
    };
    let text = std::env::var(SECRET_VARIABLE).map_err(|_| wrong("is not set"))?;
    parse_secret(&text).ok_or_else(|| wrong("does not hold 64 hexadecimal digits"))
}

/// The secret as [`SECRET_VARIABLE`] holds it.
pub(crate) fn format_secret(secret: &Secret) -> String {
    secret.0.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn parse_secret(text: &str) -> Option<Secret> {
    let digits: Vec<u8> = text.chars().map(|c| c.to_digit(16).map(|d| d as u8)).collect::<Option<_>>()?;
    let bytes: Vec<u8> = digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect();
    (digits.len() == 64).then(|| bytes.try_into().map(Secret).ok())?
}

/// The parent holds the other end of standard input, and the operating system closes it however the parent ends.
fn end_with_parent() {
    thread::spawn(|| {
        let mut byte = [0];
        loop {
            match io::stdin().read(&mut byte) {
                Ok(0) | Err(_) => std::process::exit(i32::from(FAILURE)),
                Ok(_) => {}
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_survives_the_environment() {
        let secret = Secret(std::array::from_fn(|i| i as u8 * 8));
        assert_eq!(parse_secret(&format_secret(&secret)).map(|s| s.0), Some(secret.0));
        for wrong in ["", "00", &"0".repeat(63), &"0".repeat(66), &"g".repeat(64)] {
            assert!(parse_secret(wrong).is_none(), "{wrong}");
        }
    }
}
