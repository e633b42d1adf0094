//! What all commands with many runs have in common: how many runs at a time, a budget of time, Ctrl-C, and a progress bar.
//!
//! Whoever stops the runs, what was done counts, and it is said what was not.

use std::{
    num::NonZero,
    ops::Range,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tidegate::{
    env::real,
    error::{Error, Result},
};
use tidegate_sim::{many::in_order, run::Verdict};
use tokio::signal::unix::{SignalKind, signal};

use super::{CANCELED, FAILURE, exit_code};

#[derive(Args, Clone, Debug)]
pub(crate) struct ManyRunsArgs {
    /// How many runs at a time [default: one per core]
    #[arg(long, value_name = "N")]
    jobs: Option<NonZero<usize>>,
    /// Begin no more runs after this time, as in 60s or 10min, and say what was not done
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    budget: Option<Duration>,
    /// Print JSON, one object a line
    #[arg(long)]
    pub json: bool,
}

/// Many runs, while they may go on.
pub(crate) struct ManyRuns {
    jobs: usize,
    started: Instant,
    budget: Option<Duration>,
    interrupted: Arc<AtomicBool>,
    /// What stopped them, if runs were left.
    cut: OnceLock<Cut>,
    bar: ProgressBar,
}

/// Why runs were left undone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cut {
    /// By Ctrl-C.
    Interrupted,
    /// By the end of the budget.
    TimeUp(Duration),
}

impl ManyRunsArgs {
    /// Time runs from now on, and Ctrl-C stops the runs instead of the process. `unit` is what the progress bar counts.
    ///
    /// # Errors
    /// `Unavailable` if the operating system gives no signals.
    pub(crate) fn begin(&self, unit: &str) -> Result<ManyRuns> {
        let interrupted = Arc::new(AtomicBool::new(false));
        stop_on_interrupt(interrupted.clone())?;
        let template = format!("{{bar:40}} {{pos}}/{{len}} {unit}, {{per_sec}}, {{eta}} left  {{msg}}");
        let style = ProgressStyle::with_template(&template).expect("the template is valid");
        let bar = ProgressBar::new(0).with_style(style);
        if self.json {
            bar.set_draw_target(ProgressDrawTarget::hidden());
        }
        let jobs = self.jobs.or_else(|| thread::available_parallelism().ok()).map_or(1, NonZero::get);
        let (started, cut) = (Instant::now(), OnceLock::new());
        Ok(ManyRuns { jobs, started, budget: self.budget, interrupted, cut, bar })
    }
}

impl ManyRuns {
    /// Does `work` for each number, on all cores, and hands each result to `tell`, in order. Gives how many results were told:
    /// fewer than there are numbers only if the runs were [`cut`](Self::cut) short. May be called again for more.
    ///
    /// # Errors
    /// The first of `work`.
    pub(crate) fn run<T: Send>(
        &self,
        numbers: Range<u64>,
        work: impl Fn(u64) -> Result<T> + Sync,
        mut tell: impl FnMut(u64, T),
    ) -> Result<u64> {
        let total = numbers.end - numbers.start;
        self.bar.inc_length(total);
        let result = in_order(numbers, self.jobs, &|| self.stop().is_none(), work, |number, result| {
            tell(number, result);
            self.bar.inc(1);
            true
        });
        let is_short = result.as_ref().is_ok_and(|done| *done < total);
        if let (true, Some(cut)) = (is_short, self.stop()) {
            let _ = self.cut.set(cut);
        }
        if result.is_err() || self.cut().is_some() {
            self.end();
        }
        result
    }

    /// What has stopped the runs, if any were left.
    pub(crate) fn cut(&self) -> Option<Cut> {
        self.cut.get().copied()
    }

    /// Whether nothing has stopped them yet.
    #[cfg(feature = "defects")]
    pub(crate) fn may_go_on(&self) -> bool {
        self.stop().is_none()
    }

    fn stop(&self) -> Option<Cut> {
        let time_up = self.budget.filter(|budget| self.started.elapsed() >= *budget).map(Cut::TimeUp);
        if self.interrupted.load(Ordering::Relaxed) { Some(Cut::Interrupted) } else { time_up }
    }

    /// Since the beginning.
    pub(crate) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// Does something that prints, without the progress bar in its way.
    pub(crate) fn aside(&self, print: impl FnOnce()) {
        self.bar.suspend(print);
    }

    /// A word beside the progress bar.
    pub(crate) fn remark(&self, message: String) {
        self.bar.set_message(message);
    }

    /// Takes the progress bar away.
    pub(crate) fn end(&self) {
        self.bar.finish_and_clear();
    }

    /// The line that says what was not done: `412 of 1000 runs done, 588 not: the budget of 60s is used up`.
    pub(crate) fn shortfall(&self, done: u64, total: u64, unit: &str) -> Option<String> {
        let why = match self.cut()? {
            Cut::Interrupted => "interrupted".to_owned(),
            Cut::TimeUp(budget) => format!("the budget of {} is used up", humantime::format_duration(budget)),
        };
        Some(format!("{done} of {total} {unit} done, {} not: {why}", total - done))
    }

    /// Of a command whose runs gave this verdict.
    pub(crate) fn exit_code(&self, verdict: Verdict) -> u8 {
        match (self.cut(), verdict) {
            (Some(Cut::Interrupted), _) => CANCELED,
            (Some(Cut::TimeUp(_)), Verdict::Held) => FAILURE,
            (_, verdict) => exit_code(Ok(verdict)),
        }
    }
}

/// The first Ctrl-C sets the flag. A second one ends the process at once.
fn stop_on_interrupt(flag: Arc<AtomicBool>) -> Result<()> {
    let (ready, listening) = mpsc::sync_channel(1);
    let listen = async move {
        let mut interrupt = match signal(SignalKind::interrupt()) {
            Ok(interrupt) => interrupt,
            Err(error) => return drop(ready.send(Err(Error::from(error).at("listening for Ctrl-C")))),
        };
        let _ = ready.send(Ok(()));
        interrupt.recv().await;
        flag.store(true, Ordering::Relaxed);
        interrupt.recv().await;
        std::process::exit(i32::from(CANCELED));
    };
    thread::spawn(move || real::block_on(listen));
    listening.recv().expect("the thread says whether it listens")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{BROKEN, NONDETERMINISTIC, SUCCESS};

    #[test]
    fn exit_codes() {
        let args = ManyRunsArgs { jobs: None, budget: None, json: true };
        let time_up = Some(Cut::TimeUp(Duration::from_secs(90)));
        let cases = [
            (None, Verdict::Held, SUCCESS),
            (None, Verdict::Broken, BROKEN),
            (time_up, Verdict::Held, FAILURE),
            (time_up, Verdict::Broken, BROKEN),
            (time_up, Verdict::Nondeterministic, NONDETERMINISTIC),
            (Some(Cut::Interrupted), Verdict::Held, CANCELED),
            (Some(Cut::Interrupted), Verdict::Broken, CANCELED),
        ];
        for (cut, verdict, code) in cases {
            let mut runs = args.begin("runs").unwrap();
            cut.into_iter().for_each(|cut| runs.cut = OnceLock::from(cut));
            assert_eq!(runs.exit_code(verdict), code, "{cut:?} {verdict:?}");
            let said = "3 of 7 runs done, 4 not: the budget of 1m 30s is used up";
            assert!(cut != time_up || runs.shortfall(3, 7, "runs").as_deref() == Some(said));
            assert!(cut.is_some() || runs.shortfall(7, 7, "runs").is_none());
        }
    }

    /// Interrupted during the last run: nothing is left undone, so nothing was cut short.
    #[test]
    fn who_is_done_was_not_stopped() {
        let args = ManyRunsArgs { jobs: NonZero::new(1), budget: None, json: true };
        let runs = args.begin("runs").unwrap();
        let interrupt = |number| {
            runs.interrupted.store(number == 4, Ordering::Relaxed);
            Ok(())
        };
        assert_eq!(runs.run(0..5, interrupt, |_, ()| {}).unwrap(), 5);
        assert_eq!(runs.cut(), None);
        assert_eq!(runs.run(5..9, |_| Ok(()), |_, ()| {}).unwrap(), 0);
        assert_eq!(runs.cut(), Some(Cut::Interrupted));
    }
}
