//! One seed, one history: in another thread, and in another process. (Debug and release builds agree on the golden hashes.)

use std::{collections::BTreeMap, env, process::Command};

use tidegate_scenarios::catalogue::SCENARIOS;
use tidegate_sim::run::{Verdict, check_determinism, run};

/// Set in the process that this test starts.
const CHILD: &str = "TIDEGATE_TEST_PRINT_HASHES";
const SEEDS: std::ops::Range<u64> = 100..110;

fn hashes() -> BTreeMap<String, u64> {
    let runs = SCENARIOS.iter().flat_map(|scenario| SEEDS.map(move |seed| (scenario, seed)));
    let hash = |scenario: &tidegate_scenarios::catalogue::Scenario, seed| {
        (format!("{} {seed}", scenario.name), run(&scenario.spec(seed).unwrap()).unwrap().trace_hash)
    };
    runs.map(|(scenario, seed)| hash(scenario, seed)).collect()
}

#[test]
fn in_another_process() {
    if env::var_os(CHILD).is_some() {
        println!("{}", serde_json::to_string(&hashes()).unwrap());
        return;
    }
    let mut child = Command::new(env::current_exe().unwrap());
    let output = child.args(["--exact", "in_another_process", "--nocapture"]).env(CHILD, "1").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let line = text.lines().find(|line| line.starts_with('{')).unwrap_or_else(|| panic!("no hashes in {text}"));
    let theirs: BTreeMap<String, u64> = serde_json::from_str(line).unwrap();
    assert_eq!(hashes(), theirs);
}

#[test]
fn in_another_thread() {
    for scenario in SCENARIOS {
        for seed in SEEDS {
            let report = check_determinism(&scenario.spec(seed).unwrap()).unwrap();
            assert_ne!(report.verdict, Verdict::Nondeterministic, "{:?}", report.violations);
        }
    }
}
