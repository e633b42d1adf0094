//! A fault plan: versioned JSON that replays a failing run on any later build, as long as its steps still exist.

use serde::{Deserialize, Serialize};
use tidegate::{
    error::{Error, Result},
    graph::JobGraph,
    runtime::MessageKind,
};

use super::{
    Action, Anchor, Victim,
    spelling::{did_you_mean, read_json},
};

/// The version of the format that this build writes. It reads all from 1 on: version 2 has added fields and faults.
pub const PLAN_VERSION: u32 = 2;

/// The faults of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FaultPlan {
    /// See [`PLAN_VERSION`].
    pub version: u32,
    /// What must hold.
    #[serde(default, skip_serializing_if = "Guarantee::is_inside")]
    pub guarantee: Guarantee,
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

/// What must hold under a plan.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Guarantee {
    /// The faults are of the kinds that the engine promises to survive: exactly once, and the job ends.
    #[default]
    Inside,
    /// Storage itself is damaged: the damage must be found and told, and no wrong output ever shown. The job need not end.
    Beyond,
}

impl Guarantee {
    fn is_inside(&self) -> bool {
        *self == Self::Inside
    }
}

/// Whether this build can read a plan of this version.
///
/// # Errors
/// `BadInput` naming both versions.
pub fn check_version(version: u32, place: &str) -> Result<()> {
    if (1..=PLAN_VERSION).contains(&version) {
        return Ok(());
    }
    let message = format!("its plan has version {version}, this build reads versions 1 to {PLAN_VERSION}");
    Err(Error::bad_input(message + ": use the build that wrote it").at(place))
}

fn may_get_lost(at: &Anchor) -> bool {
    matches!(at, Anchor::Message { message, .. } if MessageKind::LOSABLE.contains(message))
}

impl FaultPlan {
    /// A plan of these faults. It goes beyond the guarantee if one of them does.
    #[must_use]
    pub fn new(faults: Vec<Fault>) -> Self {
        let beyond = faults.iter().any(|f| f.action.kind().is_beyond());
        let guarantee = if beyond { Guarantee::Beyond } else { Guarantee::Inside };
        Self { version: PLAN_VERSION, guarantee, faults }
    }

    /// The plan that a JSON text holds. `name` says where the text comes from.
    ///
    /// # Errors
    /// `BadInput` naming the place in the text, and the nearest valid name where one is unknown.
    pub fn from_json(text: &str, name: &str) -> Result<Self> {
        #[derive(Deserialize)]
        struct Version {
            version: u32,
        }
        let place = format!("fault plan {name}");
        let Version { version } = read_json(text, &place)?;
        check_version(version, &place)?;
        read_json(text, &place)
    }

    /// The plan as JSON.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).expect("a plan is plain data") + "\n"
    }

    /// Whether the plan makes sense in this job and cluster: its names mean something, its faults fit their anchors, and its
    /// guarantee fits its faults.
    ///
    /// # Errors
    /// `BadInput` naming the fault, and the nearest valid name.
    pub fn validate(&self, graph: &JobGraph, nodes: &[String]) -> Result<()> {
        let mut actors: Vec<String> = graph.subtasks().map(|s| graph.subtask_name(s)).collect();
        actors.push("job-manager".to_owned());
        actors.extend_from_slice(&nodes[1..]);
        for (i, fault) in self.faults.iter().enumerate() {
            let known = |what: &str, name: &str, valid: &[String]| {
                if valid.iter().any(|v| v == name) {
                    return Ok(());
                }
                let all = valid.join(", ");
                let hint = did_you_mean(name, valid.iter().map(String::as_str));
                Err(format!("names the {what} {name}, which is none of {all}{hint}"))
            };
            let check = || {
                match &fault.at {
                    Anchor::Step { actor: Some(actor), .. } => known("actor", actor, &actors)?,
                    Anchor::Message { task_manager: Some(name), .. } => known("task manager", name, &nodes[1..])?,
                    _ => {}
                }
                if let Some(Victim::TaskManager(name)) = fault.action.victim() {
                    known("task manager", name, &nodes[1..])?;
                }
                if let Some((a, b)) = fault.action.link() {
                    known("node", a, nodes)?;
                    known("node", b, nodes)?;
                }
                self.fits(fault).map_err(str::to_owned)
            };
            check().map_err(|e: String| Error::bad_input(format!("fault {i} of the plan {e}")))?;
        }
        Ok(())
    }

    fn fits(&self, fault: &Fault) -> Result<(), &'static str> {
        let Fault { at, action } = fault;
        let takes_step = matches!(at, Anchor::Step { .. });
        match action {
            a if a.is_of_actor() && !takes_step => Err("needs a step: only who takes a step can be killed or stalled"),
            a if a.is_of_message() != matches!(at, Anchor::Message { .. }) => {
                Err("must be both or neither: an anchor that names a message, and something that is done to a message")
            }
            Action::LoseMessage | Action::DelayMessage { .. } if !may_get_lost(at) => Err(
                "loses or delays a message that must not get lost, but with its whole session: repeat it, or reset the \
                     connection",
            ),
            Action::Replace { victim: Victim::JobManager, .. } => {
                Err("replaces the job manager, which task managers look for at its address: crash it instead")
            }
            Action::Throttle { bytes_per_ms: 0, .. } => Err("throttles a link to nothing: partition it instead"),
            a if a.kind().is_beyond() && self.guarantee.is_inside() => {
                Err("damages storage: say \"guarantee\": \"beyond\" in the plan")
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use tidegate::{graph::StreamExecutionEnvironment, probe::StepKind};

    use super::*;
    use crate::{
        env::Crash,
        fault::{Damage, FileKind},
    };

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
        let newer = text.replace("\"version\": 2", "\"version\": 3");
        let unknown = text.replace("snapshot-synced", "snapshot-sunk");
        let stranger = text.replace("\"heal_after_us\"", "\"heal_later\"");
        let cut = &text[..text.len() / 2];
        let errors =
            [&*newer, &unknown, &stranger, cut].map(|t| FaultPlan::from_json(t, "p.json").unwrap_err().to_string());
        // serde names all that there are; the beginning and the end say it.
        let short = |e: String| match e.split_once("expected one of ") {
            Some((before, after)) => {
                format!("{before}expected one of …{}", &after[after.rfind(" at line").unwrap_or(0)..])
            }
            None => e,
        };
        insta::assert_snapshot!(errors.map(short).join("\n"));
    }

    #[test]
    fn the_first_version_is_still_read() {
        let first = plan().to_json().replace("\"version\": 2", "\"version\": 1");
        assert_eq!(FaultPlan::from_json(&first, "plan").unwrap().faults, plan().faults);
    }

    #[test]
    fn what_makes_no_sense_is_named() {
        let graph = graph();
        let nodes = ["jm", "tm-1", "tm-2"].map(str::to_owned);
        let step = |actor: Option<&str>| Anchor::Step {
            step: StepKind::Aligned,
            actor: actor.map(str::to_owned),
            checkpoint: None,
            occurrence: 1,
        };
        let time = Anchor::Time { us: 1 };
        let message =
            Anchor::Message { message: MessageKind::Trigger, task_manager: None, checkpoint: None, occurrence: 1 };
        let ended =
            Anchor::Message { message: MessageKind::InputEnded, task_manager: None, checkpoint: None, occurrence: 1 };
        let kill = |name: &str| Action::Crash {
            victim: Victim::TaskManager(name.into()),
            crash: Crash::Process,
            restart_after_us: 1,
        };
        let rot = Action::DamageFile { file: FileKind::Snapshot, damage: Damage::FlipBit { byte: 7 } };
        let cases = [
            (step(Some("cuont/1")), Action::KillTask),
            (time.clone(), kill("tm-9")),
            (time.clone(), Action::ResetConnections { a: "jm".into(), b: "tm3".into() }),
            (time.clone(), Action::KillTask),
            (time.clone(), Action::LoseMessage),
            (message.clone(), kill("tm-1")),
            (ended, Action::LoseMessage),
            (time.clone(), Action::Replace { victim: Victim::JobManager, crash: Crash::Power, after_us: 1 }),
            (time.clone(), Action::Throttle { a: "jm".into(), b: "tm-1".into(), bytes_per_ms: 0, for_us: 1 }),
            (time, rot.clone()),
        ];
        let refused = cases.map(|(at, action)| {
            let plan = FaultPlan { guarantee: Guarantee::Inside, ..FaultPlan::new(vec![Fault { at, action }]) };
            plan.validate(&graph, &nodes).unwrap_err().to_string()
        });
        insta::assert_snapshot!(refused.join("\n"));
        let beyond = FaultPlan::new(vec![
            Fault { at: message, action: Action::LoseMessage },
            Fault { at: step(None), action: rot },
        ]);
        beyond.validate(&graph, &nodes).unwrap();
        assert_eq!(beyond.guarantee, Guarantee::Beyond);
    }

    fn graph() -> JobGraph {
        let env = StreamExecutionEnvironment::new();
        env.from_elements(["a".to_owned()])
            .key_by(String::clone)
            .sum(|_| 1_u64)
            .uid("count")
            .set_parallelism(2)
            .print();
        env.job_graph("Plan").expect("it makes sense")
    }
}
