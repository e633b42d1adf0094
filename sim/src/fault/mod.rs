//! What goes wrong, as data: a plan of faults, each tied to a named step of the protocol or to a virtual time.
//!
//! Deliberately absent: randomness, but in `generate`. Replaying a plan draws no random number.

mod generate;
mod matcher;
mod plan;

pub use generate::generate;
pub use matcher::PlanMatcher;
pub use plan::{Action, Anchor, Fault, FaultPlan, PLAN_VERSION, Victim};
