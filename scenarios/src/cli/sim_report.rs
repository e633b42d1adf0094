//! What is said of simulated runs.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    time::Duration,
};

use serde::Serialize;
use tidegate::{probe::StepKind, stream::CheckpointMode};
use tidegate_sim::{
    checker::Violation,
    history::describe,
    run::{CrashKind, Fired, RunReport, RunSpec, Verdict, is_notable},
};

use super::timeline;

/// One run, as `--json` prints it.
#[derive(Serialize)]
struct JsonRun<'a> {
    scenario: &'a str,
    seed: u64,
    verdict: Verdict,
    trace_hash: String,
    checkpoints_completed: u64,
    checkpoints_aborted: u64,
    attempts: u64,
    restores: u64,
    faults_fired: usize,
    faults: &'a [Fired],
    violations: &'a [Violation],
    virtual_time_us: u128,
}

/// One line of JSON.
pub(crate) fn json(scenario: &str, seed: u64, report: &RunReport) -> String {
    let run = JsonRun {
        scenario,
        seed,
        verdict: report.verdict,
        trace_hash: hash(report),
        checkpoints_completed: report.checkpoints_completed,
        checkpoints_aborted: report.checkpoints_aborted,
        attempts: report.attempts,
        restores: report.restores,
        faults_fired: report.fired.len(),
        faults: &report.fired,
        violations: &report.violations,
        virtual_time_us: report.virtual_time.as_micros(),
    };
    serde_json::to_string(&run).expect("a report is plain data")
}

fn hash(report: &RunReport) -> String {
    format!("{:016x}", report.trace_hash)
}

/// The story of one run.
pub(crate) fn story(spec: &RunSpec, report: &RunReport, trace: bool) -> String {
    let mut text = String::new();
    let shape = &spec.shape;
    let vertices: Vec<String> =
        report.graph.vertices.iter().map(|v| format!("{} x{}", v.name, v.parallelism)).collect();
    let bytes: usize = spec.workload.input_files().values().map(Vec::len).sum();
    let _ = writeln!(text, "scenario   {}, seed {}", spec.scenario, spec.seed.0);
    let _ = writeln!(
        text,
        "cluster    1 job manager, {} task managers with {} slots, 1 file system, 1 network",
        shape.task_managers, shape.slots
    );
    let _ = writeln!(text, "job        {}; {bytes} bytes of input", vertices.join(" -> "));
    let (planned, happened) = (spec.plan.faults.len(), report.fired.len());
    let _ = writeln!(text, "faults     {planned} planned, {happened} happened; the step that one struck has a *");
    let struck: BTreeSet<usize> = report.fired.iter().filter(|f| f.step.is_some()).map(|f| f.event).collect();
    for (i, entry) in report.history.entries.iter().enumerate() {
        if trace || struck.contains(&i) || is_notable(&entry.event) {
            let mark = if struck.contains(&i) { '*' } else { ' ' };
            let _ = writeln!(text, "{mark} {}", describe(entry, &report.graph));
        }
    }
    let _ = writeln!(text, "{}", timeline::render(&report.history));
    let _ = writeln!(
        text,
        "checkpoints {} completed, {} aborted, {} restored in {} attempts",
        report.checkpoints_completed, report.checkpoints_aborted, report.restores, report.attempts
    );
    let _ = writeln!(text, "virtual time {:?}, {} events", report.virtual_time, report.history.entries.len());
    let _ = writeln!(text, "trace hash {}", hash(report));
    match report.verdict {
        Verdict::Held => text += &format!("verdict    held: {}", promise(report)),
        Verdict::Broken => text += "verdict    BROKEN",
        Verdict::Nondeterministic => text += "verdict    NOT DETERMINISTIC",
    }
    for violation in &report.violations {
        text += &format!("\n{}", describe_violation(violation, report));
    }
    text
}

fn promise(report: &RunReport) -> &'static str {
    match report.graph.checkpoints.as_ref().map(|c| c.mode) {
        Some(CheckpointMode::ExactlyOnce) => "exactly once",
        Some(CheckpointMode::AtLeastOnce) => "at least once",
        None => "no checkpoints, no promise",
    }
}

fn describe_violation(violation: &Violation, report: &RunReport) -> String {
    let mut text = format!("  {}: {}", violation.invariant, violation.message);
    if let Some(entry) = violation.event.and_then(|event| report.history.entries.get(event)) {
        text += &format!("\n      at {}", describe(entry, &report.graph));
    }
    text
}

/// One failed run of many.
pub(crate) fn failure(seed: u64, report: &RunReport) -> String {
    let mut text = format!("seed {seed}: {}", serde_json::to_string(&report.verdict).expect("it is plain data"));
    for violation in report.violations.iter().take(3) {
        text += &format!("\n{}", describe_violation(violation, report));
    }
    text
}

/// Adds up many runs.
#[derive(Default)]
pub(crate) struct Summary {
    runs: u64,
    broken: u64,
    nondeterministic: u64,
    checkpoints: u64,
    restores: u64,
    faults: u64,
    coverage: BTreeMap<(StepKind, CrashKind), u64>,
    virtual_time: Duration,
}

impl Summary {
    /// One more run.
    pub(crate) fn add(&mut self, report: &RunReport) {
        self.runs += 1;
        self.broken += u64::from(report.verdict == Verdict::Broken);
        self.nondeterministic += u64::from(report.verdict == Verdict::Nondeterministic);
        self.checkpoints += report.checkpoints_completed;
        self.restores += report.restores;
        self.faults += report.fired.len() as u64;
        self.virtual_time += report.virtual_time;
        for (cell, count) in &report.crash_coverage {
            *self.coverage.entry(*cell).or_default() += count;
        }
    }

    /// How many runs did not hold.
    pub(crate) fn failed(&self) -> u64 {
        self.broken + self.nondeterministic
    }

    /// The worst verdict of all runs.
    pub(crate) fn verdict(&self) -> Verdict {
        match (self.nondeterministic, self.broken) {
            (0, 0) => Verdict::Held,
            (0, _) => Verdict::Broken,
            _ => Verdict::Nondeterministic,
        }
    }

    /// Figures, and how often each step was interrupted by each kind of crash.
    pub(crate) fn render(&self, took: Duration) -> String {
        let mut text = format!("{:34} {:>8} {:>8} {:>8}\n", "crashed right after", "task", "process", "power");
        let steps: BTreeSet<StepKind> = StepKind::ALL.iter().copied().collect();
        for step in steps {
            let count = |kind| self.coverage.get(&(step, kind)).copied().unwrap_or(0);
            let (task, process, power) = (count(CrashKind::Task), count(CrashKind::Process), count(CrashKind::Power));
            text += &format!("{:34} {task:>8} {process:>8} {power:>8}\n", step.to_string());
        }
        let process =
            |kind| StepKind::ALL.iter().map(move |step| self.coverage.get(&(*step, kind)).copied().unwrap_or(0));
        let least = process(CrashKind::Process).chain(process(CrashKind::Power)).min().unwrap_or(0);
        let _ = write!(
            text,
            "{} runs: {} held, {} broken, {} not deterministic; {:.0} runs/s\n\
             {} checkpoints completed, {} restored, {} faults happened, {:.0} virtual s\n\
             every step interrupted by each kind of node crash at least {least} times",
            self.runs,
            self.runs - self.failed(),
            self.broken,
            self.nondeterministic,
            self.runs as f64 / took.as_secs_f64(),
            self.checkpoints,
            self.restores,
            self.faults,
            self.virtual_time.as_secs_f64(),
        );
        text
    }
}
