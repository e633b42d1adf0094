//! The steps of the protocol, in its order.

use std::{fmt, path::PathBuf, time::Duration};

use serde::{Deserialize, Serialize};

use super::{GivenState, JobStatus};
use crate::{
    error::Error,
    id::{AttemptId, ChannelId, CheckpointId, TaskId, TaskManagerId},
};

/// Declares [`Step`] with its payloads and, from the same list, the payload-free [`StepKind`].
macro_rules! steps {
    ($($(#[doc = $doc:literal])+ $name:ident $({ $($(#[doc = $fdoc:literal])+ $field:ident: $ty:ty),+ $(,)? })?),+ $(,)?) => {
        /// What was done, with what a checker needs to know of it. In the perfect tense: it is done when it is reported.
        #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
        pub enum Step {
            $($(#[doc = $doc])+ $name $({ $($(#[doc = $fdoc])+ $field: $ty),+ })?),+
        }

        /// The name of a [`Step`] without its payload: what faults are tied to and coverage is counted by.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "kebab-case")]
        pub enum StepKind {
            $($(#[doc = $doc])+ $name),+
        }

        impl Step {
            /// The name of the step.
            #[must_use]
            pub fn kind(&self) -> StepKind {
                match self { $(Self::$name { .. } => StepKind::$name),+ }
            }
        }

        impl StepKind {
            /// All steps, in the order of the protocol.
            pub const ALL: &[Self] = &[$(Self::$name),+];
        }
    };
}

steps! {
    // The job manager, from its start to the first attempt.
    /// The job manager's process runs.
    JobManagerStarted,
    /// A higher term than any before is claimed durably.
    TermClaimed {
        /// The term.
        term: u32,
    },
    /// The checkpoint directory was read; this is where the next attempt starts.
    RestorePointChosen {
        /// The newest completed checkpoint, if there is one.
        restored: Option<CheckpointId>,
    },
    /// A task manager offered its slots.
    TaskManagerRegistered {
        /// Which one.
        task_manager: TaskManagerId,
    },
    /// A task manager is given up: its connection ended or its heartbeats stopped.
    TaskManagerLost {
        /// Which one.
        task_manager: TaskManagerId,
        /// Why.
        reason: String,
    },
    /// Tasks are about to be deployed; all earlier attempts are superseded from here on.
    AttemptStarted {
        /// The attempt.
        attempt: AttemptId,
        /// The checkpoint that it restores.
        restored: Option<CheckpointId>,
    },
    /// The deployment of one task was sent.
    TaskDeployed {
        /// Which task.
        task: TaskId,
        /// Where.
        task_manager: TaskManagerId,
    },

    // A task, until it runs.
    /// The task manager built the task.
    TaskStarted,
    /// The snapshots that the task needs were read and checked.
    SnapshotRead {
        /// The checkpoint that they belong to.
        restored: CheckpointId,
        /// The name of each file, the checkpoint for which it was written, and the checksum of the bytes that came. What stood in
        /// the manifest goes by the name of its subtask.
        files: Vec<(String, CheckpointId, u64)>,
    },
    /// State is in place, transactions of the restored checkpoint are committed again.
    StateRestored {
        /// The checkpoint, if any.
        restored: Option<CheckpointId>,
        /// What the task has now; without a checkpoint, the splits that a source begins with. Of keyed state nothing, if the
        /// probe does not want to know.
        given: Vec<GivenState>,
    },
    /// The gate of a consumer has let a producer in.
    ChannelOpened {
        /// The channel.
        channel: ChannelId,
        /// The attempt that the producer says it belongs to.
        producer: AttemptId,
        /// The attempt whose gate it is.
        consumer: AttemptId,
    },
    /// All inputs and outputs are connected; records flow from here on.
    TaskRunning,
    /// All tasks of an attempt run.
    AttemptRunning {
        /// The attempt.
        attempt: AttemptId,
    },

    // A checkpoint, from trigger to acknowledgement.
    /// The claim on more numbers of checkpoints is durable: none of them will be used by a job manager to come.
    NumbersReserved {
        /// All numbers up to this one may be used now.
        through: CheckpointId,
    },
    /// The job manager told the sources.
    CheckpointTriggered {
        /// Whether it is the last one of a bounded job.
        is_final: bool,
    },
    /// A source got the trigger, between two batches.
    TriggerReceived,
    /// The barrier came in on one channel.
    BarrierReceived {
        /// The channel.
        channel: ChannelId,
        /// How many records came before it on this channel in this attempt.
        records: u64,
    },
    /// The barrier has come in on all channels.
    Aligned,
    /// The sink's open transaction is closed and durable, to be committed when the checkpoint completes.
    CommitPrepared {
        /// What will be committed: this and all that is still in doubt, as the sink names it.
        committables: Vec<String>,
    },
    /// The barrier went out on one channel.
    BarrierForwarded {
        /// The channel.
        channel: ChannelId,
        /// How many records went before it on this channel in this attempt.
        records: u64,
    },
    /// The state at the barrier is fixed; whatever runs later does not change it.
    StateFrozen {
        /// What it is; nothing if the probe does not want to know.
        content: Vec<GivenState>,
        /// For each input channel, how many of its records are reflected in the state.
        reflected: Vec<(ChannelId, u64)>,
    },
    /// The frozen state is encoded.
    SnapshotEncoded {
        /// See [`snapshot_digest`](crate::storage::snapshot_digest).
        digest: u64,
        /// Its size in bytes.
        bytes: u64,
        /// The checkpoint since whose snapshot it holds the changes; `None` if it holds everything.
        builds_on: Option<CheckpointId>,
    },
    /// A file for the snapshot is there: a new one, or one whose contents nobody needs any more.
    SnapshotFileTaken {
        /// Its name.
        file: String,
        /// Whether it has been written to before.
        reused: bool,
    },
    /// The snapshot's bytes were written.
    SnapshotWritten,
    /// They were synced.
    SnapshotSynced,
    /// The name of a new file is durable.
    SnapshotDirectorySynced,
    /// The acknowledgement was sent to the job manager.
    Acknowledged,
    /// The task said that it cannot take part.
    Declined {
        /// Why.
        reason: String,
    },

    // A checkpoint, from acknowledgements to completion.
    /// The job manager got an acknowledgement of the current attempt.
    AcknowledgementReceived {
        /// Whose.
        task: TaskId,
    },
    /// The last acknowledgement is in.
    AllAcknowledged,
    /// The manifest's bytes were written where nobody sees them: over one that is not kept any more, or under a temporary name.
    ManifestWritten,
    /// They were synced.
    ManifestSynced,
    /// Everybody sees the manifest, by its header or its name; the sync that makes it durable is still to come.
    ManifestShown,
    /// It is durable: the checkpoint exists.
    CheckpointCompleted,
    /// The checkpoint will never complete.
    CheckpointAborted {
        /// Why.
        reason: String,
    },
    /// A checkpoint that is no longer needed is gone for good.
    CheckpointRetired,
    /// Snapshot files of earlier attempts that no checkpoint names were deleted.
    StaleFilesRemoved,
    /// The job manager sent the notification of completion to all tasks.
    CompletionNotified,
    /// A task got the notification of completion.
    CompletionReceived,
    /// A task got the notification of an abort.
    AbortReceived,

    // The exactly-once sink.
    /// A part file was opened under an in-progress name.
    PartOpened {
        /// The file.
        path: PathBuf,
    },
    /// A finished part's contents were synced.
    PartSynced {
        /// The file.
        path: PathBuf,
    },
    /// A finished part has its pending name, durably.
    PartPending {
        /// The file.
        path: PathBuf,
    },
    /// A pending part got its visible name.
    PartRenamed {
        /// The visible name.
        path: PathBuf,
    },
    /// The visible names are durable.
    CommitDirectorySynced,
    /// All that the checkpoint allows to be committed is committed.
    Committed {
        /// What became visible, as the sink names it.
        committables: Vec<String>,
    },

    // The end.
    /// No record will come any more, and all results have been sent on.
    InputEnded,
    /// The task has ended well.
    TaskFinished,
    /// The task has failed.
    TaskFailed {
        /// Why.
        error: Error,
    },
    /// The task was canceled.
    TaskCanceled,
    /// The job manager decided to restart the job.
    RestartScheduled {
        /// In what time.
        delay: Duration,
        /// What made it necessary.
        error: Error,
    },
    /// The job manager recorded the end of the job durably.
    JobEnded {
        /// How it ended.
        status: JobStatus,
    },
}

impl fmt::Display for StepKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}
