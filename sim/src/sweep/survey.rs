//! What there is to sweep.

use std::sync::Arc;

use tidegate::error::Result;

use super::{Aim, Place, Point, Strike, places};
use crate::{
    env::Crash,
    fault::FaultPlan,
    run::{RunReport, RunSpec, run},
};

/// A run without faults, and the places in it.
pub struct Survey {
    /// The run, without its plan.
    pub spec: RunSpec,
    /// What came of it. If it does not hold, no point says anything.
    pub report: RunReport,
    /// Its steps, in order, each with its place in the history.
    pub places: Vec<(usize, Arc<Place>)>,
}

impl Survey {
    /// Runs the spec without its plan.
    ///
    /// # Errors
    /// Those of [`run`].
    pub fn of(spec: &RunSpec) -> Result<Self> {
        let spec = RunSpec { plan: FaultPlan::new(Vec::new()), ..spec.clone() };
        let report = run(&spec)?;
        let places =
            places(&report.history, &report.graph).into_iter().map(|(i, place)| (i, Arc::new(place))).collect();
        Ok(Self { spec, report, places })
    }

    /// Each place, struck once by each of these kinds of crash with each victim.
    #[must_use]
    pub fn points(&self, crashes: &[Crash]) -> Vec<Point> {
        let strikes = self.places.iter().flat_map(|(i, place)| {
            // All nodes begin at once, in any order: at the first step of all, others may not be there yet to be crashed.
            let others_are_there = *i > 0;
            let strikes = Strike::all(place, self.spec.shape.task_managers, crashes);
            strikes.filter(move |strike| strike.aim == Aim::Here || others_are_there)
        });
        strikes.map(|first| Point { first, second: None }).collect()
    }
}
