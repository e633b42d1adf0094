//! Named jobs under named adversities, and the command line that runs them in the real and in the simulated world.
//!
//! ```text
//!   main ──► cli ──┬──────────────────────► jobs ──► tidegate        (real world)
//!                  └─► catalogue ─► scenarios ─┴───► tidegate-sim    (simulated world)
//! ```
//!
//! Deliberately absent: what a fault is and how it is judged (see `tidegate-sim`).

pub mod catalogue;
pub mod cli;
pub mod corpus;
#[cfg(feature = "defects")]
pub mod hunt;
pub mod jobs;
pub mod scenarios;
