//! A world without an engine.

use madsim::runtime::Runtime;
use rand_chacha::rand_core::Rng;
use tidegate_sim::{
    env::{World, WorldSettings, WorldStreams},
    seed::{Seed, Stream},
};

/// Runs a scene in the world of a seed, in a thread of its own, as every simulation needs it.
pub fn in_world<T: Send>(seed: u64, settings: WorldSettings, scene: impl AsyncFnOnce(World) -> T + Send) -> T {
    let run = move || {
        let seed = Seed(seed);
        let scheduler = seed.stream(Stream::Scheduler).next_u64();
        Runtime::with_seed_and_config(scheduler, madsim::Config::default()).block_on(async move {
            let streams = WorldStreams {
                network: seed.stream(Stream::Network),
                disk: seed.stream(Stream::Disk),
                entropy: seed.stream(Stream::Entropy),
                sites: seed.stream(Stream::Sites),
                clock: seed.stream(Stream::Clock),
            };
            scene(World::new(streams, settings)).await
        })
    };
    std::thread::scope(|scope| scope.spawn(run).join()).unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}
