//! What a connector keeps in a checkpoint.

use serde::de::DeserializeOwned;

use crate::error::{Error, Result};

/// An item of a connector's list state, from a checkpoint.
///
/// # Errors
/// `Damaged` if the bytes hold something else.
pub(super) fn decode_item<T: DeserializeOwned>(what: &str, bytes: &[u8]) -> Result<T> {
    let damaged = |why: &dyn std::fmt::Display| {
        let message =
            format!("{what} cannot be decoded ({why}): is the checkpoint of a program with another connector?");
        Error::damaged(message)
    };
    let (item, rest) = postcard::take_from_bytes(bytes).map_err(|e| damaged(&e))?;
    if rest.is_empty() { Ok(item) } else { Err(damaged(&format_args!("{} bytes too many", rest.len()))) }
}
