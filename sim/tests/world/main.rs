//! The simulated world and the engine in it. One program, because each costs seconds to be linked.

mod clocks;
mod conformance;
mod control_messages;
mod disk_damage;
mod disk_errors;
mod disk_faults;
mod disk_model;
mod engine_on_failing_disk;
mod engine_on_rotten_disk;
mod faults_in_runs;
mod network_faults;
mod pauses;
mod replayed_records;
mod restore_each_retained;
mod support;
mod verdicts;
