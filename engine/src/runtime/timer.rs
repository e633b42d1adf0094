//! A deadline that moves.

use crate::{
    env::{BoxFuture, Clock},
    instant::Instant,
};

/// A sleep that is set anew only when its deadline changes, so that a busy loop does not leave a timer behind at each turn.
pub(crate) struct Timer {
    set: Option<(Instant, BoxFuture<'static, ()>)>,
}

impl Timer {
    pub(crate) fn new() -> Self {
        Self { set: None }
    }

    /// Ready once `deadline` has passed.
    pub(crate) fn until(&mut self, clock: &dyn Clock, deadline: Instant) -> &mut BoxFuture<'static, ()> {
        if self.set.as_ref().is_none_or(|(at, _)| *at != deadline) {
            self.set = None;
        }
        &mut self.set.get_or_insert_with(|| (deadline, clock.sleep_until(deadline))).1
    }

    /// Must be called when the sleep was ready, before it is used again.
    pub(crate) fn reset(&mut self) {
        self.set = None;
    }
}
