//! `tidegate sim`, `tidegate replay` and `tidegate list`: the simulated world.

use std::{ops::Range, path::PathBuf};

use clap::Args;
use tidegate::error::{Context, Error, Result};
use tidegate_sim::{
    many::run_sampled,
    run::{RunReport, RunSpec, Verdict, check_determinism},
};

use super::{SUCCESS, complain, exit_code, fail, many_runs::ManyRunsArgs, say, sim_report};
use crate::{
    catalogue::{ALL, SCENARIOS, Scenario, find, in_turn},
    corpus::SavedRun,
};

#[derive(Args, Debug)]
pub(crate) struct SimArgs {
    /// Which scenario; `tidegate list` names them. `all` takes them in turn, a seed each
    scenario: String,
    /// Run this seed, twice, and tell its story [default: 1]
    #[arg(long, value_name = "S", conflicts_with_all = ["seeds", "budget"])]
    seed: Option<u64>,
    /// Run these seeds, the second not included
    #[arg(long, value_name = "A..B", value_parser = parse_range, allow_hyphen_values = true)]
    seeds: Option<Range<u64>>,
    #[command(flatten)]
    runs: ManyRunsArgs,
    /// Print every event of the run
    #[arg(long, conflicts_with_all = ["seeds", "json"])]
    trace: bool,
    /// Save the seed with its fault plan, to be replayed on later builds
    #[arg(long, value_name = "FILE", conflicts_with = "seeds")]
    save: Option<PathBuf>,
}

#[derive(Args, Debug)]
pub(crate) struct ReplayArgs {
    /// A file that `tidegate sim --save` has written
    file: PathBuf,
    /// Print the run as a JSON object
    #[arg(long)]
    json: bool,
    /// Print every event of the run
    #[arg(long, conflicts_with = "json")]
    trace: bool,
}

fn parse_range(text: &str) -> Result<Range<u64>, String> {
    let bad = || format!("{text:?} is not a range of seeds: write the first and the one after the last, as in 0..1000");
    let (first, end) = text.split_once("..").ok_or_else(bad)?;
    let range = first.parse().map_err(|_| bad())?..end.parse().map_err(|_| bad())?;
    if range.is_empty() { Err(format!("{text} holds no seed: the second number must be greater")) } else { Ok(range) }
}

/// Names the scenarios.
pub(crate) fn list() -> u8 {
    let width = SCENARIOS.iter().map(|s| s.name.len()).max().unwrap_or(0);
    for Scenario { name, summary, .. } in SCENARIOS {
        say(&format!("{name:width$}  {summary}"));
    }
    SUCCESS
}

/// Runs one seed or many; gives the exit code.
pub(crate) fn sim(args: &SimArgs) -> u8 {
    let one = || find(&args.scenario);
    match (&args.seeds, args.scenario.as_str()) {
        (Some(seeds), ALL) => many(in_turn, seeds.clone(), args).unwrap_or_else(|error| fail(&error)),
        (Some(seeds), _) => {
            one().and_then(|scenario| many(|_| scenario, seeds.clone(), args)).unwrap_or_else(|error| fail(&error))
        }
        (None, ALL) => {
            fail(&Error::bad_input("all scenarios take turns over many seeds: say which, with --seeds A..B"))
        }
        (None, _) => exit_code(one().and_then(|scenario| single(scenario, args.seed.unwrap_or(1), args))),
    }
}

/// Runs a saved run; gives the exit code.
pub(crate) fn replay(args: &ReplayArgs) -> u8 {
    let replay = format!("tidegate replay {}", args.file.display());
    exit_code(SavedRun::read(&args.file).and_then(|saved| {
        let told = saved.spec().and_then(|spec| tell(&spec, &replay, args.json, args.trace));
        told.at(|| format!("saved run {}", args.file.display()))
    }))
}

fn single(scenario: &Scenario, seed: u64, args: &SimArgs) -> Result<Verdict> {
    let spec = scenario.spec(seed)?;
    if let Some(path) = &args.save {
        let (name, plan) = (scenario.name.to_owned(), spec.plan.clone());
        SavedRun { about: format!("seed {seed} of {name}"), scenario: name, seed, plan }.write(path)?;
    }
    tell(&spec, &replay_command(scenario.name, seed), args.runs.json, args.trace)
}

fn tell(spec: &RunSpec, replay: &str, json: bool, trace: bool) -> Result<Verdict> {
    let report = check_determinism(spec)?;
    if json {
        say(&sim_report::json(&spec.scenario, spec.seed.0, &report));
    } else {
        say(&sim_report::story(spec, &report, trace));
    }
    if report.verdict != Verdict::Held {
        complain(&format!("replay: {replay}"));
    }
    Ok(report.verdict)
}

fn many(scenario: impl Fn(u64) -> &'static Scenario + Sync, seeds: Range<u64>, args: &SimArgs) -> Result<u8> {
    let runs = args.runs.begin("runs")?;
    let json = args.runs.json;
    let mut summary = sim_report::Summary::default();
    let tell = |seed, report: RunReport| {
        summary.add(&report);
        if json {
            say(&sim_report::json(scenario(seed).name, seed, &report));
        }
        if report.verdict != Verdict::Held {
            runs.aside(|| {
                complain(&sim_report::failure(seed, &report));
                complain(&format!("replay: {}", replay_command(scenario(seed).name, seed)));
            });
            runs.remark(format!("{} failed", summary.failed()));
        }
    };
    let total = seeds.end - seeds.start;
    let done = runs.run(seeds, |seed| run_sampled(seed, &scenario(seed).spec(seed)?), tell)?;
    runs.end();
    say(&if json { summary.json() } else { summary.render(runs.elapsed()) });
    if let Some(shortfall) = runs.shortfall(done, total, "runs") {
        complain(&shortfall);
    }
    Ok(runs.exit_code(summary.verdict()))
}

fn replay_command(scenario: &str, seed: u64) -> String {
    format!("tidegate sim {scenario} --seed {seed}")
}
