//! Named jobs under named adversities, and the command line.
//!
//! Deliberately absent: what a fault is and how it is judged (see `tidegate-sim`).

pub mod catalogue;
pub mod jobs;
pub mod scenarios;
