//! Input that is as bad as it may be: the result is right, memory stays bounded, and what cannot be has a reason.

use std::{fmt::Write as _, fs, process::Command, thread, time::Duration};

use tidegate::graph::{DataStream, StreamExecutionEnvironment};

use crate::support::{Place, assert_exactly_once, count, run, text};

/// The most memory that the process has had at any time, in MiB, and what it said.
fn peak_memory(mut command: Command, place: &Place) -> (u64, String) {
    let log = fs::File::create(place.path("log")).unwrap();
    let mut child = command.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap();
    let status = format!("/proc/{}/status", child.id());
    let mut peak = 0;
    let ended = loop {
        if let Some(ended) = child.try_wait().unwrap() {
            break ended;
        }
        // A process that has ended and was not waited for has no memory any more.
        let high_water = fs::read_to_string(&status).unwrap_or_default();
        let line = high_water.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.and_then(|line| line.trim().strip_suffix(" kB")).and_then(|kib| kib.parse::<u64>().ok());
        peak = peak.max(kib.unwrap_or(0) / 1024);
        thread::sleep(Duration::from_millis(1));
    };
    let said = fs::read_to_string(place.path("log")).unwrap();
    assert!(ended.success(), "{said}");
    (peak, said)
}

/// Words of 10 MB, each in a line of its own: 600 MB of input, of which few are in memory at a time.
#[test]
fn values_of_ten_megabytes() {
    const WORD: usize = 10 << 20;
    let place = Place::new();
    let words = ["a", "b", "c"].map(|letter| letter.repeat(WORD));
    let mut text = String::with_capacity(61 * WORD);
    (0..60).for_each(|i| writeln!(text, "{}", words[i % 3]).unwrap());
    place.write("in", &text);
    drop(text);
    let (peak, said) = peak_memory(place.word_count(&["--checkpoint-interval", "200ms"]), &place);
    assert!(peak < 400, "{peak} MiB");
    assert!(said.contains("completed"), "{said}");
    let mut updates: Vec<(String, String)> = Vec::new();
    for entry in fs::read_dir(place.path("out")).unwrap() {
        let entry = entry.unwrap();
        if entry.file_name().to_str().unwrap().starts_with("part-") {
            for line in fs::read_to_string(entry.path()).unwrap().lines() {
                let (word, n) = line.split_once('\t').unwrap();
                assert!(words.iter().any(|known| known == word), "a word of {} bytes", word.len());
                updates.push((word[..1].to_owned(), n.to_owned()));
            }
        }
    }
    updates.sort();
    let mut expected: Vec<_> =
        ["a", "b", "c"].iter().flat_map(|w| (1..=20).map(|n| (w.to_string(), n.to_string()))).collect();
    expected.sort();
    assert_eq!(updates, expected);
}

/// Set for the process that does the work of the test which starts it.
const WORKER: &str = "TIDEGATE_TEST_WORKER";

/// So many records of so many bytes each: large ones at once, small ones until batches are as large as they may be, and then
/// larger and larger ones.
const LENGTHS: [(usize, usize); 7] = [
    (60, 10 << 20),
    (100_000, 1),
    (20_000, 10 << 10),
    (6_000, 100 << 10),
    (600, 1 << 20),
    (200, 3 << 20),
    (60, 10 << 20),
];

/// Numbers of which an operator makes records: 3.2 GB in all, of which little is in memory at a time. When they grow, one batch
/// is made of as many as were small.
#[test]
fn small_records_that_become_large() {
    large_records_take_less_than(120, "small_records_that_become_large", |numbers| numbers);
}

/// Here they become large in a task that does not choose how many of them it gets at once.
#[test]
fn small_records_that_become_large_behind_an_edge() {
    large_records_take_less_than(250, "small_records_that_become_large_behind_an_edge", DataStream::rebalance);
}

fn large_records_take_less_than(mib: u64, test: &str, deal: impl FnOnce(DataStream<usize>) -> DataStream<usize>) {
    if std::env::var_os(WORKER).is_some() {
        return make_large_records(deal);
    }
    let place = Place::new();
    let mut worker = Command::new(std::env::current_exe().unwrap());
    worker.args(["--exact", &format!("hostile_input::{test}"), "--nocapture"]).env(WORKER, "1");
    let (peak, said) = peak_memory(worker, &place);
    // Some 40 in the chain of a source (4,096 records of 10 KiB), some 100 behind an edge. Batches that only the time they take
    // makes smaller had 130 to 490 of them, as the machine was busy; those that never shrink, more than 600.
    assert!(peak < mib, "{peak} MiB");
    let bytes: usize = LENGTHS.iter().map(|(records, len)| records * len).sum();
    assert!(said.lines().any(|line| line.ends_with(&format!("(97, {bytes})"))), "not all were counted");
}

fn make_large_records(deal: impl FnOnce(DataStream<usize>) -> DataStream<usize>) {
    let mut env = StreamExecutionEnvironment::new();
    env.set_parallelism(1);
    let lengths = LENGTHS.iter().flat_map(|(records, len)| std::iter::repeat_n(*len, *records));
    deal(env.from_elements(lengths.collect::<Vec<_>>()))
        .map(|len| "a".repeat(len))
        .key_by(|word: &String| word.as_bytes()[0])
        .sum(|word| word.len() as u64)
        .print();
    env.execute("large records").unwrap();
}

/// Checkpoints cannot be taken as often as they are wanted. That is no reason to fail, but one to say so.
#[test]
fn an_interval_that_no_disk_can_keep() {
    let place = Place::new();
    let text = text(4 << 20);
    place.write("in", &text);
    let ended = run(&mut place.word_count(&["--checkpoint-interval", "1us"]));
    ended.assert(0, &["checkpoints take longer than the interval", "skipped: the interval was over before"]);
    assert_eq!(ended.stderr.matches("checkpoints take longer").count(), 1, "{}", ended.stderr);
    assert_exactly_once(&place.path("out"), &count(text.as_bytes()));
}

#[test]
fn an_interval_of_zero() {
    let place = Place::new();
    place.write("in", "to be");
    let ended = run(&mut place.word_count(&["--checkpoint-interval", "0s"]));
    ended.assert(2, &["the checkpoint interval is zero: choose one, such as 5 s"]);
    assert!(!place.path("out").exists() && !place.path("chk").exists());
}
