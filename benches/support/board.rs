//! What the tasks of the running job write down for the thread that measures.

use std::{
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use serde::{Deserialize, Serialize};

/// What a sink has seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// How many updates.
    pub records: u64,
    /// The sum of the updated values, wrapping.
    pub sum: u64,
}

impl Totals {
    /// Both together.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self { records: self.records + other.records, sum: self.sum.wrapping_add(other.sum) }
    }

    /// The bytes that a checkpoint holds.
    pub fn encode(self) -> Vec<u8> {
        [self.records.to_le_bytes(), self.sum.to_le_bytes()].concat()
    }

    /// The totals that a checkpoint's bytes hold, if they hold any.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (records, sum) = bytes.split_first_chunk()?;
        Some(Self { records: u64::from_le_bytes(*records), sum: u64::from_le_bytes(sum.try_into().ok()?) })
    }
}

/// The totals of one subtask, away from those of others: a cache line and its neighbour, which is fetched with it.
#[derive(Default)]
#[repr(align(128))]
struct Cell {
    records: AtomicU64,
    sum: AtomicU64,
}

/// The totals of each subtask of a sink, for those outside of the job to see, and the failure that it shall have.
#[derive(Default)]
pub struct TotalsBoard {
    cells: Vec<Cell>,
    /// The record of subtask 0 at which the sink fails, once.
    pub fail_at: Option<u64>,
    /// When it failed.
    pub failed: OnceLock<Instant>,
    /// When the first record after that came to the sink.
    pub first_after: OnceLock<Instant>,
}

impl TotalsBoard {
    /// For so many subtasks.
    pub fn new(subtasks: u32) -> Self {
        Self { cells: (0..subtasks).map(|_| Cell::default()).collect(), ..Self::default() }
    }

    /// The sink shall fail once, when its subtask 0 has seen so many records.
    #[must_use]
    pub fn failing_at(mut self, record: Option<u64>) -> Self {
        self.fail_at = record;
        self
    }

    /// What all subtasks have seen so far. Exact once the job has ended.
    pub fn get(&self) -> Totals {
        let load = |cell: &Cell| Totals {
            records: cell.records.load(Ordering::Acquire),
            sum: cell.sum.load(Ordering::Relaxed),
        };
        self.cells.iter().map(load).fold(Totals::default(), Totals::and)
    }

    /// What a subtask has seen. It has one writer at a time, which therefore only stores.
    pub fn set(&self, subtask: u32, totals: Totals) {
        let cell = &self.cells[subtask as usize];
        cell.sum.store(totals.sum, Ordering::Relaxed);
        cell.records.store(totals.records, Ordering::Release);
    }
}
