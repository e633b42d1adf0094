//! What happens after a failure.

use std::time::Duration;

use serde::{Deserialize, Serialize};

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
