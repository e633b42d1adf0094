//! The scenarios: jobs with generated input, what must come of them, and what goes wrong meanwhile.
//!
//! Deliberately absent: the engine's operators; a reference that used them would share their faults.

pub mod at_least_once;
mod draws;
mod entries;
pub mod ledger;
pub mod word_count;
mod word_reference;
