//! The jobs, as a user would write them: the same code runs in both worlds.
//!
//! Deliberately absent: anything that knows in which world it runs.

pub mod entry_log;
pub mod ledger;
pub mod relay;
pub mod word_count;
