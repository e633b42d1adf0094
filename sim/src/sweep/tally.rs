//! How many points held, were broken, were missed: by step.

use std::{collections::BTreeMap, ops::AddAssign};

use serde::Serialize;
use tidegate::probe::StepKind;

use super::Fate;

/// How many points there are, by what came of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// All guarantees held.
    pub held: u64,
    /// At least one did not.
    pub broken: u64,
    /// A strike did not fall.
    pub missed: u64,
}

impl Counts {
    /// All that were run.
    #[must_use]
    pub fn points(&self) -> u64 {
        self.held + self.broken + self.missed
    }
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.held += other.held;
        self.broken += other.broken;
        self.missed += other.missed;
    }
}

/// The points that were run, by the step that was struck.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    steps: BTreeMap<StepKind, Counts>,
}

impl Tally {
    /// One more point.
    pub fn add(&mut self, step: StepKind, fate: Fate) {
        let counts = self.steps.entry(step).or_default();
        match fate {
            Fate::Held => counts.held += 1,
            Fate::Broken => counts.broken += 1,
            Fate::Missed => counts.missed += 1,
        }
    }

    /// The steps that were struck, in the order of the protocol.
    pub fn steps(&self) -> impl Iterator<Item = (StepKind, Counts)> + '_ {
        self.steps.iter().map(|(step, counts)| (*step, *counts))
    }

    /// All steps together.
    #[must_use]
    pub fn total(&self) -> Counts {
        let mut total = Counts::default();
        self.steps.values().for_each(|counts| total += *counts);
        total
    }
}
