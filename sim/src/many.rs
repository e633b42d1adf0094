//! Many runs on all cores, told in the order of their seeds.

use std::{
    collections::BTreeMap,
    ops::Range,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc,
    },
};

use tidegate::error::Result;

use crate::run::{RunReport, RunSpec, check_determinism, run};

/// One seed in so many is run twice, in two threads, and the histories compared (I19).
const DETERMINISM_SAMPLE: u64 = 16;

/// Runs the specs of all seeds with so many at a time, and hands each report to `tell`, in the order of the seeds, until it
/// gives false.
///
/// # Errors
/// The first error of a spec or a run.
pub fn run_many(
    seeds: Range<u64>,
    jobs: usize,
    spec: impl Fn(u64) -> Result<RunSpec> + Sync,
    mut tell: impl FnMut(u64, RunReport) -> bool,
) -> Result<()> {
    let next = AtomicU64::new(seeds.start);
    let stop = AtomicBool::new(false);
    // Bounded, so that a slow listener does not let histories pile up.
    let (reports, incoming) = mpsc::sync_channel(jobs * 4);
    let reports = Mutex::new(reports);
    std::thread::scope(|scope| {
        for _ in 0..jobs.max(1) {
            let reports = reports.lock().expect("nobody panics while holding this lock").clone();
            let (next, stop, spec, end) = (&next, &stop, &spec, seeds.end);
            scope.spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= end {
                        break;
                    }
                    let judge = if seed.is_multiple_of(DETERMINISM_SAMPLE) { check_determinism } else { run };
                    let report = spec(seed).and_then(|spec| judge(&spec));
                    if reports.send((seed, report)).is_err() {
                        break;
                    }
                }
            });
        }
        drop(reports);
        let mut waiting = BTreeMap::new();
        let mut due = seeds.start;
        for (seed, report) in incoming {
            waiting.insert(seed, report);
            while let Some(report) = waiting.remove(&due) {
                let go_on = match report {
                    Ok(report) => tell(due, report),
                    Err(error) => {
                        stop.store(true, Ordering::Relaxed);
                        return Err(error);
                    }
                };
                due += 1;
                if !go_on {
                    stop.store(true, Ordering::Relaxed);
                    return Ok(());
                }
            }
        }
        Ok(())
    })
}
