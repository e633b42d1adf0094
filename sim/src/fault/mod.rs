//! What goes wrong, as data: a plan of faults, each tied to a named step of the protocol, to a control message, or to a
//! virtual time.
//!
//! Deliberately absent: randomness, but in `generate`. Replaying a plan draws no random number.

mod action;
mod anchor;
mod generate;
mod kind;
mod matcher;
mod plan;
mod spelling;

pub use action::{Action, Damage, DiskError, FileKind, Victim};
pub use anchor::Anchor;
pub use generate::{generate, is_of_a_task};
pub use kind::FaultKind;
pub use matcher::PlanMatcher;
pub use plan::{Fault, FaultPlan, Guarantee, PLAN_VERSION, check_version};
pub use spelling::{did_you_mean, read_json};
