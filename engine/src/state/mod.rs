//! What operators remember.

mod snapshot;

pub use snapshot::{
    KeyGroupEntries, KeyedStateSnapshot, ListStateSnapshot, OperatorSnapshot, RestoredOperator, RestoredState,
    SubtaskSnapshot,
};
