//! Time, by the operating system.

use std::time::{Duration, Instant as StdInstant, SystemTime};

use crate::{
    env::{BoxFuture, Clock},
    instant::Instant,
};

/// Counts from when it was made.
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
        Instant(u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX))
    }

    fn sleep_until(&self, at: Instant) -> BoxFuture<'static, ()> {
        match self.start.checked_add(Duration::from_nanos(at.0)) {
            Some(at) => Box::pin(tokio::time::sleep_until(at.into())),
            None => Box::pin(std::future::pending()),
        }
    }

    fn wall_clock_ms(&self) -> u64 {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }
}
