//! What can go wrong through no fault of ours, said so that a person can act on it.
//!
//! What a disk, a peer or a user can cause is an [`Error`]; what only a bug of this crate can cause is an assertion.
//! An error crosses the network (a task manager tells the job manager why a task failed), so it is plain data.

use std::{fmt, io};

use serde::{Deserialize, Serialize};

/// What kind of trouble it is; decides whether a restart can help.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ErrorKind {
    /// The user's input, graph, options or directories are not usable as they are. Restarting cannot help.
    BadInput,
    /// Something durable that should be readable is not: missing, cut short, or its checksum does not match. Never
    /// skipped silently (invariant I20); restarting cannot help.
    Damaged,
    /// A device, a peer or the network failed; trying again may help.
    Unavailable,
    /// User code returned an error or panicked; the restart strategy decides.
    UserCode,
    /// This actor has been superseded by a newer attempt or term and must stop.
    Superseded,
}

/// An error: what happened, and the places that it passed on its way up, innermost first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Error {
    /// The kind of trouble.
    pub kind: ErrorKind,
    /// What happened, and what to do about it, in one or two sentences.
    pub message: String,
    /// Where: job, operator, subtask, checkpoint, path; innermost first.
    pub context: Vec<String>,
}

/// The crate's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error of the given kind.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), context: Vec::new() }
    }

    /// See [`ErrorKind::BadInput`].
    pub fn bad_input(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::BadInput, message)
    }

    /// See [`ErrorKind::Damaged`].
    pub fn damaged(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Damaged, message)
    }

    /// See [`ErrorKind::Unavailable`].
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Unavailable, message)
    }

    /// See [`ErrorKind::UserCode`].
    pub fn user_code(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::UserCode, message)
    }

    /// See [`ErrorKind::Superseded`].
    pub fn superseded(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Superseded, message)
    }

    /// Adds a place that the error passed ("operator count, subtask 1").
    #[must_use]
    pub fn at(mut self, place: impl fmt::Display) -> Self {
        self.context.push(place.to_string());
        self
    }

    /// Whether starting the job again, unchanged, can get past this error.
    #[must_use]
    pub fn may_be_retried(&self) -> bool {
        matches!(self.kind, ErrorKind::Unavailable | ErrorKind::UserCode)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for place in self.context.iter().rev() {
            write!(f, "{place}: ")?;
        }
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

impl From<io::Error> for Error {
    fn from(e: io::Error) -> Self {
        let remedy = match e.kind() {
            io::ErrorKind::PermissionDenied | io::ErrorKind::NotADirectory | io::ErrorKind::ReadOnlyFilesystem => {
                return Self::bad_input(format!("{e}: make it accessible, or choose another path"));
            }
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                "; nothing is lost: free some space, and the job goes on where it was"
            }
            io::ErrorKind::FileTooLarge => {
                "; nothing is lost: raise the limit on the size of files (`ulimit -f`), and run the job again"
            }
            _ => "",
        };
        Self::unavailable(format!("{e}{remedy}"))
    }
}

/// Adds a place to the error of a result.
pub trait Context<T> {
    /// Adds the place that `place` names, which is only computed on failure.
    ///
    /// # Errors
    /// The error of `self`, with the place added.
    fn at<P: fmt::Display>(self, place: impl FnOnce() -> P) -> Result<T>;
}

impl<T, E: Into<Error>> Context<T> for std::result::Result<T, E> {
    fn at<P: fmt::Display>(self, place: impl FnOnce() -> P) -> Result<T> {
        self.map_err(|e| e.into().at(place()))
    }
}
