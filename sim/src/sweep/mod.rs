//! The sweep: not luck, but every step of a job in turn, struck by every kind of crash.
//!
//! A run without faults says which steps there are ([`Survey`]). Each is a [`Place`], named so that a plan can find it again.
//! A [`Point`] of the sweep is a place, a kind of crash and a victim ([`Strike`]), or two strikes, the second of them in the
//! [`Recovery`] from the first. Each point is a run of its own, and its [`Outcome`] is the verdict on that run.
//!
//! A run repeats the survey's history up to the strike, and so the strike must fall where it was aimed. If it does not, the
//! point is missed: nothing is known of it.
//!
//! Deliberately absent: threads, budgets and files. Who sweeps runs the points as he likes; they do not know one another.

mod pairs;
mod place;
mod point;
mod recovery;
mod survey;
mod tally;

pub use pairs::{Pairs, Pruned};
pub use place::{Place, places};
pub use point::{Aim, Fate, Outcome, Point, Strike};
pub use recovery::Recovery;
pub use survey::Survey;
pub use tally::{Counts, Tally};
