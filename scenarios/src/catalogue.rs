//! The scenarios by name.

use tidegate::error::{Error, Result};
use tidegate_sim::{run::RunSpec, seed::Seed};

use crate::scenarios::{at_least_once, ledger, small, word_count};

/// A named adversity.
pub struct Scenario {
    /// What it is called on the command line.
    pub name: &'static str,
    /// What it is, in one sentence.
    pub summary: &'static str,
    make: fn(Seed) -> Result<RunSpec>,
}

impl Scenario {
    /// The run of a seed.
    ///
    /// # Errors
    /// Those of a job graph that makes no sense.
    pub fn spec(&self, seed: u64) -> Result<RunSpec> {
        Ok(RunSpec { scenario: self.name.to_owned(), ..(self.make)(Seed(seed))? })
    }
}

/// All scenarios.
pub const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "wordcount",
        summary: "WordCount, exactly once, on a cluster that is crashed, cut and stalled at any step",
        make: word_count::spec,
    },
    Scenario {
        name: "ledger",
        summary: "entries chained by hash per account, exactly once and in order, under the same adversity",
        make: ledger::spec,
    },
    Scenario {
        name: "at-least-once",
        summary: "a relay without state under barriers that block nothing: no entry may be missing, some may come twice",
        make: at_least_once::spec,
    },
    Scenario {
        name: "small",
        summary: "a word count of fixed text with three checkpoints, small enough to be crashed at every step in turn",
        make: small::spec,
    },
];

/// The scenario of this name.
///
/// # Errors
/// `BadInput` that lists the names there are.
pub fn find(name: &str) -> Result<&'static Scenario> {
    SCENARIOS.iter().find(|s| s.name == name).ok_or_else(|| {
        let names: Vec<&str> = SCENARIOS.iter().map(|s| s.name).collect();
        Error::bad_input(format!("there is no scenario {name}: choose one of {}", names.join(", ")))
    })
}
