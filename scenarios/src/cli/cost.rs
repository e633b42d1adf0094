//! `tidegate cost`: what the checkpoints of a scenario's job cost, in operations and bytes, exactly.

use clap::Args;
use serde::Serialize;
use tidegate::error::Result;
use tidegate_sim::{
    cost::Costs,
    fault::FaultPlan,
    run::{RunSpec, Verdict, run},
};

use super::{complain, exit_code, say};
use crate::catalogue::find;

#[derive(Args, Debug)]
pub(crate) struct CostArgs {
    /// Which scenario; `tidegate list` names them
    scenario: String,
    /// Which seed
    #[arg(long, value_name = "S", default_value_t = 1)]
    seed: u64,
    /// Let the faults of the seed happen, too
    #[arg(long)]
    faults: bool,
    /// Print one JSON object, with a bill for each checkpoint
    #[arg(long)]
    json: bool,
}

/// A run, as `--json` prints it.
#[derive(Serialize)]
struct JsonCost<'a> {
    scenario: &'a str,
    seed: u64,
    faults: usize,
    verdict: Verdict,
    #[serde(flatten)]
    costs: &'a Costs,
}

/// Runs the scenario and tells its bill; gives the exit code.
pub(crate) fn cost(args: &CostArgs) -> u8 {
    exit_code(tell(args))
}

fn tell(args: &CostArgs) -> Result<Verdict> {
    let spec = find(&args.scenario)?.spec(args.seed)?;
    let plan = if args.faults { spec.plan.clone() } else { FaultPlan::new(Vec::new()) };
    let report = run(&RunSpec { plan, ..spec })?;
    let (scenario, seed) = (args.scenario.as_str(), args.seed);
    if args.json {
        let (faults, verdict, costs) = (report.fired.len(), report.verdict, &report.costs);
        let cost = JsonCost { scenario, seed, faults, verdict, costs };
        say(&serde_json::to_string(&cost).expect("a bill is plain data"));
    } else {
        let faults = if args.faults { format!("{} faults", report.fired.len()) } else { "no faults".to_owned() };
        say(&format!("{scenario}, seed {seed}, {faults}\n\n{}", report.costs.to_string().trim_end()));
    }
    for violation in &report.violations {
        complain(&format!("{}: {}", violation.invariant, violation.message));
    }
    Ok(report.verdict)
}
