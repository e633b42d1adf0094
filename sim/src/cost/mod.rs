//! What a checkpoint costs, counted instead of timed: operations on files, syncs, bytes, frames, messages, steps, and virtual
//! time. The numbers of a seed are exact, and the same on every machine; a change that makes checkpoints dearer shows in
//! review as a change of `tests/snapshots/checkpoint_cost__*`.
//!
//! # What is booked where
//!
//! ```text
//!   steps, barrier frames, control messages ── name their checkpoint ─────────────► that checkpoint
//!   files of the checkpoint directory, and names of output files ─────────────────► the checkpoint begun last
//!   all of these while no attempt runs, or before its first checkpoint ───────────► start, recovery, end
//!   batches, credits, reads of input, contents of output ─────────────────────────► records
//!   handshakes, heartbeats, deployments, reports of tasks ────────────────────────► the cluster
//! ```
//!
//! A checkpoint begins with the first thing that names it, and so bears its own birth and its own removal. One checkpoint is
//! under way at a time: what its files cost falls to it, unless the next one begins before the sinks have
//! committed, which then falls to that one. Numbers that are reserved before the first checkpoint of an attempt count as part
//! of its start, later ones fall to the checkpoint before them. Nothing is left out and nothing is counted twice, so totals are exact in any
//! case. What a barrier costs between two tasks of one node, which is no frame, is counted as a step.
//!
//! An operation counts when it is carried out, also if it fails; one that a dying node has begun does not. A write counts
//! with all its bytes, a read with none. Checkpoints that never completed are kept apart from those that did.
//!
//! Deliberately absent: time that passes on a machine (see `benches`).

mod bill;
mod ledger;
mod report;
mod wire;

pub use bill::{Bill, FileOp, Item, Region, Sum};
pub use ledger::Costs;
pub(crate) use ledger::Ledger;
pub(crate) use wire::{Content, WireMeter};
