//! The kinds of fault, by which coverage is counted.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A kind of fault, as coverage is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FaultKind {
    /// A task panics.
    KillTask,
    /// A node's process is killed, and restarts.
    Process,
    /// A node loses its power, and restarts.
    Power,
    /// A node dies and another takes its place.
    Replace,
    /// A node dies for good.
    Remove,
    /// All nodes restart, to run the job with another parallelism.
    Redeploy,
    /// A node sleeps and wakes.
    Pause,
    /// An actor stands still.
    Stall,
    /// Two nodes are cut off from one another.
    Partition,
    /// One direction is cut.
    Cut,
    /// A link is slow.
    DelayLink,
    /// A link is narrow.
    Throttle,
    /// Connections are reset.
    Reset,
    /// Connections fall silent.
    Silence,
    /// A control message is lost.
    Lose,
    /// A control message comes late, out of order.
    Late,
    /// A control message comes twice.
    Repeat,
    /// A disk operation fails.
    DiskError,
    /// A write does not fit.
    NoSpace,
    /// A disk operation is done and said to have failed.
    AfterEffect,
    /// The disk hangs.
    StallDisk,
    /// The disk is full.
    FillDisk,
    /// A file is damaged.
    Damage,
    /// A write goes astray.
    Misdirect,
    /// A sync lies.
    LyingSync,
    /// A wall clock jumps.
    ClockJump,
}

impl FaultKind {
    /// All kinds.
    pub const ALL: &[Self] = &[
        Self::KillTask,
        Self::Process,
        Self::Power,
        Self::Replace,
        Self::Remove,
        Self::Redeploy,
        Self::Pause,
        Self::Stall,
        Self::Partition,
        Self::Cut,
        Self::DelayLink,
        Self::Throttle,
        Self::Reset,
        Self::Silence,
        Self::Lose,
        Self::Late,
        Self::Repeat,
        Self::DiskError,
        Self::NoSpace,
        Self::AfterEffect,
        Self::StallDisk,
        Self::FillDisk,
        Self::Damage,
        Self::Misdirect,
        Self::LyingSync,
        Self::ClockJump,
    ];

    /// Whether the fault leaves the guarantee: the verdict is then that damage is found and told, and never used.
    #[must_use]
    pub fn is_beyond(self) -> bool {
        matches!(self, Self::Damage | Self::Misdirect)
    }
}

impl fmt::Display for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}
