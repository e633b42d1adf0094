//! What flows between operators.
//!
//! A [`StreamElement`] is a batch of records or a mark between records. Within a process a batch moves by ownership; only
//! an edge that crosses the network encodes it, with the edge's [`BatchCodec`].
//!
//! Deliberately absent: queues, credit, frames (see `exchange`), and any notion of where a subtask runs.

mod barrier;
mod batch;
mod codec;
mod data;
mod outbox;
mod small_string;

pub use barrier::{CheckpointBarrier, CheckpointMode};
pub use batch::AnyBatch;
pub use codec::{BatchCodec, PostcardCodec};
pub use data::{Data, Key, hash_bytes};
pub use outbox::{BATCH_BYTES, OutBatch, Outbox};
pub use small_string::SmallString;

pub(crate) use codec::{decode_records, encode_records};

/// What a channel carries, in order.
#[derive(Debug)]
pub enum StreamElement {
    /// Records.
    Batch(AnyBatch),
    /// The cut of a checkpoint: all before it belongs to the checkpoint, all after it does not.
    Barrier(CheckpointBarrier),
    /// No record follows on this channel; barriers still do, until the job has committed its last checkpoint.
    EndOfInput,
}
