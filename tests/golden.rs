//! Golden traces: a change of the engine's behaviour shows in review as a change of these files. They are the same in debug
//! and in release builds, on every machine. `INSTA_UPDATE=always cargo test --test golden` writes them anew.

use std::fmt::Write as _;

use tidegate_scenarios::{catalogue::SCENARIOS, corpus::SavedRun};
use tidegate_sim::{history::describe, run::run};
use tidegate_suite::root;

/// A whole cluster is started, loses a node, recovers from a checkpoint and finishes: every step of it.
#[test]
fn every_event_of_a_run() {
    let path = root().join("scenarios/plans/a-crash-and-the-way-back.json");
    let report = run(&SavedRun::read(&path).unwrap().spec().unwrap()).unwrap();
    let lines: Vec<String> = report.history.entries.iter().map(|entry| describe(entry, &report.graph)).collect();
    insta::assert_snapshot!(lines.join("\n"));
}

#[test]
fn trace_hashes_of_the_first_seeds() {
    let mut text = String::new();
    for scenario in SCENARIOS {
        for seed in 0..8 {
            let hash = run(&scenario.spec(seed).unwrap()).unwrap().trace_hash;
            writeln!(text, "{} {seed} {hash:016x}", scenario.name).unwrap();
        }
    }
    insta::assert_snapshot!(text);
}
