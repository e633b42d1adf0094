//! What happens after a failure.

use std::{collections::VecDeque, time::Duration};

use serde::{Deserialize, Serialize};

use crate::instant::Instant;

/// Whether and when a failed job is started again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RestartStrategy {
    /// Never.
    None,
    /// After a fixed delay, at most so many times.
    FixedDelay {
        /// How often at most.
        attempts: u32,
        /// The delay.
        delay: Duration,
    },
    /// After a delay that doubles with each failure and falls back after a calm period.
    ExponentialDelay {
        /// The first delay.
        initial: Duration,
        /// The largest delay.
        max: Duration,
        /// Running so long without a failure brings the delay back to `initial`.
        reset_after: Duration,
    },
    /// After a fixed delay, unless there were too many failures lately.
    FailureRate {
        /// How many failures are allowed within `interval`.
        max_failures: u32,
        /// The period that is looked back over.
        interval: Duration,
        /// The delay.
        delay: Duration,
    },
}

impl Default for RestartStrategy {
    /// Exponential from 1 s to 1 minute, forgetting after 10 minutes: for a job with checkpoints.
    fn default() -> Self {
        Self::ExponentialDelay {
            initial: Duration::from_secs(1),
            max: Duration::from_secs(60),
            reset_after: Duration::from_secs(600),
        }
    }
}

/// A strategy at work: remembers past failures.
#[derive(Clone, Debug)]
pub struct RestartPolicy {
    strategy: RestartStrategy,
    failures: u32,
    /// The delay after the last failure.
    delay: Duration,
    last_failure: Option<Instant>,
    /// Failures within the interval of `FailureRate`, oldest first.
    recent: VecDeque<Instant>,
}

impl RestartPolicy {
    /// A policy that has seen no failure.
    #[must_use]
    pub fn new(strategy: RestartStrategy) -> Self {
        Self { strategy, failures: 0, delay: Duration::ZERO, last_failure: None, recent: VecDeque::new() }
    }

    /// The job has failed: gives the delay after which it is to be started again, or `None` if it is to be given up.
    pub fn on_failure(&mut self, now: Instant) -> Option<Duration> {
        let last_failure = self.last_failure.replace(now);
        match &self.strategy {
            RestartStrategy::None => None,
            RestartStrategy::FixedDelay { attempts, delay } => {
                self.failures += 1;
                (self.failures <= *attempts).then_some(*delay)
            }
            RestartStrategy::ExponentialDelay { initial, max, reset_after } => {
                // The job started to run when the last delay was over.
                let calm = last_failure.is_none_or(|at| now.since(at + self.delay) >= *reset_after);
                self.delay = if calm { *initial } else { (self.delay * 2).min(*max) };
                Some(self.delay)
            }
            RestartStrategy::FailureRate { max_failures, interval, delay } => {
                while self.recent.front().is_some_and(|at| now.since(*at) >= *interval) {
                    self.recent.pop_front();
                }
                self.recent.push_back(now);
                (self.recent.len() <= *max_failures as usize).then_some(*delay)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The delays in milliseconds that failures at these milliseconds lead to; -1 for giving up.
    fn delays(strategy: RestartStrategy, failures: &[u64]) -> Vec<i64> {
        let mut policy = RestartPolicy::new(strategy);
        let delay = |ms: &u64| policy.on_failure(Instant(ms * 1_000_000)).map_or(-1, |d| d.as_millis() as i64);
        failures.iter().map(delay).collect()
    }

    #[test]
    fn none_gives_up_at_once() {
        assert_eq!(delays(RestartStrategy::None, &[5]), [-1]);
    }

    #[test]
    fn fixed_delay_gives_up_after_its_attempts() {
        let strategy = RestartStrategy::FixedDelay { attempts: 2, delay: Duration::from_millis(7) };
        assert_eq!(delays(strategy, &[1, 2, 1000]), [7, 7, -1]);
    }

    #[test]
    fn exponential_delay_doubles_is_bounded_and_falls_back_after_calm() {
        let ms = Duration::from_millis;
        let strategy = RestartStrategy::ExponentialDelay { initial: ms(10), max: ms(50), reset_after: ms(100) };
        // Failures right after each start: 10, 20, 40, 50. Then it runs for 99 ms after the delay of 50: no fall-back yet.
        assert_eq!(delays(strategy, &[0, 10, 30, 70, 219, 369]), [10, 20, 40, 50, 50, 10]);
    }

    #[test]
    fn failure_rate_looks_back_over_its_interval() {
        let ms = Duration::from_millis;
        let strategy = RestartStrategy::FailureRate { max_failures: 2, interval: ms(100), delay: ms(5) };
        assert_eq!(delays(strategy, &[0, 50, 100, 149]), [5, 5, 5, -1]);
    }
}
