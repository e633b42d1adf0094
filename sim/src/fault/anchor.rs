//! When a fault happens: at a place in the protocol, which means the same in every build, or at a virtual time.

use serde::{Deserialize, Serialize};
use tidegate::{probe::StepKind, runtime::MessageKind};

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
    /// When a control message that may get lost is sent.
    Message {
        /// Which one.
        message: MessageKind,
        /// From or to which task manager; any if absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        task_manager: Option<String>,
        /// Of which checkpoint; any if absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        checkpoint: Option<u64>,
        /// At which of the matching messages, counted from 1.
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
