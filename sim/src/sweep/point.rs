//! A point of the sweep: what is struck, how, where; and what came of it.

use std::{fmt, sync::Arc};

use serde::Serialize;
use tidegate::{error::Result, probe::StepKind};

use super::{Place, Recovery};
use crate::{
    checker::Violation,
    cluster::{JOB_MANAGER, node_names},
    env::Crash,
    fault::{Action, Fault, FaultPlan, Victim},
    run::{RunReport, RunSpec, Verdict, run},
};

/// How long a struck node is away, in virtual microseconds: shorter than a heartbeat's time-out, so that some failures are
/// noticed by the broken connection and some only when the node comes back.
const RESTART_AFTER_US: u64 = 5_000;

/// Whom a strike hits, in relation to its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Aim {
    /// The node that took the step.
    Here,
    /// The job manager, who did not take it.
    JobManager,
    /// Another task manager: the first by name that did not take it.
    Another,
}

/// A crash at a place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Strike {
    /// Right after this step.
    #[serde(flatten)]
    pub place: Arc<Place>,
    /// Who is hit.
    pub aim: Aim,
    /// The node that this is.
    pub victim: Arc<str>,
    /// How.
    pub crash: Crash,
}

impl Strike {
    /// The fault of a plan that does it.
    #[must_use]
    pub fn fault(&self) -> Fault {
        let victim = match self.aim {
            Aim::Here => Victim::Here,
            Aim::JobManager => Victim::JobManager,
            Aim::Another => Victim::TaskManager(self.victim.to_string()),
        };
        let action = Action::Crash { victim, crash: self.crash, restart_after_us: RESTART_AFTER_US };
        Fault { at: self.place.anchor(), action }
    }

    /// All strikes at a place: nobody is hit twice in the same way.
    pub(super) fn all<'a>(
        place: &'a Arc<Place>,
        task_managers: u32,
        crashes: &'a [Crash],
    ) -> impl Iterator<Item = Self> + 'a {
        let here = (Aim::Here, place.node.clone());
        let job_manager = (&*place.node != JOB_MANAGER).then(|| (Aim::JobManager, JOB_MANAGER.into()));
        let another = node_names(task_managers).into_iter().find(|n| n != JOB_MANAGER && **n != *place.node);
        let another = another.map(|name| (Aim::Another, name.into()));
        [Some(here), job_manager, another]
            .into_iter()
            .flatten()
            .flat_map(|(aim, victim): (Aim, Arc<str>)| crashes.iter().map(move |crash| (aim, victim.clone(), *crash)))
            .map(|(aim, victim, crash)| Self { place: place.clone(), aim, victim, crash })
    }
}

/// `power loss of jm after sink/1 chk 2 part-synced on tm-2`.
impl fmt::Display for Strike {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Place { step, actor, checkpoint, occurrence, node } = &*self.place;
        let crash = match self.crash {
            Crash::Process => "kill",
            Crash::Power => "power loss",
        };
        write!(f, "{crash} of {} after {actor} ", self.victim)?;
        if let Some(checkpoint) = checkpoint {
            write!(f, "chk {checkpoint} ")?;
        }
        write!(f, "{step}")?;
        if *occurrence > 1 {
            write!(f, " #{occurrence}")?;
        }
        if self.aim == Aim::Here { Ok(()) } else { write!(f, " on {node}") }
    }
}

/// A run of the sweep.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Point {
    /// The first crash.
    pub first: Strike,
    /// A crash in the recovery from the first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub second: Option<Strike>,
}

impl Point {
    /// The step that it is counted under: the last that is struck.
    #[must_use]
    pub fn step(&self) -> StepKind {
        self.second.as_ref().unwrap_or(&self.first).place.step
    }

    /// The plan that does it.
    #[must_use]
    pub fn plan(&self) -> FaultPlan {
        FaultPlan::new(self.strikes().map(Strike::fault).collect())
    }

    fn strikes(&self) -> impl Iterator<Item = &Strike> {
        std::iter::once(&self.first).chain(&self.second)
    }

    /// Runs it; the spec's own plan is put aside.
    ///
    /// # Errors
    /// Those of [`run`].
    pub fn run(&self, spec: &RunSpec) -> Result<Outcome> {
        self.judge(spec, |_| None)
    }

    /// Runs it, and also tells how the job recovered.
    ///
    /// # Errors
    /// Those of [`run`].
    pub fn run_and_follow(&self, spec: &RunSpec) -> Result<Outcome> {
        self.judge(spec, Recovery::of)
    }

    fn judge(&self, spec: &RunSpec, follow: impl FnOnce(&RunReport) -> Option<Recovery>) -> Result<Outcome> {
        let report = run(&RunSpec { plan: self.plan(), ..spec.clone() })?;
        let fate = match report.verdict {
            Verdict::Held if report.fired.len() < self.strikes().count() => Fate::Missed,
            Verdict::Held => Fate::Held,
            Verdict::Broken | Verdict::Nondeterministic => Fate::Broken,
        };
        let recovery = follow(&report);
        Ok(Outcome { fate, trace_hash: report.trace_hash, violations: report.violations, recovery })
    }
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.first.fmt(f)?;
        self.second.as_ref().map_or(Ok(()), |second| write!(f, ", then {second}"))
    }
}

/// What came of a point.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fate {
    /// All guarantees held.
    Held,
    /// At least one did not.
    Broken,
    /// Nothing is known: a strike did not fall.
    Missed,
}

/// The verdict on a point's run.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// In a word.
    pub fate: Fate,
    /// Checksum of the history.
    pub trace_hash: u64,
    /// The guarantees that did not hold.
    pub violations: Vec<Violation>,
    /// How the job recovered from the first strike, if that was asked for and it fell.
    pub recovery: Option<Recovery>,
}
