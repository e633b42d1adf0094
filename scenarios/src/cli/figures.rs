//! What the checkpoints and recoveries of a run have cost, told at its end. Takes as much memory for a million checkpoints as
//! for one.

use std::{
    fmt::Write as _,
    time::{Duration, Instant},
};

use hdrhistogram::Histogram;
use indicatif::BinaryBytes;
use tidegate::{
    id::CheckpointId,
    metrics::{CheckpointMetrics, Measurement, micros},
    probe::{Fact, Step},
};

/// How exactly figures are kept.
const DIGITS: u8 = 3;

/// What can be said of a run in figures.
#[derive(Clone, Debug)]
pub(crate) struct Figures {
    durations: [Figure; 4],
    bytes: [Figure; 2],
    incremental: u64,
    overtaken: u64,
    replayed: u64,
    aborted: u64,
    last_abort: Option<String>,
    skipped: u64,
    /// When the job was last decided to restart, until it runs again.
    failed_at: Option<Instant>,
    recoveries: Figure,
}

/// One kind of figure.
#[derive(Clone, Debug)]
struct Figure {
    name: &'static str,
    seen: Histogram<u64>,
}

impl Figure {
    fn new(name: &'static str) -> Self {
        Self { name, seen: Histogram::new(DIGITS).expect("that many digits can be kept") }
    }

    fn add(&mut self, value: u64) {
        self.seen.record(value).expect("the histogram grows by itself");
    }

    /// Median, 99th percentile, and the most.
    fn row(&self, show: impl Fn(u64) -> String) -> String {
        let [median, p99] = [0.5, 0.99].map(|q| show(self.seen.value_at_quantile(q).min(self.seen.max())));
        format!("  {:14}{median:>12}{p99:>12}{:>12}", self.name, show(self.seen.max()))
    }
}

impl Default for Figures {
    fn default() -> Self {
        Self {
            durations: ["end to end", "alignment", "synchronous", "asynchronous"].map(Figure::new),
            bytes: ["bytes written", "full size"].map(Figure::new),
            incremental: 0,
            overtaken: 0,
            replayed: 0,
            aborted: 0,
            last_abort: None,
            skipped: 0,
            failed_at: None,
            recoveries: Figure::new("recovery"),
        }
    }
}

impl Figures {
    /// Takes what was measured. Gives what is worth saying at once, also to those who did not ask for details.
    pub fn measure(&mut self, measurement: &Measurement) -> Option<String> {
        match measurement {
            Measurement::Checkpoint { duration_us, metrics, .. } => {
                let CheckpointMetrics { alignment_us, synchronous_us, asynchronous_us, .. } = *metrics;
                let durations = [*duration_us, alignment_us, synchronous_us, asynchronous_us];
                self.durations.iter_mut().zip(durations).for_each(|(figure, us)| figure.add(us));
                let bytes = [metrics.bytes_written, metrics.state_bytes];
                self.bytes.iter_mut().zip(bytes).for_each(|(figure, bytes)| figure.add(bytes));
                self.incremental += u64::from(metrics.incremental > 0);
                self.overtaken += metrics.overtaken;
                None
            }
            Measurement::Skipped { checkpoints } => {
                let is_first = self.skipped == 0;
                self.skipped += checkpoints;
                is_first.then(|| "checkpoints take longer than the interval between them: some are skipped".to_owned())
            }
            Measurement::Replayed { restored, records } => {
                self.replayed += records;
                replayed(*restored, *records)
            }
        }
    }

    /// Takes a step of the job manager. Gives what is worth saying at once.
    pub fn note(&mut self, fact: &Fact) -> Option<String> {
        match &fact.step {
            Step::CheckpointAborted { reason } => {
                self.aborted += 1;
                self.last_abort = Some(reason.clone());
                None
            }
            Step::RestartScheduled { .. } => {
                // If it fails again before it runs, all of that is one recovery.
                self.failed_at.get_or_insert_with(Instant::now);
                None
            }
            Step::AttemptRunning { attempt } => {
                let took = micros(self.failed_at.take()?.elapsed());
                self.recoveries.add(took);
                Some(format!("attempt {attempt} runs, {} after the failure", duration(took)))
            }
            _ => None,
        }
    }

    /// The table at the end of a run; `None` if there is nothing to tell.
    pub fn summary(&self) -> Option<String> {
        let completed = self.durations[0].seen.len();
        let mut text = String::new();
        if completed > 0 {
            let _ = writeln!(text, "  {:14}{:>12}{:>12}{:>12}", "checkpoints", "median", "p99", "most");
            self.durations.iter().for_each(|figure| text += &(figure.row(duration) + "\n"));
            self.bytes.iter().for_each(|figure| text += &(figure.row(size) + "\n"));
        }
        if completed + self.aborted > 0 {
            let _ = write!(text, "  {completed} completed");
            if self.incremental > 0 {
                let _ = write!(text, ", {} of them incremental", self.incremental);
            }
            if self.overtaken > 0 {
                let _ = write!(text, ", {} would count twice after a restore", records(self.overtaken));
            }
            if let Some(reason) = &self.last_abort {
                let _ = write!(text, "; {} aborted, the last one: {reason}", self.aborted);
            }
            text += "\n";
        }
        if self.skipped > 0 {
            let _ = writeln!(
                text,
                "  {} skipped: the interval was over before the one before them was done; choose a longer \
                 --checkpoint-interval or a faster disk",
                self.skipped
            );
        }
        let recoveries = &self.recoveries.seen;
        if !recoveries.is_empty() {
            let (median, most) = (duration(recoveries.value_at_quantile(0.5)), duration(recoveries.max()));
            let _ = write!(text, "  {} recoveries, the median in {median}, the longest in {most}", recoveries.len());
            if self.replayed > 0 {
                let _ = write!(text, "; {} read again", records(self.replayed));
            }
            text += "\n";
        }
        (!text.is_empty()).then(|| text.trim_end().to_owned())
    }
}

/// What a checkpoint, or the part of a vertex in it, has cost.
pub(crate) fn cost(metrics: &CheckpointMetrics) -> String {
    let mut text = format!(
        "aligned in {}, stood still for {}, durable {} later; {} written of {}",
        duration(metrics.alignment_us),
        duration(metrics.synchronous_us),
        duration(metrics.asynchronous_us),
        size(metrics.bytes_written),
        size(metrics.state_bytes)
    );
    if metrics.incremental > 0 {
        let _ = write!(text, ", {} of {} subtasks incremental", metrics.incremental, metrics.subtasks);
    }
    for (n, what) in [(metrics.held_back, "held back"), (metrics.overtaken, "overtaken")] {
        if n > 0 {
            let _ = write!(text, ", {} {what}", records(n));
        }
    }
    text
}

/// What is said when sources read so many records once more; nothing of none.
pub(crate) fn replayed(restored: Option<CheckpointId>, n: u64) -> Option<String> {
    let since = restored.map_or_else(|| "the beginning".to_owned(), |id| format!("checkpoint {id}"));
    (n > 0).then(|| format!("read again since {since}: {}", records(n)))
}

fn records(n: u64) -> String {
    if n == 1 { "1 record".to_owned() } else { format!("{n} records") }
}

/// Three digits and a unit.
pub(crate) fn duration(micros: u64) -> String {
    match micros {
        0..1_000 => format!("{micros} µs"),
        1_000..10_000 => format!("{:.2} ms", micros as f64 / 1e3),
        10_000..100_000 => format!("{:.1} ms", micros as f64 / 1e3),
        100_000..1_000_000 => format!("{:.0} ms", micros as f64 / 1e3),
        1_000_000..100_000_000 => format!("{:.2} s", micros as f64 / 1e6),
        _ => humantime::format_duration(Duration::from_secs(micros / 1_000_000)).to_string(),
    }
}

/// As people write it.
pub(crate) fn size(bytes: u64) -> String {
    BinaryBytes(bytes).to_string()
}

#[cfg(test)]
mod tests {
    use tidegate::{error::Error, id::AttemptId, probe::Actor};

    use super::*;

    fn checkpoint(n: u64) -> Measurement {
        let metrics = CheckpointMetrics {
            subtasks: 4,
            incremental: u32::from(n > 50),
            alignment_us: n,
            synchronous_us: 10 * n,
            asynchronous_us: 100 * n,
            bytes_written: 1_000 * n,
            state_bytes: 1 << 20,
            overtaken: n / 100,
            held_back: 7,
        };
        Measurement::Checkpoint { checkpoint: CheckpointId(n), duration_us: 1_000 * n, metrics }
    }

    #[test]
    fn a_run_in_figures() {
        let mut figures = Figures::default();
        assert_eq!(figures.summary(), None);
        (1..=100).for_each(|n| assert_eq!(figures.measure(&checkpoint(n)), None));
        assert!(figures.measure(&Measurement::Skipped { checkpoints: 3 }).is_some());
        assert!(figures.measure(&Measurement::Skipped { checkpoints: 2 }).is_none());
        let reason = "declined by v1/0: no space".to_owned();
        let step = Step::CheckpointAborted { reason };
        figures.note(&Fact { actor: Actor::JobManager, checkpoint: None, step });
        insta::assert_snapshot!(figures.summary().unwrap(), @r"
          checkpoints         median         p99        most
          end to end         50.0 ms     99.0 ms      100 ms
          alignment            50 µs       99 µs      100 µs
          synchronous         500 µs      990 µs     1.00 ms
          asynchronous       5.00 ms     9.90 ms     10.0 ms
          bytes written    48.84 KiB   96.69 KiB   97.69 KiB
          full size         1.00 MiB    1.00 MiB    1.00 MiB
          100 completed, 50 of them incremental, 1 record would count twice after a restore; 1 aborted, the last one: declined by v1/0: no space
          5 skipped: the interval was over before the one before them was done; choose a longer --checkpoint-interval or a faster disk
        ");
    }

    #[test]
    fn recoveries_and_what_they_cost() {
        let mut figures = Figures::default();
        let replayed = |restored, records| Measurement::Replayed { restored, records };
        assert_eq!(figures.measure(&replayed(Some(CheckpointId(3)), 0)), None);
        let mut said = vec![
            figures.measure(&replayed(Some(CheckpointId(4)), 56)).unwrap(),
            figures.measure(&replayed(None, 1)).unwrap(),
        ];
        let error = Error::unavailable("it is gone");
        let attempt = AttemptId { term: 1, number: 2 };
        for step in [Step::RestartScheduled { delay: Duration::ZERO, error }, Step::AttemptRunning { attempt }] {
            said.extend(figures.note(&Fact { actor: Actor::JobManager, checkpoint: None, step }));
        }
        let summary = figures.summary().unwrap();
        assert_eq!(
            said[..2],
            ["read again since checkpoint 4: 56 records", "read again since the beginning: 1 record"]
        );
        assert!(said[2].starts_with("attempt 1.2 runs, "), "{said:?}");
        assert!(summary.starts_with("  1 recoveries, ") && summary.ends_with("; 57 records read again"), "{summary}");
    }

    #[test]
    fn a_checkpoint_in_a_line() {
        let Measurement::Checkpoint { metrics, .. } = checkpoint(100) else { unreachable!() };
        insta::assert_snapshot!(cost(&metrics), @"aligned in 100 µs, stood still for 1.00 ms, durable 10.0 ms later; 97.66 KiB written of 1.00 MiB, 1 of 4 subtasks incremental, 7 records held back, 1 record overtaken");
    }

    #[test]
    fn durations_have_three_digits() {
        let said: Vec<String> = [0, 999, 1_234, 12_345, 123_456, 1_234_567, 123_456_789].map(duration).into();
        insta::assert_snapshot!(said.join(", "), @"0 µs, 999 µs, 1.23 ms, 12.3 ms, 123 ms, 1.23 s, 2m 3s");
    }
}
