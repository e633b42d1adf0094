//! What the tasks of the running job write down for the thread that measures.

use std::{
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use super::run::Totals;

/// Subtasks of the sink, at most.
const SUBTASKS: usize = 16;

/// The numbers of one sink subtask, away from those of others: a cache line and its neighbour, which is fetched with it.
#[derive(Default)]
#[repr(align(128))]
struct Cell {
    records: AtomicU64,
    sum: AtomicU64,
}

/// Written by the sink, read by whoever measures.
#[derive(Default)]
pub struct Board {
    cells: [Cell; SUBTASKS],
    /// The record of subtask 0 at which the sink fails, once; 0 for never.
    pub fail_at: u64,
    /// When it failed.
    pub failed: OnceLock<Instant>,
    /// When the first record after that came to the sink.
    pub first_after: OnceLock<Instant>,
}

impl Board {
    /// A board for a sink that fails once at this record of its first subtask; 0 for never.
    pub fn failing_at(record: u64) -> Self {
        Self { fail_at: record, ..Self::default() }
    }

    /// What a subtask has seen, together with what it was given at its start.
    pub fn show(&self, subtask: u32, totals: Totals) {
        let cell = &self.cells[subtask as usize];
        cell.sum.store(totals.sum, Ordering::Relaxed);
        cell.records.store(totals.records, Ordering::Release);
    }

    /// What all subtasks have seen. Exact once the job has ended.
    pub fn totals(&self) -> Totals {
        self.cells.iter().fold(Totals::default(), |all, cell| Totals {
            records: all.records + cell.records.load(Ordering::Acquire),
            sum: all.sum.wrapping_add(cell.sum.load(Ordering::Relaxed)),
        })
    }
}
