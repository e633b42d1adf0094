//! The real world: tokio, TCP, the disk.
//!
//! This is the only place that names tokio's runtime, network, timers and blocking pool, or the standard library's clock
//! and files; so it is the only one that the bans of `clippy.toml` do not bind.
//!
//! Deliberately absent: anything that the simulated world does not have a twin of.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "this is the seam to the real world")]

mod clock;
mod direct;
mod disk;
mod entropy;
mod execute;
mod file_thread;
mod in_process;
mod spawner;
mod tcp;

use std::sync::Arc;

use super::{Env, Network};

/// This process's view of the real world. To be used inside of [`block_on`] or another multi-thread tokio runtime. Its
/// clock starts now; instants of two clocks cannot be compared, so make one and clone it.
///
/// # Panics
/// If the operating system has no random numbers to give.
#[must_use]
pub fn env() -> Env {
    with_network(Arc::new(in_process::InProcess::or(tcp::Tcp)))
}

/// As [`env()`], but connections within this process go by TCP, too, as those between processes do: for tests and benches of what a
/// cluster of several processes does.
///
/// # Panics
/// If the operating system has no random numbers to give.
#[must_use]
pub fn env_over_tcp() -> Env {
    with_network(Arc::new(tcp::Tcp))
}

fn with_network(network: Arc<dyn Network>) -> Env {
    Env {
        clock: Arc::new(clock::RealClock::new()),
        spawner: Arc::new(spawner::RealSpawner),
        network,
        disk: Arc::new(disk::RealDisk),
        entropy: Arc::new(entropy::RealEntropy::new()),
    }
}

/// A worker looks for messages that have come and timers that have passed after so many turns of tasks. A turn takes two batches, a
/// fraction of a millisecond; with tokio's usual 61 of them, barriers waited many milliseconds for being heard of.
const TURNS_BETWEEN_EVENTS: u32 = 4;

/// Runs a future on a runtime of its own, with one worker thread per core: the only place that makes one. When the future
/// has ended, tasks that still run are dropped, but operations on files that have begun and tasks that do nothing else
/// ([`Spawner::spawn_file_work_raw`](super::Spawner::spawn_file_work_raw)) are waited for.
///
/// # Panics
/// If the operating system gives no threads. If the future panics, with its message.
pub fn block_on<F>(future: F) -> F::Output
where
    F: Future<Output: Send> + Send + 'static,
{
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let runtime = builder.enable_all().event_interval(TURNS_BETWEEN_EVENTS).build();
    let runtime = runtime.expect("the operating system gives threads");
    // By a worker, as all other tasks: on this thread each message for it would cost a switch between threads and back.
    let ended = runtime.block_on(runtime.spawn(future));
    ended.unwrap_or_else(|failed| std::panic::resume_unwind(failed.into_panic()))
}

#[cfg(test)]
mod tests {
    use std::{sync::mpsc, thread};

    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;
    use crate::env::{
        Address, BoxFuture, Spawner,
        conformance::{Broken, Scene, checks},
        spawner::Abort,
    };

    #[test]
    #[should_panic(expected = "the reason")]
    fn a_panic_is_passed_on() {
        block_on(async { panic!("the reason") })
    }

    /// What is broken of the promises in the environment that is made.
    fn broken(make: fn() -> Env) -> Vec<Broken> {
        let mut broken = Vec::new();
        for (name, check) in checks() {
            let directory = tempfile::tempdir().expect("a temporary directory");
            let scene = Scene { directory: directory.path().to_owned(), host: "127.0.0.1".into() };
            let (tell, told) = mpsc::channel();
            let process = thread::spawn(move || {
                block_on(async move {
                    let env = make();
                    let spawner = env.spawner.clone();
                    let outcome = spawner.run(name, check(env, scene)).await.expect("a check does not panic");
                    tell.send(outcome).expect("somebody waits for it");
                });
            });
            let outcome = told.recv().expect("a check has an outcome");
            // Where a promise is broken, the process need not come to its end.
            if outcome.is_ok() {
                process.join().expect("a check does not panic");
            }
            broken.extend(outcome.err());
        }
        broken
    }

    #[test]
    fn the_real_world_keeps_its_promises() {
        assert_eq!(broken(env), []);
    }

    #[test]
    fn it_keeps_them_over_tcp() {
        assert_eq!(broken(env_over_tcp), []);
    }

    #[test]
    fn within_a_process_nothing_goes_over_tcp() {
        block_on(async {
            let (env, other) = (env(), super::env());
            let mut listener = env.network.bind(&Address::new("127.0.0.1:0")).await.expect("a port is free");
            let address = listener.local_address();
            let mut by_tcp = other.network.connect(&address).await.expect("somebody listens");
            let mut by_memory = env.network.connect(&address).await.expect("somebody listens");
            by_tcp.writer.write_all(b"t").await.expect("it is open");
            by_memory.writer.write_all(b"m").await.expect("it is open");
            // What waits within the process is accepted first: both would be found by TCP in the order in which they came.
            for expected in [b'm', b't'] {
                let mut accepted = listener.accept().await.expect("there are two");
                assert_eq!(accepted.reader.read_u8().await.expect("a byte is on its way"), expected);
            }
        });
    }

    /// Starts all tasks as if they did nothing but work on files.
    struct FileWork(Arc<dyn Spawner>);

    impl Spawner for FileWork {
        fn spawn_raw(&self, name: &str, future: BoxFuture<'static, ()>) -> Box<dyn Abort> {
            self.0.spawn_file_work_raw(name, future)
        }
    }

    #[test]
    fn it_keeps_them_where_tasks_have_their_own_threads() {
        let as_file_work = || {
            let env = env();
            Env { spawner: Arc::new(FileWork(env.spawner.clone())), ..env }
        };
        assert_eq!(broken(as_file_work), []);
    }
}
