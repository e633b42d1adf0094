//! When a task lets others run.

use std::task::Poll;

/// A task gives way after so many batches. Other tasks, and barriers, wait for the end of a turn, so it is a short one. But
/// whoever gives way may go on on another core, without what the caches of this one hold, and makes the runtime wake a worker
/// for it.
const BATCHES_A_TURN: u32 = 2;

/// A task's turn.
#[derive(Default)]
pub(super) struct Turn {
    batches: u32,
}

impl Turn {
    /// A batch was processed. Ends the turn if that is enough.
    pub(super) async fn batch(&mut self) {
        self.batches += 1;
        if self.batches >= BATCHES_A_TURN {
            self.end().await;
        }
    }

    /// Lets others run.
    pub(super) async fn end(&mut self) {
        self.batches = 0;
        yield_now().await;
    }
}

/// Lets every other ready task run once.
pub(super) async fn yield_now() {
    let mut yielded = false;
    std::future::poll_fn(|context| {
        if yielded {
            return Poll::Ready(());
        }
        yielded = true;
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn others_run_after_two_batches_and_whenever_a_turn_is_ended() {
        let mut turn = Turn::default();
        let mut goes_on = || turn.batch().now_or_never().is_some();
        assert_eq!([goes_on(), goes_on(), goes_on(), goes_on()], [true, false, true, false]);
        assert_eq!(turn.batch().now_or_never(), Some(()));
        assert_eq!(turn.end().now_or_never(), None);
        assert_eq!(turn.batch().now_or_never(), Some(()), "a turn begins anew");
    }
}
