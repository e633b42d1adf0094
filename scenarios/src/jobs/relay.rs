//! A relay: passes on what comes in, without a state of its own. For at-least-once checkpoints, under which a job with state
//! may count a record twice.

use std::path::PathBuf;

use tidegate::{connector::FileSink, graph::StreamExecutionEnvironment};

use super::entry_log::{Entry, EntryLog};

/// What the job is called, and what its checkpoint directories belong to.
pub const NAME: &str = "Relay";

/// Where it reads and writes, and how many subtasks do it.
#[derive(Clone, Debug)]
pub struct Relay {
    /// The log's partitions.
    pub partitions: Vec<PathBuf>,
    /// Gets part files with a line `account<TAB>amount` for every entry.
    pub output: PathBuf,
    /// Subtasks of source, relay and sink.
    pub parallelism: [u32; 3],
}

impl Relay {
    /// Adds the job's streams to the environment.
    pub fn build(&self, env: &StreamExecutionEnvironment) {
        let [readers, relays, writers] = self.parallelism;
        env.from_source(EntryLog::new(self.partitions.clone()))
            .set_parallelism(readers)
            .uid("source")
            .rebalance()
            .map(|(account, amount): Entry| format!("{account}\t{amount}"))
            .set_parallelism(relays)
            .uid("relay")
            .sink_to(FileSink::new(&self.output, |entry: &String, line: &mut Vec<u8>| {
                line.extend_from_slice(entry.as_bytes());
            }))
            .set_parallelism(writers)
            .uid("sink");
    }
}
