//! The workloads: jobs with generated input, and what must come of them.
//!
//! Deliberately absent: the engine's operators; a reference that used them would share their faults.

pub mod word_count;
