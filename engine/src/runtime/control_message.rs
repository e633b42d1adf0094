//! Which control messages may get lost, and which may come twice.
//!
//! A session carries all its messages in order, or ends. But nothing in the protocol of checkpoints relies on that: each of
//! these may be lost, come late, twice, or out of order, and no record is lost or doubled for it. (Flink's are sent so:
//! FLINK-20433, FLINK-21996.) What a task says of itself must not get lost, but may come once more, long after its attempt has
//! ended. The simulated world takes the messages apart on the way, and does just that.

use serde::{Deserialize, Serialize};

use super::{
    message_stream::LENGTH_LEN,
    rpc::{ToJobManager, ToTaskManager},
};
use crate::{
    exchange::{HELLO_LEN, PROOF_LEN, REPLY_LEN},
    id::CheckpointId,
};

/// A kind of control message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MessageKind {
    /// To a task manager: its sources are to emit the barrier. Lost: the checkpoint times out.
    Trigger,
    /// From a task manager: a snapshot is durable. Lost: the checkpoint times out.
    Acknowledge,
    /// From a task manager: there is no snapshot. Lost: the checkpoint times out.
    Decline,
    /// To a task manager: the checkpoint has completed. Lost: the next one implies it; the final one is repeated.
    NotifyComplete,
    /// To a task manager: the checkpoint is given up. Lost: the next barrier implies it.
    NotifyAborted,
    /// From a task manager: a commit is done. Lost: the final notification is repeated, and answered again.
    Committed,
    /// From a task manager: a task has its state and its connections. Must not get lost.
    TaskRunning,
    /// From a task manager: a task has processed all its input. Must not get lost.
    InputEnded,
    /// From a task manager: a task has failed. Must not get lost.
    TaskFailed,
}

impl MessageKind {
    /// The kinds that may get lost or come late; they belong to checkpoints.
    pub const LOSABLE: &[Self] =
        &[Self::Trigger, Self::Acknowledge, Self::Decline, Self::NotifyComplete, Self::NotifyAborted, Self::Committed];

    /// All kinds: each may come twice.
    pub const ALL: &[Self] = &[
        Self::Trigger,
        Self::Acknowledge,
        Self::Decline,
        Self::NotifyComplete,
        Self::NotifyAborted,
        Self::Committed,
        Self::TaskRunning,
        Self::InputEnded,
        Self::TaskFailed,
    ];
}

/// What can be seen of such a message from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ControlMessage {
    /// Its kind.
    pub kind: MessageKind,
    /// The checkpoint that it is about, if it is about one.
    pub checkpoint: Option<CheckpointId>,
}

/// Where the messages of one half of a control connection go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ControlDirection {
    /// From a task manager, which has opened the connection.
    ToJobManager,
    /// From the job manager.
    ToTaskManager,
}

impl ControlDirection {
    /// How many bytes of the handshake come before the first message.
    #[must_use]
    pub fn preamble_len(self) -> usize {
        match self {
            Self::ToJobManager => HELLO_LEN + PROOF_LEN,
            Self::ToTaskManager => REPLY_LEN,
        }
    }

    /// How many bytes the message takes that begins here, its length included. `None` if there are too few to tell.
    #[must_use]
    pub fn message_len(self, beginning: &[u8]) -> Option<usize> {
        let len = beginning.first_chunk::<LENGTH_LEN>()?;
        Some(LENGTH_LEN + u32::from_le_bytes(*len) as usize)
    }

    /// What a whole message is, its length included. `None` if it is of no such kind, or is none.
    #[must_use]
    pub fn recognize(self, message: &[u8]) -> Option<ControlMessage> {
        let body = message.get(LENGTH_LEN..)?;
        let (kind, checkpoint) = match self {
            Self::ToJobManager => match postcard::from_bytes(body).ok()? {
                ToJobManager::Acknowledge { checkpoint, .. } => (MessageKind::Acknowledge, Some(checkpoint)),
                ToJobManager::Decline { checkpoint, .. } => (MessageKind::Decline, Some(checkpoint)),
                ToJobManager::Committed { checkpoint, .. } => (MessageKind::Committed, Some(checkpoint)),
                ToJobManager::TaskRunning { .. } => (MessageKind::TaskRunning, None),
                ToJobManager::InputEnded { .. } => (MessageKind::InputEnded, None),
                ToJobManager::TaskFailed { .. } => (MessageKind::TaskFailed, None),
                _ => return None,
            },
            Self::ToTaskManager => match postcard::from_bytes(body).ok()? {
                ToTaskManager::Trigger { barrier, .. } => (MessageKind::Trigger, Some(barrier.checkpoint)),
                ToTaskManager::NotifyComplete { checkpoint, .. } => (MessageKind::NotifyComplete, Some(checkpoint)),
                ToTaskManager::NotifyAborted { checkpoint, .. } => (MessageKind::NotifyAborted, Some(checkpoint)),
                _ => return None,
            },
        };
        Some(ControlMessage { kind, checkpoint })
    }
}
