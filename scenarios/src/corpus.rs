//! Saved runs: a scenario's seed with its fault plan, as a file. The plan is what makes the run last: it names the steps at
//! which things go wrong, so that it still means the same after a change that makes every seed draw something else.

use std::path::Path;

use serde::{Deserialize, Serialize};
use tidegate::error::{Context, Error, Result};
use tidegate_sim::{
    fault::{FaultPlan, check_version, read_json},
    run::RunSpec,
};

use crate::catalogue;

/// A run to be repeated.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SavedRun {
    /// What it shows, or once showed.
    pub about: String,
    /// The scenario's name.
    pub scenario: String,
    /// Decides the job, its input, the cluster and the order of tasks.
    pub seed: u64,
    /// Decides what goes wrong, instead of what the seed would draw.
    pub plan: FaultPlan,
}

impl SavedRun {
    /// The run that a file holds.
    ///
    /// # Errors
    /// `BadInput` naming the file, the line and the column.
    pub fn read(path: &Path) -> Result<Self> {
        #[derive(Deserialize)]
        struct Versioned {
            plan: Version,
        }
        #[derive(Deserialize)]
        struct Version {
            version: u32,
        }
        let place = format!("saved run {}", path.display());
        let advice = "name a file that `tidegate sim --save` has written";
        let bad = |e: std::io::Error| Error::bad_input(format!("{e}: {advice}")).at(&*place);
        let text = std::fs::read_to_string(path).map_err(bad)?;
        // The version first: another one may have fields that this one does not know.
        let Versioned { plan: Version { version } } = read_json(&text, &place)?;
        check_version(version, &place)?;
        read_json(&text, &place)
    }

    /// Writes it to a file.
    ///
    /// # Errors
    /// `Unavailable` naming the file.
    pub fn write(&self, path: &Path) -> Result<()> {
        let text = serde_json::to_string_pretty(self).expect("a saved run is plain data") + "\n";
        std::fs::write(path, text).at(|| format!("saved run {}", path.display()))
    }

    /// What to run.
    ///
    /// # Errors
    /// `BadInput` if there is no such scenario.
    pub fn spec(&self) -> Result<RunSpec> {
        Ok(RunSpec { plan: self.plan.clone(), ..catalogue::find(&self.scenario)?.spec(self.seed)? })
    }
}
