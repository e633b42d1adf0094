//! Time, by the operating system.

use std::time::{Duration, Instant as StdInstant, SystemTime};

use crate::{
    env::{BoxFuture, Clock},
    instant::Instant,
};

/// Tokio's timers reach about two years; a longer sleep is made of several.
const LONGEST_SLEEP: Duration = Duration::from_secs(365 * 24 * 3600);

/// Counts from when it was made. A sleep ends up to a millisecond late, never early.
#[derive(Clone, Copy)]
pub(super) struct RealClock {
    start: StdInstant,
}

impl RealClock {
    pub(super) fn new() -> Self {
        Self { start: StdInstant::now() }
    }
}

impl Clock for RealClock {
    fn now(&self) -> Instant {
        Instant::default() + self.start.elapsed()
    }

    fn sleep_until(&self, at: Instant) -> BoxFuture<'static, ()> {
        let clock = *self;
        Box::pin(async move {
            // The clock is asked before the timer: tokio rounds a deadline up to the next millisecond, and may put off a
            // timer that has passed when the task has used up its budget; both would break promise 2 for past deadlines.
            loop {
                let left = at.since(clock.now());
                if left.is_zero() {
                    return;
                }
                tokio::time::sleep(left.min(LONGEST_SLEEP)).await;
            }
        })
    }

    fn wall_clock_ms(&self) -> u64 {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }
}
