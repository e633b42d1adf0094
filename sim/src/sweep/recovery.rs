//! The recovery from a crash: from the crash until the first checkpoint that completes after a new attempt runs, or else
//! until the end of the job.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
    sync::Arc,
};

use tidegate::{
    id::{AttemptId, CheckpointId, SubtaskId},
    probe::Step,
};
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use super::{Aim, Place, Strike, places};
use crate::{
    cluster::JOB_MANAGER,
    env::Crash,
    history::{Entry, Event, History},
    run::RunReport,
};

/// The steps of a recovery.
#[derive(Clone, Debug)]
pub struct Recovery {
    steps: Vec<RecoveryStep>,
}

/// A step of a recovery.
#[derive(Clone, Debug)]
struct RecoveryStep {
    place: Arc<Place>,
    /// Whether the job manager was there.
    job_manager: bool,
    /// A checksum of the history up to here; see [`signatures`].
    signature: u64,
}

impl Recovery {
    /// The recovery from the first fault that happened at a step.
    #[must_use]
    pub fn of(report: &RunReport) -> Option<Self> {
        let struck = report.fired.iter().find(|fired| fired.step.is_some())?.event;
        let history = &report.history;
        let window = struck + 1..end(history, struck);
        let job_manager = presence(history);
        let signatures = signatures(history, window.clone());
        let places = places(history, &report.graph).into_iter().filter(|(i, _)| window.contains(i));
        let step = |(i, place): (usize, Place)| RecoveryStep {
            place: Arc::new(place),
            job_manager: job_manager[i],
            signature: signatures[i - window.start],
        };
        Some(Self { steps: places.map(step).collect() })
    }

    /// At each step the node that took it, and the job manager, if that is another one and is there; each with the signature
    /// of the history up to the step.
    pub(super) fn strikes<'a>(&'a self, crashes: &'a [Crash]) -> impl Iterator<Item = (u64, Strike)> + 'a {
        let victims = |step: &RecoveryStep| {
            let other = step.job_manager && &*step.place.node != JOB_MANAGER;
            let other = other.then(|| (Aim::JobManager, Arc::from(JOB_MANAGER)));
            [Some((Aim::Here, step.place.node.clone())), other].into_iter().flatten()
        };
        self.steps.iter().flat_map(move |step| {
            victims(step).flat_map(move |(aim, victim)| {
                crashes.iter().map(move |&crash| {
                    let strike = Strike { place: step.place.clone(), aim, victim: victim.clone(), crash };
                    (step.signature, strike)
                })
            })
        })
    }
}

/// Where the recovery ends: behind the first checkpoint that completes once an attempt runs that started after the crash.
fn end(history: &History, struck: usize) -> usize {
    let mut before: Option<AttemptId> = None;
    let mut runs = false;
    for (i, fact) in history.facts() {
        match fact.step {
            Step::AttemptStarted { attempt, .. } if i <= struck => before = before.max(Some(attempt)),
            Step::AttemptRunning { attempt } if i > struck && Some(attempt) > before => runs = true,
            Step::CheckpointCompleted if runs => return i + 1,
            _ => {}
        }
    }
    history.entries.len()
}

/// Whether the job manager can be struck at each event: not from its crash until the next step that it takes.
fn presence(history: &History) -> Vec<bool> {
    let mut is_there = true;
    let look = |entry: &Entry| {
        if &*entry.node == JOB_MANAGER {
            match entry.event {
                Event::Crashed(_) => is_there = false,
                Event::Fact(_) => is_there = true,
                Event::Restarted | Event::Fault(_) => {}
            }
        }
        is_there
    };
    history.entries.iter().map(look).collect()
}

/// For each event of the window, a checksum of the recovery up to it and of the event itself: which crash it was, and then what
/// the job manager and each task of a new attempt did, each in its own order. Left out are times, the numbers of attempts, how
/// many checkpoints there had been before and how many numbers were left out after them, in which order two actors did what they did without one another, and how far the
/// tasks that are about to be canceled got meanwhile.
fn signatures(history: &History, window: Range<usize>) -> Vec<u64> {
    let before = || history.facts().take_while(|(i, _)| *i < window.start).map(|(_, fact)| fact);
    let completed = before().filter(|fact| matches!(fact.step, Step::CheckpointCompleted));
    let newest = completed.filter_map(|fact| fact.checkpoint).max().map_or(0, |id| id.0);
    let old = before()
        .filter_map(|fact| if let Step::AttemptStarted { attempt, .. } = fact.step { Some(attempt) } else { None });
    let old = old.max();
    let all = history.facts().take_while(|(i, _)| *i < window.end).filter_map(|(_, fact)| fact.checkpoint);
    let newer: BTreeSet<u64> = all.map(|id| id.0).filter(|id| *id > newest).collect();
    // Which of those that are newer it is.
    let rank = |id: u64| newer.range(..=id).count() as u64;
    let since = |checkpoint: Option<CheckpointId>| {
        checkpoint.map(|id| if id.0 > newest { rank(id.0) } else { id.0.wrapping_sub(newest) })
    };
    let mut actors: BTreeMap<(Arc<str>, Option<SubtaskId>), u64> = BTreeMap::new();
    let mut all = 0_u64;
    let mut signatures = Vec::new();
    for entry in &history.entries[window.clone()] {
        let (task, what) = match &entry.event {
            Event::Fact(fact) => {
                let what = (since(fact.checkpoint), fact.step.kind(), since(restored(&fact.step)));
                (fact.task(), postcard::to_stdvec(&what))
            }
            event => (None, postcard::to_stdvec(event)),
        };
        let what = what.expect("it is plain data");
        let actor = (entry.node.clone(), task.map(|task| task.subtask));
        let name = xxh3_64(&postcard::to_stdvec(&actor).expect("it is plain data"));
        let is_canceled = task.is_some_and(|task| Some(task.attempt) <= old);
        if !is_canceled {
            let before = actors.entry(actor).or_insert(name);
            let after = xxh3_64_with_seed(&what, *before);
            // A sum, so that the order of actors does not count.
            all = all.wrapping_sub(*before).wrapping_add(after);
            *before = after;
        }
        signatures.push(xxh3_64_with_seed(&[&name.to_le_bytes()[..], &what].concat(), all));
    }
    signatures
}

fn restored(step: &Step) -> Option<CheckpointId> {
    match step {
        Step::RestorePointChosen { restored }
        | Step::AttemptStarted { restored, .. }
        | Step::StateRestored { restored, .. } => *restored,
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use tidegate::{
        id::{TaskId, VertexId},
        instant::Instant,
        probe::{Actor, Fact},
    };

    use super::*;

    fn attempt(term: u32, number: u32) -> AttemptId {
        AttemptId { term, number }
    }

    fn task(attempt: AttemptId) -> Actor {
        Actor::Task(TaskId { subtask: SubtaskId { vertex: VertexId(0), index: 0 }, attempt })
    }

    /// A crash at the end of the first attempt, and what follows in a second one, at a pace.
    fn history(second: AttemptId, pace: u64, crash: Crash, restored: Option<CheckpointId>) -> History {
        let fact = |actor, checkpoint: Option<u64>, step| {
            Event::Fact(Fact { actor, checkpoint: checkpoint.map(CheckpointId), step })
        };
        let completed = |id| ("jm", fact(Actor::JobManager, Some(id), Step::CheckpointCompleted));
        let events = [
            ("jm", fact(Actor::JobManager, None, Step::AttemptStarted { attempt: attempt(1, 1), restored: None })),
            ("tm-1", fact(task(attempt(1, 1)), None, Step::TaskStarted)),
            ("jm", Event::Crashed(crash)),
            completed(1),
            ("jm", Event::Restarted),
            ("jm", fact(Actor::JobManager, None, Step::AttemptStarted { attempt: second, restored })),
            ("tm-1", fact(task(second), None, Step::TaskStarted)),
            ("jm", fact(Actor::JobManager, None, Step::AttemptRunning { attempt: second })),
            completed(2),
            completed(3),
        ];
        let entry = |(i, (node, event)): (usize, (&str, Event))| Entry {
            at: Instant(i as u64 * pace),
            node: node.into(),
            event,
        };
        History { entries: events.into_iter().enumerate().map(entry).collect() }
    }

    #[test]
    fn it_ends_with_the_first_checkpoint_of_the_new_attempt() {
        let history = history(attempt(1, 2), 1, Crash::Power, None);
        assert_eq!(end(&history, 1), 9, "checkpoint 1 was under way before; checkpoint 2 is the first");
        assert_eq!(end(&history, 8), 10, "no new attempt: until the end");
        assert_eq!(presence(&history), [true, true, false, true, true, true, true, true, true, true]);
    }

    #[test]
    fn equal_recoveries_have_equal_signatures() {
        let one = CheckpointId::FIRST;
        let signature = |(number, pace, crash, restored)| {
            *signatures(&history(attempt(1, number), pace, crash, restored), 2..9).last().expect("seven events")
        };
        let first = signature((2, 1, Crash::Power, Some(one)));
        assert_eq!(first, signature((3, 1, Crash::Power, Some(one))), "another attempt");
        assert_eq!(first, signature((2, 7, Crash::Power, Some(one))), "another time");
        assert_ne!(first, signature((2, 1, Crash::Process, Some(one))), "another disk");
        assert_ne!(first, signature((2, 1, Crash::Power, None)), "another beginning");
    }

    /// A job manager that starts again leaves out numbers that are reserved: more, the fewer it had used.
    #[test]
    fn numbers_that_are_left_out_do_not_count() {
        let signature = |first: u64| {
            let mut history = history(attempt(2, 1), 1, Crash::Power, None);
            for entry in &mut history.entries[3..] {
                let Event::Fact(Fact { checkpoint: Some(id), .. }) = &mut entry.event else { continue };
                id.0 += first;
            }
            *signatures(&history, 2..9).last().expect("seven events")
        };
        assert_eq!(signature(0), signature(15));
    }

    #[test]
    fn the_order_of_two_actors_does_not_count_but_how_far_each_has_come() {
        let history = history(attempt(1, 2), 1, Crash::Power, None);
        let mut other = history.clone();
        // The task starts after the attempt is said to run.
        other.entries.swap(6, 7);
        let (first, second) = (signatures(&history, 2..9), signatures(&other, 2..9));
        assert_eq!(first[..4], second[..4]);
        assert_ne!(first[4], second[5], "the same step, but somebody else is further");
        assert_eq!(first[6], second[6]);
    }
}
