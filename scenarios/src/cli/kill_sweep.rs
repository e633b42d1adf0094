//! `tidegate kill-sweep`: every crash at every step of a job.

use std::path::Path;

use clap::{Args, ValueEnum};
use tidegate::error::Result;
use tidegate_sim::{
    env::Crash,
    fault::FaultPlan,
    run::{RunReport, Verdict},
    sweep::{Counts, Fate, Outcome, Pairs, Point, Survey, Tally},
};

use super::{
    BROKEN, FAILURE, SUCCESS, complain, fail,
    kill_sweep_report::{self as report, Sweep},
    many_runs::{ManyRuns, ManyRunsArgs},
    say,
};
use crate::{catalogue::find, corpus::SavedRun};

/// So many plans of points that did not hold are saved, and as many missed points are named.
const SAVED: u64 = 3;

#[derive(Args, Debug)]
pub(crate) struct KillSweepArgs {
    /// Which scenario; `tidegate list` names them
    scenario: String,
    /// Decides the job, its input, the cluster and the order of tasks; not what goes wrong
    #[arg(long, value_name = "S", default_value_t = 1)]
    seed: u64,
    /// How nodes are crashed
    #[arg(long, value_enum, default_value_t = Crashes::All)]
    crash: Crashes,
    /// Crash a second time, too, at every step of the recovery from the first crash
    #[arg(long)]
    pairs: bool,
    #[command(flatten)]
    runs: ManyRunsArgs,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Crashes {
    /// By a kill of the process
    Process,
    /// By loss of power
    Power,
    /// By each of them
    All,
}

impl Crashes {
    fn kinds(self) -> &'static [Crash] {
        match self {
            Self::Process => &[Crash::Process],
            Self::Power => &[Crash::Power],
            Self::All => &[Crash::Process, Crash::Power],
        }
    }
}

/// Sweeps; gives the exit code.
pub(crate) fn kill_sweep(args: &KillSweepArgs) -> u8 {
    sweep(args).unwrap_or_else(|error| fail(&error))
}

fn sweep(args: &KillSweepArgs) -> Result<u8> {
    let spec = find(&args.scenario)?.spec(args.seed)?;
    let runs = args.runs.begin("points")?;
    let survey = Survey::of(&spec)?;
    let mut teller = Teller::new(args, &runs, Path::new(""));
    if survey.report.verdict != Verdict::Held {
        teller.broken_from_the_start(&survey.report);
        return Ok(BROKEN);
    }
    let crashes = args.crash.kinds();
    let firsts = survey.points(crashes);
    let mut pairs = args.pairs.then(Pairs::default);
    let judge = |point: &Point| if args.pairs { point.run_and_follow(&survey.spec) } else { point.run(&survey.spec) };
    let tell = |i, outcome: Outcome| {
        let point: &Point = &firsts[i as usize];
        teller.tell(i, point, &outcome);
        if let (Some(pairs), Fate::Held, Some(recovery)) = (&mut pairs, outcome.fate, &outcome.recovery) {
            pairs.add(&point.first, recovery, crashes);
        }
    };
    let mut total = firsts.len() as u64;
    let mut done = runs.run(0..total, |i| judge(&firsts[i as usize]), tell)?;
    if let (Some(pairs), None) = (&pairs, runs.cut()) {
        let pair = |i: u64| &pairs.points[(i - firsts.len() as u64) as usize];
        let end = total + pairs.points.len() as u64;
        done += runs.run(total..end, |i| pair(i).run(&spec), |i, outcome| teller.tell(i, pair(i), &outcome))?;
        total = end;
    }
    runs.end();
    let sweep = Sweep {
        scenario: &args.scenario,
        seed: args.seed,
        steps: survey.places.len(),
        points: total,
        done,
        pruned: pairs.map(|pairs| pairs.pruned),
        tally: &teller.tally,
    };
    say(&if args.runs.json { report::json_summary(&sweep) } else { report::render(&sweep, runs.elapsed()) });
    if let Some(shortfall) = runs.shortfall(done, total, "points") {
        let pairs_are_unknown = args.pairs && total == firsts.len() as u64;
        complain(&(shortfall + if pairs_are_unknown { "; no pair was begun" } else { "" }));
    }
    Ok(exit_code(&runs, teller.tally.total()))
}

/// A sweep that missed a point has not shown what it was to show.
fn exit_code(runs: &ManyRuns, Counts { broken, missed, .. }: Counts) -> u8 {
    let code = runs.exit_code(if broken == 0 { Verdict::Held } else { Verdict::Broken });
    if code == SUCCESS && missed > 0 { FAILURE } else { code }
}

/// Tells of points as they come in.
struct Teller<'a> {
    args: &'a KillSweepArgs,
    runs: &'a ManyRuns,
    /// Where plans are saved.
    directory: &'a Path,
    tally: Tally,
    saved: u64,
    missed: u64,
}

impl<'a> Teller<'a> {
    fn new(args: &'a KillSweepArgs, runs: &'a ManyRuns, directory: &'a Path) -> Self {
        Self { args, runs, directory, tally: Tally::default(), saved: 0, missed: 0 }
    }

    fn tell(&mut self, number: u64, point: &Point, outcome: &Outcome) {
        self.tally.add(point.step(), outcome.fate);
        let mut saved = None;
        match outcome.fate {
            Fate::Held => {}
            Fate::Broken => {
                let violations = report::violations(&outcome.violations);
                saved = self.save(point.plan(), &format!("broken: {point}"), &violations);
            }
            Fate::Missed => {
                self.missed += 1;
                if self.missed <= SAVED {
                    self.complain(&format!("missed, so that nothing is known of it: {point}"));
                }
            }
        }
        if outcome.fate != Fate::Held {
            let counts = self.tally.total();
            self.runs.remark(format!("{} broken, {} missed", counts.broken, counts.missed));
        }
        if self.args.runs.json {
            say(&report::json_point(&self.args.scenario, self.args.seed, number, point, outcome, saved.as_deref()));
        }
    }

    /// Without any crash: so no point would say anything.
    fn broken_from_the_start(&mut self, run: &RunReport) {
        let about = "broken without any crash, so that there is nothing to sweep";
        self.save(FaultPlan::new(Vec::new()), about, &report::violations(&run.violations));
    }

    /// Tells what is broken, and saves the plan under a name that it gives, while there are few.
    fn save(&mut self, plan: FaultPlan, about: &str, violations: &str) -> Option<String> {
        self.saved += 1;
        if self.saved > SAVED {
            return None;
        }
        self.complain(&format!("{about}{violations}"));
        let KillSweepArgs { scenario, seed, .. } = self.args;
        let path = self.directory.join(format!("kill-sweep-{scenario}-{}.json", self.saved));
        let file = path.display().to_string();
        let run = SavedRun { about: format!("{about}{violations}"), scenario: scenario.clone(), seed: *seed, plan };
        match run.write(&path) {
            Ok(()) => {
                self.complain(&format!("replay: tidegate replay {file}"));
                Some(file)
            }
            Err(error) => {
                self.complain(&format!("error: {error}"));
                None
            }
        }
    }

    fn complain(&self, line: &str) {
        self.runs.aside(|| complain(line));
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use tidegate::probe::StepKind;
    use tidegate_sim::{checker::Violation, sweep::Pruned};

    use super::*;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        sweep: KillSweepArgs,
    }

    fn outcome(fate: Fate) -> Outcome {
        let violation =
            Violation { invariant: "I2".into(), message: "the line \"a 1\" stands twice".into(), event: None };
        let violations = if fate == Fate::Broken { vec![violation] } else { Vec::new() };
        Outcome { fate, trace_hash: 7, violations, recovery: None }
    }

    /// Of many failures the first three are saved, each as a file that `replay` takes.
    #[test]
    fn what_is_broken_can_be_replayed() {
        let args = Cli::parse_from(["kill-sweep", "small", "--json"]).sweep;
        let runs = args.runs.begin("points").unwrap();
        let directory = tempfile::tempdir().unwrap();
        let points = Survey::of(&find("small").unwrap().spec(1).unwrap()).unwrap().points(args.crash.kinds());
        let mut teller = Teller::new(&args, &runs, directory.path());
        for (i, point) in points.iter().enumerate().take(6) {
            teller.tell(i as u64, point, &outcome(if i == 1 { Fate::Held } else { Fate::Broken }));
        }
        let saved = |n: u64| SavedRun::read(&directory.path().join(format!("kill-sweep-small-{n}.json")));
        insta::assert_snapshot!(saved(2).unwrap().about, @r#"
        broken: kill of jm after job-manager term-claimed
          I2: the line "a 1" stands twice
        "#);
        for (n, point) in [(1, 0), (2, 2), (3, 3)] {
            assert_eq!(saved(n).unwrap().spec().unwrap().plan, points[point].plan());
        }
        assert!(saved(4).is_err());
        let total = teller.tally.total();
        assert_eq!(total, Counts { held: 1, broken: 5, missed: 0 });
        assert_eq!(exit_code(&runs, total), BROKEN);
        assert_eq!(exit_code(&runs, Counts { held: 9, broken: 0, missed: 1 }), FAILURE);
        assert_eq!(exit_code(&runs, Counts { held: 9, broken: 0, missed: 0 }), SUCCESS);
    }

    #[test]
    fn the_summary_says_what_was_missed() {
        let mut tally = Tally::default();
        for (step, fate) in [
            (StepKind::Acknowledged, Fate::Held),
            (StepKind::Acknowledged, Fate::Missed),
            (StepKind::Aligned, Fate::Broken),
        ] {
            tally.add(step, fate);
        }
        let pruned = Some(Pruned { firsts: 2, pairs: 80 });
        let sweep = Sweep { scenario: "small", seed: 1, steps: 2, points: 4, done: 3, pruned, tally: &tally };
        insta::assert_snapshot!(report::render(&sweep, std::time::Duration::from_secs(1)), @r"
        crashed right after                  points     held   broken   missed
        aligned                                   1        0        1        0
        acknowledged                              2        1        0        1
        2 steps without faults; 3 runs/s
        80 pairs pruned: the same history up to the second crash as another one; 2 first crashes have none left
        1 points were missed: their crash did not happen, and nothing is known of them
        2 of 4 points, 1 violations
        ");
        insta::assert_snapshot!(report::json_summary(&sweep), @r#"{"summary":{"scenario":"small","seed":1,"steps":2,"points":4,"done":3,"held":1,"broken":1,"missed":1,"pruned":{"firsts":2,"pairs":80},"by_step":{"aligned":{"held":0,"broken":1,"missed":0},"acknowledged":{"held":1,"broken":0,"missed":1}}}}"#);
    }
}
