//! Time.

use std::time::Duration;

use futures_util::future::{Either, select};

use super::BoxFuture;
use crate::instant::Instant;

/// The clock of one node.
///
/// Promises:
/// 1. `now` never goes backwards.
/// 2. `sleep_until(t)` is ready at some moment with `now() >= t`; for `t` in the past it is ready at its first poll.
/// 3. Dropping the sleep cancels it.
pub trait Clock: Send + Sync {
    /// The monotonic time.
    fn now(&self) -> Instant;

    /// Ready once `now() >= at`.
    fn sleep_until(&self, at: Instant) -> BoxFuture<'static, ()>;

    /// Wall-clock time in milliseconds since 1970, for people to read. May jump and differ between nodes; nothing is
    /// ever decided by it.
    fn wall_clock_ms(&self) -> u64;
}

/// The output of `work`, or `None` if `limit` passes first. `work` is dropped in that case. If both are ready, `work` wins.
pub async fn timeout<F: Future>(clock: &dyn Clock, limit: Duration, work: F) -> Option<F::Output> {
    let sleep = clock.sleep_until(clock.now() + limit);
    match select(std::pin::pin!(work), sleep).await {
        Either::Left((output, _)) => Some(output),
        Either::Right(_) => None,
    }
}
