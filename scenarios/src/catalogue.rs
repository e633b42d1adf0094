//! The scenarios by name.

use std::{sync::Arc, time::Duration};

use tidegate::{
    checkpoint::CheckpointOptions,
    error::{Error, Result},
    stream::CheckpointMode,
};
use tidegate_sim::{
    cluster::node_names,
    env::{DiskSettings, NetworkSettings, WorldSettings},
    fault::{FaultPlan, generate},
    run::{ClusterShape, RunSpec},
    seed::{Draw, Seed, Stream},
};

use crate::scenarios::word_count::{Settings, WordCountWorkload};

/// A named adversity.
pub struct Scenario {
    /// What it is called on the command line.
    pub name: &'static str,
    /// What it is, in one sentence.
    pub summary: &'static str,
    make: fn(Seed) -> Result<RunSpec>,
}

impl Scenario {
    /// The run of a seed.
    ///
    /// # Errors
    /// Those of a job graph that makes no sense.
    pub fn spec(&self, seed: u64) -> Result<RunSpec> {
        Ok(RunSpec { scenario: self.name.to_owned(), ..(self.make)(Seed(seed))? })
    }
}

/// All scenarios.
pub const SCENARIOS: &[Scenario] = &[Scenario {
    name: "wordcount",
    summary: "WordCount, exactly once, on a cluster that is crashed, cut and stalled at any step",
    make: wordcount,
}];

/// The scenario of this name.
///
/// # Errors
/// `BadInput` that lists the names there are.
pub fn find(name: &str) -> Result<&'static Scenario> {
    SCENARIOS.iter().find(|s| s.name == name).ok_or_else(|| {
        let names: Vec<&str> = SCENARIOS.iter().map(|s| s.name).collect();
        Error::bad_input(format!("there is no scenario {name}: choose one of {}", names.join(", ")))
    })
}

/// A run of WordCount as the seed has it, with the plan that it draws.
fn wordcount(seed: Seed) -> Result<RunSpec> {
    let mut settings = seed.stream(Stream::Settings);
    let parallelism = [settings.between(1, 3) as u32, settings.between(1, 3) as u32, settings.between(1, 2) as u32];
    let mut checkpoints = CheckpointOptions {
        interval: Duration::from_micros(settings.between(500, 6_000)),
        mode: CheckpointMode::ExactlyOnce,
        timeout: Duration::from_millis(settings.between(30, 200)),
        min_pause: Duration::ZERO,
        tolerable_failures: settings.between(0, 3) as u32,
        retained: settings.between(1, 3) as u32,
    };
    if settings.chance(30) {
        checkpoints.min_pause = Duration::from_micros(settings.between(100, 3_000));
    }
    let job = Settings {
        parallelism,
        split_size: settings.between(100, 500),
        batch_size: settings.between(1, 64) as usize,
        checkpoints,
    };
    let mut cluster = seed.stream(Stream::Cluster);
    let needed = *parallelism.iter().max().expect("there are three") as u64;
    let shape = ClusterShape {
        task_managers: 3,
        slots: cluster.between(needed.div_ceil(2), needed) as u32,
        batch_size: job.batch_size,
        channel_credits: cluster.between(1, 4) as u32,
    };
    let latency_max_us = cluster.between(60, 400);
    let world = WorldSettings {
        network: NetworkSettings { latency_max_us, window: 1 << cluster.between(9, 16), ..NetworkSettings::default() },
        disk: DiskSettings {
            latency_max_us: cluster.between(30, 300),
            // Slow inputs, so that a job of few lines lasts for several checkpoints.
            read_latency_max_us: cluster.between(1_000, 6_000),
            sync_latency_max_us: cluster.between(100, 1_500),
            ..DiskSettings::default()
        },
    };
    let workload = Arc::new(WordCountWorkload::generate(&mut seed.stream(Stream::Workload), job));
    let graph = tidegate_sim::workload::Workload::graph(&*workload)?;
    let plan: FaultPlan = generate(&mut seed.stream(Stream::Plan), &graph, &node_names(shape.task_managers));
    Ok(RunSpec { scenario: String::new(), seed, workload, shape, world, plan })
}
