//! What a fault does. Times are virtual, in microseconds.

use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::FaultKind;
use crate::{
    env::{Crash, DiskOp},
    seed::Draw,
};

/// Which node is meant.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Victim {
    /// The node that took the step; the job manager for an anchor in time.
    Here,
    /// The job manager.
    JobManager,
    /// The task manager of this name.
    TaskManager(String),
}

/// An error of a disk operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DiskError {
    /// The device fails (EIO). A sync that fails drops what it was to write, and the next one succeeds.
    Io,
    /// There is no room left (ENOSPC): a write is done in part.
    NoSpace,
    /// The operation has its effect, and its result is lost: the error tells the opposite of what happened.
    AfterEffect,
}

/// A kind of file, by what the engine keeps in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FileKind {
    /// A task's snapshot.
    Snapshot,
    /// A checkpoint's manifest.
    Manifest,
}

/// How a stored file is damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Damage {
    /// One bit is the other way round from now on: bit rot at rest.
    FlipBit {
        /// Which byte, counted round and round if the file is shorter.
        byte: u64,
    },
    /// As above, but the next read alone gets it so.
    FlipBitOnRead {
        /// Which byte, counted round and round if the file is shorter.
        byte: u64,
    },
    /// The end is gone.
    Truncate {
        /// How many bytes stay, at most all but one.
        to: u64,
    },
    /// The file is gone.
    Remove,
}

impl Damage {
    /// One of them.
    pub fn draw(random: &mut ChaCha8Rng) -> Self {
        let byte = random.between(0, 1 << 16);
        match random.between(0, 3) {
            0 => Self::FlipBitOnRead { byte },
            1 => Self::Truncate { to: byte % 512 },
            2 => Self::Remove,
            _ => Self::FlipBit { byte },
        }
    }
}

/// What goes wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Action {
    /// The task that took the step panics.
    KillTask,
    /// A node dies, and comes back.
    Crash {
        /// Which node.
        victim: Victim,
        /// How.
        crash: Crash,
        /// After so long it runs again.
        restart_after_us: u64,
    },
    /// A task manager dies for good; a new one, under a name of its own, takes its place.
    Replace {
        /// Which one.
        victim: Victim,
        /// How it dies.
        crash: Crash,
        /// After so long the new one starts.
        after_us: u64,
    },
    /// A node dies for good. Beyond what the job can survive if too few slots are left.
    Remove {
        /// Which one.
        victim: Victim,
        /// How.
        crash: Crash,
    },
    /// All nodes die, and come back to run the job with another parallelism, from its latest checkpoint.
    Redeploy {
        /// How they die.
        crash: Crash,
        /// After so long they run again.
        after_us: u64,
    },
    /// A node stops, as a virtual machine does, and goes on later as if nothing had been: a zombie, if others have given it up.
    Pause {
        /// Which one.
        victim: Victim,
        /// For so long.
        for_us: u64,
    },
    /// The actor that took the step does nothing for a while.
    Stall {
        /// For so long.
        us: u64,
    },

    /// Nothing passes between two nodes for a while.
    Partition {
        /// One node.
        a: String,
        /// The other.
        b: String,
        /// After so long it is over.
        heal_after_us: u64,
    },
    /// Nothing arrives in one direction for a while; the other one works.
    Cut {
        /// From this node.
        from: String,
        /// To this one.
        to: String,
        /// After so long it is over.
        heal_after_us: u64,
    },
    /// A link is slower for a while.
    DelayLink {
        /// One node.
        a: String,
        /// The other.
        b: String,
        /// By so much.
        extra_us: u64,
        /// For so long.
        for_us: u64,
    },
    /// A link carries few bytes for a while.
    Throttle {
        /// One node.
        a: String,
        /// The other.
        b: String,
        /// So many a millisecond, in each direction, at least 1.
        bytes_per_ms: u64,
        /// For so long.
        for_us: u64,
    },
    /// All connections between two nodes end with an error.
    ResetConnections {
        /// One node.
        a: String,
        /// The other.
        b: String,
    },
    /// All connections between two nodes that are open now fall silent for ever, and neither side is told; new ones work.
    Silence {
        /// One node.
        a: String,
        /// The other.
        b: String,
    },

    /// The control message never arrives.
    LoseMessage,
    /// The control message arrives later, after others that were sent after it.
    DelayMessage {
        /// By so much.
        by_us: u64,
    },
    /// The control message arrives, and once more later.
    RepeatMessage {
        /// By so much later.
        after_us: u64,
    },

    /// The next operation of a kind fails.
    FailDisk {
        /// On which node.
        victim: Victim,
        /// Which operation.
        op: DiskOp,
        /// How.
        error: DiskError,
    },
    /// Every operation on the disk that a node begins takes until the end of this fault.
    StallDisk {
        /// Which node.
        victim: Victim,
        /// For so long.
        for_us: u64,
    },
    /// The disk is nearly full for a while: writes that do not fit are done in part and fail.
    FillDisk {
        /// So many more bytes fit.
        room_bytes: u64,
        /// For so long; for ever if absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        for_us: Option<u64>,
    },

    /// A stored file is damaged: beyond the guarantee.
    DamageFile {
        /// The newest whole one of this kind.
        file: FileKind,
        /// How.
        damage: Damage,
    },
    /// The next write of a node to a file of this kind lands in another file of the kind, or elsewhere in the same: beyond the
    /// guarantee.
    MisdirectWrite {
        /// Which node.
        victim: Victim,
        /// Which kind.
        file: FileKind,
    },
    /// Syncs of a node claim to be done and are not, for a while. No engine can tell: it is for the checkers to see, and the run
    /// is broken.
    LieOnSync {
        /// Which node.
        victim: Victim,
        /// For so long.
        for_us: u64,
    },

    /// The wall clock of a node jumps.
    JumpClock {
        /// Which node.
        victim: Victim,
        /// By so much, forwards or backwards.
        by_ms: i64,
    },
}

impl Action {
    /// Its kind.
    #[must_use]
    pub fn kind(&self) -> FaultKind {
        match self {
            Self::KillTask => FaultKind::KillTask,
            Self::Crash { crash: Crash::Process, .. } => FaultKind::Process,
            Self::Crash { crash: Crash::Power, .. } => FaultKind::Power,
            Self::Replace { .. } => FaultKind::Replace,
            Self::Remove { .. } => FaultKind::Remove,
            Self::Redeploy { .. } => FaultKind::Redeploy,
            Self::Pause { .. } => FaultKind::Pause,
            Self::Stall { .. } => FaultKind::Stall,
            Self::Partition { .. } => FaultKind::Partition,
            Self::Cut { .. } => FaultKind::Cut,
            Self::DelayLink { .. } => FaultKind::DelayLink,
            Self::Throttle { .. } => FaultKind::Throttle,
            Self::ResetConnections { .. } => FaultKind::Reset,
            Self::Silence { .. } => FaultKind::Silence,
            Self::LoseMessage => FaultKind::Lose,
            Self::DelayMessage { .. } => FaultKind::Late,
            Self::RepeatMessage { .. } => FaultKind::Repeat,
            Self::FailDisk { error: DiskError::Io, .. } => FaultKind::DiskError,
            Self::FailDisk { error: DiskError::NoSpace, .. } => FaultKind::NoSpace,
            Self::FailDisk { error: DiskError::AfterEffect, .. } => FaultKind::AfterEffect,
            Self::StallDisk { .. } => FaultKind::StallDisk,
            Self::FillDisk { .. } => FaultKind::FillDisk,
            Self::DamageFile { .. } => FaultKind::Damage,
            Self::MisdirectWrite { .. } => FaultKind::Misdirect,
            Self::LieOnSync { .. } => FaultKind::LyingSync,
            Self::JumpClock { .. } => FaultKind::ClockJump,
        }
    }

    /// The node that it is done to, if it is one.
    #[must_use]
    pub fn victim(&self) -> Option<&Victim> {
        match self {
            Self::Crash { victim, .. }
            | Self::Replace { victim, .. }
            | Self::Remove { victim, .. }
            | Self::Pause { victim, .. }
            | Self::FailDisk { victim, .. }
            | Self::StallDisk { victim, .. }
            | Self::MisdirectWrite { victim, .. }
            | Self::LieOnSync { victim, .. }
            | Self::JumpClock { victim, .. } => Some(victim),
            _ => None,
        }
    }

    /// The two nodes between which it happens, if it is a fault of the network.
    #[must_use]
    pub fn link(&self) -> Option<(&str, &str)> {
        match self {
            Self::Partition { a, b, .. }
            | Self::DelayLink { a, b, .. }
            | Self::Throttle { a, b, .. }
            | Self::ResetConnections { a, b }
            | Self::Silence { a, b }
            | Self::Cut { from: a, to: b, .. } => Some((a, b)),
            _ => None,
        }
    }

    /// Whether it is done to a control message, and so needs an anchor that names one.
    #[must_use]
    pub fn is_of_message(&self) -> bool {
        matches!(self, Self::LoseMessage | Self::DelayMessage { .. } | Self::RepeatMessage { .. })
    }

    /// Whether it is done to the actor that takes a step, and so needs an anchor that names one.
    #[must_use]
    pub fn is_of_actor(&self) -> bool {
        matches!(self, Self::KillTask | Self::Stall { .. })
    }
}
