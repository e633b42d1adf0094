//! The hunt itself, in a build that holds the defects.

use std::{panic, thread};

use clap::builder::PossibleValuesParser;
use serde::Serialize;
use tidegate::{
    defect::{Defect, NOT_APPLICABLE},
    error::Result,
};
use tidegate_sim::run::Verdict;

use super::HuntArgs;
use crate::{
    cli::{FAILURE, complain, say},
    hunt::{CPU_LIMIT, Score, Search, search},
};

/// The names of the defects, for the parser, which knows the nearest to a wrong one.
pub(super) fn slugs() -> PossibleValuesParser {
    PossibleValuesParser::new(Defect::ALL.iter().map(|d| d.slug()))
}

/// Searches and tells; gives the exit code.
pub(crate) fn hunt(args: &HuntArgs) -> u8 {
    hunt_all(args).unwrap_or_else(|error| {
        complain(&format!("error: {error}"));
        FAILURE
    })
}

/// Searches for each defect from each base on, several at a time, and tells the scores in the order of the defects.
fn hunt_all(args: &HuntArgs) -> Result<u8> {
    let asked = |d: &&Defect| args.defect.is_empty() || args.defect.iter().any(|slug| slug == d.slug());
    let defects: Vec<Defect> = Defect::ALL.iter().filter(asked).copied().collect();
    let (bases, most, json) = (args.bases.get(), args.seeds.get(), args.runs.json);
    let total = defects.len() as u64 * bases;
    let runs = args.runs.begin("searches")?;
    silence_the_simulated();
    if !json {
        say(&header());
    }
    let (mut searches, mut missed, mut done) = (Vec::new(), Vec::new(), 0);
    let look = |number: u64| {
        let defect = defects[(number / bases) as usize];
        search(Some(defect), number % bases, most, &|| runs.may_go_on())
    };
    let tell = |number: u64, search: Search| {
        // A search that was cut short says nothing.
        if search.caught.is_none() && search.runs < most {
            return;
        }
        done += 1;
        searches.push(search);
        if searches.len() as u64 == bases {
            let defect = defects[(number / bases) as usize];
            let score = Score { defect, searches: std::mem::take(&mut searches) };
            runs.aside(|| say(&if json { json_line(&score) } else { row(&score) }));
            if !score.is_found_in_time() {
                missed.push(defect.slug());
            }
        }
    };
    runs.run(0..total, look, tell)?;
    runs.end();
    if let Some(shortfall) = runs.shortfall(done, total, "searches") {
        complain(&shortfall);
    } else if !json {
        let (found, all) = (defects.len() - missed.len(), defects.len());
        say(&format!("{found} of {all} defects found within {CPU_LIMIT:?} of CPU time in the median"));
        let others = NOT_APPLICABLE.len();
        say(&format!("{others} more are not applicable: the engine lacks the features that they live in"));
    }
    if !missed.is_empty() {
        complain(&format!("not found in time: {}", missed.join(", ")));
    }
    Ok(runs.exit_code(if missed.is_empty() { Verdict::Held } else { Verdict::Broken }))
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

fn json_line(score: &Score) -> String {
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
