//! Time: monotonic by madsim's virtual clock, the same on all nodes; on the wall as each node believes.

use std::{
    collections::BTreeMap,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll, Waker},
    time::Duration,
};

use madsim::time::{Sleep, TimeHandle};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use tidegate::{
    env::{BoxFuture, Clock},
    instant::Instant,
};

use crate::seed::Draw;

/// The wall clock's beginning: fixed, so that what is written for people is the same in every run.
const EPOCH_MS: i128 = 1_700_000_000_000;

/// How wrong the nodes' wall clocks are. By default they are right.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClockSettings {
    /// Each is off by up to so many milliseconds at the beginning, either way.
    pub skew_max_ms: u32,
    /// Each is too fast or too slow by up to so many millionths.
    pub drift_max_ppm: u32,
}

/// How wrong one node's wall clock is, in all the lives of the node.
struct WallClock {
    ahead_ms: i64,
    drift_ppm: i64,
}

/// The wall clocks of all nodes.
pub(super) struct WallClocks {
    settings: ClockSettings,
    state: Mutex<(ChaCha8Rng, BTreeMap<String, WallClock>)>,
}

impl WallClocks {
    pub(super) fn new(random: ChaCha8Rng, settings: ClockSettings) -> Self {
        Self { settings, state: Mutex::new((random, BTreeMap::new())) }
    }

    pub(super) fn jump(&self, node: &str, by_ms: i64) {
        self.with(node, |clock| clock.ahead_ms = clock.ahead_ms.saturating_add(by_ms));
    }

    fn read(&self, node: &str, now: Instant) -> u64 {
        let elapsed_ms = i128::from(now.0 / 1_000_000);
        let ms = self.with(node, |clock| {
            EPOCH_MS + elapsed_ms + elapsed_ms * i128::from(clock.drift_ppm) / 1_000_000 + i128::from(clock.ahead_ms)
        });
        u64::try_from(ms.max(0)).unwrap_or(u64::MAX)
    }

    fn with<T>(&self, node: &str, act: impl FnOnce(&mut WallClock) -> T) -> T {
        let mut state = self.state.lock().expect("nobody panics while holding this lock");
        let (random, nodes) = &mut *state;
        let clock = nodes.entry(node.to_owned()).or_insert_with(|| {
            let mut either_way = |most: u32| random.between(0, 2 * u64::from(most)) as i64 - i64::from(most);
            WallClock {
                ahead_ms: either_way(self.settings.skew_max_ms),
                drift_ppm: either_way(self.settings.drift_max_ppm),
            }
        });
        act(clock)
    }
}

/// The clock of one node.
pub(super) struct SimClock {
    time: TimeHandle,
    node: String,
    wall: Arc<WallClocks>,
}

impl SimClock {
    pub(super) fn new(node: &str, wall: Arc<WallClocks>) -> Self {
        Self { time: TimeHandle::current(), node: node.to_owned(), wall }
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
        self.wall.read(&self.node, self.now())
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
