//! The binary `tidegate`; all of it is in the library.

use std::process::ExitCode;

/// A simulated run asks for little pieces of memory all the time.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    tidegate_scenarios::cli::main()
}
