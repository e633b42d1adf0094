//! Who runs where, and what happens after a failure. Pure state machines: no clock, no I/O, no `async`.

mod restart_strategy;

pub use restart_strategy::RestartStrategy;
