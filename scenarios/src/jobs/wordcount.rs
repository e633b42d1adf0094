//! Counts words.

use std::path::PathBuf;

use tidegate::{connector::FileSink, graph::StreamExecutionEnvironment};

/// The job's name, which its checkpoint and output directories carry.
pub const NAME: &str = "wordcount";

/// The uid of the source of lines.
pub const SOURCE: &str = "source";
/// The uid of the operator that keeps the counts: state `sum` of type `u64` by word.
pub const COUNT: &str = "count";
/// The uid of the file sink.
pub const SINK: &str = "sink";

/// What is counted, where the counts go, and how wide the job is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WordCount {
    /// Text files in UTF-8, or directories of such.
    pub inputs: Vec<PathBuf>,
    /// The directory of the file sink.
    pub output: PathBuf,
    /// How many subtasks read and split lines; the environment's parallelism if `None`.
    pub source_parallelism: Option<u32>,
    /// How many subtasks count, each its own words.
    pub count_parallelism: Option<u32>,
    /// How many subtasks write.
    pub sink_parallelism: Option<u32>,
}

/// The words of a line: runs of `[A-Za-z0-9_]` in lower case. Only ASCII letters are changed, so that
/// `tr A-Z a-z | tr -cs a-z0-9_ '\n'` in the C locale finds the same words.
#[must_use]
pub fn words(line: &str) -> Vec<String> {
    let line = line.to_ascii_lowercase();
    let words = line.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).filter(|word| !word.is_empty());
    words.map(str::to_owned).collect()
}

/// Adds the job to an environment. Every update of a count becomes a line `word<TAB>n`, so that in the committed files
/// each pair (word, 1…n) stands exactly once.
pub fn build(env: &StreamExecutionEnvironment, job: &WordCount) {
    let mut lines = env.read_text_files(job.inputs.clone()).uid(SOURCE);
    if let Some(parallelism) = job.source_parallelism {
        lines = lines.set_parallelism(parallelism);
    }
    let mut split = lines.flat_map(|line| words(&line)).name("split");
    if let Some(parallelism) = job.source_parallelism {
        split = split.set_parallelism(parallelism);
    }
    let mut counts = split.key_by(|word| word.clone()).sum(|_| 1_u64).uid(COUNT);
    if let Some(parallelism) = job.count_parallelism {
        counts = counts.set_parallelism(parallelism);
    }
    let sink = counts.sink_to(FileSink::new(job.output.clone(), encode)).uid(SINK);
    if let Some(parallelism) = job.sink_parallelism {
        sink.set_parallelism(parallelism);
    }
}

/// `word<TAB>n`.
fn encode((word, n): &(String, u64), line: &mut Vec<u8>) {
    line.extend_from_slice(word.as_bytes());
    line.push(b'\t');
    line.extend_from_slice(n.to_string().as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_those_that_tr_finds() {
        assert_eq!(words("To be,or_not--to BE 2 \t be…"), ["to", "be", "or_not", "to", "be", "2", "be"]);
        assert_eq!(words("café \u{212a}elvin"), ["caf", "elvin"]);
        assert_eq!(words(" .-\u{fffd}"), [""; 0]);
    }

    #[test]
    fn each_operator_is_as_wide_as_told() {
        let env = StreamExecutionEnvironment::new();
        let (source_parallelism, count_parallelism, sink_parallelism) = (Some(2), Some(3), Some(1));
        let job = WordCount { source_parallelism, count_parallelism, sink_parallelism, ..WordCount::default() };
        build(&env, &job);
        let refused = env.job_graph(NAME).err().expect("a file sink needs checkpoints");
        assert!(refused.to_string().contains("checkpoint"), "{refused}");
        let mut env = StreamExecutionEnvironment::new();
        env.enable_checkpointing(std::time::Duration::from_secs(1)).set_checkpoint_directory("checkpoints");
        build(&env, &job);
        let graph = env.job_graph(NAME).unwrap();
        let shape: Vec<_> = graph.vertices.iter().map(|v| format!("{}:{}", v.name, v.parallelism)).collect();
        assert_eq!(shape, ["source:2", "count:3", "sink:1"]);
    }
}
