//! Second strikes, in the recovery from the first. Many first strikes lead to the same recovery; one of them will do.

use std::collections::BTreeSet;

use serde::Serialize;

use super::{Point, Recovery, Strike};
use crate::env::Crash;

/// Collects pairs of strikes.
#[derive(Default)]
pub struct Pairs {
    /// The pairs that are worth a run.
    pub points: Vec<Point>,
    /// What was left out.
    pub pruned: Pruned,
    signatures: BTreeSet<u64>,
}

/// Pairs that are left out, because the recovery from the first strike has the same history as that from another one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Pruned {
    /// How many first strikes.
    pub firsts: u64,
    /// How many pairs.
    pub pairs: u64,
}

impl Pairs {
    /// Each step of the recovery from a first strike is struck by each of these kinds of crash: the node that took it, and the
    /// job manager.
    pub fn add(&mut self, first: &Strike, recovery: &Recovery, crashes: &[Crash]) {
        let seconds = recovery.strikes(crashes);
        if self.signatures.insert(recovery.signature) {
            self.points.extend(seconds.map(|second| Point { first: first.clone(), second: Some(second) }));
        } else {
            self.pruned.firsts += 1;
            self.pruned.pairs += seconds.count() as u64;
        }
    }
}
