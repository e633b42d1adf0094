//! A run as a picture: one line a node, time from left to right.

use std::{collections::BTreeMap, fmt::Write as _};

use tidegate::{
    instant::Instant,
    probe::{Fact, JobStatus, Step},
};
use tidegate_sim::{
    cluster::JOB_MANAGER,
    history::{Entry, Event, History},
};

/// How many columns the time takes.
const WIDTH: usize = 96;

/// What the characters mean.
const LEGEND: &str =
    "- runs   = runs tasks   # dead   a attempt starts   c checkpoint completes   x is aborted   F finished";

/// One line a node, and the legend.
pub(super) fn render(history: &History) -> String {
    let end = history.entries.last().map_or(1, |entry| entry.at.0.max(1));
    let mut rows = BTreeMap::new();
    for entry in &history.entries {
        rows.entry(entry.node.clone()).or_insert_with(|| Row::new(end)).add(entry);
    }
    let mut text = String::new();
    for (node, row) in rows {
        let _ = writeln!(text, "  {node:8} {}", row.finish());
    }
    text + "           " + LEGEND
}

/// The line of one node.
struct Row {
    end: u64,
    /// What is drawn: up to where the present condition began.
    columns: Vec<char>,
    condition: char,
    /// How many tasks run.
    tasks: u32,
    marks: BTreeMap<usize, char>,
}

impl Row {
    fn new(end: u64) -> Self {
        Self { end, columns: Vec::new(), condition: '-', tasks: 0, marks: BTreeMap::new() }
    }

    fn column(&self, at: Instant) -> usize {
        (u128::from(at.0) * (WIDTH as u128 - 1) / u128::from(self.end)) as usize
    }

    fn add(&mut self, entry: &Entry) {
        match &entry.event {
            Event::Crashed(_) => {
                self.tasks = 0;
                self.change(entry.at, '#');
            }
            Event::Restarted => self.change(entry.at, '-'),
            Event::Fact(fact) => self.fact(entry, fact),
            Event::Fault(_) => {}
        }
    }

    fn fact(&mut self, entry: &Entry, fact: &Fact) {
        let mark = match &fact.step {
            Step::TaskRunning => return self.count(entry.at, self.tasks + 1),
            Step::TaskCanceled | Step::TaskFailed { .. } | Step::TaskFinished => {
                return self.count(entry.at, self.tasks.saturating_sub(1));
            }
            Step::AttemptStarted { .. } => 'a',
            Step::CheckpointCompleted => 'c',
            Step::CheckpointAborted { .. } => 'x',
            Step::JobEnded { status: JobStatus::Finished } => 'F',
            _ => return,
        };
        if *entry.node == *JOB_MANAGER {
            self.marks.insert(self.column(entry.at), mark);
        }
    }

    fn count(&mut self, at: Instant, tasks: u32) {
        self.tasks = tasks;
        self.change(at, if tasks > 0 { '=' } else { '-' });
    }

    /// From here on the node is in another condition. A death that lasts for less than a column takes up one.
    fn change(&mut self, at: Instant, condition: char) {
        if condition != self.condition {
            let shortest = self.columns.len() + usize::from(self.condition == '#');
            self.columns.resize(self.column(at).max(shortest), self.condition);
            self.condition = condition;
        }
    }

    fn finish(mut self) -> String {
        self.columns.resize(WIDTH, self.condition);
        for (column, mark) in self.marks {
            self.columns[column] = mark;
        }
        self.columns.into_iter().collect()
    }
}
