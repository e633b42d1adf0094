//! A fault plan: versioned JSON that replays a failing run on any later build, as long as its steps still exist.

use serde::{Deserialize, Serialize};
use tidegate::{
    error::{Error, Result},
    graph::JobGraph,
    probe::StepKind,
};

use crate::env::Crash;

/// The version of the format that this build reads and writes.
pub const PLAN_VERSION: u32 = 1;

/// The faults of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FaultPlan {
    /// See [`PLAN_VERSION`].
    pub version: u32,
    /// The faults, in no particular order.
    pub faults: Vec<Fault>,
}

/// Something that goes wrong once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// When.
    pub at: Anchor,
    /// What.
    #[serde(rename = "do")]
    pub action: Action,
}

/// When a fault happens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Anchor {
    /// Right after a step was taken: the actor does not get any further.
    Step {
        /// Which step.
        step: StepKind,
        /// Whose: `count/1`, `job-manager` or `tm-2`; anybody's if absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        actor: Option<String>,
        /// Of which checkpoint; any if absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        checkpoint: Option<u64>,
        /// At which of the matching steps, counted from 1.
        #[serde(default = "one", skip_serializing_if = "is_one")]
        occurrence: u32,
    },
    /// At a virtual time, in microseconds since the start.
    Time {
        /// That time.
        us: u64,
    },
}

fn one() -> u32 {
    1
}

fn is_one(n: &u32) -> bool {
    *n == 1
}

/// Which node is meant.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Victim {
    /// The node that took the step; the job manager for an anchor in time.
    Here,
    /// The job manager.
    JobManager,
    /// The task manager of this name.
    TaskManager(String),
}

/// What goes wrong. Times are virtual, in microseconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Action {
    /// The task that took the step panics.
    KillTask,
    /// A node dies, and comes back.
    Crash {
        /// Which node.
        victim: Victim,
        /// How.
        crash: Crash,
        /// After so long it runs again.
        restart_after_us: u64,
    },
    /// Nothing passes between two nodes for a while.
    Partition {
        /// One node.
        a: String,
        /// The other.
        b: String,
        /// After so long it is over.
        heal_after_us: u64,
    },
    /// A link is slower for a while.
    DelayLink {
        /// One node.
        a: String,
        /// The other.
        b: String,
        /// By so much.
        extra_us: u64,
        /// For so long.
        for_us: u64,
    },
    /// The actor that took the step does nothing for a while: a long pause, or a slow disk.
    Stall {
        /// For so long.
        us: u64,
    },
    /// All connections between two nodes end with an error.
    ResetConnections {
        /// One node.
        a: String,
        /// The other.
        b: String,
    },
}

impl FaultPlan {
    /// A plan of these faults.
    #[must_use]
    pub fn new(faults: Vec<Fault>) -> Self {
        Self { version: PLAN_VERSION, faults }
    }

    /// The plan that a JSON text holds. `name` says where the text comes from.
    ///
    /// # Errors
    /// `BadInput` naming the line and column, and the valid names where one is unknown.
    pub fn from_json(text: &str, name: &str) -> Result<Self> {
        #[derive(Deserialize)]
        struct Version {
            version: u32,
        }
        let bad = |e: serde_json::Error| Error::bad_input(format!("fault plan {name} cannot be read: {e}"));
        let Version { version } = serde_json::from_str(text).map_err(bad)?;
        if version != PLAN_VERSION {
            return Err(Error::bad_input(format!(
                "fault plan {name} has version {version}, this build reads version {PLAN_VERSION}: use the build that wrote it"
            )));
        }
        serde_json::from_str(text).map_err(bad)
    }

    /// The plan as JSON.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).expect("a plan is plain data") + "\n"
    }

    /// Whether all names in the plan mean something in this job and cluster.
    ///
    /// # Errors
    /// `BadInput` naming the fault and the valid names.
    pub fn validate(&self, graph: &JobGraph, nodes: &[String]) -> Result<()> {
        let subtasks: Vec<String> = graph.subtasks().map(|s| graph.subtask_name(s)).collect();
        for (i, fault) in self.faults.iter().enumerate() {
            let check = |name: &String, valid: &[&[String]]| {
                let valid: Vec<&String> = valid.iter().copied().flatten().collect();
                if valid.contains(&name) {
                    return Ok(());
                }
                let all = valid.iter().map(|v| v.as_str()).collect::<Vec<_>>().join(", ");
                Err(Error::bad_input(format!("fault {i} of the plan names {name}, which is none of {all}")))
            };
            let job_manager = ["job-manager".to_owned()];
            if let Anchor::Step { actor: Some(actor), .. } = &fault.at {
                check(actor, &[&subtasks, nodes, &job_manager])?;
            }
            match &fault.action {
                Action::Crash { victim: Victim::TaskManager(name), .. } => check(name, &[nodes])?,
                Action::Partition { a, b, .. } | Action::DelayLink { a, b, .. } | Action::ResetConnections { a, b } => {
                    check(a, &[nodes])?;
                    check(b, &[nodes])?;
                }
                _ => {}
            }
            let in_time = matches!(fault.at, Anchor::Time { .. });
            if in_time && matches!(fault.action, Action::KillTask | Action::Stall { .. }) {
                let message =
                    format!("fault {i} of the plan needs a step: only who takes a step can be killed or stalled");
                return Err(Error::bad_input(message));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan() -> FaultPlan {
        let step = Anchor::Step {
            step: StepKind::SnapshotSynced,
            actor: Some("count/1".into()),
            checkpoint: Some(3),
            occurrence: 1,
        };
        let crash = Action::Crash { victim: Victim::Here, crash: Crash::Power, restart_after_us: 5_000 };
        let partition = Action::Partition { a: "jm".into(), b: "tm-2".into(), heal_after_us: 90_000 };
        FaultPlan::new(vec![
            Fault { at: step, action: crash },
            Fault { at: Anchor::Time { us: 30_000 }, action: partition },
        ])
    }

    #[test]
    fn the_text_of_a_plan_is_a_promise() {
        insta::assert_snapshot!(plan().to_json());
        assert_eq!(FaultPlan::from_json(&plan().to_json(), "plan").unwrap(), plan());
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let text = plan().to_json();
        let newer = text.replace("\"version\": 1", "\"version\": 2");
        let unknown = text.replace("snapshot-synced", "snapshot-sunk");
        let stranger = text.replace("\"heal_after_us\"", "\"heal_later\"");
        let cut = &text[..text.len() / 2];
        let errors =
            [&*newer, &unknown, &stranger, cut].map(|t| FaultPlan::from_json(t, "p.json").unwrap_err().to_string());
        insta::assert_snapshot!(errors.map(|e| e.chars().take(110).collect::<String>()).join("\n"));
    }
}
