//! What a task holds of a state, in figures that can be compared.

use serde::{Deserialize, Serialize};

use crate::key_group::KeyGroup;

/// One state of an operator, as a task begins with it: enough to see whether something was lost, doubled or moved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GivenState {
    /// The operator's uid.
    pub uid: String,
    /// The state's name within the operator.
    pub state: String,
    /// The task's share of it.
    pub share: Share,
}

/// A task's share of one state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Share {
    /// Of a keyed state: the key groups that hold entries, ascending.
    KeyGroups(Vec<KeyGroupContent>),
    /// Of a list state: the checksum of each item, in order.
    Items(Vec<u64>),
}

/// What a key group holds, whatever the order and the encoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyGroupContent {
    /// The group.
    pub group: KeyGroup,
    /// The sum, wrapping, of the checksums of its entries, each of a key and its value in postcard's wire format.
    pub sum: u64,
}
