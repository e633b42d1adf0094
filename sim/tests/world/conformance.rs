//! The simulated world keeps the promises of `tidegate::env`, like the real one.

use std::path::Path;

use tidegate::env::conformance::{Scene, checks};
use tidegate_sim::env::{DiskSettings, NetworkSettings, WorldSettings};

use crate::support::in_world;

/// Checks that write so much before they read that a small window stops them.
const WRITES_AHEAD: [&str; 3] =
    ["a_writer_waits_for_its_reader", "a_dropped_connection_delivers_what_was_written", "a_read_gets_what_is_there"];

/// What every check says that fails in one of these worlds.
fn broken(seeds: std::ops::Range<u64>, settings: &WorldSettings) -> Vec<String> {
    let mut broken = Vec::new();
    for seed in seeds {
        let writes_ahead = |name: &str| WRITES_AHEAD.iter().any(|check| name.ends_with(check));
        for (name, check) in checks() {
            if settings.network.window < 30_000 && writes_ahead(name) {
                continue;
            }
            let outcome = in_world(seed, settings.clone(), async move |world| {
                let directory = Path::new("/scenes").join(name);
                world.disk.create_directory_now(&directory);
                check(world.boot("node"), Scene { directory, host: "node".into() }).await
            });
            broken.extend(outcome.err().map(|e| format!("seed {seed}: {e}")));
        }
    }
    broken
}

fn with_network(network: NetworkSettings) -> WorldSettings {
    WorldSettings { network, ..WorldSettings::default() }
}

#[test]
fn the_usual_world() {
    assert_eq!(broken(0..8, &WorldSettings::default()), [""; 0]);
}

#[test]
fn a_network_of_small_windows() {
    for window in [61, 1024] {
        let settings = with_network(NetworkSettings { window, latency_max_us: 60, ..NetworkSettings::default() });
        assert_eq!(broken(0..2, &settings), [""; 0], "{window} bytes");
    }
}

#[test]
fn a_network_of_narrow_and_uneven_links() {
    let network = NetworkSettings {
        latency_spread_us: 5_000,
        slow_per_mille: 20,
        slow_max_us: 50_000,
        bandwidth: Some(1_000),
        ..NetworkSettings::default()
    };
    assert_eq!(broken(0..4, &with_network(network)), [""; 0]);
}

#[test]
fn a_world_without_delay() {
    let network = NetworkSettings { latency_min_us: 0, latency_max_us: 0, ..NetworkSettings::default() };
    let (latency_min_us, latency_max_us) = (0, 0);
    let disk = DiskSettings { latency_min_us, latency_max_us, sync_latency_max_us: 0, ..DiskSettings::default() };
    assert_eq!(broken(0..2, &WorldSettings { network, disk, ..WorldSettings::default() }), [""; 0]);
}

#[test]
fn a_disk_that_gives_less_than_was_asked_for() {
    let (latency_min_us, latency_max_us, read_latency_max_us) = (0, 1, 1);
    let disk = DiskSettings {
        latency_min_us,
        latency_max_us,
        read_latency_max_us,
        short_reads: 80,
        ..DiskSettings::default()
    };
    assert_eq!(broken(0..4, &WorldSettings { disk, ..WorldSettings::default() }), [""; 0]);
}

#[test]
fn a_slow_world() {
    let network = NetworkSettings { latency_min_us: 100, latency_max_us: 50_000, ..NetworkSettings::default() };
    let disk = DiskSettings { latency_max_us: 50_000, sync_latency_max_us: 500_000, ..DiskSettings::default() };
    assert_eq!(broken(0..4, &WorldSettings { network, disk, ..WorldSettings::default() }), [""; 0]);
}
