//! The report: a document and its plots, made of what was measured and of nothing else.

mod machine;
mod plot;
mod tables;
mod targets;

use std::{fmt::Write, fs, path::Path};

use super::{
    Result,
    campaign::{CELLS, LARGE},
    contender::{Cell, Contender},
    flink::Flink,
    samples::Campaigned,
};

/// More than so many cores at work for others, and a run was disturbed.
const DISTURBED: f64 = 0.2;

/// Writes BENCHMARKS.md and its plots into the directory.
///
/// # Errors
/// That a file cannot be written, or a plot not drawn.
pub fn write(measured: &Campaigned, command: &str, directory: &Path) -> Result<()> {
    fs::create_dir_all(directory)?;
    let mut cells: Vec<Cell> = measured.samples.iter().map(|s| s.setup.cell).collect();
    // In the order of the campaign; cells of a quick one come behind.
    cells.sort_by_key(|cell| (CELLS.iter().position(|c| c == cell).unwrap_or(CELLS.len()), *cell));
    cells.dedup();
    let mut text = head(measured, command);
    if !measured.is_full {
        text += "\nThis was a smoke run: too short for its figures to mean anything.\n";
    }
    text += "\n## The figures to reach\n\n";
    text += &targets::table(measured);
    text += "\n## Records per second without checkpoints\n\n";
    text += &tables::throughput(measured, &cells);
    let mut plots = Vec::new();
    for cell in &cells {
        let name = format!("throughput-{}.svg", file_name(*cell));
        if plot::throughput(measured, *cell, &directory.join(&name))? {
            plots.push((*cell, name));
        }
    }
    text += "\n## Throughput over the interval of checkpoints\n\n";
    for (cell, name) in plots {
        let _ = writeln!(text, "![{cell}: records per second over the interval of checkpoints]({name})\n");
    }
    text += &tables::checkpoints(measured, &cells);
    text += "\n## Failure and recovery\n\n";
    text += &tables::recovery(measured);
    text += "\n## Resident memory\n\n";
    text += &tables::memory(measured, &cells);
    text += "\n## How it was measured\n\n";
    text += &method(measured);
    Ok(fs::write(directory.join("BENCHMARKS.md"), text)?)
}

fn file_name(cell: Cell) -> String {
    let name = cell.to_string().to_lowercase();
    name.replace(", ", "-").replace(" = ", "").replace(' ', "")
}

fn head(measured: &Campaigned, command: &str) -> String {
    let mut text = "# Benchmarks\n\nTidegate beside Apache Flink, timely dataflow and plain loops, on the same work.\n\
        This file is written by a program; do not edit it:\n\n"
        .to_owned();
    let _ = writeln!(text, "```sh\n{command}\n```\n");
    let _ = writeln!(text, "| | |\n|---|---|\n| date | {} |", measured.date);
    for (name, value) in machine::describe() {
        let _ = writeln!(text, "| {name} | {value} |");
    }
    for (name, version) in &measured.versions {
        let _ = writeln!(text, "| {name} | {version} |");
    }
    for (name, reason) in &measured.skipped {
        let _ = writeln!(text, "| {name}: left out | {reason} |");
    }
    text
}

fn method(measured: &Campaigned) -> String {
    let foreign = measured.samples.iter().map(|s| s.measured.window.foreign_cores);
    let disturbed = foreign.clone().filter(|cores| *cores > DISTURBED).count();
    let exact = measured.samples.len();
    format!(
        "- W1, word count: record i is the line `w<key>`; it is split on blanks, and the words are counted. W2, keyed sum: record i\n\
         \x20 is `(key, i)`; the second is summed by the first. The key is drawn evenly from K by SplitMix64 of i. Every record\n\
         \x20 emits an update. Sources make their records, each subtask a contiguous share; P is the parallelism of every stage.\n\
         - The sink keeps number and sum of all updates, in its checkpoints. All {exact} runs were exact: no record lost, none counted\n\
         \x20 twice, also after a failure. Where two sources race, W2 is checked by number only. A wrong number or sum ends the report.\n\
         - A figure is that of the steady part of a run, from a quarter of its records to the last one. CPU time is that of the\n\
         \x20 whole process, in user mode and in the kernel. Figures are medians of {rounds} rounds, with the smallest and the largest.\n\
         - Contenders run in turn, with as many records each as it needs for a run of about the same time; Flink with checkpoints, as far as\n\
         \x20 its first runs tell, for seven of them in the steady part.\n\
         - What Tidegate loses to checkpoints is told by phases of one run, {pairs} a round at each interval, more at short\n\
         \x20 ones: whole intervals, twenty of them or for half a second, from one completed checkpoint to another; as long without any; and\n\
         \x20 what has changed meanwhile is written by one checkpoint that counts for neither. Each phase is compared with the mean of the two without around it. For Flink the\n\
         \x20 neighbour is the run without checkpoints of the same round.\n\
         - A run of Tidegate is a process of its own, and so is one of timely or of a loop. Flink runs all jobs of a cell in one process, after three\n\
         \x20 to warm up: {flink}, state on the heap, 256 MiB for the network, one task manager with P slots. With a failure, its\n\
         \x20 snapshots are compressed: others it reads back in small pieces. At P = 1 Flink has two busy threads, source and count.\n\
         - Checkpoints are exactly-once and go to a local disk. A checkpoint's duration is, for Tidegate, from the trigger until it exists durably,\n\
         \x20 its manifest included; for Flink, until the last task has acknowledged.\n\
         - Plain loops: one thread makes 1024 words, then updates the table, or sums record by record; two threads, record by record, are a pipe if P = 1, else they\n\
         \x20 exchange by key. Words of up to 15 bytes stand inline in the table. Neither loops nor timely take checkpoints.\n\
         - {disturbed} of {exact} runs shared the machine with more than {DISTURBED} cores of others' work; the most was {most:.2}.\n",
        rounds = measured.rounds,
        pairs = measured.pairs,
        flink = Flink::settings(),
        most = foreign.fold(0.0, f64::max),
    )
}

/// In millions.
fn millions(rate: f64) -> String {
    let rate = rate / 1e6;
    if rate >= 100.0 { format!("{rate:.0} M") } else { format!("{rate:.1} M") }
}

fn mib(bytes: f64) -> String {
    let mib = bytes / f64::from(1 << 20);
    if mib >= 1.0 { format!("{mib:.1} MiB") } else { format!("{:.0} KiB", mib * 1024.0) }
}

/// Of memory, as its limits are told: in powers of ten.
fn mb(bytes: f64) -> String {
    format!("{:.0} MB", bytes / 1e6)
}

fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

/// Who runs with checkpoints.
const CHECKPOINTED: [Contender; 2] = [Contender::Tidegate, Contender::Flink { reuse: true }];

/// The cell on which failures are measured: the large one, or in a quick campaign what stands for it.
fn failing_cell(measured: &Campaigned) -> Cell {
    measured.samples.iter().find(|s| s.setup.fails).map_or(LARGE, |s| s.setup.cell)
}
