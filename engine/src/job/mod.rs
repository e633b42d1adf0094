//! Who runs where, and what happens after a failure. Pure state machines: events in, commands out.
//!
//! Deliberately absent: clocks, I/O, `async`. The time is an argument, and what is to be done is a value.

mod failure_detector;
mod lifecycle;
mod restart_strategy;
mod scheduler;

pub use failure_detector::FailureDetector;
pub use lifecycle::{Lifecycle, LifecycleCommand, LifecycleEvent, Phase};
pub use restart_strategy::{RestartPolicy, RestartStrategy};
pub use scheduler::assign;
