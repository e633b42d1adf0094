//! The real world: tokio's multi-thread runtime, TCP, the operating system's files and random numbers.
//!
//! ```no_run
//! use tidegate::env::real;
//! real::block_on(async {
//!     let env = real::env();
//!     println!("{}", env.clock.wall_clock_ms());
//! });
//! ```
//!
//! Deliberately absent: faults, and anything that decides something. Each file here is a thin shell over one trait.

// The one folder that is exempt from the bans in `clippy.toml`: it is what the bans point to.
#![allow(clippy::disallowed_methods, clippy::disallowed_types)]

mod clock;
mod disk;
mod entropy;
mod network;
mod spawner;

use std::sync::Arc;

use super::Env;

/// The real world as this process sees it. Its clock starts now. Call it once, inside [`block_on`] (or another tokio
/// multi-thread runtime with time and I/O enabled), and clone the result; instants of two clocks are not comparable.
///
/// # Panics
/// If called outside a tokio runtime, or if the operating system has no random numbers to give.
#[must_use]
pub fn env() -> Env {
    let runtime = tokio::runtime::Handle::current();
    Env {
        clock: Arc::new(clock::TokioClock::starting_now()),
        spawner: Arc::new(spawner::TokioSpawner::new(runtime.clone())),
        network: Arc::new(network::TcpNetwork),
        disk: Arc::new(disk::LocalDisk::new(runtime)),
        entropy: Arc::new(entropy::KernelEntropy::open()),
    }
}

/// Runs a future to its end on a new multi-thread runtime: the one place where a runtime is made. Tasks that still run
/// are dropped when the future has ended; operations on files that have begun are waited for.
///
/// # Panics
/// If the operating system gives no threads, or if the future panics.
pub fn block_on<F: Future>(future: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.expect("the operating system gives a process threads and an event queue").block_on(future)
}
