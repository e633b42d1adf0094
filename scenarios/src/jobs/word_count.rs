//! WordCount, as in Flink's own introduction: lower-case, split on `[^A-Za-z0-9_]+`, drop empties, key by word, sum.
//!
//! Only ASCII letters are lower-cased, so that in the C locale `tr A-Z a-z | tr -cs a-z0-9_ '\n'` finds the same words.

use std::{io::Write as _, path::PathBuf};

use tidegate::{
    connector::{FileSink, TextFileSource},
    graph::StreamExecutionEnvironment,
    operator::Collector,
    stream::SmallString,
};

/// What the job is called, and what its checkpoint directories belong to.
pub const NAME: &str = "WordCount";

/// Where it reads and writes.
#[derive(Clone, Debug)]
pub struct WordCount {
    /// Text files, or directories of them.
    pub inputs: Vec<PathBuf>,
    /// Gets part files with a line `word<TAB>n` for every update.
    pub output: PathBuf,
    /// How many bytes of a file are read by one subtask in one piece; the source's default if `None`.
    pub split_size: Option<u64>,
    /// How many subtasks count; the environment's parallelism if `None`.
    pub counters: Option<u32>,
    /// How many subtasks write; the environment's parallelism if `None`.
    pub writers: Option<u32>,
}

impl WordCount {
    /// The job with the usual settings.
    #[must_use]
    pub fn new(inputs: Vec<PathBuf>, output: PathBuf) -> Self {
        Self { inputs, output, split_size: None, counters: None, writers: None }
    }

    /// Adds the job's streams to the environment.
    pub fn build(&self, env: &StreamExecutionEnvironment) {
        let mut source = TextFileSource::new(self.inputs.clone());
        if let Some(size) = self.split_size {
            source = source.split_size(size);
        }
        let mut counts = env
            .from_source(source)
            .uid("source")
            .flat_map_with(words)
            .key_by(SmallString::clone)
            .sum(|_| 1_u64)
            .uid("count");
        if let Some(parallelism) = self.counters {
            counts = counts.set_parallelism(parallelism);
        }
        let output =
            counts.sink_to(FileSink::new(&self.output, |(word, n): &(SmallString, u64), line: &mut Vec<u8>| {
                write!(line, "{word}\t{n}").expect("a vector takes everything");
            }));
        match self.writers {
            Some(parallelism) => output.uid("sink").set_parallelism(parallelism),
            None => output.uid("sink"),
        };
    }
}

/// The words of a line.
fn words(mut line: String, out: &mut Collector<'_, SmallString>) {
    line.make_ascii_lowercase();
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    out.extend(line.split(|c| !is_word(c)).filter(|word| !word.is_empty()).map(SmallString::from));
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tidegate::connector::PrintSink;

    use super::*;

    /// The words of some lines, as the job's own operator finds them.
    fn found(lines: &[&str]) -> String {
        let printed: Arc<Mutex<Vec<u8>>> = Arc::default();
        let env = StreamExecutionEnvironment::new();
        env.from_elements(lines.iter().map(|line| (*line).to_owned()))
            .flat_map_with(words)
            .sink_to(PrintSink::to(printed.clone()));
        env.execute("words").unwrap();
        let printed = String::from_utf8(printed.lock().unwrap().clone()).unwrap();
        printed.replace('\n', " ")
    }

    #[test]
    fn words_are_those_that_tr_finds() {
        let expected = r#""to" "be" "or_not" "to" "be" "2" "be" "#;
        assert_eq!(found(&["To be,or_not--to BE 2 \t be…"]), expected);
        assert_eq!(found(&["café \u{212a}elvin", " .-\u{fffd}"]), r#""caf" "elvin" "#);
    }
}
