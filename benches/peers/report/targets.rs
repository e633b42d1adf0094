//! The figures to reach, and whether they are: computed from what was measured.

use std::fmt::Write;

use super::{mb, percent};
use crate::{
    campaign::{CELLS, HUGE, INTERVALS, LARGE},
    contender::{Cell, Contender},
    measured::{Spread, median_bounds, quantile},
    samples::{Campaigned, Sample},
};

/// One figure: what it is of, what it shall be, and what it is. `None` if it was not measured.
struct Target {
    of: String,
    goal: String,
    reached: Option<Reached>,
}

struct Reached {
    figure: String,
    holds: bool,
    /// Whether chance may have decided that, as far as the spread of what was measured tells.
    is_open: bool,
}

impl Reached {
    /// A figure of which nothing is known but itself.
    fn new(figure: String, holds: bool) -> Self {
        Self { figure, holds, is_open: false }
    }

    fn verdict(&self) -> String {
        let holds = if self.holds { "holds" } else { "does not hold" };
        holds.to_owned() + if self.is_open { ", within the noise" } else { "" }
    }
}

/// A line for each figure.
pub fn table(measured: &Campaigned) -> String {
    let mut text = "| | to reach | measured | |\n|---|---|---|---|\n".to_owned();
    for Target { of, goal, reached } in all(measured) {
        let verdict = reached.as_ref().map_or("not measured".to_owned(), Reached::verdict);
        let figure = reached.map_or("-".to_owned(), |reached| reached.figure);
        let _ = writeln!(text, "| {of} | {goal} | {figure} | {verdict} |");
    }
    text + "\nRatios are those of medians, losses are medians of pairs, as below; in parentheses, the bounds within which the median lies, \
        whatever chance did, nine times in ten, or as often as so few runs tell. Where the bound to reach lies between these, the line \
        holds or does not hold *within the noise*.\n"
}

fn all(measured: &Campaigned) -> Vec<Target> {
    let [w1_large, w1_small, w2_small, w2_large] = CELLS;
    let plain = Contender::TwoThreads;
    let mut targets = vec![
        than_flink(measured, w1_large, 5.0),
        than(measured, w1_large, Contender::Timely, 1.0),
        than(measured, w1_large, plain, 1.0),
        than_flink(measured, w1_small, 4.0),
        than_flink(measured, w2_small, 10.0),
        than(measured, w2_small, Contender::Timely, 0.5),
        than_flink(measured, w2_large, 12.0),
        than(measured, w2_large, Contender::Timely, 0.5),
    ];
    let losses =
        [(LARGE, 1000, 0.01), (LARGE, 100, 0.05), (LARGE, 10, 0.2), (w1_small, 10, 0.05), (w2_small, 10, 0.05)];
    targets.extend(losses.map(|(cell, interval, most)| loss(measured, cell, interval, most)));
    targets.extend([
        at_most_ms(measured, "a task stands still, p99", LARGE, 0.99, 5.0, |s| {
            s.measured.checkpoints.synchronous_ms.clone()
        }),
        at_most_ms(measured, "a task stands still, p99", HUGE, 0.99, 5.0, |s| {
            s.measured.checkpoints.synchronous_ms.clone()
        }),
        at_most_ms(measured, "one checkpoint, end to end, median", LARGE, 0.5, 20.0, |s| {
            s.measured.checkpoints.duration_ms.clone()
        }),
        recovery(measured, 50.0),
        memory(measured, 250e6),
        simulated(measured, 200.0),
    ]);
    targets
}

fn than(measured: &Campaigned, cell: Cell, other: Contender, least: f64) -> Target {
    let rates = |contender| {
        let rates = measured.rates(contender, cell, None);
        Some((Spread::of(rates.iter().copied())?.median, median_bounds(&rates)?))
    };
    let ratio = rates(Contender::Tidegate).zip(rates(other));
    Target {
        of: format!("records/s, {cell}, over {other}"),
        goal: format!("at least {least} ×"),
        reached: ratio.map(|((own, (own_low, own_high)), (other, (other_low, other_high)))| {
            let (ratio, low, high) = (own / other, own_low / other_high, own_high / other_low);
            let figure = format!("{ratio:.2} × ({low:.2} to {high:.2})");
            Reached { figure, holds: ratio >= least, is_open: low < least && least <= high }
        }),
    }
}

/// Over Flink as it is faster there.
fn than_flink(measured: &Campaigned, cell: Cell, least: f64) -> Target {
    let best = measured.best_flink(cell).unwrap_or(Contender::Flink { reuse: true });
    than(measured, cell, best, least)
}

fn loss(measured: &Campaigned, cell: Cell, interval: u64, most: f64) -> Target {
    let losses = measured.losses(Contender::Tidegate, cell, interval);
    let reached = Spread::of(losses.iter().copied()).zip(median_bounds(&losses)).map(|(loss, (low, high))| {
        let figure = format!("{} ({} to {})", percent(loss.median), percent(low), percent(high));
        Reached { figure, holds: loss.median <= most, is_open: low <= most && most < high }
    });
    Target {
        of: format!("throughput lost to a checkpoint every {interval} ms, {cell}"),
        goal: format!("at most {}", percent(most)),
        reached,
    }
}

fn at_most_ms(
    measured: &Campaigned,
    what: &str,
    cell: Cell,
    share: f64,
    most: f64,
    list: impl Fn(&Sample) -> Vec<f64>,
) -> Target {
    let numbers = measured.of_checkpoints(Contender::Tidegate, cell, INTERVALS[0], list);
    Target {
        of: format!("{what}, {cell}, every {} ms", INTERVALS[0]),
        goal: format!("at most {most} ms"),
        reached: quantile(&numbers, share).map(|ms| Reached::new(format!("{ms:.1} ms"), ms <= most)),
    }
}

fn recovery(measured: &Campaigned, most: f64) -> Target {
    let runs = measured.failing(Contender::Tidegate, INTERVALS[0]).filter(|s| s.setup.cell == LARGE);
    let spread = Spread::of(runs.filter_map(|s| s.recovery()?.from_detection_ms));
    Target {
        of: format!("detection of a failure to first record, {LARGE}"),
        goal: format!("at most {most} ms"),
        reached: spread.map(|ms| Reached::new(format!("{ms:.1} ms"), ms.median <= most)),
    }
}

fn memory(measured: &Campaigned, most: f64) -> Target {
    let is_it = |s: &&Sample| s.setup.cell == LARGE && s.setup.contender == Contender::Tidegate;
    let peak = Spread::of(measured.samples.iter().filter(is_it).map(|s| s.measured.peak_resident as f64));
    Target {
        of: format!("resident memory, {LARGE}, any run"),
        goal: format!("at most {}", mb(most)),
        reached: peak.map(|peak| Reached::new(mb(peak.max), peak.max <= most)),
    }
}

fn simulated(measured: &Campaigned, least: f64) -> Target {
    let rate = Spread::of(measured.simulated_runs.iter().copied());
    Target {
        of: "complete simulated runs of small word counts per second".to_owned(),
        goal: format!("at least {least}"),
        reached: rate.map(|rate| Reached::new(format!("{rate:.0}"), rate.median >= least)),
    }
}
