//! A source of the lines of text files.
//!
//! Files are listed once, when the job starts afresh, and cut by byte ranges, so that several subtasks can share a file. A
//! line belongs to the split in which its first byte lies; so a reader runs over its split's end to finish its last line,
//! and the reader of the next split skips to the first line that begins there.
//!
//! Lines are those of [`str::lines`]: they end with `\n` or `\r\n`, which is not part of them; the last one needs no end.
//!
//! Deliberately absent: watching a directory for new files, and encodings other than UTF-8.

mod listing;
mod reader;
mod source;
mod split;

pub use source::{DEFAULT_SPLIT_SIZE, TextFileSource};
pub use split::TextSplit;
