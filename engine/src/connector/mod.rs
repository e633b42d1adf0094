//! The outside world: where records come from and where they go.
//!
//! Deliberately absent: when to read, write or commit; that is the runtime's business. A connector sees one subtask.

mod elements;
mod file_sink;
mod item;
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

use item::decode_item;
