//! What operators remember.
//!
//! Keyed state lives in a [`ValueTable`] per state and subtask; a snapshot cuts it into key groups; [`redistribute_operator`] deals
//! the snapshots of the old subtasks to the new ones.
//!
//! Deliberately absent: files (see `storage`), and any state outside of a key but the lists of sources and sinks.

mod descriptor;
mod encoded_snapshot;
mod heap;
mod keyed_states;
mod redistribute;
mod snapshot;
mod text;

pub use descriptor::ValueStateDescriptor;
pub use encoded_snapshot::EncodedSnapshot;
pub use heap::ValueTable;
pub use keyed_states::{KeyedContext, KeyedStates, ValueState};
pub use redistribute::redistribute_operator;
pub use snapshot::{
    KeyGroupEntries, KeyedStateSnapshot, ListStateSnapshot, OperatorSnapshot, RestoredOperator, RestoredState,
    SubtaskSnapshot,
};

pub(crate) use heap::check_all_restored;
