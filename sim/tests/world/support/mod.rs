//! A world without an engine.

pub mod connection;
pub mod counts;
pub mod scene;
pub mod words;

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
        Runtime::with_seed_and_config(scheduler, madsim::Config::default())
            .block_on(async move { scene(World::new(WorldStreams::of(seed), settings)).await })
    };
    std::thread::scope(|scope| scope.spawn(run).join()).unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}
