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
    fault::{FaultKind, is_of_a_task},
    history::describe,
    run::{Ending, Fired, RunReport, RunSpec, Verdict, is_notable},
};

use super::timeline;

/// One run, as `--json` prints it.
#[derive(Serialize)]
struct JsonRun<'a> {
    scenario: &'a str,
    seed: u64,
    verdict: Verdict,
    ending: &'a Ending,
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
        ending: &report.ending,
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
        Verdict::Held => match &report.ending {
            Ending::Finished | Ending::Wrong => text += &format!("verdict    held: {}", promise(report)),
            Ending::Failed(why) => text += &format!("verdict    held: the job gave up and said why: {why}"),
            Ending::Explained(why) => text += &format!("verdict    held: no job could go on: {why}"),
        },
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

/// The columns of the matrix for people: what a fault strikes.
const COLUMNS: &[(&str, &[FaultKind])] = &[
    ("task", &[FaultKind::KillTask]),
    ("process", &[FaultKind::Process]),
    ("power", &[FaultKind::Power]),
    ("gone", &[FaultKind::Replace, FaultKind::Remove, FaultKind::Redeploy]),
    ("pause", &[FaultKind::Pause, FaultKind::Stall]),
    (
        "network",
        &[
            FaultKind::Partition,
            FaultKind::Cut,
            FaultKind::DelayLink,
            FaultKind::Throttle,
            FaultKind::Reset,
            FaultKind::Silence,
        ],
    ),
    ("message", &[FaultKind::Lose, FaultKind::Late, FaultKind::Repeat]),
    (
        "disk",
        &[FaultKind::DiskError, FaultKind::NoSpace, FaultKind::AfterEffect, FaultKind::StallDisk, FaultKind::FillDisk],
    ),
    ("damage", &[FaultKind::Damage, FaultKind::Misdirect, FaultKind::LyingSync]),
    ("clock", &[FaultKind::ClockJump]),
];

/// No task takes the step; nobody sends a message right after it; nothing is stored there to be damaged.
fn cannot_be(step: StepKind, column: &str) -> bool {
    match column {
        "task" => !is_of_a_task(step),
        "message" => !SENDERS.contains(&step),
        "damage" => !STORED.contains(&step),
        _ => false,
    }
}

/// After these steps control messages of checkpoints, or of a task about itself, are sent before anything else is reported.
const SENDERS: &[StepKind] = &[
    StepKind::TaskRunning,
    StepKind::InputEnded,
    StepKind::TaskFailed,
    StepKind::CheckpointTriggered,
    StepKind::Acknowledged,
    StepKind::Declined,
    StepKind::CheckpointAborted,
    StepKind::CompletionNotified,
    StepKind::CompletionReceived,
    StepKind::Committed,
];

/// After these steps a plan drawn from a seed damages what is stored, or lets the next write go astray.
const STORED: &[StepKind] = &[
    StepKind::AttemptStarted,
    StepKind::StateFrozen,
    StepKind::AllAcknowledged,
    StepKind::CheckpointCompleted,
    StepKind::Committed,
];

/// A cell of the matrix, as `--json` prints it.
#[derive(Serialize)]
struct JsonCell {
    step: StepKind,
    fault: FaultKind,
    count: u64,
}

/// Many runs, as `--json` prints them at the end.
#[derive(Serialize)]
struct JsonSummary {
    runs: u64,
    held: u64,
    broken: u64,
    nondeterministic: u64,
    explained: u64,
    told: u64,
    checkpoints_completed: u64,
    restores: u64,
    faults_fired: u64,
    virtual_time_us: u128,
    coverage: Vec<JsonCell>,
}

/// Adds up many runs.
#[derive(Default)]
pub(crate) struct Summary {
    runs: u64,
    broken: u64,
    nondeterministic: u64,
    /// Jobs that could not go on, for a reason that lies outside of them.
    explained: u64,
    /// Jobs that gave up, and said rightly why.
    told: u64,
    checkpoints: u64,
    restores: u64,
    faults: u64,
    coverage: BTreeMap<(StepKind, FaultKind), u64>,
    virtual_time: Duration,
}

impl Summary {
    /// One more run.
    pub(crate) fn add(&mut self, report: &RunReport) {
        self.runs += 1;
        self.broken += u64::from(report.verdict == Verdict::Broken);
        self.nondeterministic += u64::from(report.verdict == Verdict::Nondeterministic);
        self.explained += u64::from(matches!(report.ending, Ending::Explained(_)));
        self.told += u64::from(matches!(report.ending, Ending::Failed(_)));
        self.checkpoints += report.checkpoints_completed;
        self.restores += report.restores;
        self.faults += report.fired.len() as u64;
        self.virtual_time += report.virtual_time;
        for (cell, count) in &report.coverage {
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

    /// One line of JSON, with every cell of the matrix.
    pub(crate) fn json(&self) -> String {
        let cell = |((step, fault), count): (&(StepKind, FaultKind), &u64)| JsonCell {
            step: *step,
            fault: *fault,
            count: *count,
        };
        let summary = JsonSummary {
            runs: self.runs,
            held: self.runs - self.failed(),
            broken: self.broken,
            nondeterministic: self.nondeterministic,
            explained: self.explained,
            told: self.told,
            checkpoints_completed: self.checkpoints,
            restores: self.restores,
            faults_fired: self.faults,
            virtual_time_us: self.virtual_time.as_micros(),
            coverage: self.coverage.iter().map(cell).collect(),
        };
        serde_json::to_string(&summary).expect("a summary is plain data")
    }

    /// Figures, and how often each kind of fault happened right after each step.
    pub(crate) fn render(&self, took: Duration) -> String {
        let mut text = self.matrix();
        let node_crash = |kind| StepKind::ALL.iter().map(move |step| self.count(*step, &[kind]));
        let least = node_crash(FaultKind::Process).chain(node_crash(FaultKind::Power)).min().unwrap_or(0);
        let _ = write!(
            text,
            "{} runs: {} held, {} broken, {} not deterministic; {:.0} runs/s\n\
             {} checkpoints completed, {} restored, {} faults happened, {:.0} virtual s\n",
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
        if self.explained + self.told > 0 {
            let _ = writeln!(
                text,
                "{} jobs gave up and said rightly why, {} could not go on for want of slots or room",
                self.told, self.explained
            );
        }
        text + &format!("every step interrupted by each kind of node crash at least {least} times")
    }

    fn count(&self, step: StepKind, kinds: &[FaultKind]) -> u64 {
        kinds.iter().filter_map(|kind| self.coverage.get(&(step, *kind))).sum()
    }

    fn matrix(&self) -> String {
        let mut text = format!("{:27}", "struck right after");
        let columns = COLUMNS.iter().filter(|(_, kinds)| StepKind::ALL.iter().any(|step| self.count(*step, kinds) > 0));
        let columns: Vec<_> = columns.collect();
        for (name, _) in &columns {
            let _ = write!(text, " {name:>8}");
        }
        for step in StepKind::ALL {
            let _ = write!(text, "\n{:27}", step.to_string());
            for (name, kinds) in &columns {
                let count = match self.count(*step, kinds) {
                    0 if cannot_be(*step, name) => "-".to_owned(),
                    count => count.to_string(),
                };
                let _ = write!(text, " {count:>8}");
            }
        }
        text + "\n(a message is struck when it is sent, and counted at the step taken last; -: nothing is at work, sent or stored right then)\n"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_fault_has_a_column() {
        for kind in FaultKind::ALL {
            let columns = COLUMNS.iter().filter(|(_, kinds)| kinds.contains(kind)).count();
            assert_eq!(columns, 1, "{kind}");
        }
    }
}
