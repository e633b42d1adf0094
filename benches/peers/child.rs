//! One run of Tidegate or of a plain loop, in a process of its own: its CPU time and memory are nobody else's.

use std::{
    process::{Command, Stdio},
    time::Duration,
};

use super::{
    Result,
    contender::{Contender, Setup},
    limit, scratch,
};
use crate::measured::{Measured, Trial};

/// Starts a process for the run and waits for what came of it.
pub fn start(setup: &Setup) -> Result<Measured> {
    let output = Command::new(std::env::current_exe()?)
        .args(["--child", &serde_json::to_string(setup)?])
        .stderr(Stdio::inherit())
        .output()?;
    if !output.status.success() {
        return Err(format!("{} on {} ends with {}", setup.contender, setup.cell, output.status).into());
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// What the process does.
pub fn run(setup: &str) {
    let setup: Setup = serde_json::from_str(setup).expect("the report passes a setup");
    let measured = match setup.contender {
        Contender::Tidegate => tidegate(&setup),
        Contender::TwoPasses | Contender::TwoThreads => limit::run(&setup),
        Contender::Flink { .. } | Contender::Timely => panic!("{} is no part of this program", setup.contender),
    };
    println!("{}", serde_json::to_string(&measured).expect("plain numbers can be encoded"));
}

fn tidegate(setup: &Setup) -> Measured {
    let checkpoints = scratch::directory("checkpoints").expect("the target directory is writable");
    let directory = tempfile::tempdir_in(checkpoints).expect("the target directory is writable");
    let mut trial = Trial { fails: setup.fails, ..Trial::of(setup.job()) };
    if let Some(interval) = setup.interval_ms {
        trial = trial.every(Duration::from_millis(interval));
    }
    if let Some(least) = setup.phase_ms {
        trial = trial.in_phases(Duration::from_millis(least));
    }
    trial.run(directory.path())
}
