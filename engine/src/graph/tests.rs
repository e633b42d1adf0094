//! Programs, from the user's call to the records that come out, on the local executor.

use std::{
    collections::BTreeMap,
    io::Write,
    sync::{Arc, Mutex},
    time::Duration,
};

use proptest::prelude::*;

use super::{
    DataStream, JobGraph, StreamExecutionEnvironment,
    local_executor::{LocalCheckpoint, LocalJob},
};
use crate::{
    connector::{FileSink, PartFile, PrintSink, TextFileSource, memory_disk::MemoryDisk},
    error::{ErrorKind, Result},
    id::AttemptId,
    operator::KeyedProcessFunction,
    state::{KeyedContext, KeyedStates, ValueState, ValueStateDescriptor},
};

const TEXT: &str = "To be, or not to be: that is the question:\nWhether 'tis nobler in the mind\n\nto suffer\r\n";

fn attempt(number: u32) -> AttemptId {
    AttemptId { term: 1, number }
}

fn words(line: &str) -> Vec<String> {
    let lower = line.to_lowercase();
    let words = lower.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).filter(|w| !w.is_empty());
    words.map(str::to_owned).collect()
}

/// WordCount over the files below `in`, into `out`.
fn word_count(parallelism: u32, split_size: u64) -> JobGraph {
    let mut env = StreamExecutionEnvironment::new();
    env.enable_checkpointing(Duration::from_secs(5)).set_parallelism(parallelism).set_max_parallelism(16);
    env.from_source(TextFileSource::new(["in"]).split_size(split_size))
        .uid("source")
        .flat_map(|line: String| words(&line))
        .uid("words")
        .key_by(|word| word.clone())
        .sum(|_| 1_u64)
        .uid("count")
        .sink_to(FileSink::new("out", |(word, n): &(String, u64), line: &mut Vec<u8>| {
            write!(line, "{word}\t{n}").expect("memory takes everything");
        }))
        .uid("sink");
    env.job_graph("WordCount").unwrap()
}

/// The visible lines, sorted.
fn output(disk: &MemoryDisk) -> Vec<String> {
    let visible = |path: &String| {
        let name = path.strip_prefix("out/").and_then(PartFile::parse);
        matches!(name, Some(PartFile::Visible(..)))
    };
    let parts = disk.paths().into_iter().filter(visible);
    let mut lines: Vec<_> = parts
        .flat_map(|p| String::from_utf8(disk.contents(p)).unwrap().lines().map(str::to_owned).collect::<Vec<_>>())
        .collect();
    lines.sort();
    lines
}

/// Every update that a run without failures emits, sorted.
fn expected(text: &str) -> Vec<String> {
    let mut counts = BTreeMap::<String, u64>::new();
    let mut updates = Vec::new();
    for word in text.lines().flat_map(words) {
        let n = counts.entry(word.clone()).or_default();
        *n += 1;
        updates.push(format!("{word}\t{n}"));
    }
    updates.sort();
    updates
}

#[test]
fn word_count_counts_words() {
    let disk = MemoryDisk::with([("in/hamlet.txt", TEXT)]);
    let mut job = LocalJob::start(word_count(2, 16), &disk, attempt(1), 3, None).unwrap();
    job.run().unwrap();
    assert_eq!(output(&disk), Vec::<String>::new());
    job.checkpoint(1).unwrap();
    job.complete(1).unwrap();
    job.clean_up().unwrap();
    assert_eq!(output(&disk), expected(TEXT));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    /// A job runs for a while, takes a checkpoint, runs on, and dies with its machine; another attempt at another
    /// parallelism restores the checkpoint. Whether the first one had heard of its completion or not: the output is that of
    /// a run without failures.
    #[test]
    fn a_restart_at_any_parallelism_gives_exactly_the_right_updates(
        text in "([a-d]{1,2}[ ,\\n]){0,60}", split_size in 8u64..40, batch_size in 1usize..9,
        before in 0usize..8, after in 0usize..8, notified: bool, old in 1u32..6, new in 1u32..6,
    ) {
        let disk = MemoryDisk::with([("in/a", &text)]);
        let mut first = LocalJob::start(word_count(old, split_size), &disk, attempt(1), batch_size, None).unwrap();
        for _ in 0..before {
            first.step().unwrap();
        }
        let checkpoint = first.checkpoint(4).unwrap();
        for i in 0..after {
            first.step().unwrap();
            if i == 2 {
                // Prepared, but never completed: its number is gone for ever.
                first.checkpoint(5).unwrap();
            }
        }
        if notified {
            first.complete(4).unwrap();
        }
        drop(first);
        disk.lose_power();

        let mut second =
            LocalJob::start(word_count(new, split_size), &disk, attempt(2), batch_size, Some(&checkpoint)).unwrap();
        second.run().unwrap();
        second.checkpoint(6).unwrap();
        second.complete(6).unwrap();
        second.clean_up().unwrap();
        disk.lose_power();
        prop_assert_eq!(output(&disk), expected(&text));
        let hidden = disk.paths().into_iter().filter(|p| p.starts_with("out/.part")).count();
        prop_assert_eq!(hidden, 0);
    }
}

#[test]
fn chains_vertices_and_edges_of_word_count() {
    insta::assert_snapshot!(describe(&word_count(2, 16)), @r#"
v0 source x2: source* -> words
v1 count x2: count*
v2 sink x2: sink*
v0 -> v1 output 0 Hash
v1 -> v2 output 0 Forward
"#);
}

/// One line a vertex, then one line an edge.
fn describe(graph: &JobGraph) -> String {
    let mut text = String::new();
    for v in &graph.vertices {
        let operators: Vec<_> =
            v.operators.iter().map(|o| format!("{}{}", o.uid, if o.stateful { "*" } else { "" })).collect();
        text += &format!("{} {} x{}: {}\n", v.id, v.name, v.parallelism, operators.join(" -> "));
    }
    for e in &graph.edges {
        text += &format!("{} -> {} output {} {:?}\n", e.from, e.to, e.output, e.partitioning);
    }
    text
}

#[test]
fn chains_break_where_streams_fan_out_move_or_change_width() {
    let env = StreamExecutionEnvironment::new();
    let numbers = env.from_elements(0..10_u32).name("the numbers");
    let even = numbers.clone().filter(|n| n % 2 == 0).map(|n| n / 2);
    numbers.map(|n| n + 1).rebalance().map(|n| n + 1).set_parallelism(1).print();
    even.clone().map(|n| n).set_parallelism(3).map(|n| n).set_parallelism(3).print();
    even.print();
    insta::assert_snapshot!(describe(&env.job_graph("fan-out").unwrap()), @r#"
v0 the_numbers x1: the_numbers-0*
v1 filter x1: filter-1 -> map-2
v2 map x1: map-3
v3 map-2 x1: map-4
v4 print x1: print-5*
v5 map-3 x3: map-6 -> map-7
v6 print-2 x1: print-8*
v7 print-3 x1: print-9*
v0 -> v1 output 0 Forward
v0 -> v2 output 1 Forward
v1 -> v5 output 0 Rebalance
v1 -> v7 output 1 Forward
v2 -> v3 output 0 Rebalance
v3 -> v4 output 0 Forward
v5 -> v6 output 0 Rebalance
"#);
}

/// Runs a bounded job without checkpoints and gives what it printed, sorted.
fn printed(program: impl FnOnce(&StreamExecutionEnvironment, &dyn Fn() -> PrintSink<String>)) -> Result<Vec<String>> {
    let env = StreamExecutionEnvironment::new();
    let lines: Arc<Mutex<Vec<u8>>> = Arc::default();
    program(&env, &|| PrintSink::to(lines.clone()));
    let mut job = LocalJob::start(env.job_graph("printed")?, &MemoryDisk::default(), attempt(1), 4, None)?;
    job.run()?;
    let printed = String::from_utf8(lines.lock().unwrap().clone()).unwrap();
    let mut printed: Vec<_> = printed.lines().map(|l| l.replace('"', "")).collect();
    printed.sort();
    Ok(printed)
}

fn text<T: std::fmt::Debug + crate::stream::Data>(stream: DataStream<T>) -> DataStream<String> {
    stream.map(|record| format!("{record:?}"))
}

#[test]
fn every_consumer_of_a_stream_gets_every_record() {
    let lines = printed(|env, sink| {
        let numbers = env.from_elements(1..=5_i64);
        text(numbers.clone().filter(|n| n % 2 == 1)).sink_to(sink());
        text(numbers.clone().map(|n| n * 10)).set_parallelism(2).sink_to(sink());
        text(numbers.key_by(|n| n % 2).reduce(|a, b| a * b)).sink_to(sink());
        text(env.from_elements([9_u8])).sink_to(sink());
    });
    // The odd ones; ten times each; the running products of the odd ones (1, 3, 15) and of the even ones (2, 8).
    let expected = ["1", "1", "10", "15", "2", "20", "3", "3", "30", "40", "5", "50", "8", "9"];
    assert_eq!(lines.unwrap(), expected);
}

/// Emits a record when its key is seen for the third time, and forgets the key.
#[derive(Clone, Default)]
struct EveryThird {
    seen: ValueState<u32>,
}

impl KeyedProcessFunction<u32, u32, (u32, u32)> for EveryThird {
    fn open(&mut self, states: &mut KeyedStates<u32>) -> Result<()> {
        self.seen = states.value(ValueStateDescriptor::new("seen"))?;
        Ok(())
    }

    fn process(&mut self, n: u32, context: &mut KeyedContext<'_, u32>, out: &mut Vec<(u32, u32)>) -> Result<()> {
        match self.seen.value(context).copied().unwrap_or(0) + 1 {
            3 => {
                self.seen.clear(context);
                out.push((*context.current_key(), n));
            }
            seen => self.seen.update(context, seen),
        }
        Ok(())
    }
}

#[test]
fn a_process_function_keeps_state_of_its_own() {
    let lines = printed(|env, sink| {
        text(env.from_elements(0..12).key_by(|n| n % 2).process(EveryThird::default())).sink_to(sink());
    });
    assert_eq!(lines.unwrap(), ["(0, 10)", "(0, 4)", "(1, 11)", "(1, 5)"]);
}

#[test]
fn a_sum_that_overflows_fails_the_job() {
    let error = printed(|env, sink| {
        text(env.from_elements([200_u8, 100]).key_by(|_| 0_u8).sum(|n| *n).uid("total")).sink_to(sink());
    });
    let error = error.unwrap_err();
    assert_eq!(error.kind, ErrorKind::UserCode);
    insta::assert_snapshot!(error, @"operator total, subtask 0: a sum is out of the range of u8: sum up a wider type");
}

/// Restores the first checkpoint of one program with another one.
fn resumed(change: impl FnOnce(&mut LocalCheckpoint), graph: JobGraph) -> String {
    let disk = MemoryDisk::with([("in/hamlet.txt", TEXT)]);
    let mut job = LocalJob::start(word_count(2, 16), &disk, attempt(1), 3, None).unwrap();
    job.step().unwrap();
    let mut checkpoint = job.checkpoint(1).unwrap();
    change(&mut checkpoint);
    match LocalJob::start(graph, &disk, attempt(2), 3, Some(&checkpoint)) {
        Ok(_) => "resumed".to_owned(),
        Err(error) => format!("{:?}: {error}", error.kind),
    }
}

#[test]
fn a_program_that_does_not_fit_its_checkpoint_is_refused() {
    assert_eq!(resumed(|_| (), word_count(3, 16)), "resumed");
    let rename = |uid: &'static str| {
        move |checkpoint: &mut LocalCheckpoint| {
            let operators = checkpoint.snapshots.iter_mut().flatten().flat_map(|s| &mut s.operators);
            operators.filter(|o| o.uid == uid).for_each(|o| o.uid += "-of-old");
        }
    };
    insta::assert_snapshot!(resumed(rename("source"), word_count(2, 16)), @"BadInput: operator source, subtask 0: checkpoint 1 knows no source with the uid source: restore it with the program that took it, or give the source the uid that it had");
    let mut env = StreamExecutionEnvironment::new();
    env.set_max_parallelism(16);
    let numbers = env.from_elements(0..10_u32).uid("source");
    numbers.key_by(|n| *n).reduce(|_, b| b).uid("count").print();
    insta::assert_snapshot!(resumed(|_| (), env.job_graph("WordCount").unwrap()), @"Damaged: operator source, subtask 0: a split of elements cannot be decoded (14 bytes too many): is the checkpoint of a program with another connector?");
}

#[test]
fn state_that_the_program_does_not_use_is_not_dropped() {
    let rename = |checkpoint: &mut LocalCheckpoint| {
        let operators = checkpoint.snapshots.iter_mut().flatten().flat_map(|s| &mut s.operators);
        operators.flat_map(|o| &mut o.keyed).for_each(|state| state.name += "-of-old");
    };
    insta::assert_snapshot!(resumed(rename, word_count(2, 16)), @"BadInput: operator count, subtask 0: the checkpoint holds a state named sum-of-old, which the program does not use: restore it with the program that took it, or start afresh");

    #[derive(Clone)]
    struct Stateless;
    impl KeyedProcessFunction<String, String, String> for Stateless {
        fn open(&mut self, _: &mut KeyedStates<String>) -> Result<()> {
            Ok(())
        }
        fn process(&mut self, word: String, _: &mut KeyedContext<'_, String>, out: &mut Vec<String>) -> Result<()> {
            out.push(word);
            Ok(())
        }
    }
    let mut env = StreamExecutionEnvironment::new();
    env.set_max_parallelism(16);
    let lines = env.read_text_files(["in"]).uid("source");
    lines.key_by(|line| line.clone()).process(Stateless).uid("count").print();
    insta::assert_snapshot!(resumed(|_| (), env.job_graph("WordCount").unwrap()), @"BadInput: operator count, subtask 0: the checkpoint holds a state named sum, which the program does not use: restore it with the program that took it, or start afresh");
}
