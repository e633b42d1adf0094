//! A job that stopped half way, and what is done to it: spoil a file, see that it refuses to run, put the file right.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::LazyLock,
};

use tidegate::{checkpoint::SnapshotFile, storage::decode_manifest};

use super::{Outcome, Place, assert_exactly_once, copy, count, manifest, manifest_file, remove, run, slots, text};

/// How a job is told to go on.
pub const RESUME: &str =
    "once that is put right, run: tidegate run wordcount --input in --output out --checkpoint-dir chk";

/// A line that no job gets past.
const NOT_UTF_8: &[u8] = b"caf\xe9\n";

/// So many different words are in the first line, so that the files of what counts them are large from then on.
const WORDS_AT_ONCE: usize = 20_000;

/// A snapshot file of more bytes is read by range, a smaller one as a whole.
pub const READ_WHOLE: u64 = 64 << 10;

/// A job that stopped at the end of its input, where a byte is not UTF-8, after some checkpoints. The newest of them
/// has snapshot files that are read as a whole, and such that are read by range.
pub struct Stopped {
    pub place: Place,
    pub outcome: Outcome,
}

pub static STOPPED: LazyLock<Stopped> = LazyLock::new(|| {
    let first: String = (0..WORDS_AT_ONCE).map(|n| format!("first{n} ")).collect();
    for size in [1 << 20, 4 << 20, 16 << 20] {
        let place = Place::new();
        place.write("in", [first.as_bytes(), b"\n", text(size).as_bytes(), NOT_UTF_8].concat());
        let outcome = run(&mut place.word_count(&["--checkpoint-interval", "1ms", "--inline-snapshots", "0"]));
        let newest = completed(&place).last().map(|id| manifest(&manifest_file(&place, *id)));
        if newest.is_some_and(|newest| newest.files().any(|file| file.len > READ_WHOLE)) {
            return Stopped { place, outcome };
        }
    }
    panic!("even the longest job had no time for a checkpoint behind its first line");
});

/// Leaves half of a file.
pub fn cut_in_half(path: &Path) {
    let bytes = fs::read(path).unwrap();
    fs::write(path, &bytes[..bytes.len() / 2]).unwrap();
}

/// Puts a text in the place of another, once.
pub fn replace(from: &str, to: &str) -> impl FnOnce(&Path) {
    move |path| {
        let text = fs::read_to_string(path).unwrap();
        assert!(text.contains(from), "{text}");
        fs::write(path, text.replacen(from, to, 1)).unwrap();
    }
}

/// The completed checkpoints, ascending.
pub fn completed(place: &Place) -> Vec<u64> {
    slots(place).completed().into_iter().map(|id| id.0).collect()
}

/// A copy of the stopped job, with its input mended: the next start finishes it.
pub struct Job {
    pub place: Place,
    /// The newest completed checkpoint.
    pub newest: u64,
    /// The name of the file that holds its manifest.
    pub slot: String,
}

impl Job {
    pub fn stopped() -> Self {
        let place = Place::new();
        for name in ["in", "out", "chk"] {
            copy(&STOPPED.place.path(name), &place.path(name));
        }
        let mut input = fs::read(place.path("in")).unwrap();
        let at = input.len() - 2;
        input[at] = b'e';
        place.write("in", input);
        let newest = *completed(&place).last().unwrap();
        let slot = manifest_file(&place, newest).file_name().unwrap().to_str().unwrap().to_owned();
        Self { place, newest, slot }
    }

    /// The path of the newest checkpoint's manifest.
    pub fn manifest(&self) -> PathBuf {
        self.place.path("chk").join(&self.slot)
    }

    /// The largest snapshot file of a subtask in the newest checkpoint.
    pub fn snapshot(&self, subtask: &str) -> SnapshotFile {
        let manifest = manifest(&self.manifest());
        let of_subtask = manifest.files().filter(|file| file.name.starts_with(subtask));
        of_subtask.max_by_key(|file| file.len).expect("every subtask has a snapshot").clone()
    }

    /// Whether the newest checkpoint says what belongs to it.
    fn is_readable(&self) -> bool {
        let path = self.manifest();
        fs::read(&path).is_ok_and(|bytes| decode_manifest(&bytes, &path).is_ok())
    }

    /// The paths of all snapshot files that the newest checkpoint names.
    fn snapshots(&self) -> Vec<PathBuf> {
        let path = |file: &SnapshotFile| self.place.path("chk/state").join(&file.name);
        manifest(&self.manifest()).files().map(path).collect()
    }

    pub fn run(&self, arguments: &[&str]) -> Outcome {
        run(&mut self.place.word_count(arguments))
    }

    /// Spoils a file, sees that the job refuses to run and harms nothing, puts the file right, and sees that it goes on.
    #[track_caller]
    pub fn refuses(&self, path: &Path, spoil: impl FnOnce(&Path), said: &[&str]) -> Outcome {
        let aside = self.place.path("aside");
        remove(&aside);
        copy(path, &aside);
        spoil(path);
        let outcome = self.refuses_arguments(&[], said);
        remove(path);
        copy(&aside, path);
        outcome
    }

    /// Sees that the job refuses to run with these arguments, and harms nothing.
    #[track_caller]
    pub fn refuses_arguments(&self, arguments: &[&str], said: &[&str]) -> Outcome {
        let before = self.precious_files();
        let outcome = self.run(arguments);
        outcome.assert(2, said);
        let after = self.precious_files();
        for (path, contents) in before {
            assert!(after.get(&path) == Some(&contents), "{} was lost or overwritten", path.display());
        }
        outcome
    }

    /// What is committed, and what the newest checkpoint consists of.
    fn precious_files(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let visible = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().starts_with("part-");
        let list = |path: PathBuf| fs::read_dir(path).into_iter().flatten().map(|e| e.unwrap().path());
        let checkpoint = if self.is_readable() { self.snapshots() } else { Vec::new() };
        let files = list(self.place.path("out")).filter(visible).chain([self.manifest()]).chain(checkpoint);
        files.filter(|path| path.exists()).map(|path| (path.clone(), fs::read(path).unwrap())).collect()
    }

    /// The job goes on from the newest checkpoint to the right end.
    #[track_caller]
    pub fn goes_on(&self, arguments: &[&str]) {
        let said = format!("goes on from checkpoint {}", self.newest);
        self.run(arguments).assert(0, &[&said]);
        assert_exactly_once(&self.place.path("out"), &count(&fs::read(self.place.path("in")).unwrap()));
    }
}
