//! Named Tidegate jobs, and the command line that runs them in the real and in the simulated world.
//!
//! ```text
//!   main ──► cli ──► jobs ──► tidegate        (real world)
//!                └─► jobs ──► tidegate-sim    (simulated world)
//! ```
//!
//! Deliberately absent: anything that a job could not do with the engine's public API.

pub mod cli;
pub mod jobs;
