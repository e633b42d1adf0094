//! Whole jobs.

use std::sync::Arc;

use gungraun::prelude::*;
use madsim::runtime::{Handle, Runtime};
use tidegate::{
    checkpoint::RestoreMode,
    env::Address,
    exchange::Secret,
    graph::StreamExecutionEnvironment,
    probe::{JobStatus, NoProbe},
    runtime::{ClusterOptions, LocalCluster},
};
use tidegate_sim::{
    env::{World, WorldSettings, WorldStreams},
    seed::Seed,
};

use crate::{
    at_most,
    support::{Job, Totals, TotalsBoard, Work},
};

const NODE: &str = "node";

/// Runs the job to its end on so many task managers: with more than one, records between them cross the network.
fn run(job: Job, task_managers: u32) -> Totals {
    let mut env = StreamExecutionEnvironment::new();
    env.set_parallelism(job.parallelism);
    let board = Arc::new(TotalsBoard::new(job.parallelism));
    job.build(&env, &board);
    let cluster = LocalCluster {
        graph: Arc::new(env.job_graph("bench").expect("the job is valid")),
        checkpoint_directory: None,
        restore: RestoreMode::Latest,
        task_managers,
        address: Address::new(&format!("{NODE}:0")),
        options: ClusterOptions::new(Secret([7; 32])),
        cancel: None,
    };
    let status = Runtime::with_seed_and_config(1, madsim::Config::default()).block_on(async {
        let env = World::new(WorldStreams::of(Seed(1)), WorldSettings::default()).boot(NODE);
        let node = Handle::current().create_node().name(NODE).build();
        node.spawn(cluster.run(env, Arc::new(NoProbe))).await.expect("it does not panic")
    });
    assert_eq!(status, Ok(JobStatus::Finished), "the job of the bench must finish");
    board.get()
}

fn job(work: Work, keys: u64, parallelism: u32) -> Job {
    Job { work, keys, records: 1_000_000, parallelism }
}

#[library_benchmark]
#[bench::w1_few_keys(args = (job(Work::WordCount, 1_000, 1), 1), config = at_most(400_000_000), teardown = check)]
#[bench::w1_many_keys(args = (job(Work::WordCount, 100_000, 2), 1), config = at_most(620_000_000), teardown = check)]
#[bench::w2_few_keys(args = (job(Work::KeyedSum, 1_000, 1), 1), config = at_most(130_000_000), teardown = check)]
#[bench::w2_many_keys(args = (job(Work::KeyedSum, 100_000, 2), 1), config = at_most(295_000_000), teardown = check)]
#[bench::w2_over_the_network(args = (job(Work::KeyedSum, 1_000, 2), 2), config = at_most(190_000_000), teardown = check)]
fn a_million_records(job: Job, task_managers: u32) -> (Job, Totals) {
    (job, run(job, task_managers))
}

/// What does less than it should must not pass for cheap.
fn check((job, totals): (Job, Totals)) {
    assert!(job.is_exact(totals, job.expected()), "a wrong result: {totals:?}");
}

library_benchmark_group!(name = of_jobs, benchmarks = a_million_records);
