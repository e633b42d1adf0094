//! What operators remember.
//!
//! Keyed state lives in a [`ValueTable`] per state and subtask. A checkpoint freezes it, in no time, and a sweep encodes it
//! piece by piece while the stream goes on: all of it, or what has changed. What is read back is a [`SubtaskSnapshot`], cut
//! into key groups; [`redistribute_operator`] deals those of the old subtasks to the new ones.
//!
//! Deliberately absent: files (see `storage`), and any state outside of a key but the lists of sources and sinks.

mod change_log;
#[cfg(test)]
mod change_tests;
mod changes;
mod codec;
mod content;
mod descriptor;
mod directory;
mod encoded_snapshot;
mod frozen;
mod keyed_states;
mod known;
#[cfg(test)]
mod look_up_tests;
mod marks;
mod named_table;
mod prefetch;
mod redistribute;
mod replay;
mod restore;
mod segment;
mod shortcuts;
mod snapshot;
mod sweep;
mod table;
#[cfg(test)]
mod tests;
mod text;
mod whereabouts;

pub use descriptor::ValueStateDescriptor;
pub use encoded_snapshot::EncodedSnapshot;
pub use frozen::{
    DeltaSize, Extent, ExtentKind, Freeze, FrozenKeyedState, FrozenOperator, FrozenSnapshot, SnapshotScope, StateSize,
};
pub use keyed_states::{KeyedContext, KeyedStates, ValueState};
pub use redistribute::redistribute_operator;
pub use snapshot::{
    KeyGroupEntries, KeyedStateSnapshot, ListStateSnapshot, OperatorSnapshot, Piece, RestoredOperator, RestoredState,
    SubtaskSnapshot,
};
pub use table::{Located, ValueTable};

pub(crate) use change_log::LogEntry;
pub(crate) use named_table::{AnyTable, Decode, Decoded, NamedTable};
pub(crate) use prefetch::InOrder;
pub(crate) use restore::check_all_restored;
pub(crate) use shortcuts::Shortcuts;
