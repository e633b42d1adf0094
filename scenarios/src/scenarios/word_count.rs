//! WordCount over generated text.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use rand_chacha::ChaCha8Rng;
use tidegate::{
    checkpoint::CheckpointOptions, connector::TextSplit, error::Result, graph::JobGraph, operator::SPLITS_STATE,
    state::OperatorSnapshot, stream::CheckpointMode,
};
use tidegate_sim::{
    run::RunSpec,
    seed::{Draw, Seed, Stream},
    workload::{Lines, Workload},
};

use super::draws;
use crate::jobs::word_count::{NAME, WordCount};

/// The run of a seed.
///
/// # Errors
/// Those of a job graph that makes no sense.
pub fn spec(seed: Seed) -> Result<RunSpec> {
    let mut draws = seed.stream(Stream::Settings);
    let parallelism = draws::parallelism(&mut draws);
    let settings = Settings {
        parallelism,
        checkpoints: draws::checkpoints(&mut draws, CheckpointMode::ExactlyOnce),
        split_size: draws.between(100, 500),
        batch_size: draws.between(1, 64) as usize,
    };
    let batch_size = settings.batch_size;
    let workload = WordCountWorkload::generate(&mut seed.stream(Stream::Workload), settings);
    draws::run(seed, parallelism, batch_size, Arc::new(workload))
}

/// The job's settings in a simulated run.
pub(super) struct Settings {
    /// Subtasks of source, count and sink.
    pub parallelism: [u32; 3],
    pub checkpoints: CheckpointOptions,
    /// Bytes in a split: small, so that reading takes many steps.
    pub split_size: u64,
    /// Records in a batch.
    pub batch_size: usize,
}

/// Text, and the job that counts its words.
pub(super) struct WordCountWorkload {
    settings: Settings,
    inputs: BTreeMap<PathBuf, Vec<u8>>,
    output: PathBuf,
}

impl WordCountWorkload {
    /// Draws the text.
    fn generate(random: &mut ChaCha8Rng, settings: Settings) -> Self {
        let files = random.between(1, 3);
        Self::new((0..files).map(|i| (PathBuf::from(format!("/input/text-{i}")), text(random))).collect(), settings)
    }

    /// Counts the words of these files.
    pub fn new(inputs: BTreeMap<PathBuf, Vec<u8>>, settings: Settings) -> Self {
        Self { settings, inputs, output: "/output".into() }
    }

    fn graph_of(&self, [readers, counters, writers]: [u32; 3]) -> Result<JobGraph> {
        let mut env = draws::environment(&self.settings.checkpoints, self.settings.batch_size);
        env.set_parallelism(readers);
        let job = WordCount {
            split_size: Some(self.settings.split_size),
            counters: Some(counters),
            writers: Some(writers),
            ..WordCount::new(self.inputs.keys().cloned().collect(), self.output.clone())
        };
        job.build(&env);
        env.job_graph(NAME)
    }
}

/// Lines of words, few of them frequent and many rare, with all that real files have at their edges.
fn text(random: &mut ChaCha8Rng) -> Vec<u8> {
    let mut text = String::new();
    let lines = random.between(20, 120);
    for _ in 0..lines {
        match random.between(0, 40) {
            0 => {}
            1 => text += "Überall — naïve café, 東京!",
            2 => text += &"long_line ".repeat(40),
            3 => text += "…;:-- ..",
            _ => {
                for _ in 0..random.between(1, 8) {
                    // Squared, so that low numbers are frequent.
                    let n = random.between(0, 12).pow(2) / 3;
                    let word = if random.chance(20) { format!("Word{n}") } else { format!("word{n}") };
                    text += &word;
                    text += *random.pick::<&str>(&[" ", ", ", "-", "\t", "  "]);
                }
            }
        }
        text += if random.chance(10) { "\r\n" } else { "\n" };
    }
    if random.chance(50) {
        text += "the last line has no end";
    }
    text.into_bytes()
}

/// The reference: the words of some bytes, lower-cased, found byte by byte.
fn words(bytes: &[u8]) -> impl Iterator<Item = Vec<u8>> + '_ {
    let is_word = |b: &u8| matches!(b, b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_');
    bytes.split(move |b| !is_word(b)).filter(|w| !w.is_empty()).map(<[u8]>::to_ascii_lowercase)
}

/// The reference: counts the words of all lines that begin within `from..to`.
fn count_lines(contents: &[u8], from: u64, to: u64, counts: &mut BTreeMap<Vec<u8>, u64>) {
    let mut start = 0;
    for line in contents.split_inclusive(|b| *b == b'\n') {
        if (from..to).contains(&(start as u64)) {
            for word in words(line) {
                *counts.entry(word).or_default() += 1;
            }
        }
        start += line.len();
    }
}

impl Workload for WordCountWorkload {
    fn input_files(&self) -> &BTreeMap<PathBuf, Vec<u8>> {
        &self.inputs
    }

    fn graph(&self) -> Result<JobGraph> {
        self.graph_of(self.settings.parallelism)
    }

    fn rescaled(&self) -> Option<Result<JobGraph>> {
        Some(self.graph_of(draws::rescaled(self.settings.parallelism)))
    }

    fn output_directory(&self) -> &Path {
        &self.output
    }

    fn expected_output(&self) -> Lines {
        let mut counts = BTreeMap::new();
        for contents in self.inputs.values() {
            count_lines(contents, 0, u64::MAX, &mut counts);
        }
        let mut lines = Lines::new();
        for (word, n) in counts {
            for i in 1..=n {
                let mut line = word.clone();
                line.extend_from_slice(format!("\t{i}").as_bytes());
                lines.insert(line, 1);
            }
        }
        lines
    }

    fn check_state(&self, operators: &BTreeMap<String, Vec<OperatorSnapshot>>) -> Result<(), String> {
        let none = Vec::new();
        let snapshots = |uid: &str| operators.get(uid).unwrap_or(&none);
        let mut expected = BTreeMap::new();
        for list in snapshots("source").iter().flat_map(|o| &o.lists).filter(|l| l.name == SPLITS_STATE) {
            for item in &list.items {
                let split = TextSplit::decode(item).map_err(|e| e.to_string())?;
                let contents = self.inputs.get(Path::new(&split.path));
                let contents = contents.ok_or_else(|| format!("{split:?} is of no input file"))?;
                count_lines(contents, split.start, split.position.min(split.end), &mut expected);
            }
        }
        let mut found = BTreeMap::new();
        for state in snapshots("count").iter().flat_map(|o| &o.keyed) {
            for group in &state.groups {
                for (word, n) in group.decode::<String, u64>().map_err(|e| e.to_string())? {
                    if found.insert(word.clone().into_bytes(), n).is_some() {
                        return Err(format!("the word {word} stands in two subtasks' state"));
                    }
                }
            }
        }
        let differs = |word: &&Vec<u8>| found.get(*word) != expected.get(*word);
        match found.keys().chain(expected.keys()).find(differs) {
            None => Ok(()),
            Some(word) => Err(format!(
                "{:?} is counted {} times, but stands {} times in the input before the source's positions",
                String::from_utf8_lossy(word),
                found.get(word).unwrap_or(&0),
                expected.get(word).unwrap_or(&0)
            )),
        }
    }
}
