//! Many pieces of work on all cores, told in their order: the one runner of everything that runs more than once.
//!
//! Deliberately absent: clocks and signals. Who calls says when to stop.

use std::{
    collections::BTreeMap,
    ops::Range,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc,
    },
    thread,
};

use tidegate::error::Result;

use crate::run::{RunReport, RunSpec, check_determinism, run};

/// One seed in so many is run twice, in two threads, and the histories compared (I19).
const DETERMINISM_SAMPLE: u64 = 16;

/// Does `work` for each number, `jobs` at a time (at least one), and hands each result to `tell`, in order, until it gives
/// false. Nothing is begun any more once `may_go_on` gives false; what has begun is done and told.
///
/// Gives how many results were told: those of the first so many numbers. `work` should give what `tell` needs and no more,
/// because results that are early wait for those before them.
///
/// # Errors
/// That of the first number whose work fails; later ones are not told.
///
/// # Panics
/// If `work` does.
pub fn in_order<T: Send>(
    numbers: Range<u64>,
    jobs: usize,
    may_go_on: &(dyn Fn() -> bool + Sync),
    work: impl Fn(u64) -> Result<T> + Sync,
    mut tell: impl FnMut(u64, T) -> bool,
) -> Result<u64> {
    let next = AtomicU64::new(numbers.start);
    let stop = AtomicBool::new(false);
    // Bounded, so that a slow listener does not let results pile up.
    let (results, incoming) = mpsc::sync_channel(jobs * 4);
    let results = Mutex::new(results);
    thread::scope(|scope| {
        for _ in 0..jobs.max(1) {
            let results = results.lock().expect("nobody panics while holding this lock").clone();
            let (next, stop, work, end) = (&next, &stop, &work, numbers.end);
            scope.spawn(move || {
                let _guard = StopOnPanic(stop);
                // Asked before a number is taken: a number that is taken is done, and so no gap is left.
                while !stop.load(Ordering::Relaxed) && may_go_on() {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= end || results.send((number, work(number))).is_err() {
                        break;
                    }
                }
            });
        }
        // The loop below ends when the last worker has dropped its sender.
        drop(results);
        let mut early = BTreeMap::new();
        let mut due = numbers.start;
        for (number, result) in incoming {
            early.insert(number, result);
            while let Some(result) = early.remove(&due) {
                let go_on =
                    result.map(|result| tell(due, result)).inspect_err(|_| stop.store(true, Ordering::Relaxed))?;
                due += 1;
                if !go_on {
                    stop.store(true, Ordering::Relaxed);
                    return Ok(due - numbers.start);
                }
            }
        }
        Ok(due - numbers.start)
    })
}

/// A worker that panics leaves a gap that would never be closed: so the others stop, too, and the panic is passed on.
struct StopOnPanic<'a>(&'a AtomicBool);

impl Drop for StopOnPanic<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.store(true, Ordering::Relaxed);
        }
    }
}

/// Runs the specs of all seeds with so many at a time, and hands each report to `tell`, in the order of the seeds, until it
/// gives false.
///
/// # Errors
/// The first error of a spec or a run.
pub fn run_many(
    seeds: Range<u64>,
    jobs: usize,
    spec: impl Fn(u64) -> Result<RunSpec> + Sync,
    tell: impl FnMut(u64, RunReport) -> bool,
) -> Result<()> {
    in_order(seeds, jobs, &|| true, |seed| run_sampled(seed, &spec(seed)?), tell).map(drop)
}

/// The run of a seed among many: a sample of them also shows whether runs are deterministic.
///
/// # Errors
/// Those of [`run`].
pub fn run_sampled(seed: u64, spec: &RunSpec) -> Result<RunReport> {
    if seed.is_multiple_of(DETERMINISM_SAMPLE) { check_determinism(spec) } else { run(spec) }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use tidegate::error::Error;

    use super::*;

    /// The numbers that were told, and what the runner said.
    fn told(may_go_on: &(dyn Fn() -> bool + Sync), tell_until: u64, fails_at: u64) -> (Vec<u64>, Result<u64, String>) {
        let mut told = Vec::new();
        let work = |n: u64| {
            // The even ones take longer, so that odd ones are early.
            (0..(n + 1) % 2 * 100_000).for_each(|i| {
                std::hint::black_box(i);
            });
            if n == fails_at { Err(Error::bad_input(format!("{n} is bad"))) } else { Ok(n * 10) }
        };
        let done = in_order(5..25, 3, may_go_on, work, |n, result| {
            assert_eq!(result, n * 10);
            told.push(n);
            n != tell_until
        });
        (told, done.map_err(|e| e.to_string()))
    }

    #[test]
    fn everything_is_told_in_order() {
        assert_eq!(told(&|| true, 99, 99), ((5..25).collect(), Ok(20)));
        assert_eq!(told(&|| true, 11, 99), ((5..12).collect(), Ok(7)));
        assert_eq!(told(&|| true, 99, 8), (vec![5, 6, 7], Err("8 is bad".into())));
    }

    /// Whoever stops, and when: what was told is a beginning without gaps.
    #[test]
    fn what_is_begun_when_it_stops_is_told() {
        for asked in 0..12 {
            let left = AtomicU64::new(asked);
            let may_go_on =
                || left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok();
            assert_eq!(told(&may_go_on, 99, 99), ((5..5 + asked).collect(), Ok(asked)));
        }
    }

    #[test]
    fn a_panic_ends_it_all() {
        let begun = AtomicU64::new(0);
        let work = |n: u64| {
            begun.fetch_add(1, Ordering::Relaxed);
            // Not `panic!`, which would print a backtrace.
            if n == 3 { std::panic::resume_unwind(Box::new("three")) } else { Ok(()) }
        };
        let run = || in_order(0..1_000_000, 2, &|| true, work, |_, ()| true);
        assert!(catch_unwind(AssertUnwindSafe(run)).is_err());
        assert!(begun.into_inner() < 1_000_000, "the other worker went on to the end");
    }
}
