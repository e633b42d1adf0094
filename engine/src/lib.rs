//! Tidegate: a stateful stream engine with Flink's model of state and fault tolerance.
//!
//! WordCount, exactly once. Kill it at any moment and start it again: it goes on from its latest checkpoint, and in the end
//! each update `(word, 1)`, `(word, 2)`, … stands in the output once.
//!
//! ```
//! use std::time::Duration;
//! use tidegate::{connector::FileSink, error::Result, graph::StreamExecutionEnvironment};
//!
//! fn word_count(input: &str, output: &str, checkpoints: &str) -> Result<()> {
//!     let mut env = StreamExecutionEnvironment::new();
//!     env.set_parallelism(2).enable_checkpointing(Duration::from_secs(5)).set_checkpoint_directory(checkpoints);
//!     env.read_text_files([input])
//!         .flat_map(|line| {
//!             let words = line.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).filter(|word| !word.is_empty());
//!             words.map(str::to_ascii_lowercase).collect::<Vec<_>>()
//!         })
//!         .key_by(|word| word.clone())
//!         .sum(|_| 1_u64)
//!         .sink_to(FileSink::new(output, |(word, n), line| line.extend(format!("{word}\t{n}").bytes())));
//!     env.execute("WordCount").map(drop)
//! }
//! # let place = tempfile::tempdir().unwrap();
//! # let path = |name| place.path().join(name).to_str().unwrap().to_owned();
//! # std::fs::write(path("in"), "To be, or not to be: that is the question.\n").unwrap();
//! # word_count(&path("in"), &path("out"), &path("checkpoints")).unwrap();
//! # let parts = std::fs::read_dir(path("out")).unwrap().map(|part| part.unwrap());
//! # let parts = parts.filter(|part| part.file_name().to_str().unwrap().starts_with("part-"));
//! # let mut lines: Vec<String> = parts.flat_map(|part| {
//! #     let text = std::fs::read_to_string(part.path()).unwrap();
//! #     text.lines().map(str::to_owned).collect::<Vec<_>>()
//! # }).collect();
//! # lines.sort();
//! # assert_eq!(lines.join(" "), "be\t1 be\t2 is\t1 not\t1 or\t1 question\t1 that\t1 the\t1 to\t1 to\t2");
//! ```
//!
//! # Map
//!
//! ```text
//!   what the user asked for   graph ──► a JobGraph: vertices of chained operators, joined by channels
//!   what is computed          operator, connector, state
//!   what flows                stream: batches, barriers; exchange: frames on the network
//!   how we survive            checkpoint (pure state machines), storage (files)
//!   who runs where            job (pure state machines): lifecycle, restart strategies, failure detection
//!   the shell                 runtime: job manager, task managers, stream tasks; async, and thin
//!   the seam                  env: clock, spawner, network, disk, entropy, real or simulated
//!   what is seen              probe: every step of a protocol is a named place; metrics: what it has cost
//! ```
//!
//! The main path: a program builds a [`graph::StreamExecutionEnvironment`]; its job is run by
//! [`runtime::run_job_manager`], which deploys it to task managers ([`runtime::run_task_manager`]); each subtask is a stream
//! task that polls its source or input gate, pushes batches through its chain, and takes part in checkpoints. A checkpoint
//! begins in [`checkpoint::Coordinator`] and exists once [`storage::CheckpointStore`] has published its manifest.
//!
//! Start reading at [`checkpoint`] for the protocol, at [`probe`] for its steps, at [`mod@env`] for what the engine asks of the
//! world. ARCHITECTURE.md tells the reasons.

// First, because it defines `planted!`, which the modules after it use.
#[macro_use]
pub mod defect;

pub mod checkpoint;
pub mod connector;
pub mod env;
pub mod error;
pub mod exchange;
pub mod graph;
pub mod id;
pub mod instant;
pub mod job;
pub mod key_group;
pub mod metrics;
pub mod operator;
pub mod probe;
mod recycler;
pub mod runtime;
pub mod state;
pub mod storage;
pub mod stream;
