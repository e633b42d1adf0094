//! What both worlds must keep: one check for each numbered promise of the five traits, run against the real world and
//! against the simulated one.
//!
//! A check asks one [`Env`] and knows nothing of the world behind it. It says what broke, in a sentence, and each runs by
//! itself, so that each can be a test case of its own:
//!
//! ```no_run
//! # use tidegate::env::{conformance::{Scene, checks}, real};
//! for (name, check) in checks() {
//!     let directory = std::env::temp_dir().join(name); // exists, and is empty
//!     let scene = Scene { directory, host: "127.0.0.1".into() };
//!     real::block_on(async move { check(real::env(), scene).await.unwrap() });
//! }
//! ```
//!
//! Deliberately absent: promises that take a crash, a loss of power or a cut network to show. Those can only be tried in
//! the simulated world, and are tested beside it.

mod check;
mod clock;
mod disk_contents;
mod disk_names;
mod entropy;
mod network_connections;
mod network_streams;
mod spawner;

use std::path::Path;

pub use check::{Broken, Check, Outcome, Scene};

use super::Env;

/// Names each check by its trait, the number of the promise, and what it checks.
macro_rules! checks {
    ($($of:literal in $module:ident: $($promise:literal $check:ident),+;)+) => {
        vec![$($((
            concat!($of, "_", $promise, "_", stringify!($check)),
            (|env, scene| {
                let name = concat!($of, ", promise ", $promise, " (", stringify!($check), ")");
                Box::pin(async move { $module::$check(env, scene).await.map_err(|broken| broken.of(name)) })
            }) as Check,
        )),+),+]
    };
}

/// All checks, with their names.
#[must_use]
pub fn checks() -> Vec<(&'static str, Check)> {
    checks! {
        "clock" in clock:
            1 now_never_goes_backwards,
            2 no_sleep_ends_early,
            2 a_past_deadline_is_ready_at_once,
            2 a_deadline_may_be_never,
            2 a_limit_ends_work,
            3 a_dropped_sleep_lets_go;
        "spawner" in spawner:
            1 a_task_outlives_its_handle,
            1 tasks_wait_for_one_another,
            2 an_aborted_task_is_dropped,
            2 an_aborted_task_need_not_wake,
            2 aborting_what_has_ended_does_nothing,
            3 a_panic_stays_inside_its_task,
            4 spawning_does_not_poll;
        "network" in network_streams:
            1 bytes_arrive_in_order_and_once,
            1 connections_do_not_mix,
            2 a_writer_waits_for_its_reader,
            5 a_dropped_writer_ends_the_stream,
            5 a_shut_down_writer_ends_one_direction,
            5 a_dropped_connection_delivers_what_was_written,
            6 a_read_gets_what_is_there,
            6 a_flushed_byte_needs_no_other;
        "network" in network_connections:
            4 nobody_listens,
            4 an_address_is_taken_once,
            4 an_address_is_free_again,
            4 a_malformed_address_is_refused,
            4 accept_may_be_dropped;
        "disk" in disk_contents:
            1 modes_of_opening,
            1 all_handles_see_a_write,
            1 reads_end_with_the_file,
            1 bytes_in_the_middle_are_replaced,
            1 a_gap_reads_as_zeros,
            1 a_handle_for_reading_does_not_write,
            1 a_large_file_comes_back,
            1 many_handles_write_one_file,
            1 an_abandoned_write_does_not_come_late,
            2 syncing_succeeds;
        "disk" in disk_names:
            3 syncing_a_directory_succeeds,
            4 a_rename_replaces,
            4 a_rename_keeps_the_contents,
            4 a_handle_keeps_its_file,
            6 a_list_is_sorted,
            6 names_come_and_go,
            6 what_is_missing_is_not_found,
            7 a_lock_excludes,
            7 a_lock_is_given_back;
        "entropy" in entropy:
            2 values_look_random;
    }
}

/// Runs all checks, one after the other, each in a new directory below `directory`, which must exist. `host` is the name
/// under which this node listens.
///
/// # Errors
/// What the first check that fails says.
pub async fn run(env: &Env, directory: &Path, host: &str) -> Outcome {
    for (name, check) in checks() {
        let scene = Scene { directory: directory.join(name), host: host.to_owned() };
        env.disk.create_dir(&scene.directory).await?;
        check(env.clone(), scene).await?;
    }
    Ok(())
}
