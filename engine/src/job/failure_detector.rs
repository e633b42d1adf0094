//! Who has been silent for too long.

use std::{collections::BTreeMap, time::Duration};

use crate::instant::Instant;

/// Suspects peers that gave no sign of life for a time-out. It may be wrong: a suspected peer may be alive and cut off, so
/// whatever it still does must be fenced by its attempt.
#[derive(Clone, Debug)]
pub struct FailureDetector<P> {
    timeout: Duration,
    heard: BTreeMap<P, Instant>,
}

impl<P: Ord + Clone> FailureDetector<P> {
    /// A detector that watches nobody.
    #[must_use]
    pub fn new(timeout: Duration) -> Self {
        Self { timeout, heard: BTreeMap::new() }
    }

    /// Watches a peer from now on.
    pub fn watch(&mut self, peer: P, now: Instant) {
        self.heard.insert(peer, now);
    }

    /// The peer gave a sign of life. Nothing happens if it is not watched.
    pub fn heard(&mut self, peer: &P, now: Instant) {
        if let Some(at) = self.heard.get_mut(peer) {
            *at = now;
        }
    }

    /// Watches the peer no longer.
    pub fn forget(&mut self, peer: &P) {
        self.heard.remove(peer);
    }

    /// The peers that have been silent for the time-out or longer. They are not watched any more.
    pub fn expired(&mut self, now: Instant) -> Vec<P> {
        let timeout = self.timeout;
        let silent: Vec<P> =
            self.heard.iter().filter(|(_, at)| now.since(**at) >= timeout).map(|(p, _)| p.clone()).collect();
        for peer in &silent {
            self.heard.remove(peer);
        }
        silent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_counts_from_the_last_sign_of_life() {
        let at = |ms: u64| Instant(ms * 1_000_000);
        let mut detector = FailureDetector::new(Duration::from_millis(50));
        detector.watch("a", at(0));
        detector.watch("b", at(10));
        detector.heard(&"a", at(20));
        detector.heard(&"stranger", at(20));
        assert_eq!(detector.expired(at(59)), [""; 0]);
        assert_eq!(detector.expired(at(60)), ["b"]);
        assert_eq!(detector.expired(at(69)), [""; 0]);
        assert_eq!(detector.expired(at(70)), ["a"]);
        assert_eq!(detector.expired(at(1000)), [""; 0]);
    }
}
