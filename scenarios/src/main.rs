//! Scratch.
use tidegate_sim::{history::describe, run};
fn main() {
    let a: Vec<String> = std::env::args().collect();
    let (lo, hi): (u64, u64) = (a[1].parse().unwrap(), a[2].parse().unwrap());
    let verbose = a.len() > 3;
    let mut broken = 0;
    let t = std::time::Instant::now();
    let mut cov = std::collections::BTreeMap::new();
    let (mut chk, mut rest, mut fired) = (0, 0, 0);
    for seed in lo..hi {
        let spec = tidegate_scenarios::catalogue::find("wordcount").unwrap().spec(seed).unwrap();
        let r = if verbose {
            println!("{}", spec.plan.to_json());
            run::check_determinism(&spec).unwrap()
        } else {
            run::run(&spec).unwrap()
        };
        for (k, v) in &r.crash_coverage {
            *cov.entry(*k).or_insert(0u64) += v;
        }
        chk += r.checkpoints_completed;
        rest += r.restores;
        fired += r.fired.len();
        if verbose {
            for e in &r.history.entries {
                println!("{}", describe(e, &r.graph));
            }
        }
        if r.verdict != run::Verdict::Held {
            broken += 1;
            println!("seed {seed} {:?} {:?}", r.verdict, r.violations.first());
        }
        if verbose {
            println!(
                "seed {seed} {:?} {:016x} chk {} aborted {} restores {} fired {} vt {:?} entries {}",
                r.verdict,
                r.trace_hash,
                r.checkpoints_completed,
                r.checkpoints_aborted,
                r.restores,
                r.fired.len(),
                r.virtual_time,
                r.history.entries.len()
            );
        }
    }
    let n = hi - lo;
    let mut m = cov;
    for k in tidegate::probe::StepKind::ALL {
        use run::CrashKind::*;
        println!(
            "{:28} {:5} {:5} {:5}",
            k.to_string(),
            m.remove(&(*k, Task)).unwrap_or(0),
            m.remove(&(*k, Process)).unwrap_or(0),
            m.remove(&(*k, Power)).unwrap_or(0)
        );
    }
    println!(
        "{n} runs, {broken} broken, {:.1}/s, chk/run {:.1}, restores/run {:.2} fired/run {:.2}",
        n as f64 / t.elapsed().as_secs_f64(),
        chk as f64 / n as f64,
        rest as f64 / n as f64,
        fired as f64 / n as f64
    );
}
