//! Every step of the protocol is a named place.
//!
//! The runtime reports each step as a [`Fact`] and awaits the [`Probe`]. In the real world that is free and feeds the
//! progress display. In the simulated world the facts are the history that checkers read, the anchors to which faults are
//! tied, and the exact points where an actor dies and never resumes.
//!
//! Deliberately absent: any way for a probe to change what the engine does next, other than by not returning.

mod fact;
mod given_state;
mod reporter;
mod step;

use futures_util::future::BoxFuture;

pub use self::{
    fact::{Actor, Fact, JobStatus},
    given_state::{GivenState, KeyGroupContent, Share},
    reporter::Reporter,
    step::{Step, StepKind},
};
use crate::metrics::Measurement;

/// What the reporter of a fact does next.
pub enum Reached {
    /// Go on at once.
    Continue,
    /// Go on when this future is ready, which may be never.
    Hold(BoxFuture<'static, ()>),
}

/// Told of each step, by the one who took it.
pub trait Probe: Send + Sync {
    /// The fact has become true. Must not block. May panic, which kills the task that reports.
    fn reach(&self, fact: &Fact) -> Reached;

    /// Something was measured. Nothing hangs on it, and it is no step: nobody dies at it. Must not block.
    fn measure(&self, _: &Measurement) {}

    /// Whether it shall be told what keyed state holds, which takes time in proportion to the state.
    fn wants_content(&self) -> bool {
        false
    }
}

/// A probe that nobody looks at.
pub struct NoProbe;

impl Probe for NoProbe {
    fn reach(&self, _: &Fact) -> Reached {
        Reached::Continue
    }
}
