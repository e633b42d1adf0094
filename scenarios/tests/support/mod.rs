//! What the tests of the binary share: a place to work in, text, an independent count, and processes.
#![allow(dead_code, reason = "each test binary uses a part of it")]
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "these tests run real processes in real time")]

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use tempfile::TempDir;

/// A directory of its own for each test, and the paths of a job in it.
pub struct Place {
    pub root: TempDir,
}

impl Place {
    pub fn new() -> Self {
        Self { root: tempfile::tempdir().expect("there is room for temporary files") }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    pub fn write(&self, name: &str, contents: impl AsRef<[u8]>) {
        fs::write(self.path(name), contents).unwrap();
    }

    /// `tidegate …` in this directory, so that paths may be relative.
    pub fn tidegate(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tidegate"));
        command.args(arguments).current_dir(self.root.path()).stdin(Stdio::null()).env_remove("TIDEGATE_SECRET");
        command
    }

    /// The usual word count over `in`, with more arguments.
    pub fn word_count(&self, arguments: &[&str]) -> Command {
        let usual = ["run", "wordcount", "--input", "in", "--output", "out", "--checkpoint-dir", "chk"];
        self.tidegate(&[&usual, arguments].concat())
    }
}

/// A stream of numbers, the same each time.
pub struct Numbers(pub u64);

impl Numbers {
    /// A number below `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }
}

/// About so many bytes of lines, with frequent and rare words.
pub fn text(bytes: usize) -> String {
    let mut numbers = Numbers(7);
    let mut text = String::with_capacity(bytes + 200);
    while text.len() < bytes {
        for _ in 0..numbers.below(12) {
            let rarity = 1 << (2 * numbers.below(8));
            let word = numbers.below(rarity);
            text += &format!("{}{word}", if word.is_multiple_of(3) { "Word" } else { "word_" });
            text += [" ", ", ", "--", "\t", " é "][numbers.below(5) as usize];
        }
        text.push('\n');
    }
    text
}

/// Counts words in the plainest way: byte by byte, in one map.
pub fn count(text: &[u8]) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    let mut word = String::new();
    for byte in text.iter().chain(b" ") {
        if byte.is_ascii_alphanumeric() || *byte == b'_' {
            word.push(char::from(byte.to_ascii_lowercase()));
        } else if !word.is_empty() {
            *counts.entry(std::mem::take(&mut word)).or_default() += 1;
        }
    }
    counts
}

/// Checks that the visible output is each word's 1, 2, … n, each exactly once, and that nothing else is left.
pub fn assert_exactly_once(output: &Path, expected: &BTreeMap<String, u64>) {
    let mut found: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for entry in fs::read_dir(output).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        if name == ".tidegate-sink.json" {
            continue;
        }
        assert!(name.starts_with("part-"), "{name} was left behind");
        for line in fs::read_to_string(entry.path()).unwrap().lines() {
            let (word, n) = line.split_once('\t').expect("a word, a tab, a number");
            found.entry(word.to_owned()).or_default().push(n.parse().unwrap());
        }
    }
    let words = |keys: Vec<&String>| keys.into_iter().cloned().collect::<Vec<_>>();
    assert_eq!(words(found.keys().collect()), words(expected.keys().collect()), "the words");
    for (word, mut numbers) in found {
        numbers.sort_unstable();
        let right = numbers.iter().copied().eq(1..=expected[&word]);
        assert!(right, "{word} should have 1 to {}, and has {} updates", expected[&word], numbers.len());
    }
}

/// The processes that run tasks of the job at this place, with their names.
pub fn task_managers(place: &Place) -> Vec<(u32, String)> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        let at_place = fs::read_link(entry.path().join("cwd")).is_ok_and(|cwd| cwd == place.root.path());
        // Processes come and go while one looks.
        let arguments = fs::read_to_string(entry.path().join("cmdline")).unwrap_or_default();
        let mut arguments = arguments.split('\0');
        if at_place && arguments.any(|a| a == "task-manager") {
            found.push((pid, arguments.nth(1).unwrap_or_default().to_owned()));
        }
    }
    found
}

/// Sends SIGKILL.
pub fn kill(pid: u32) {
    // It may have ended by itself.
    let _ = Command::new("kill").args(["-KILL", &pid.to_string()]).stderr(Stdio::null()).status();
}

/// Waits until something holds.
pub fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < Duration::from_secs(60), "{what}: not within a minute");
        thread::sleep(Duration::from_millis(2));
    }
}
