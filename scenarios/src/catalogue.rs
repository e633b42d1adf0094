//! The scenarios by name.

use tidegate::error::{Error, Result};
use tidegate_sim::{fault::did_you_mean, run::RunSpec, seed::Seed};

use crate::scenarios::{
    at_least_once, clock_jump, damaged_checkpoint, disk_full, failing_checkpoints, inline_snapshots, large_state,
    late_producers, ledger, lost_messages, prepare_commit, rescale, restart_storm, skewed_keys, slow_upload, small,
    small_inline, split_alignment, stale_messages, torn_manifest, uneven_sources, user_panic, wide_sink, word_count,
    zombie,
};

/// A named adversity.
pub struct Scenario {
    /// What it is called on the command line.
    pub name: &'static str,
    /// What it is, in one sentence.
    pub summary: &'static str,
    /// Whether its plans aim at one place, which nearly every run must hit; others draw from all faults.
    pub is_aimed: bool,
    make: fn(Seed) -> Result<RunSpec>,
}

impl Scenario {
    /// The run of a seed.
    ///
    /// # Errors
    /// Those of a job graph that makes no sense.
    pub fn spec(&self, seed: u64) -> Result<RunSpec> {
        Ok(RunSpec { scenario: self.name.to_owned(), ..(self.make)(Seed(seed))? })
    }
}

/// All scenarios.
pub const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "wordcount",
        summary: "WordCount, exactly once, on a cluster in which anything may fail at any step",
        is_aimed: false,
        make: word_count::spec,
    },
    Scenario {
        name: "ledger",
        summary: "entries chained by hash per account, exactly once and in order, under the same adversity",
        is_aimed: false,
        make: ledger::spec,
    },
    Scenario {
        name: "at-least-once",
        summary: "a relay without state under barriers that block nothing: no entry may be missing, some may come twice",
        is_aimed: false,
        make: at_least_once::spec,
    },
    Scenario {
        name: "prepare-commit",
        summary: "a crash between prepare and commit, and another while recovery commits again",
        is_aimed: true,
        make: prepare_commit::spec,
    },
    Scenario {
        name: "split-alignment",
        summary: "a partition while some barriers of a checkpoint have come and others have not",
        is_aimed: true,
        make: split_alignment::spec,
    },
    Scenario {
        name: "zombie",
        summary: "a node stops for longer than the heartbeat time-out, is replaced, and goes on writing",
        is_aimed: true,
        make: zombie::spec,
    },
    Scenario {
        name: "slow-upload",
        summary: "snapshots take longer than the checkpoint's time-out",
        is_aimed: true,
        make: slow_upload::spec,
    },
    Scenario {
        name: "torn-manifest",
        summary: "power or disk fail between the last acknowledgement and the durable manifest",
        is_aimed: true,
        make: torn_manifest::spec,
    },
    Scenario {
        name: "disk-full",
        summary: "no space is left, for a while or for good",
        is_aimed: true,
        make: disk_full::spec,
    },
    Scenario {
        name: "damaged-checkpoint",
        summary: "beyond the guarantee: what is stored is damaged, and then restored",
        is_aimed: true,
        make: damaged_checkpoint::spec,
    },
    Scenario { name: "clock-jump", summary: "wall clocks jump on every node", is_aimed: true, make: clock_jump::spec },
    Scenario {
        name: "skewed-keys",
        summary: "one key has nearly all the traffic, over a narrow link",
        is_aimed: true,
        make: skewed_keys::spec,
    },
    Scenario {
        name: "failing-checkpoints",
        summary: "many checkpoints in a row, many of which fail",
        is_aimed: true,
        make: failing_checkpoints::spec,
    },
    Scenario {
        name: "rescale",
        summary: "the job is stopped and started again with another parallelism",
        is_aimed: true,
        make: rescale::spec,
    },
    Scenario {
        name: "restart-storm",
        summary: "one crash after another, each in the recovery from the last",
        is_aimed: true,
        make: restart_storm::spec,
    },
    Scenario {
        name: "uneven-sources",
        summary: "some sources have ended or are empty, and one goes on",
        is_aimed: true,
        make: uneven_sources::spec,
    },
    Scenario {
        name: "user-panic",
        summary: "user code panics on a record, once or always",
        is_aimed: true,
        make: user_panic::spec,
    },
    Scenario {
        name: "wide-sink",
        summary: "a sink of twelve subtasks, whose names begin alike",
        is_aimed: true,
        make: wide_sink::spec,
    },
    Scenario {
        name: "lost-messages",
        summary: "control messages of checkpoints are lost, late and doubled throughout",
        is_aimed: true,
        make: lost_messages::spec,
    },
    Scenario {
        name: "stale-messages",
        summary: "what the tasks of a dead attempt said comes once more, while the next one runs",
        is_aimed: true,
        make: stale_messages::spec,
    },
    Scenario {
        name: "late-producers",
        summary: "tasks fail while they connect to one another over slow links",
        is_aimed: true,
        make: late_producers::spec,
    },
    Scenario {
        name: "large-state",
        summary: "a word count most of whose state does not change from one checkpoint to the next",
        is_aimed: false,
        make: large_state::spec,
    },
    Scenario {
        name: "small",
        summary: "a word count of fixed text with three checkpoints, small enough to be crashed at every step in turn",
        is_aimed: false,
        make: small::spec,
    },
    Scenario {
        name: "inline-snapshots",
        summary: "small snapshots stand in the manifest, larger ones in files, under the adversity of wordcount and ledger",
        is_aimed: false,
        make: inline_snapshots::spec,
    },
    Scenario {
        name: "small-inline",
        summary: "small, with some of its snapshots in the manifest",
        is_aimed: false,
        make: small_inline::spec,
    },
];

/// What stands for all scenarios in turn.
pub const ALL: &str = "all";

/// The scenario of a seed, when they take turns.
#[must_use]
pub fn in_turn(seed: u64) -> &'static Scenario {
    &SCENARIOS[(seed % SCENARIOS.len() as u64) as usize]
}

/// The scenario of this name.
///
/// # Errors
/// `BadInput` that lists the names there are.
pub fn find(name: &str) -> Result<&'static Scenario> {
    SCENARIOS.iter().find(|s| s.name == name).ok_or_else(|| {
        let names: Vec<&str> = SCENARIOS.iter().map(|s| s.name).collect();
        let hint = did_you_mean(name, names.iter().copied());
        Error::bad_input(format!("there is no scenario {name}: choose one of {}{hint}", names.join(", ")))
    })
}
