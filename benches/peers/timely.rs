//! Timely dataflow: a package of its own below the target directory, so that only this report builds it.

use std::{fs, path::PathBuf, process::Command};

use super::{Result, contender::Setup, scratch};
use crate::{measured::Measured, support::Work};

const PACKAGE: &str = include_str!("timely/Cargo.toml.in");
const PROGRAM: &str = include_str!("timely/main.rs");

/// The program, built.
pub struct Timely(PathBuf);

impl Timely {
    /// Builds it.
    ///
    /// # Errors
    /// Why that is not possible: no registry, for one.
    pub fn set_up() -> Result<Self> {
        let directory = scratch::directory("timely")?;
        fs::create_dir_all(directory.join("src"))?;
        fs::write(directory.join("Cargo.toml"), PACKAGE)?;
        fs::write(directory.join("src/main.rs"), PROGRAM)?;
        let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
        let output = Command::new(cargo)
            .args(["build", "--release", "--quiet", "--target-dir", "target"])
            .current_dir(&directory)
            // Those of this repository ask for madsim's world.
            .env("RUSTFLAGS", "")
            .output()?;
        if !output.status.success() {
            let text = String::from_utf8_lossy(&output.stderr);
            let reason = text.lines().find(|line| line.starts_with("error")).unwrap_or("it does not build");
            return Err(reason.to_owned().into());
        }
        Ok(Self(directory.join("target/release/timely-peer")))
    }

    /// The version that the package asks for.
    pub fn version() -> String {
        PACKAGE.lines().find_map(|line| line.strip_prefix("timely = ")).unwrap_or("").replace(['"', '='], "")
    }

    /// Runs it in a process of its own.
    pub fn run(&self, setup: &Setup) -> Result<Measured> {
        let work = if setup.cell.work == Work::WordCount { "W1" } else { "W2" };
        let numbers = [setup.cell.keys, u64::from(setup.cell.parallelism), setup.records];
        let output = Command::new(&self.0).arg(work).args(numbers.map(|n| n.to_string())).output()?;
        if !output.status.success() {
            return Err(format!("timely ends with {}", output.status).into());
        }
        Ok(serde_json::from_slice(&output.stdout)?)
    }
}
