//! What a job is told on the command line about its snapshots.

use std::ffi::OsString;

use clap::{Args, ValueEnum};
use tidegate::{
    checkpoint::{SnapshotCompression, SnapshotPolicy},
    graph::StreamExecutionEnvironment,
};

/// How many checkpoints are kept unless told otherwise.
const RETAINED: u32 = 1;

/// The largest snapshot that gets no file, in bytes, unless told otherwise.
const INLINE: u64 = 20 << 10;

#[derive(Args, Clone, Debug)]
pub(crate) struct SnapshotArgs {
    /// What a task writes of its state at a checkpoint
    #[arg(long, value_enum, default_value_t, value_name = "POLICY")]
    snapshots: SnapshotChoice,
    /// How state is stored in snapshot files
    #[arg(long, value_enum, default_value_t, value_name = "METHOD")]
    snapshot_compression: CompressionChoice,
    /// How many completed checkpoints are kept, to restore from
    #[arg(long, default_value_t = RETAINED, value_name = "N", allow_negative_numbers = true)]
    retained_checkpoints: u32,
    /// A full snapshot of at most so many bytes is part of the checkpoint's manifest instead of a file; 0: none is
    #[arg(long, default_value_t = INLINE, value_name = "BYTES", allow_negative_numbers = true)]
    inline_snapshots: u64,
}

/// A [`SnapshotPolicy`] on the command line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum SnapshotChoice {
    /// What has changed since the last checkpoint, or everything: whichever costs less
    #[default]
    ByCost,
    /// What has changed, whenever that is possible
    Incremental,
    /// Everything
    Full,
}

/// A [`SnapshotCompression`] on the command line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum CompressionChoice {
    /// As it is
    #[default]
    None,
    /// A third to a half of the size, quickly
    Lz4,
    /// Smaller, in about twice the time
    Zstd,
}

impl SnapshotArgs {
    /// Sets what they say.
    pub fn apply(&self, env: &mut StreamExecutionEnvironment) {
        env.set_snapshot_policy(match self.snapshots {
            SnapshotChoice::ByCost => SnapshotPolicy::ByCost,
            SnapshotChoice::Incremental => SnapshotPolicy::Incremental,
            SnapshotChoice::Full => SnapshotPolicy::Full,
        });
        env.set_snapshot_compression(match self.snapshot_compression {
            CompressionChoice::None => SnapshotCompression::None,
            CompressionChoice::Lz4 => SnapshotCompression::Lz4,
            CompressionChoice::Zstd => SnapshotCompression::Zstd,
        });
        env.set_retained_checkpoints(self.retained_checkpoints);
        env.set_inline_snapshot_threshold(self.inline_snapshots);
    }

    /// The arguments that parse to this: those that differ from the defaults.
    pub fn to_arguments(&self) -> Vec<OsString> {
        let mut arguments = Vec::new();
        if self.snapshots != SnapshotChoice::default() {
            arguments.extend(["--snapshots".into(), name_of(self.snapshots)]);
        }
        if self.snapshot_compression != CompressionChoice::default() {
            arguments.extend(["--snapshot-compression".into(), name_of(self.snapshot_compression)]);
        }
        if self.retained_checkpoints != RETAINED {
            arguments.extend(["--retained-checkpoints".into(), self.retained_checkpoints.to_string().into()]);
        }
        if self.inline_snapshots != INLINE {
            arguments.extend(["--inline-snapshots".into(), self.inline_snapshots.to_string().into()]);
        }
        arguments
    }
}

/// A choice as one writes it.
fn name_of(choice: impl ValueEnum) -> OsString {
    choice.to_possible_value().expect("no choice is hidden").get_name().into()
}
