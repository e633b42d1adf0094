//! The hunt itself, in a build that holds the defects.

use std::{
    collections::BTreeMap,
    num::NonZero,
    panic,
    sync::{
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    thread,
};

use clap::builder::PossibleValuesParser;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;
use tidegate::{
    defect::{Defect, NOT_APPLICABLE},
    error::Result,
};

use super::HuntArgs;
use crate::{
    cli::{FAILURE, SUCCESS, complain, say},
    hunt::{CPU_LIMIT, Score, Search, search},
};

/// Some defect was not found in time.
const MISSED: u8 = 1;

/// The names of the defects, for the parser, which knows the nearest to a wrong one.
pub(super) fn slugs() -> PossibleValuesParser {
    PossibleValuesParser::new(Defect::ALL.iter().map(|d| d.slug()))
}

/// Searches and tells; gives the exit code.
pub(crate) fn hunt(args: &HuntArgs) -> u8 {
    let asked = |d: &&Defect| args.defect.is_empty() || args.defect.iter().any(|slug| slug == d.slug());
    let defects: Vec<Defect> = Defect::ALL.iter().filter(asked).copied().collect();
    if !args.json {
        say(&header());
    }
    let mut missed = Vec::new();
    let result = hunt_all(&defects, args, |score| {
        say(&if args.json { json(score) } else { row(score) });
        if !score.is_found_in_time() {
            missed.push(score.defect.slug());
        }
    });
    if let Err(error) = result {
        complain(&format!("error: {error}"));
        return FAILURE;
    }
    if !args.json {
        let (found, all) = (defects.len() - missed.len(), defects.len());
        say(&format!("{found} of {all} defects found within {CPU_LIMIT:?} of CPU time in the median"));
        say(&format!(
            "{} more are not applicable: the engine lacks the features that they live in",
            NOT_APPLICABLE.len()
        ));
    }
    if missed.is_empty() {
        return SUCCESS;
    }
    complain(&format!("not found in time: {}", missed.join(", ")));
    MISSED
}

/// Searches for each defect from each base on, several at a time, and tells the scores in the order of the defects.
fn hunt_all(defects: &[Defect], args: &HuntArgs, mut tell: impl FnMut(&Score)) -> Result<()> {
    let cores = || thread::available_parallelism().unwrap_or(NonZero::<usize>::MIN);
    let jobs = args.jobs.unwrap_or_else(cores).get();
    let (bases, most) = (args.bases.get(), args.seeds.get());
    let work: Vec<(Defect, u64)> = defects.iter().flat_map(|d| (0..bases).map(|base| (*d, base))).collect();
    let bar = progress_bar(work.len(), args.json);
    silence_the_simulated();
    let next = AtomicUsize::new(0);
    let (results, incoming) = mpsc::channel();
    let told = thread::scope(|scope| {
        for _ in 0..jobs {
            let (results, next, work) = (results.clone(), &next, &work);
            let go_on = move || {
                while let Some((defect, base)) = work.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if results.send((*defect, search(Some(*defect), *base, most))).is_err() {
                        break;
                    }
                }
            };
            thread::Builder::new().name("hunter".into()).spawn_scoped(scope, go_on).expect("a thread can be started");
        }
        drop(results);
        let mut searches = BTreeMap::<Defect, Vec<Search>>::new();
        let mut due = defects.iter().peekable();
        for (defect, result) in incoming {
            // Nobody listens any more then, and the hunters stop.
            searches.entry(defect).or_default().push(result?);
            bar.inc(1);
            while let Some(defect) = due.next_if(|d| searches.get(d).is_some_and(|s| s.len() as u64 == bases)) {
                let searches = searches.remove(defect).expect("they are all there");
                bar.suspend(|| tell(&Score { defect: *defect, searches }));
            }
        }
        Ok(())
    });
    bar.finish_and_clear();
    told
}

fn progress_bar(searches: usize, hidden: bool) -> ProgressBar {
    let bar = ProgressBar::new(searches as u64);
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len} searches, {elapsed}");
    bar.set_style(style.expect("the template is valid"));
    if hidden {
        bar.set_draw_target(ProgressDrawTarget::hidden());
    }
    bar
}

/// Planted defects make tasks panic by the thousand. What the simulated engine says of that on standard error helps nobody;
/// its threads are those without a name.
fn silence_the_simulated() {
    let tell = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        if thread::current().name().is_some() {
            tell(info);
        }
    }));
}

fn header() -> String {
    line("defect", "ticket", "checker", "found", "runs", "CPU s")
}

fn row(score: &Score) -> String {
    let tickets: Vec<&str> = score.defect.tickets().iter().map(|t| t.name).collect();
    let found = format!("{}/{}", score.found(), score.searches.len());
    let runs = score.median_runs().map_or("-".into(), |runs| runs.to_string());
    let cpu = score.median_cpu_time().map_or("-".into(), |cpu| format!("{:.2}", cpu.as_secs_f64()));
    line(score.defect.slug(), &tickets.join(", "), score.checker().unwrap_or("-"), &found, &runs, &cpu)
}

fn line(defect: &str, ticket: &str, checker: &str, found: &str, runs: &str, cpu: &str) -> String {
    format!("{defect:32} {ticket:34} {checker:>7} {found:>7} {runs:>7} {cpu:>8}")
}

/// What `--json` prints of a defect.
#[derive(Serialize)]
struct JsonScore<'a> {
    defect: &'a str,
    summary: &'a str,
    needs: &'a str,
    tickets: Vec<(&'a str, &'a str)>,
    checker: Option<&'a str>,
    found: usize,
    bases: usize,
    median_runs: Option<u64>,
    median_cpu_seconds: Option<f64>,
    found_in_time: bool,
    /// One run that did not hold: scenario, seed, and what was said of it.
    example: Option<(&'a str, u64, &'a str)>,
}

fn json(score: &Score) -> String {
    let example = score.searches.iter().find_map(|s| s.caught.as_ref());
    let score = JsonScore {
        defect: score.defect.slug(),
        summary: score.defect.summary(),
        needs: score.defect.needs(),
        tickets: score.defect.tickets().iter().map(|t| (t.name, t.url)).collect(),
        checker: score.checker(),
        found: score.found(),
        bases: score.searches.len(),
        median_runs: score.median_runs(),
        median_cpu_seconds: score.median_cpu_time().map(|t| t.as_secs_f64()),
        found_in_time: score.is_found_in_time(),
        example: example.map(|c| (c.scenario, c.seed, &*c.message)),
    };
    serde_json::to_string(&score).expect("a score is plain data")
}
