//! The real clock: tokio's timer on the operating system's monotonic clock.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::{
    env::{BoxFuture, Clock},
    instant::Instant,
};

/// Tokio's timer wheel reaches about two years; a longer sleep is made of several.
const LONGEST_SLEEP: Duration = Duration::from_secs(365 * 24 * 3600);

/// Nanoseconds since this value was made. A sleep ends up to a millisecond late, never early.
#[derive(Clone, Copy)]
pub(super) struct TokioClock {
    start: tokio::time::Instant,
}

impl TokioClock {
    pub(super) fn starting_now() -> Self {
        Self { start: tokio::time::Instant::now() }
    }
}

impl Clock for TokioClock {
    fn now(&self) -> Instant {
        Instant::default() + self.start.elapsed()
    }

    fn sleep_until(&self, at: Instant) -> BoxFuture<'static, ()> {
        let clock = *self;
        Box::pin(async move {
            // Asking the clock first makes a past deadline ready at the first poll, whatever tokio's poll budget says.
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
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since_1970.as_millis()).unwrap_or(u64::MAX)
    }
}
