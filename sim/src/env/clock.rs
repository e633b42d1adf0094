//! Time, by madsim's virtual clock.

use std::{
    pin::Pin,
    task::{Context, Poll, Waker},
    time::Duration,
};

use madsim::time::{Sleep, TimeHandle};
use tidegate::{
    env::{BoxFuture, Clock},
    instant::Instant,
};

/// The clock of all nodes.
pub(super) struct SimClock {
    time: TimeHandle,
}

impl SimClock {
    pub(super) fn new() -> Self {
        Self { time: TimeHandle::current() }
    }
}

impl Clock for SimClock {
    fn now(&self) -> Instant {
        now(&self.time)
    }

    fn sleep_until(&self, at: Instant) -> BoxFuture<'static, ()> {
        Box::pin(SimSleep::new(&self.time, at))
    }

    fn wall_clock_ms(&self) -> u64 {
        // A fixed beginning, so that what is written for people is the same in every run.
        1_700_000_000_000 + self.now().0 / 1_000_000
    }
}

/// The virtual time.
pub(super) fn now(time: &TimeHandle) -> Instant {
    Instant(u64::try_from(time.elapsed().as_nanos()).unwrap_or(u64::MAX))
}

/// An exact sleep. Madsim's own has a floor of a millisecond when it is made, and leaves one more timer behind whenever it
/// is polled; this one sets it to the exact time first, and polls it once per waker.
pub(super) struct SimSleep {
    time: TimeHandle,
    at: Instant,
    inner: Sleep,
    armed: Option<Waker>,
}

impl SimSleep {
    pub(super) fn new(time: &TimeHandle, at: Instant) -> Self {
        let mut inner = time.sleep(Duration::ZERO);
        // Madsim counts in the machine's own instants, from a base that only this difference tells.
        let wait = Duration::from_nanos(at.0.saturating_sub(now(time).0));
        if let Some(deadline) = time.now_instant().checked_add(wait) {
            Pin::new(&mut inner).reset(deadline);
        }
        Self { time: time.clone(), at, inner, armed: None }
    }
}

impl Future for SimSleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if now(&self.time) >= self.at {
            return Poll::Ready(());
        }
        if self.at == Instant(u64::MAX) || self.armed.as_ref().is_some_and(|w| w.will_wake(context.waker())) {
            return Poll::Pending;
        }
        self.armed = Some(context.waker().clone());
        Pin::new(&mut self.inner).poll(context)
    }
}
