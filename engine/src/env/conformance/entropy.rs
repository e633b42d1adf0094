//! The promises of `Entropy`, as far as values can show them.

use std::collections::BTreeSet;

use super::check::{Outcome, Scene, ensure};
use crate::env::Env;

const VALUES: usize = 4096;

/// No value twice, also not through another clone of the environment, and each bit set about half of the time: within
/// eight standard deviations, which chance alone misses once in 10^13 runs.
pub(super) async fn values_look_random(env: Env, _: Scene) -> Outcome {
    let other = env.clone();
    let mut values = BTreeSet::new();
    for i in 0..VALUES {
        let source = if i % 2 == 0 { &env } else { &other };
        values.insert(source.entropy.next_u64());
    }
    ensure!(values.len() == VALUES, "of {VALUES} values only {} differ", values.len());
    for bit in 0..64 {
        let set = values.iter().filter(|v| *v >> bit & 1 == 1).count();
        let deviation = set.abs_diff(VALUES / 2);
        ensure!(deviation <= 8 * 32, "bit {bit} is set in {set} of {VALUES} values");
    }
    Ok(())
}
