//! The outside world: where records come from and where they go.
//!
//! Deliberately absent: when to read, write or commit; that is the runtime's business. A connector sees one subtask.

mod elements;
mod file_sink;
#[cfg(test)]
pub(crate) mod memory_disk;
mod print;
mod sink;
mod source;
mod text_files;

pub use elements::{ElementsSource, ElementsSplit};
pub use file_sink::{Committable, DEFAULT_PART_SIZE, FileSink, MARKER_FILE, PartFile, PartId};
pub use print::{PrintSink, SharedWriter};
pub use sink::{Sink, SinkWriter};
pub use source::{Source, SourceReader};
pub use text_files::{DEFAULT_SPLIT_SIZE, TextFileSource, TextSplit};

/// An item of a connector's list state, from a checkpoint.
///
/// # Errors
/// `Damaged` if the bytes hold something else.
fn decode_item<T: serde::de::DeserializeOwned>(what: &str, bytes: &[u8]) -> crate::error::Result<T> {
    let damaged = |why: &dyn std::fmt::Display| {
        let message =
            format!("{what} cannot be decoded ({why}): is the checkpoint of a program with another connector?");
        crate::error::Error::damaged(message)
    };
    let (item, rest) = postcard::take_from_bytes(bytes).map_err(|e| damaged(&e))?;
    if rest.is_empty() { Ok(item) } else { Err(damaged(&format_args!("{} bytes too many", rest.len()))) }
}
