//! After a failure the sources say how many records they read again: exactly as many as the operators behind them see
//! again.

use std::{
    collections::BTreeMap,
    panic::resume_unwind,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tidegate::{
    checkpoint::RestoreMode,
    connector::{PrintSink, TextFileSource},
    env::Address,
    exchange::Secret,
    graph::{JobGraph, StreamExecutionEnvironment},
    id::CheckpointId,
    job::RestartStrategy,
    metrics::Measurement,
    probe::{Fact, JobStatus, Probe, Reached, Step},
    runtime::{ClusterOptions, LocalCluster},
};
use tidegate_sim::env::{DiskSettings, WorldSettings};

use crate::support::in_world;

const INPUTS: [&str; 2] = ["/input/1", "/input/2"];
const LINES: u64 = 2_000;

/// The numbers at which a task behind the sources panics when it meets them first: twice before a checkpoint can have
/// completed, then behind some.
const FAILURES: [u64; 5] = [3, 5, 700, 1_200, 1_203];

/// How often each number has come out of the sources, and which failures are still to come.
#[derive(Default)]
struct Seen {
    by_sources: AtomicU64,
    failed: Mutex<BTreeMap<u64, ()>>,
}

fn graph(seen: &Arc<Seen>) -> Arc<JobGraph> {
    let mut env = StreamExecutionEnvironment::new();
    let delay = Duration::from_millis(5);
    env.set_parallelism(2)
        .enable_checkpointing(Duration::from_millis(6))
        .set_restart_strategy(RestartStrategy::FixedDelay { attempts: u32::MAX, delay });
    let lines = env.from_source(TextFileSource::new(INPUTS).split_size(512));
    let counted = seen.clone();
    let numbers = lines.map(move |line: String| {
        counted.by_sources.fetch_add(1, Ordering::Relaxed);
        line.parse::<u64>().expect("each line is a number")
    });
    let seen = seen.clone();
    let sums = numbers.uid("numbers").key_by(|number| *number).sum(|_| 1_u64).map(move |(number, _)| {
        if FAILURES.contains(&number) && seen.failed.lock().unwrap().insert(number, ()).is_none() {
            // A panic like any other, but without a word on standard error.
            resume_unwind(Box::new("met for the first time"));
        }
        number
    });
    sums.uid("failing").sink_to(PrintSink::to(Arc::new(Mutex::new(Vec::new())))).uid("sink");
    Arc::new(env.job_graph("Numbers").expect("the job makes sense"))
}

/// What was told.
#[derive(Default)]
struct Told {
    replayed: Mutex<Vec<(Option<CheckpointId>, u64)>>,
    restored: Mutex<Vec<Option<CheckpointId>>>,
}

impl Probe for Told {
    fn reach(&self, fact: &Fact) -> Reached {
        if let Step::AttemptStarted { restored, .. } = fact.step {
            self.restored.lock().unwrap().push(restored);
        }
        Reached::Continue
    }

    fn measure(&self, measurement: &Measurement) {
        if let Measurement::Replayed { restored, records } = *measurement {
            self.replayed.lock().unwrap().push((restored, records));
        }
    }
}

#[test]
fn what_is_told_is_what_operators_see_again() {
    let mut from_checkpoints = 0;
    for seed in 0..20 {
        let (seen, told) = (Arc::new(Seen::default()), Arc::new(Told::default()));
        let (graph, probe) = (graph(&seen), told.clone());
        let disk = DiskSettings { read_latency_max_us: 9_000, ..DiskSettings::default() };
        let status = in_world(seed, WorldSettings { disk, ..WorldSettings::default() }, async move |world| {
            for (i, input) in (0..).zip(INPUTS) {
                let lines: String = (0..LINES).filter(|n| n % 2 == i).map(|n| format!("{n}\n")).collect();
                world.disk.write_file_now(Path::new(input), lines.as_bytes());
            }
            let cluster = LocalCluster {
                graph,
                checkpoint_directory: Some("/checkpoints".into()),
                restore: RestoreMode::Latest,
                task_managers: 2,
                address: Address::new("node:0"),
                options: ClusterOptions { batch_size: 8, ..ClusterOptions::new(Secret([7; 32])) },
                cancel: None,
            };
            cluster.run(world.boot("node"), probe).await.expect("the cluster starts")
        });
        assert_eq!(status, JobStatus::Finished, "seed {seed}");
        let (replayed, restored) = (told.replayed.lock().unwrap(), told.restored.lock().unwrap());
        let again = seen.by_sources.load(Ordering::Relaxed) - LINES;
        let sum: u64 = replayed.iter().map(|(_, records)| records).sum();
        assert_eq!(sum, again, "seed {seed}: {replayed:?}, {restored:?}");
        assert!(again > 0 && restored.len() > 2, "seed {seed}: {replayed:?}, {restored:?}");
        // Each task manager that had a source says so once for each attempt after the first.
        assert!(replayed.iter().all(|(id, _)| restored[1..].contains(id)), "seed {seed}: {replayed:?}, {restored:?}");
        from_checkpoints += replayed.iter().filter(|(id, records)| id.is_some() && *records > 0).count();
    }
    assert!(from_checkpoints >= 20, "{from_checkpoints}");
}
