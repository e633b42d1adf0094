//! WordCount over generated text.

use std::{
    collections::BTreeMap,
    ops::RangeInclusive,
    path::{Path, PathBuf},
    sync::Arc,
};

use rand_chacha::ChaCha8Rng;
use tidegate::{
    checkpoint::CheckpointOptions,
    connector::TextSplit,
    error::Result,
    graph::JobGraph,
    operator::SPLITS_STATE,
    state::{KeyGroupEntries, OperatorSnapshot},
    stream::CheckpointMode,
};
use tidegate_sim::{
    run::RunSpec,
    seed::{Draw, Seed, Stream},
    workload::{Lines, StateEntry, Workload, entries_of},
};

use super::{draws, word_reference::WordReference};
use crate::jobs::word_count::{NAME, WordCount};

/// The run of a seed.
///
/// # Errors
/// Those of a job graph that makes no sense.
pub fn spec(seed: Seed) -> Result<RunSpec> {
    with_inline_threshold(seed, 0)
}

/// The run of a seed in which snapshots of up to so many bytes get no files.
pub(super) fn with_inline_threshold(seed: Seed, inline_threshold: u64) -> Result<RunSpec> {
    let mut draws = seed.stream(Stream::Settings);
    let parallelism = draws::parallelism(&mut draws);
    let checkpoints = draws::checkpoints(&mut draws, CheckpointMode::ExactlyOnce);
    let settings = Settings {
        parallelism,
        checkpoints: CheckpointOptions { inline_threshold, ..checkpoints },
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
    reference: WordReference<PathBuf>,
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
        Self { settings, reference: WordReference::new(&inputs), inputs, output: "/output".into() }
    }

    fn graph_of(&self, [readers, counters, writers]: [u32; 3], checkpoints: &CheckpointOptions) -> Result<JobGraph> {
        let mut env = draws::environment(checkpoints, self.settings.batch_size);
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

impl Workload for WordCountWorkload {
    fn input_files(&self) -> &BTreeMap<PathBuf, Vec<u8>> {
        &self.inputs
    }

    fn graph(&self) -> Result<JobGraph> {
        self.graph_of(self.settings.parallelism, &self.settings.checkpoints)
    }

    fn rescaled(&self) -> Option<Result<JobGraph>> {
        let checkpoints = draws::rescaled_checkpoints(&self.settings.checkpoints);
        Some(self.graph_of(draws::rescaled(self.settings.parallelism), &checkpoints))
    }

    fn output_directory(&self) -> &Path {
        &self.output
    }

    fn expected_output(&self) -> Lines {
        self.reference.updates()
    }

    fn check_state(&self, operators: &BTreeMap<String, Vec<OperatorSnapshot>>) -> Result<(), String> {
        let none = Vec::new();
        let snapshots = |uid: &str| operators.get(uid).unwrap_or(&none);
        let mut expected = self.reference.none();
        for list in snapshots("source").iter().flat_map(|o| &o.lists).filter(|l| l.name == SPLITS_STATE) {
            for item in &list.items {
                let split = TextSplit::decode(item).map_err(|e| e.to_string())?;
                let (path, to) = (PathBuf::from(&split.path), split.position.min(split.end));
                let added = self.reference.add(&path, split.start, to, &mut expected);
                added.ok_or_else(|| format!("{split:?} is of no input file"))?;
            }
        }
        let mut found = self.reference.none();
        for group in snapshots("count").iter().flat_map(|o| &o.keyed).flat_map(|state| &state.groups) {
            for (word, n) in entries(group)? {
                let number = self.reference.number(word.as_bytes());
                let number = number.ok_or_else(|| format!("the word {word} is counted, and stands nowhere"))?;
                if std::mem::replace(&mut found[number], n) > 0 {
                    return Err(format!("the word {word} stands in two subtasks' state"));
                }
            }
        }
        match self.reference.difference(&found, &expected) {
            None => Ok(()),
            Some((word, found, expected)) => Err(format!(
                "{:?} is counted {found} times, but stands {expected} times in the input before the source's positions",
                String::from_utf8_lossy(word)
            )),
        }
    }

    fn entries(&self, _: &str, _: &str, group: &KeyGroupEntries) -> Result<Vec<StateEntry>, String> {
        entries_of::<String, u64>(group)
    }

    /// Each text in as few pieces as the bound on their size allows. A piece may be read up to where the next piece's first
    /// line begins.
    fn splits(&self) -> BTreeMap<String, RangeInclusive<u64>> {
        let mut splits = BTreeMap::new();
        for (path, text) in &self.inputs {
            let len = text.len() as u64;
            let count = (0..).find(|count| count * self.settings.split_size >= len).expect("it is cut small enough");
            for i in 0..count {
                let (start, end) = (len * i / count, len * (i + 1) / count);
                let rest = &text[end as usize - 1..];
                let last = rest.iter().position(|b| *b == b'\n').map_or(len, |line_end| end + line_end as u64);
                splits.insert(name(path, start, end), start..=last);
            }
        }
        splits
    }

    fn split(&self, item: &[u8]) -> Result<(String, u64), String> {
        let TextSplit { path, start, end, position, .. } = TextSplit::decode(item).map_err(|e| e.to_string())?;
        Ok((name(Path::new(&path), start, end), position))
    }
}

/// The name of a piece of a text.
fn name(path: &Path, start: u64, end: u64) -> String {
    let path = path.to_str().expect("the names of inputs are text");
    [path, " ", &start.to_string(), "..", &end.to_string()].concat()
}

/// Words with their counts.
fn entries(group: &KeyGroupEntries) -> Result<Vec<(String, u64)>, String> {
    group.decode().map_err(|e| e.to_string())
}
