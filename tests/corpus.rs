//! Runs that once broke the engine, or that reach a rare place, must hold for ever, and must still get there.

use tidegate_sim::run::check_determinism;
use tidegate_suite::{failure, root, saved_runs};

#[test]
fn saved_runs_hold_and_their_faults_still_happen() {
    let saved = saved_runs();
    assert!(!saved.is_empty());
    for (path, run) in saved {
        let report = check_determinism(&run.spec().unwrap()).unwrap();
        let path = path.strip_prefix(root()).unwrap().display();
        if let Some(failure) = failure(&report, &format!("replay {path}")) {
            panic!("{path} ({}): {failure}", run.about);
        }
        assert_eq!(report.fired.len(), run.plan.faults.len(), "{path}: a fault of the plan did not happen: rewrite it");
    }
}
