//! The tables, each of what was measured; a cell of nothing is a dash.

use std::fmt::Write;

use super::{CHECKPOINTED, failing_cell, mb, mib, millions, percent};
use crate::{
    campaign::INTERVALS,
    contender::{Cell, Contender},
    measured::{Spread, Window, quantile},
    samples::{Campaigned, Sample},
};

/// "median (min to max)", each as `show` shows it.
fn spread(spread: Option<Spread>, show: impl Fn(f64) -> String) -> String {
    spread.map_or("-".to_owned(), |s| format!("{} ({} to {})", show(s.median), show(s.min), show(s.max)))
}

/// Who was how fast, and how Tidegate compares.
pub fn throughput(measured: &Campaigned, cells: &[Cell]) -> String {
    let mut text = "| work | contender | records/s | CPU ns/record | Tidegate is |\n|---|---|---|---|---|\n".to_owned();
    for cell in cells {
        let own = measured.rate(Contender::Tidegate, *cell, None);
        for contender in Contender::ALL {
            let Some(rate) = measured.rate(contender, *cell, None) else { continue };
            let ratio = match own {
                Some(own) if contender != Contender::Tidegate => format!("{:.2} ×", own.median / rate.median),
                _ => String::new(),
            };
            let cpu = spread(measured.cpu(contender, *cell, None), |ns| format!("{ns:.1}"));
            let rate = spread(Some(rate), millions);
            let _ = writeln!(text, "| {cell} | {contender} | {rate} | {cpu} | {ratio} |");
        }
    }
    text
}

/// What checkpoints cost, and how long they take.
pub fn checkpoints(measured: &Campaigned, cells: &[Cell]) -> String {
    let mut text = "| work | contender | every | records/s | lost to checkpoints | CPU per record | completed a run \
        | duration p50 / p99 / max ms | stands still p99 ms | aligning p99 ms | bytes |\n\
        |---|---|---|---|---|---|---|---|---|---|---|\n"
        .to_owned();
    for cell in cells {
        text += &phases_without_row(measured, *cell).unwrap_or_default();
        for contender in CHECKPOINTED {
            for interval in INTERVALS {
                text += &checkpoint_row(measured, *cell, contender, interval).unwrap_or_default();
            }
        }
    }
    text + "\nA loss is a share of the throughput of the neighbours without checkpoints, negative where it went faster with them. In the rows \
        without an interval stand the phases without checkpoints, each over the last and the next such phase: what they lose is noise, \
        which the losses of the rows below have, too. In parentheses, the quartiles of these two; of rates, the ends. Durations, times and bytes are of the checkpoints that began in steady parts; a \
        task stands still from its alignment until its state is fixed. What Flink does not tell is a dash.\n"
}

/// What there is to compare phases with checkpoints with.
fn phases_without_row(measured: &Campaigned, cell: Cell) -> Option<String> {
    let rate = spread(Some(Spread::of(measured.phases_without(cell).map(Window::records_per_second))?), millions);
    let noise = quartiles(&measured.noise(cell), percent);
    Some(format!("| {cell} | {} | - | {rate} | {noise} | - | - | - | - | - | - |\n", Contender::Tidegate))
}

/// "median (lower to upper quartile)", each as `show` shows it.
fn quartiles(numbers: &[f64], show: impl Fn(f64) -> String) -> String {
    let at = |share| Some(show(quantile(numbers, share)?));
    let median = Spread::of(numbers.iter().copied()).map(|spread| show(spread.median));
    let all = || Some(format!("{} ({} to {})", median?, at(0.25)?, at(0.75)?));
    all().unwrap_or_else(|| "-".to_owned())
}

fn checkpoint_row(measured: &Campaigned, cell: Cell, contender: Contender, interval: u64) -> Option<String> {
    let rate = spread(Some(measured.rate(contender, cell, Some(interval))?), millions);
    let all = |list: fn(&Sample) -> Vec<f64>| measured.of_checkpoints(contender, cell, interval, list);
    let ms = |numbers: &[f64], share| quantile(numbers, share).map_or("-".to_owned(), |ms| format!("{ms:.1}"));
    let durations = all(|s| s.measured.checkpoints.duration_ms.clone());
    let durations = [0.5, 0.99, 1.0].map(|share| ms(&durations, share)).join(" / ");
    let still = ms(&all(|s| s.measured.checkpoints.synchronous_ms.clone()), 0.99);
    let aligning = ms(&all(|s| s.measured.checkpoints.alignment_ms.clone()), 0.99);
    let bytes = all(|s| s.measured.checkpoints.bytes.iter().map(|b| *b as f64).collect());
    let bytes = quantile(&bytes, 0.5).map_or("-".to_owned(), mib);
    let runs = measured.of(contender, cell, Some(interval));
    let completed = Spread::of(runs.map(|s| s.measured.checkpoints.completed as f64))?.median;
    let loss = quartiles(&measured.losses(contender, cell, interval), percent);
    let cpu = quartiles(&measured.cpu_losses(contender, cell, interval), |share| format!("{:+.1} %", share * 100.0));
    Some(format!(
        "| {cell} | {contender} | {interval} ms | {rate} | {loss} | {cpu} | {completed:.0} | {durations} | {still} | {aligning} | {bytes} |\n"
    ))
}

/// From a failure to the first record after it.
pub fn recovery(measured: &Campaigned) -> String {
    let cell = failing_cell(measured);
    let mut text = format!(
        "{cell}, a checkpoint every {} ms: one subtask fails when half of its records have come.\n\n\
         | contender | from the failure to the first record, ms | from its detection, ms | runs that found a checkpoint |\n|---|---|---|---|\n",
        INTERVALS[0]
    );
    for contender in CHECKPOINTED {
        let recoveries: Vec<_> = measured.failing(contender, INTERVALS[0]).filter_map(Sample::recovery).collect();
        if recoveries.is_empty() {
            continue;
        }
        let ms = |ms: f64| format!("{ms:.1}");
        let failure = spread(Spread::of(recoveries.iter().map(|r| r.from_failure_ms)), ms);
        let detection = spread(Spread::of(recoveries.iter().filter_map(|r| r.from_detection_ms)), ms);
        let _ = writeln!(text, "| {contender} | {failure} | {detection} | {} |", recoveries.len());
    }
    text
}

/// The most memory that a process had.
pub fn memory(measured: &Campaigned, cells: &[Cell]) -> String {
    let mut text = "| work | contender | peak |\n|---|---|---|\n".to_owned();
    for cell in cells {
        for contender in Contender::ALL.into_iter().filter(|c| *c != Contender::Flink { reuse: false }) {
            let runs = measured.samples.iter().filter(|s| s.setup.cell == *cell && s.setup.contender == contender);
            if let Some(peak) = Spread::of(runs.map(|s| s.measured.peak_resident as f64)) {
                let _ = writeln!(text, "| {cell} | {contender} | {} |", mb(peak.max));
            }
        }
    }
    text + "\nOf all runs of a cell, with and without checkpoints. Flink's heap is 8 GiB, of which this much was in use at once.\n"
}
