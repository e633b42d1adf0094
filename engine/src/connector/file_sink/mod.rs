//! A sink that writes lines to files, exactly once.
//!
//! ```text
//!  write            .part-0-1.2-7.inprogress        open; holds what came since the last barrier
//!  prepare_commit   .part-0-1.2-7-4.pending         complete and durable; checkpoint 4 may still fail
//!  notify_complete   part-0-4-1.2-7                 visible: checkpoint 4 exists, and this can never be undone
//! ```
//!
//! Readers look at the names without a dot only. What is pending stands in the snapshot, so a restart from checkpoint 4
//! gives the file its visible name again if the notification was lost, and removes what is newer.
//!
//! Every name carries the attempt that wrote it: two attempts never write to the same file, and one that sees a file of a
//! later attempt knows that it is superseded.
//!
//! Deliberately absent: the decision when a transaction may be committed (see `checkpoint::SinkTransactions`).

mod directory;
mod names;
mod sink;
#[cfg(test)]
mod tests;
mod writer;

pub use directory::MARKER_FILE;
pub use names::{Committable, PartFile, PartId};
pub use sink::{DEFAULT_PART_SIZE, FileSink};
