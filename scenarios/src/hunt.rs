//! The hunt for planted defects: from a seed on, one scenario after the other, until a run does not hold.

use std::{collections::BTreeMap, time::Duration};

use tidegate::{defect::Defect, error::Result};
use tidegate_sim::{
    planted::{PlantedRun, run_planted},
    run::Verdict,
};

use crate::catalogue::in_turn;

/// From one base to the next: no search comes into the seeds of another.
const BASE_DISTANCE: u64 = 1_000_000;

/// Within so much processor time half of the searches have to find a defect.
pub const CPU_LIMIT: Duration = Duration::from_secs(60);

/// A search from one base on.
#[derive(Clone, Debug)]
pub struct Search {
    /// How many runs it took, the last one included.
    pub runs: u64,
    /// What they took of a processor.
    pub cpu_time: Duration,
    /// The run that did not hold; `None` if all did.
    pub caught: Option<Caught>,
}

/// A run that did not hold.
#[derive(Clone, Debug)]
pub struct Caught {
    /// Of which scenario.
    pub scenario: &'static str,
    /// With which seed.
    pub seed: u64,
    /// The first invariant that was broken: "I3".
    pub invariant: String,
    /// What was said of it.
    pub message: String,
}

/// Goes through the seeds from a base on, at most so many, with the scenarios in turn. Without a defect it should find
/// nothing. Stops early if it may not go on.
///
/// # Errors
/// Those of a spec or a run.
pub fn search(defect: Option<Defect>, base: u64, most: u64, may_go_on: &dyn Fn() -> bool) -> Result<Search> {
    let mut search = Search { runs: 0, cpu_time: Duration::ZERO, caught: None };
    let first = base * BASE_DISTANCE;
    for seed in first..first + most {
        let scenario = in_turn(seed);
        if !may_go_on() {
            break;
        }
        let PlantedRun { report, cpu_time } = run_planted(&scenario.spec(seed)?, defect)?;
        search.runs += 1;
        search.cpu_time += cpu_time;
        if report.verdict != Verdict::Held {
            let first = report.violations.into_iter().next().expect("a run that did not hold says why");
            let (invariant, message) = (first.invariant, first.message);
            search.caught = Some(Caught { scenario: scenario.name, seed, invariant, message });
            break;
        }
    }
    Ok(search)
}

/// What the searches for one defect came to.
pub struct Score {
    /// The defect.
    pub defect: Defect,
    /// One for each base.
    pub searches: Vec<Search>,
}

impl Score {
    /// From how many bases it was found.
    #[must_use]
    pub fn found(&self) -> usize {
        self.searches.iter().filter(|s| s.caught.is_some()).count()
    }

    /// The invariant whose checker fired most often.
    #[must_use]
    pub fn checker(&self) -> Option<&str> {
        let mut fired = BTreeMap::<&str, usize>::new();
        for caught in self.searches.iter().filter_map(|s| s.caught.as_ref()) {
            *fired.entry(&caught.invariant).or_default() += 1;
        }
        // Of equals the first.
        fired.into_iter().rev().max_by_key(|(_, times)| *times).map(|(invariant, _)| invariant)
    }

    /// How many runs half of the searches need; `None` if that is not enough to find it.
    #[must_use]
    pub fn median_runs(&self) -> Option<u64> {
        self.median(|search| search.runs)
    }

    /// How much processor time half of the searches need; `None` if that is not enough to find it.
    #[must_use]
    pub fn median_cpu_time(&self) -> Option<Duration> {
        self.median(|search| search.cpu_time)
    }

    /// Whether half of the searches find it within [`CPU_LIMIT`].
    #[must_use]
    pub fn is_found_in_time(&self) -> bool {
        self.median_cpu_time().is_some_and(|median| median <= CPU_LIMIT)
    }

    /// Of an even number the upper one. A search that found nothing would have taken longer than any other.
    fn median<T: Ord>(&self, figure: impl Fn(&Search) -> T) -> Option<T> {
        let mut figures: Vec<T> = self.searches.iter().filter(|s| s.caught.is_some()).map(figure).collect();
        figures.sort_unstable();
        let middle = self.searches.len() / 2;
        (middle < figures.len()).then(|| figures.swap_remove(middle))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn score(searches: &[(u64, Option<&str>)]) -> Score {
        let caught = |invariant: &str| {
            let invariant = invariant.to_owned();
            Caught { scenario: "wordcount", seed: 1, invariant, message: String::new() }
        };
        let search = |(runs, invariant): &(u64, Option<&str>)| Search {
            runs: *runs,
            cpu_time: Duration::from_secs(*runs),
            caught: invariant.map(caught),
        };
        Score { defect: Defect::BarrierDoesNotBlock, searches: searches.iter().map(search).collect() }
    }

    #[test]
    fn a_search_that_found_nothing_is_the_slowest() {
        let figures = |searches: &[_]| (score(searches).median_runs(), score(searches).is_found_in_time());
        assert_eq!(figures(&[(3, Some("I3")), (9, None), (5, Some("I1"))]), (Some(5), true));
        assert_eq!(figures(&[(3, Some("I3")), (9, None), (5, None)]), (None, false));
        assert_eq!(figures(&[(3, Some("I3")), (9, None)]), (None, false));
        assert_eq!(figures(&[(61, Some("I3"))]), (Some(61), false));
    }

    #[test]
    fn the_checker_is_the_one_that_fires_most_often() {
        assert_eq!(score(&[(1, Some("I5")), (1, Some("I3")), (1, Some("I3"))]).checker(), Some("I3"));
        assert_eq!(score(&[(1, Some("I5")), (1, Some("I3"))]).checker(), Some("I3"));
        assert_eq!(score(&[(1, None)]).checker(), None);
    }
}
