//! Time in the simulated world: one that never goes backwards, and one that people are shown.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
    time::Duration,
};

use tidegate_sim::env::{ClockSettings, Crash, WorldSettings};

use crate::support::in_world;

const EPOCH_MS: u64 = 1_700_000_000_000;

fn with_clocks(skew_max_ms: u32, drift_max_ppm: u32) -> WorldSettings {
    WorldSettings { clock: ClockSettings { skew_max_ms, drift_max_ppm }, ..WorldSettings::default() }
}

#[test]
fn wall_clocks_are_right_by_default_and_jump_alone() {
    in_world(1, WorldSettings::default(), async |world| {
        let (a, b) = (world.boot("a"), world.boot("b"));
        world.sleep(Duration::from_secs(2)).await;
        assert_eq!([&a, &b].map(|env| env.clock.wall_clock_ms()), [EPOCH_MS + 2_000; 2]);
        let before = a.clock.now();
        world.jump_clock("a", -5_000);
        assert_eq!(a.clock.now(), before, "monotonic time is another");
        assert_eq!([&a, &b].map(|env| env.clock.wall_clock_ms()), [EPOCH_MS - 3_000, EPOCH_MS + 2_000]);
        world.jump_clock("a", 1_500);
        a.clock.sleep_until(before + Duration::from_secs(1)).await;
        assert_eq!(a.clock.now().since(before).as_millis(), 1_000, "a sleep takes as long as ever");
        assert_eq!(a.clock.wall_clock_ms(), EPOCH_MS - 500);
        // The clock on the board goes on, whoever looks at it.
        world.crash("a", Crash::Power);
        assert_eq!(world.boot("a").clock.wall_clock_ms(), EPOCH_MS - 500);
        world.jump_clock("a", i64::MIN);
        assert_eq!(a.clock.wall_clock_ms(), 0);
        world.jump_clock("a", i64::MAX);
        world.jump_clock("a", i64::MAX);
        assert!(a.clock.wall_clock_ms() > EPOCH_MS);
    });
}

#[test]
fn each_wall_clock_is_wrong_in_its_own_way() {
    let mut skews = BTreeSet::new();
    let mut drifts = BTreeSet::new();
    for seed in 0..20 {
        in_world(seed, with_clocks(5_000, 200), async |world| {
            let envs = ["a", "b", "c"].map(|node| world.boot(node));
            let wrong = || envs.each_ref().map(|env| env.clock.wall_clock_ms() as i64 - EPOCH_MS as i64);
            let at_first = wrong();
            world.sleep(Duration::from_secs(10_000)).await;
            for (first, later) in at_first.into_iter().zip(wrong()) {
                skews.insert(first);
                drifts.insert(later - first - 10_000_000);
                assert!(envs[0].clock.now().0 < 10_000_001_000_000, "monotonic time does not drift");
            }
        });
    }
    for (found, most) in [(skews, 5_000), (drifts, 2_000)] {
        let (least, greatest) = (*found.first().unwrap(), *found.last().unwrap());
        assert!(found.len() > 50 && least >= -most && greatest <= most, "{found:?}");
        assert!(least < -most * 9 / 10 && greatest > most * 9 / 10, "{found:?}");
    }
}

#[test]
fn equal_deadlines_fire_in_any_order() {
    let orders: BTreeSet<Vec<&str>> = (0..20)
        .map(|seed| {
            in_world(seed, WorldSettings::default(), async |world| {
                let env = world.boot("a");
                let fired = Arc::new(Mutex::new(Vec::new()));
                let at = env.clock.now() + Duration::from_millis(5);
                for name in ["first", "second"] {
                    let (clock, fired) = (env.clock.clone(), fired.clone());
                    env.spawner.start(name, async move {
                        clock.sleep_until(at).await;
                        fired.lock().unwrap().push(name);
                    });
                }
                world.sleep(Duration::from_millis(10)).await;
                fired.lock().unwrap().clone()
            })
        })
        .collect();
    assert_eq!(orders, [vec!["first", "second"], vec!["second", "first"]].into());
}
