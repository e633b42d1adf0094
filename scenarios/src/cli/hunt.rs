//! `tidegate hunt`: brings real engines' bugs back, one at a time, and says how long the testbed takes to find them.

use std::num::NonZero;

use clap::Args;

use super::many_runs::ManyRunsArgs;

#[cfg(feature = "defects")]
pub(crate) use self::with_defects::hunt;
#[cfg(feature = "defects")]
mod with_defects;

#[derive(Args, Debug)]
pub(crate) struct HuntArgs {
    /// Hunt this defect; may be given several times [default: all of them]
    #[cfg_attr(feature = "defects", arg(long, value_name = "SLUG", hide_possible_values = true, value_parser = with_defects::slugs()))]
    #[cfg_attr(not(feature = "defects"), arg(long, value_name = "SLUG"))]
    defect: Vec<String>,
    /// Give up a search after so many runs
    #[arg(long, value_name = "N", default_value = "20000")]
    seeds: NonZero<u64>,
    /// Search so many times, each time from another seed on
    #[arg(long, value_name = "N", default_value = "20")]
    bases: NonZero<u64>,
    #[command(flatten)]
    runs: ManyRunsArgs,
}

/// Says what is missing; gives the exit code.
#[cfg(not(feature = "defects"))]
pub(crate) fn hunt(_: &HuntArgs) -> u8 {
    super::complain(
        "error: this build holds no defects to hunt: build it with them, as in\n  \
         cargo run --release --features defects -- hunt",
    );
    super::FAILURE
}
