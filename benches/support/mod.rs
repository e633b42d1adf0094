//! What the benches of the real world share: two jobs, and a way to run them that also checks what came out.
#![allow(dead_code, reason = "each bench uses a part of it")]

mod range_source;
mod totals_sink;

use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};
use tidegate::{connector::Sink, graph::StreamExecutionEnvironment};

use range_source::RangeSource;
pub use totals_sink::Totals;
use totals_sink::TotalsSink;

/// Of sources, of operators and of sinks: one subtask for each of two cores.
const PARALLELISM: u32 = 2;

/// Whether to run everything once on little input, as criterion does: `cargo bench` without `--test` measures.
pub fn is_test() -> bool {
    let given = |flag| std::env::args().any(|argument| argument == flag);
    given("--test") || !given("--bench")
}

/// What is done with each record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Work {
    /// Record `i` is the line `w<key>`. It is split on blanks, and its words are counted.
    WordCount,
    /// Record `i` is `(key, i)`, and the second is summed by the first. No strings.
    KeyedSum,
}

impl fmt::Display for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::WordCount => "word count",
            Self::KeyedSum => "keyed sum",
        })
    }
}

/// How often checkpoints are taken.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Checkpoints {
    Off,
    Every(Duration),
}

impl Checkpoints {
    /// The settings that are compared.
    pub const ALL: [Self; 3] =
        [Self::Off, Self::Every(Duration::from_secs(1)), Self::Every(Duration::from_millis(100))];
}

impl fmt::Display for Checkpoints {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => f.write_str("checkpoints off"),
            Self::Every(interval) => write!(f, "checkpoints every {interval:?}"),
        }
    }
}

/// A job of the suite: `records` records, whose keys are drawn evenly from `keys` keys.
#[derive(Clone, Copy)]
pub struct Job {
    pub work: Work,
    pub keys: u64,
    pub records: u64,
}

impl Job {
    /// Runs the job to its end and gives the time that `execute` took: start and end of the cluster, deployment, all
    /// records and, with checkpoints, the final one are in it.
    ///
    /// # Panics
    /// If the job fails.
    pub fn run(&self, checkpoints: Checkpoints) -> (Duration, Totals) {
        // Beside the build, where a real disk is: the system's temporary directory may be in memory.
        let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("the target directory is writable");
        let mut env = StreamExecutionEnvironment::new();
        env.set_parallelism(PARALLELISM);
        if let Checkpoints::Every(interval) = checkpoints {
            env.enable_checkpointing(interval).set_checkpoint_directory(directory.path());
        }
        let totals = Arc::new(TotalsSink::default());
        self.build(&env, totals_sink::Shared(totals.clone()));
        let started = Instant::now();
        env.execute("bench").expect("the job finishes");
        (started.elapsed(), totals.get())
    }

    /// Adds the job to the environment, with this sink.
    pub fn build(&self, env: &StreamExecutionEnvironment, sink: impl Sink<(String, u64)> + Sink<(u64, u64)>) {
        let keys = self.keys;
        let source = env.from_source(RangeSource { records: self.records });
        match self.work {
            Work::WordCount => {
                let words = source
                    .map(move |i| format!("w{}", key(i, keys)))
                    .flat_map(|line| line.split(' ').map(str::to_owned).collect::<Vec<_>>());
                words.key_by(|word| word.clone()).sum(|_| 1_u64).sink_to(sink);
            }
            Work::KeyedSum => {
                let pairs = source.map(move |i| (key(i, keys), i));
                pairs.key_by(|(key, _)| *key).reduce(|sum, (key, value)| (key, sum.1.wrapping_add(value))).sink_to(sink);
            }
        }
    }

    /// What the sink must have seen at the end, by a plain loop: for a key with value v and c records, the updates are v,
    /// 2v, … cv. Their sum hangs on no order, and tells of each record that is lost or counted twice.
    #[must_use]
    pub fn expected(&self) -> Totals {
        let mut counts = vec![0_u64; self.keys as usize];
        (0..self.records).for_each(|i| counts[key(i, self.keys) as usize] += 1);
        let value = |key: usize| if self.work == Work::WordCount { 1 } else { key as u64 };
        let sum = counts.iter().enumerate().map(|(key, c)| value(key) * (c * (c + 1) / 2)).fold(0, u64::wrapping_add);
        Totals { records: self.records, sum }
    }
}

/// The key of record `i`: drawn with SplitMix64, so that any piece of the input can be made on its own.
pub fn key(i: u64, keys: u64) -> u64 {
    let mut z = i.wrapping_add(42).wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    (z ^ (z >> 31)) % keys
}
