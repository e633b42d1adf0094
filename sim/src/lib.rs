//! The simulated world: the full engine, unchanged, on a seeded scheduler, network and disk that fail on purpose.
//!
//! Deliberately absent: anything that the engine would have to know of.

#[cfg(not(madsim))]
compile_error!(
    "the simulated world needs the flag --cfg madsim, which .cargo/config.toml sets: run cargo from inside the repository, \
     and if RUSTFLAGS is set in your environment (it replaces the file), unset it or add `--cfg madsim` to it"
);

mod aftermath;
pub mod checker;
pub mod cluster;
pub mod cost;
mod director;
mod disturb;
pub mod env;
pub mod fault;
pub mod history;
pub mod many;
#[cfg(feature = "defects")]
pub mod planted;
pub mod run;
pub mod seed;
pub mod sweep;
pub mod workload;
