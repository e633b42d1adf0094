//! Who runs, and what is run.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::support::{Job, Work};

/// Who does the work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Contender {
    Tidegate,
    /// Its objects are reused from record to record, or not: which is faster differs.
    Flink {
        reuse: bool,
    },
    Timely,
    /// One thread makes a batch of keys, then updates the table with it; words inline.
    TwoPasses,
    /// Two threads, record by record: a pipe if the parallelism is 1, else an exchange by key; words inline.
    TwoThreads,
}

impl Contender {
    pub const ALL: [Self; 6] = [
        Self::Tidegate,
        Self::Flink { reuse: true },
        Self::Flink { reuse: false },
        Self::Timely,
        Self::TwoPasses,
        Self::TwoThreads,
    ];

    /// What `--without` calls it.
    pub fn family(self) -> &'static str {
        match self {
            Self::Tidegate => "tidegate",
            Self::Flink { .. } => "flink",
            Self::Timely => "timely",
            Self::TwoPasses | Self::TwoThreads => "plain",
        }
    }
}

impl fmt::Display for Contender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tidegate => "Tidegate",
            Self::Flink { reuse: true } => "Flink",
            Self::Flink { reuse: false } => "Flink, objects not reused",
            Self::Timely => "timely",
            Self::TwoPasses => "plain Rust, one thread",
            Self::TwoThreads => "plain Rust, two threads",
        })
    }
}

/// A work of a size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Cell {
    pub work: Work,
    pub keys: u64,
    pub parallelism: u32,
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys = match self.keys {
            keys if keys % 1_000_000 == 0 => format!("{} M", keys / 1_000_000),
            keys if keys % 1_000 == 0 => format!("{} k", keys / 1_000),
            keys => keys.to_string(),
        };
        let work = match self.work {
            Work::WordCount => "W1",
            Work::KeyedSum => "W2",
        };
        write!(f, "{work}, K = {keys}, P = {}", self.parallelism)
    }
}

/// What one run does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Setup {
    pub contender: Contender,
    pub cell: Cell,
    pub records: u64,
    /// Between checkpoints; `None` without.
    pub interval_ms: Option<u64>,
    /// The least length of a phase, if checkpoints are taken in some phases of the run only.
    pub phase_ms: Option<u64>,
    /// Whether one subtask fails once, half-way.
    pub fails: bool,
}

impl Setup {
    /// The job without its checkpoints.
    pub fn job(&self) -> Job {
        let Cell { work, keys, parallelism } = self.cell;
        Job { work, keys, records: self.records, parallelism }
    }
}
