//! The program, as people call it. One program of tests, because each costs seconds to be linked.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "these tests run real processes in real time")]

#[cfg(target_os = "linux")]
mod bad_input;
#[cfg(target_os = "linux")]
mod damaged_checkpoint;
#[cfg(target_os = "linux")]
mod hostile_input;
mod inspect;
#[cfg(target_os = "linux")]
mod many_runs;
mod readme;
#[cfg(target_os = "linux")]
mod real_processes;
mod support;
