//! How elements move between task managers: the shape of frames and of the handshake, the size of batches. Pure: bytes and
//! times in, values out.
//!
//! ```text
//!  producer's task manager                          consumer's task manager
//!  ResultPartition ─ encode ─ frame ───── Env ─────► frame ─ check ─ decode ─ InputGate
//!                    ▲ credit ◄──────────────────────────────────── credit ◄──┘
//! ```
//!
//! Records need credit, which the consumer grants; barriers and the end of input do not, so that a flood of records
//! cannot delay a checkpoint.
//!
//! Deliberately absent: sockets, queues, tasks (see `runtime`).

mod batch_sizer;
mod frame;
mod handshake;

pub use batch_sizer::BatchSizer;
pub use frame::{
    Frame, FrameError, FrameHeader, FrameKind, HEADER_LEN, MAX_PAYLOAD, begin_frame, finish_frame, payload_len,
};
pub use handshake::{Challenge, HELLO_LEN, PROOF_LEN, REPLY_LEN, Secret};
