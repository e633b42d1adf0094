//! Second strikes, in the recovery from the first. Many first strikes lead to the same place of the same recovery; one of them
//! will do.

use std::collections::BTreeSet;

use serde::Serialize;

use super::{Aim, Point, Recovery, Strike};
use crate::env::Crash;

/// Collects pairs of strikes.
#[derive(Default)]
pub struct Pairs {
    /// The pairs that are worth a run.
    pub points: Vec<Point>,
    /// What was left out.
    pub pruned: Pruned,
    /// The history up to the second strike, and the strike.
    seen: BTreeSet<(u64, Aim, Crash)>,
}

/// Pairs that are left out, because the history from the first strike to the second is the same as in another pair.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Pruned {
    /// How many first strikes have no pair left.
    pub firsts: u64,
    /// How many pairs.
    pub pairs: u64,
}

impl Pairs {
    /// Each step of the recovery from a first strike is struck by each of these kinds of crash: the node that took it, and the
    /// job manager.
    pub fn add(&mut self, first: &Strike, recovery: &Recovery, crashes: &[Crash]) {
        let before = self.points.len();
        for (signature, second) in recovery.strikes(crashes) {
            if self.seen.insert((signature, second.aim, second.crash)) {
                self.points.push(Point { first: first.clone(), second: Some(second) });
            } else {
                self.pruned.pairs += 1;
            }
        }
        self.pruned.firsts += u64::from(self.points.len() == before);
    }
}
