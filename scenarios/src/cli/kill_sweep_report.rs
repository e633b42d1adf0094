//! What is said of a sweep.

use std::{collections::BTreeMap, fmt::Write as _, time::Duration};

use serde::Serialize;
use tidegate::probe::StepKind;
use tidegate_sim::{
    checker::Violation,
    sweep::{Counts, Fate, Outcome, Point, Pruned, Tally},
};

/// A sweep, or what was done of it.
pub(crate) struct Sweep<'a> {
    pub scenario: &'a str,
    pub seed: u64,
    /// Of the run without faults.
    pub steps: usize,
    /// All that are known; pairs are known when all first crashes are done.
    pub points: u64,
    pub done: u64,
    pub pruned: Option<Pruned>,
    pub tally: &'a Tally,
}

/// A line for each.
pub(crate) fn violations(violations: &[Violation]) -> String {
    violations.iter().map(|v| format!("\n  {}: {}", v.invariant, v.message)).collect()
}

/// A table by step, and the figures.
pub(crate) fn render(sweep: &Sweep<'_>, took: Duration) -> String {
    let mut text =
        format!("{:34} {:>8} {:>8} {:>8} {:>8}\n", "crashed right after", "points", "held", "broken", "missed");
    for (step, counts) in sweep.tally.steps() {
        let Counts { held, broken, missed } = counts;
        let _ = writeln!(text, "{:34} {:>8} {held:>8} {broken:>8} {missed:>8}", step.to_string(), counts.points());
    }
    let Counts { held, broken, missed } = sweep.tally.total();
    let rate = sweep.done as f64 / took.as_secs_f64();
    let _ = writeln!(text, "{} steps without faults; {rate:.0} runs/s", sweep.steps);
    if let Some(Pruned { firsts, pairs }) = sweep.pruned {
        let _ = writeln!(
            text,
            "{pairs} pairs pruned: the same history up to the second crash as another one; {firsts} first crashes have none left"
        );
    }
    if missed > 0 {
        let _ = writeln!(text, "{missed} points were missed: their crash did not happen, and nothing is known of them");
    }
    let _ = write!(text, "{} of {} points, {broken} violations", held + broken, sweep.points);
    text
}

/// A point, as `--json` prints it.
#[derive(Serialize)]
struct JsonPoint<'a> {
    scenario: &'a str,
    seed: u64,
    point: u64,
    #[serde(flatten)]
    strikes: &'a Point,
    fate: Fate,
    trace_hash: String,
    violations: &'a [Violation],
    #[serde(skip_serializing_if = "Option::is_none")]
    saved: Option<&'a str>,
}

/// One line of JSON. `saved` is the file with its plan.
pub(crate) fn json_point(
    scenario: &str,
    seed: u64,
    number: u64,
    point: &Point,
    outcome: &Outcome,
    saved: Option<&str>,
) -> String {
    let Outcome { fate, trace_hash, violations, .. } = outcome;
    let trace_hash = format!("{trace_hash:016x}");
    let line = JsonPoint { scenario, seed, point: number, strikes: point, fate: *fate, trace_hash, violations, saved };
    serde_json::to_string(&line).expect("a point is plain data")
}

/// A sweep, as the last line of `--json` has it.
#[derive(Serialize)]
struct JsonSummary<'a> {
    scenario: &'a str,
    seed: u64,
    steps: usize,
    points: u64,
    done: u64,
    #[serde(flatten)]
    counts: Counts,
    #[serde(skip_serializing_if = "Option::is_none")]
    pruned: Option<Pruned>,
    by_step: BTreeMap<StepKind, Counts>,
}

/// One line of JSON: an object whose only field is `summary`.
pub(crate) fn json_summary(sweep: &Sweep<'_>) -> String {
    let summary = JsonSummary {
        scenario: sweep.scenario,
        seed: sweep.seed,
        steps: sweep.steps,
        points: sweep.points,
        done: sweep.done,
        counts: sweep.tally.total(),
        pruned: sweep.pruned,
        by_step: sweep.tally.steps().collect(),
    };
    serde_json::to_string(&BTreeMap::from([("summary", summary)])).expect("a summary is plain data")
}
