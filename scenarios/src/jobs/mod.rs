//! The jobs, as a user would write them: the same code runs in both worlds.
//!
//! Deliberately absent: anything that knows in which world it runs.

pub mod word_count;
