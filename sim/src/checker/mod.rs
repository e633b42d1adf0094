//! What must hold in every run: one guarantee a file.
//!
//! | id | file | guarantee | source |
//! |---|---|---|---|
//! | I1 | `state_fold` | the state of a checkpoint is all there, and the fold of exactly the input before its source positions | Carbone et al. 2015, §4 |
//! | I2 | `output_once` | visible output is that of a sequential run: each record once, nothing ever taken back | Flink, end-to-end exactly once |
//! | I3 | `consistent_cut` | what a receiver's snapshot reflects of a channel is what its sender sent before its own cut | Chandy and Lamport 1985 |
//! | I4 | `snapshot_purity` | what is restored is byte for byte what was frozen at the barrier | FLINK-9269, FLINK-6207 |
//! | I4 | `frozen_content` | a completed checkpoint holds what was frozen, entry by entry, in however many files | ours: copy on write, and changes on top of changes |
//! | I5 | `durable_first` | what is acknowledged, prepared, committed, or named by a manifest, survives any loss of power | RisingWave 26492, SlateDB 433 |
//! | I6 | `commit_after_manifest` | nothing becomes visible before its checkpoint is durable | Gray 1978, two-phase commit |
//! | I7 | `fencing` | a superseded attempt acknowledges and completes nothing, and sends nothing to a later one | RisingWave 20879, FLINK-13593 |
//! | I8 | `rising_ids` | numbers of checkpoints, terms and attempts rise and are never used twice, and no task goes back | FLINK-2354, FLINK-17994 |
//! | I9 | `reachable_kept` | nothing that a retained checkpoint or a restore under way needs is ever deleted | FLINK-22494, FLINK-21351 |
//! | I9 | `nothing_left` | a finished job leaves nothing behind but its output and the checkpoints that it keeps | ours: deletions in the background were cut off at the job's end |
//! | I10 | `key_ownership` | each key lives in exactly one subtask, the one that its hash gives | Bytewax 0.14 |
//! | I11 | `list_conservation` | a restore hands out each item of operator state once, and moves none needlessly | FLINK-11618 |
//! | I14 | `split_conservation` | every split of the input is in exactly one place, and never goes back | FLINK-20290, FLINK-21996 |
//! | I16 | `finished_is_committed` | FINISHED is said only when all output is visible, and that and the record of it are durable | Feldera a5d8d17cf |
//! | I17 | `no_rewind` | recovery never goes behind a completed checkpoint, and all tasks restore the same | FLINK-22502 |
//! | I20 | `no_silent_fallback` | an attempt begins with the newest checkpoint there is, or not at all | FLINK-22502 |
//!
//! I12 (timers) and I13 (watermarks) have no checker: the engine has neither.
//! I15 (liveness) is judged by the runner, which knows when the faults have ended; I19 (determinism) by comparing two runs.
//! I18 (notifications may be lost, late, doubled) is a way to run, not a check.
//!
//! Deliberately absent: anything that a checker could do to the run. It looks, and it remembers.

mod commit_after_manifest;
mod consistent_cut;
mod deployments;
mod durable_first;
mod expected_output;
mod fencing;
mod finished_is_committed;
mod frozen_content;
mod ground;
mod key_ownership;
mod list_conservation;
mod named_files;
mod no_rewind;
mod no_silent_fallback;
mod nothing_left;
mod output_once;
mod reachable_kept;
mod restoring;
mod rising_ids;
mod snapshot_purity;
mod split_conservation;
mod state_fold;
#[cfg(test)]
mod testing;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tidegate::probe::Fact;

pub use self::deployments::Deployments;
use self::ground::Ground;
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
    /// Another number whenever anything here may have changed.
    fn version(&self) -> u64;
    /// A file's contents as everybody sees them.
    fn read(&self, path: &Path) -> Option<Bytes>;
    /// What every node gets that reads it, whatever the medium has made of it.
    fn read_as_is(&self, path: &Path) -> Option<Bytes>;
    /// What would be left of it if all power were lost now.
    fn read_durable(&self, path: &Path) -> Option<Bytes>;
    /// The names in a directory, sorted.
    fn list(&self, path: &Path) -> Vec<String>;
    /// Those that would be left if all power were lost now.
    fn list_durable(&self, path: &Path) -> Vec<String>;
}

/// What checkers know of a run before it begins.
#[derive(Clone)]
pub struct Context {
    /// The job, as each attempt runs it.
    pub deployments: Deployments,
    /// Its input and what must come of it.
    pub workload: Arc<dyn Workload>,
    /// Where its checkpoints rest.
    pub checkpoint_directory: PathBuf,
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

    /// Whether it also judges a run in which storage was damaged on purpose (bits that rot, writes that go astray): true for
    /// what must hold whatever the disk does. There, damage may end the job, but must never be used, nor hidden behind older
    /// state or wrong output. The other guarantees rest on a disk that keeps what was synced.
    fn holds_beyond(&self) -> bool {
        false
    }
}

/// All checkers of a run.
#[must_use]
pub fn all(context: &Context) -> Vec<Box<dyn Checker>> {
    let ground = Ground::new(context);
    vec![
        Box::new(state_fold::StateFold::new(&ground)),
        Box::new(output_once::OutputOnce::new(&ground)),
        Box::new(consistent_cut::ConsistentCut::new(&ground)),
        Box::new(snapshot_purity::SnapshotPurity::new(&ground)),
        Box::new(frozen_content::FrozenContent::new(&ground)),
        Box::new(durable_first::DurableFirst::new(&ground)),
        Box::new(commit_after_manifest::CommitAfterManifest::new(&ground)),
        Box::new(fencing::Fencing::default()),
        Box::new(rising_ids::RisingIds::new(&ground)),
        Box::new(reachable_kept::ReachableKept::new(&ground)),
        Box::new(nothing_left::NothingLeft::new(&ground)),
        Box::new(key_ownership::KeyOwnership::new(&ground)),
        Box::new(list_conservation::ListConservation::new(&ground)),
        Box::new(split_conservation::SplitConservation::new(&ground)),
        Box::new(finished_is_committed::FinishedIsCommitted::new(&ground)),
        Box::new(no_rewind::NoRewind::default()),
        Box::new(no_silent_fallback::NoSilentFallback::new(&ground)),
    ]
}
