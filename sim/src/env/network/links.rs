//! The ways between nodes: how long they are, how much they carry, and which are cut.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use rand_chacha::{ChaCha8Rng, rand_core::Rng};
use tidegate::instant::Instant;

use super::NetworkSettings;
use crate::seed::Draw;

/// The ends of a link, in the direction of flow.
type Link = (Arc<str>, Arc<str>);

fn link(from: &str, to: &str) -> Link {
    (from.into(), to.into())
}

/// Both directions between two nodes.
pub(super) fn both<'a>(a: &'a str, b: &'a str) -> [(&'a str, &'a str); 2] {
    [(a, b), (b, a)]
}

/// How bytes get to the other side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Transit {
    /// When the last of them has been put on the link.
    pub carried: Instant,
    /// How long each is under way from there.
    pub latency: Duration,
}

impl Transit {
    pub(super) fn arrival(self) -> Instant {
        self.carried + self.latency
    }
}

/// All links, each a direction between two nodes.
pub(super) struct Links {
    settings: NetworkSettings,
    /// What each link takes more than the nearest, in nanoseconds; drawn when it is first used.
    distances: BTreeMap<Arc<str>, BTreeMap<Arc<str>, u64>>,
    cut: BTreeSet<Link>,
    delays: BTreeMap<Link, Duration>,
    /// Bytes a millisecond.
    throttles: BTreeMap<Link, u64>,
    /// Until when a link carries what it was given.
    busy: BTreeMap<Link, Instant>,
}

impl Links {
    pub(super) fn new(settings: NetworkSettings) -> Self {
        let (distances, cut, delays) = Default::default();
        Self { settings, distances, cut, delays, throttles: BTreeMap::new(), busy: BTreeMap::new() }
    }

    pub(super) fn cut(&mut self, from: &str, to: &str) {
        self.cut.insert(link(from, to));
    }

    pub(super) fn mend(&mut self, from: &str, to: &str) {
        self.cut.remove(&link(from, to));
    }

    pub(super) fn is_cut(&self, from: &str, to: &str) -> bool {
        !self.cut.is_empty() && self.cut.contains(&link(from, to))
    }

    /// Zero ends it.
    pub(super) fn delay(&mut self, from: &str, to: &str, extra: Duration) {
        if extra.is_zero() {
            self.delays.remove(&link(from, to));
        } else {
            self.delays.insert(link(from, to), extra);
        }
    }

    /// Bytes a millisecond; `None` ends it. Whatever the link has not carried yet is to be given to it again.
    pub(super) fn throttle(&mut self, from: &str, to: &str, bytes_per_ms: Option<u64>) {
        let link = link(from, to);
        self.busy.remove(&link);
        match bytes_per_ms {
            Some(rate) => self.throttles.insert(link, rate.max(1)),
            None => self.throttles.remove(&link),
        };
    }

    /// The links that are throttled.
    pub(super) fn throttled(&self) -> Vec<Link> {
        self.throttles.keys().cloned().collect()
    }

    /// Ends all cuts and delays.
    pub(super) fn heal(&mut self) {
        self.cut.clear();
        self.delays.clear();
    }

    /// The most that a byte takes on its way when nothing is broken, rare ones apart.
    pub(super) fn longest(&self) -> Duration {
        Duration::from_micros(self.settings.latency_max_us + self.settings.latency_spread_us)
    }

    /// How long what leaves now is under way.
    pub(super) fn latency(&mut self, from: &str, to: &str, random: &mut ChaCha8Rng) -> Duration {
        let NetworkSettings { latency_min_us, latency_max_us, latency_spread_us, slow_per_mille, slow_max_us, .. } =
            self.settings;
        let within = |random: &mut ChaCha8Rng, low: u64, high: u64| {
            low * 1_000 + random.next_u64() % ((high.max(low) - low) * 1_000 + 1)
        };
        let mut nanos = within(random, latency_min_us, latency_max_us);
        if slow_per_mille > 0 && random.between(1, 1_000) <= slow_per_mille {
            nanos = within(random, latency_max_us.max(latency_min_us), slow_max_us);
        }
        if latency_spread_us > 0 {
            let known = self.distances.get(from).and_then(|distances| distances.get(to));
            nanos += known.copied().unwrap_or_else(|| {
                let distance = random.between(0, latency_spread_us * 1_000);
                self.distances.entry(from.into()).or_default().insert(to.into(), distance);
                distance
            });
        }
        if from == to {
            nanos /= 10;
        }
        let extra = if self.delays.is_empty() { None } else { self.delays.get(&link(from, to)).copied() };
        Duration::from_nanos(nanos) + extra.unwrap_or_default()
    }

    /// Gives so many bytes to a link, behind all that it was given before. Says when it has carried them.
    pub(super) fn carry(&mut self, from: &str, to: &str, bytes: usize, now: Instant) -> Instant {
        if from == to || (self.settings.bandwidth.is_none() && self.throttles.is_empty()) {
            return now;
        }
        let link = link(from, to);
        let rates = [self.settings.bandwidth, self.throttles.get(&link).copied()];
        let Some(bytes_per_ms) = rates.into_iter().flatten().min() else { return now };
        let busy = self.busy.entry(link).or_insert(now);
        *busy = (*busy).max(now) + Duration::from_nanos(bytes as u64 * 1_000_000 / bytes_per_ms.max(1));
        *busy
    }
}
