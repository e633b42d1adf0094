//! What the tests of the whole repository share: where things are, which seeds to run, and how to say what went wrong.

mod changed_job;

use std::{env, fs, ops::Range, path::PathBuf};

use tidegate_scenarios::corpus::SavedRun;
use tidegate_sim::run::{RunReport, Verdict};

pub use changed_job::ChangedJob;

/// The repository's root directory.
#[must_use]
pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The seeds to run: those of `TIDEGATE_SEED` (one) or `TIDEGATE_SEEDS` (`A..B`, half-open) if set, or else these.
///
/// # Panics
/// If a variable is set to something else.
#[must_use]
pub fn seeds(default: Range<u64>) -> Range<u64> {
    if let Ok(seed) = env::var("TIDEGATE_SEED") {
        let seed = seed.parse().unwrap_or_else(|_| panic!("TIDEGATE_SEED={seed} is not a number"));
        return seed..seed + 1;
    }
    let Ok(text) = env::var("TIDEGATE_SEEDS") else { return default };
    let range = text.split_once("..").and_then(|(a, b)| Some(a.parse().ok()?..b.parse().ok()?));
    range.unwrap_or_else(|| panic!("TIDEGATE_SEEDS={text} is not a range such as 0..1000"))
}

/// All saved runs, by file.
///
/// # Panics
/// If one cannot be read.
#[must_use]
pub fn saved_runs() -> Vec<(PathBuf, SavedRun)> {
    let directory = root().join("scenarios/plans");
    let entries = fs::read_dir(&directory).unwrap_or_else(|e| panic!("{}: {e}", directory.display()));
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("a directory can be listed").path()).collect();
    paths.sort();
    let read = |path: PathBuf| {
        let saved = SavedRun::read(&path).unwrap_or_else(|e| panic!("{e}"));
        (path, saved)
    };
    paths.into_iter().map(read).collect()
}

/// What is wrong with a run, and how to repeat it; `None` if it held.
#[must_use]
pub fn failure(report: &RunReport, arguments: &str) -> Option<String> {
    if report.verdict == Verdict::Held {
        return None;
    }
    let violations: Vec<String> =
        report.violations.iter().map(|v| format!("  {}: {}", v.invariant, v.message)).collect();
    Some(format!(
        "{:?}\n{}\nrepeat it with\n  cargo run --release -- {arguments}",
        report.verdict,
        violations.join("\n")
    ))
}
