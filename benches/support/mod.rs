//! What the benches of the real world share: two jobs, and a way to run them that also checks what came out.
#![allow(dead_code, reason = "each bench uses a part of it")]

mod generator_source;
mod totals_sink;

use std::{
    fmt,
    num::Wrapping,
    sync::Arc,
    time::{Duration, Instant},
};

use tidegate::{
    graph::{DataStream, StreamExecutionEnvironment},
    stream::{Data, SmallString},
};

use generator_source::GeneratorSource;
use totals_sink::TotalsSink;
pub use totals_sink::{Totals, TotalsBoard};

/// Whether to run everything once on little input, as criterion does: `cargo bench` without `--test` measures.
pub fn is_test() -> bool {
    let given = |flag| std::env::args().any(|argument| argument == flag);
    given("--test") || !given("--bench")
}

/// What is done with each record.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// Record `i` is the line `w<key>`. It is split on blanks, and its words are counted: one update for each.
    WordCount,
    /// Record `i` is `(key, i)`, and the second is summed by the first, wrapping: one update for each. No strings.
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
    /// Of sources, of operators and of sinks.
    pub parallelism: u32,
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
        env.set_parallelism(self.parallelism);
        if let Checkpoints::Every(interval) = checkpoints {
            env.enable_checkpointing(interval).set_checkpoint_directory(directory.path());
        }
        let totals = self.build(&env);
        let started = Instant::now();
        env.execute("bench").expect("the job finishes");
        (started.elapsed(), totals.get())
    }

    /// Adds the job's streams to an environment. What its sink has seen is known while the job runs and after it.
    pub fn build(&self, env: &StreamExecutionEnvironment) -> Arc<TotalsBoard> {
        let keys = self.keys;
        match self.work {
            Work::WordCount => {
                let lines = env.from_source(GeneratorSource::new(self.records, move |i| line(key(i, keys))));
                let words = lines.flat_map_with(|line, words| words.extend(line.split(' ').map(SmallString::from)));
                self.sum_up(words.key_by(SmallString::clone).sum(|_| 1_u64), |(_, n)| *n)
            }
            Work::KeyedSum => {
                let pairs = env.from_source(GeneratorSource::new(self.records, move |i| (key(i, keys), Wrapping(i))));
                self.sum_up(pairs.key_by(|(key, _)| *key).sum(|(_, i)| *i), |(_, sum)| sum.0)
            }
        }
    }

    fn sum_up<T: Data>(
        &self,
        updates: DataStream<T>,
        number: impl Fn(&T) -> u64 + Send + Sync + 'static,
    ) -> Arc<TotalsBoard> {
        let totals = Arc::new(TotalsBoard::new(self.parallelism));
        updates.sink_to(TotalsSink::new(totals.clone(), number));
        totals
    }

    /// What the sink must have seen at the end, by a plain loop. A word that comes c times gives the updates 1, 2, … c, in
    /// whatever order: the sum tells of each record that is lost or counted twice. The sums of several subtasks' records,
    /// however, hang on the order in which they come, so of them only the number can be foretold.
    #[must_use]
    pub fn expected(&self) -> Totals {
        let mut state = vec![0_u64; self.keys as usize];
        let mut sum = 0_u64;
        for i in 0..self.records {
            let value = &mut state[key(i, self.keys) as usize];
            *value = value.wrapping_add(if self.work == Work::WordCount { 1 } else { i });
            sum = sum.wrapping_add(*value);
        }
        Totals { records: self.records, sum }
    }

    /// Whether these are the totals of a run in which each record counted exactly once.
    #[must_use]
    pub fn is_exact(&self, totals: Totals, expected: Totals) -> bool {
        let hangs_on_order = self.work == Work::KeyedSum && self.parallelism > 1;
        totals.records == expected.records && (hangs_on_order || totals.sum == expected.sum)
    }
}

/// The key of record `i`: drawn with SplitMix64, so that any piece of the input can be made on its own.
fn key(i: u64, keys: u64) -> u64 {
    let mut z = i.wrapping_add(42).wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    (z ^ (z >> 31)) % keys
}

/// A `w` and the key in decimal: what `format!` would give, at a fraction of its cost.
fn line(key: u64) -> SmallString {
    let mut line = SmallString::from("w");
    line.push_str(itoa::Buffer::new().format(key));
    line
}
