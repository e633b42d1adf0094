//! What the tests of the binary share: a place to work in, text, an independent count, and processes.

pub mod stopped_job;

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc::{self, Receiver, RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};

use tempfile::TempDir;
use tidegate::{
    checkpoint::Manifest,
    id::CheckpointId,
    storage::{ManifestSlots, Slot, decode_manifest, encode_manifest, parse_slot},
    stream::hash_bytes,
};

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

/// How a process ended and what it said.
#[derive(Debug)]
pub struct Outcome {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

/// Runs a command to its end.
pub fn run(command: &mut Command) -> Outcome {
    let output = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).expect("messages are UTF-8");
    Outcome { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

impl Outcome {
    /// Checks the exit code, and that standard error holds these texts.
    #[track_caller]
    pub fn assert(&self, code: i32, said: &[&str]) {
        assert_eq!(self.code, Some(code), "{self:#?}");
        for text in said {
            assert!(self.stderr.contains(text), "{text:?} is not said: {self:#?}");
        }
    }
}

/// The slots of the checkpoint directory `chk`.
pub fn slots(place: &Place) -> ManifestSlots {
    let slot = |name: String| {
        let path = parse_slot(&name).map(|_| place.path("chk").join(&name))?;
        Some(Slot::new(path.clone(), &fs::read(path).unwrap()))
    };
    let names = fs::read_dir(place.path("chk")).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
    ManifestSlots::new(names.filter_map(slot).collect())
}

/// The file that holds the manifest of a completed checkpoint.
pub fn manifest_file(place: &Place, id: u64) -> PathBuf {
    slots(place).of(CheckpointId(id)).expect("it has completed").path.clone()
}

/// Gives a manifest another header, whose checksum is right.
pub fn write_header(path: &Path, said: &str) {
    let header = format!("{said} header=xxh3:{:016x}", hash_bytes(said.as_bytes()).0);
    let mut bytes = fs::read(path).unwrap();
    bytes[..512].copy_from_slice(format!("{header:511}\n").as_bytes());
    fs::write(path, bytes).unwrap();
}

/// Changes a manifest into another valid one.
pub fn edit_manifest(path: &Path, edit: impl FnOnce(&mut Manifest)) {
    let mut manifest = manifest(path);
    edit(&mut manifest);
    fs::write(path, encode_manifest(&manifest)).unwrap();
}

/// The manifest in a file.
pub fn manifest(path: &Path) -> Manifest {
    decode_manifest(&fs::read(path).unwrap(), path).unwrap()
}

/// Copies a file, or a directory with all that is in it.
pub fn copy(from: &Path, to: &Path) {
    if from.is_dir() {
        fs::create_dir_all(to).unwrap();
        for entry in fs::read_dir(from).unwrap() {
            let name = entry.unwrap().file_name();
            copy(&from.join(&name), &to.join(&name));
        }
    } else {
        fs::copy(from, to).unwrap();
    }
}

/// Removes a file or directory, if it is there.
pub fn remove(path: &Path) {
    if path.is_dir() { fs::remove_dir_all(path).unwrap() } else { drop(fs::remove_file(path)) }
}

/// A job that runs, and the lines that it has printed.
pub struct Running {
    pub child: Child,
    lines: Receiver<String>,
    pub log: Vec<String>,
}

impl Running {
    /// The usual word count over `in`, with many checkpoints and more arguments.
    pub fn start(place: &Place, arguments: &[&str]) -> Self {
        Self::spawn(place.word_count(&[&["--checkpoint-interval", "20ms"], arguments].concat()))
    }

    pub fn spawn(mut command: Command) -> Self {
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || stderr.lines().map_while(Result::ok).for_each(|line| drop(sender.send(line))));
        Self { child, lines, log: Vec::new() }
    }

    /// Reads lines until one contains the text; false if the process ends before.
    pub fn wait_for_line(&mut self, text: &str) -> bool {
        loop {
            match self.lines.recv_timeout(Duration::from_secs(60)) {
                Ok(line) => {
                    let found = line.contains(text);
                    self.log.push(line);
                    if found {
                        return true;
                    }
                }
                Err(RecvTimeoutError::Disconnected) => return false,
                Err(RecvTimeoutError::Timeout) => panic!("nothing for a minute after {:#?}", self.log),
            }
        }
    }

    /// Whether it ended well by itself; then nothing is killed.
    pub fn kill(&mut self) -> bool {
        self.child.kill().unwrap();
        self.child.wait().unwrap().success()
    }

    pub fn assert_ends_well(&mut self) {
        self.wait_for_line("no such line");
        let status = self.child.wait().unwrap();
        assert!(status.success(), "{status}: {:#?}", self.log);
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

/// The text of the file that `TIDEGATE_TEXT` names, if it is set: for tests on a large scale.
pub fn given_text() -> Option<String> {
    let path = std::env::var_os("TIDEGATE_TEXT")?;
    Some(fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display())))
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
