//! One job, run in the real world under observation: what benches that need more than the time of the whole run share.
#![allow(dead_code, unused_imports, reason = "each bench uses a part of it")]

mod chart;
mod machine;
mod phases;
mod run;
mod spread;
mod watcher;
mod window;

pub use chart::{Line, draw};
pub use machine::peak_resident;
pub use phases::{Phase, noise, over_neighbours};
pub use run::{CheckpointFigures, Measured, Recovery, Trial};
pub use spread::{Spread, median_bounds, quantile};
pub use window::Window;
