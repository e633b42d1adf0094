//! The scenarios: jobs with generated input, what must come of them, and what goes wrong meanwhile.
//!
//! `word_count`, `ledger` and `at_least_once` draw from all faults there are; the others aim where it hurts.
//!
//! Deliberately absent: the engine's operators; a reference that used them would share their faults.

mod aim;
pub mod at_least_once;
pub mod clock_jump;
pub mod damaged_checkpoint;
pub mod disk_full;
mod draws;
mod entries;
pub mod failing_checkpoints;
pub mod inline_snapshots;
pub mod large_state;
pub mod late_producers;
pub mod ledger;
pub mod lost_messages;
pub mod prepare_commit;
pub mod rescale;
pub mod restart_storm;
pub mod skewed_keys;
pub mod slow_upload;
pub mod small;
pub mod small_inline;
pub mod split_alignment;
pub mod stale_messages;
pub mod torn_manifest;
pub mod uneven_sources;
pub mod user_panic;
pub mod wide_sink;
pub mod word_count;
mod word_reference;
pub mod zombie;

pub use aim::was_hit;
