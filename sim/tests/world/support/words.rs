//! A small job that reads files, counts words, and writes them exactly once.

use std::{
    collections::BTreeMap,
    ops::RangeInclusive,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use tidegate::{
    connector::{FileSink, TextFileSource, TextSplit},
    error::Result,
    graph::{JobGraph, StreamExecutionEnvironment},
    job::RestartStrategy,
    state::{KeyGroupEntries, OperatorSnapshot},
};
use tidegate_sim::{
    env::WorldSettings,
    fault::{Anchor, Fault, FaultPlan},
    run::{ClusterShape, Expectation, RunReport, RunSpec, Verdict, run},
    seed::Seed,
    workload::{Lines, StateEntry, Workload, entries_of},
};

use super::counts::put_line;

const FILES: [(&str, &str); 2] = [("/input/1", "a b a c\nd e\na\nf a b\n"), ("/input/2", "b\nc a\ne e e f\nd d b\n")];

pub struct Words(BTreeMap<PathBuf, Vec<u8>>);

impl Workload for Words {
    fn input_files(&self) -> &BTreeMap<PathBuf, Vec<u8>> {
        &self.0
    }

    fn graph(&self) -> Result<JobGraph> {
        let mut env = StreamExecutionEnvironment::new();
        env.set_parallelism(2);
        let delay = Duration::from_millis(10);
        env.enable_checkpointing(Duration::from_millis(5)).set_inline_snapshot_threshold(0);
        env.set_restart_strategy(RestartStrategy::FixedDelay { attempts: u32::MAX, delay });
        let lines = env.from_source(TextFileSource::new(self.0.keys().cloned()));
        let words = lines.flat_map(|line: String| line.split(' ').map(str::to_owned).collect::<Vec<_>>());
        let counts = words.key_by(String::clone).sum(|_| 1_u64);
        counts.sink_to(FileSink::new(self.output_directory(), put_line));
        env.job_graph("Words")
    }

    fn output_directory(&self) -> &Path {
        Path::new("/output/words")
    }

    fn expected_output(&self) -> Lines {
        let mut counts = BTreeMap::new();
        let mut lines = Lines::new();
        for word in FILES.iter().flat_map(|(_, text)| text.split_whitespace()) {
            let n = counts.entry(word).and_modify(|n| *n += 1).or_insert(1_u64);
            lines.insert(format!("{word}\t{n}").into_bytes(), 1);
        }
        lines
    }

    fn check_state(&self, _: &BTreeMap<String, Vec<OperatorSnapshot>>) -> std::result::Result<(), String> {
        Ok(())
    }

    fn entries(&self, _: &str, _: &str, group: &KeyGroupEntries) -> std::result::Result<Vec<StateEntry>, String> {
        entries_of::<String, u64>(group)
    }

    /// Each file is one split: they are short.
    fn splits(&self) -> BTreeMap<String, RangeInclusive<u64>> {
        self.0.iter().map(|(path, text)| (path.display().to_string(), 0..=text.len() as u64)).collect()
    }

    fn split(&self, item: &[u8]) -> std::result::Result<(String, u64), String> {
        TextSplit::decode(item).map(|split| (split.path, split.position)).map_err(|e| e.to_string())
    }
}

/// The job under these faults, in the world of a seed.
pub fn words(seed: u64, faults: Vec<Fault>) -> RunSpec {
    RunSpec {
        scenario: "words".into(),
        seed: Seed(seed),
        workload: Arc::new(Words(FILES.map(|(path, text)| (path.into(), text.into())).into())),
        shape: ClusterShape { task_managers: 2, slots: 1, batch_size: 1, channel_credits: 1 },
        world: WorldSettings::default(),
        plan: FaultPlan::new(faults),
        expectation: Expectation::Finishes,
    }
}

/// Runs it; what is broken is told with the faults that broke it.
pub fn judge(spec: &RunSpec, broken: &mut Vec<String>) -> RunReport {
    let report = run(spec).expect("the job makes sense");
    if report.verdict != Verdict::Held {
        let told = |f: &Fault| format!("{:?} at {}", f.action, anchor(&f.at));
        let faults: Vec<_> = spec.plan.faults.iter().map(told).collect();
        let violation = &report.violations[0];
        broken.push(format!("{}: {}: {}", faults.join(", then "), violation.invariant, violation.message));
    }
    report
}

fn anchor(at: &Anchor) -> String {
    match at {
        Anchor::Step { step, actor, checkpoint, occurrence } => format!("{step} {actor:?} {checkpoint:?} {occurrence}"),
        at => format!("{at:?}"),
    }
}
