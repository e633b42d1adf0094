//! What must hold in every run: one guarantee a file.
//!
//! | id | file | guarantee | source |
//! |---|---|---|---|
//! | I1 | `state_fold` | the state of a checkpoint is all there, and the fold of exactly the input before its source positions | Carbone et al. 2015, §4 |
//! | I2 | `output_once` | visible output is that of a sequential run: each record once, nothing ever taken back | Flink, end-to-end exactly once |
//! | I3 | `consistent_cut` | what a receiver's snapshot reflects of a channel is what its sender sent before its own cut | Chandy and Lamport 1985 |
//! | I5 | `durable_first` | what is acknowledged, prepared, committed, or named by a manifest, survives any loss of power | RisingWave 26492, SlateDB 433 |
//! | I6 | `commit_after_manifest` | nothing becomes visible before its checkpoint is durable | Gray 1978, two-phase commit |
//! | I7 | `fencing` | a superseded attempt acknowledges and completes nothing | RisingWave 20879, FLINK-13593 |
//! | I8 | `rising_ids` | numbers of checkpoints, terms and attempts rise and are never used twice | FLINK-2354 |
//! | I16 | `finished_is_committed` | FINISHED is said only when all output is visible, and that and the record of it are durable | Feldera a5d8d17cf |
//! | I17 | `no_rewind` | recovery never goes behind a completed checkpoint, and all tasks restore the same | FLINK-22502 |
//!
//! I15 (liveness) is judged by the runner, which knows when the faults have ended; I19 (determinism) by comparing two runs.
//! I18 (notifications may be lost, late, doubled) is a way to run, not a check.
//!
//! Deliberately absent: anything that a checker could do to the run. It looks, and it remembers.

mod commit_after_manifest;
mod consistent_cut;
mod durable_first;
mod fencing;
mod finished_is_committed;
mod no_rewind;
mod output_once;
mod rising_ids;
mod state_fold;
#[cfg(test)]
mod testing;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tidegate::{graph::JobGraph, probe::Fact, stream::CheckpointMode};

use crate::workload::Workload;

/// A broken guarantee.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Violation {
    /// Which one: "I3".
    pub invariant: String,
    /// What happened, where.
    pub message: String,
    /// The first event of the history that breaks it, if it is one.
    pub event: Option<usize>,
}

/// The disk as a checker may look at it: at once, without leaving a trace, and as the engine left it: what a fault has
/// damaged on the medium itself is the engine's to find, and not its fault.
pub trait DiskView {
    /// A file's contents as everybody sees them.
    fn read(&self, path: &Path) -> Option<Bytes>;
    /// What would be left of it if all power were lost now.
    fn read_durable(&self, path: &Path) -> Option<Bytes>;
    /// The names in a directory, sorted.
    fn list(&self, path: &Path) -> Vec<String>;
}

/// What checkers know of a run before it begins.
#[derive(Clone)]
pub struct Context {
    /// The job.
    pub graph: Arc<JobGraph>,
    /// Its input and what must come of it.
    pub workload: Arc<dyn Workload>,
    /// Where its checkpoints rest.
    pub checkpoint_directory: PathBuf,
}

impl Context {
    fn mode(&self) -> CheckpointMode {
        self.graph.checkpoints.as_ref().map_or(CheckpointMode::ExactlyOnce, |c| c.mode)
    }
}

/// Watches one guarantee.
pub trait Checker: Send {
    /// Its name in the table.
    fn id(&self) -> &'static str;

    /// Looks at a fact, right when it has become true.
    ///
    /// # Errors
    /// What it breaks.
    fn observe(&mut self, fact: &Fact, disk: &dyn DiskView) -> Result<(), String>;

    /// Looks at what the run leaves behind. `finished` says that the job has ended well.
    ///
    /// # Errors
    /// What it breaks.
    fn finish(&mut self, _finished: bool, _disk: &dyn DiskView) -> Result<(), String> {
        Ok(())
    }
}

/// All checkers of a run.
#[must_use]
pub fn all(context: &Context) -> Vec<Box<dyn Checker>> {
    vec![
        Box::new(state_fold::StateFold::new(context)),
        Box::new(output_once::OutputOnce::new(context)),
        Box::new(consistent_cut::ConsistentCut::new(context)),
        Box::new(durable_first::DurableFirst::new(context)),
        Box::new(commit_after_manifest::CommitAfterManifest::new(context)),
        Box::new(fencing::Fencing::default()),
        Box::new(rising_ids::RisingIds::default()),
        Box::new(finished_is_committed::FinishedIsCommitted::new(context)),
        Box::new(no_rewind::NoRewind::default()),
    ]
}
