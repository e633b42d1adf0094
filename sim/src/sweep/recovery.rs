//! The recovery from a crash: from the crash until the first checkpoint that completes after a new attempt runs, or else
//! until the end of the job.

use std::{ops::Range, sync::Arc};

use tidegate::{
    id::{AttemptId, CheckpointId},
    probe::Step,
};
use xxhash_rust::xxh3::Xxh3;

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
    /// A checksum of its history: which crash, and then which steps in which order, each with who took it, where, for which
    /// checkpoint, and restoring which. Times and the numbers of attempts are left out.
    pub signature: u64,
    /// Its places, each with whether the job manager was there.
    places: Vec<(Arc<Place>, bool)>,
}

impl Recovery {
    /// The recovery from the first fault that happened at a step.
    #[must_use]
    pub fn of(report: &RunReport) -> Option<Self> {
        let struck = report.fired.iter().find(|fired| fired.step.is_some())?.event;
        let window = struck + 1..end(&report.history, struck);
        let job_manager = presence(&report.history);
        let places = places(&report.history, &report.graph).into_iter().filter(|(i, _)| window.contains(i));
        let places = places.map(|(i, place)| (Arc::new(place), job_manager[i])).collect();
        Some(Self { signature: signature(&report.history, window), places })
    }

    /// At each step the node that took it, and the job manager, if that is another one and is there.
    pub(super) fn strikes<'a>(&'a self, crashes: &'a [Crash]) -> impl Iterator<Item = Strike> + 'a {
        let victims = |(place, job_manager): &(Arc<Place>, bool)| {
            let other = *job_manager && &*place.node != JOB_MANAGER;
            let other = other.then(|| (Aim::JobManager, Arc::from(JOB_MANAGER)));
            [Some((Aim::Here, place.node.clone())), other].into_iter().flatten()
        };
        self.places.iter().flat_map(move |step| {
            let place = &step.0;
            victims(step).flat_map(move |(aim, victim)| {
                crashes.iter().map(move |&crash| Strike { place: place.clone(), aim, victim: victim.clone(), crash })
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

fn signature(history: &History, window: Range<usize>) -> u64 {
    let mut hasher = Xxh3::new();
    for entry in &history.entries[window] {
        let bytes = match &entry.event {
            Event::Fact(fact) => {
                let subtask = fact.task().map(|task| task.subtask);
                let what = (fact.checkpoint, fact.step.kind(), restored(&fact.step));
                postcard::to_stdvec(&(&entry.node, subtask, what))
            }
            event => postcard::to_stdvec(&(&entry.node, event)),
        };
        hasher.update(&bytes.expect("it is plain data"));
    }
    hasher.digest()
}

fn restored(step: &Step) -> Option<CheckpointId> {
    match step {
        Step::RestorePointChosen { restored }
        | Step::AttemptStarted { restored, .. }
        | Step::StateRestored { restored } => *restored,
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use tidegate::{
        id::{SubtaskId, TaskId, VertexId},
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
        let signature =
            |(number, pace, crash, restored)| signature(&history(attempt(1, number), pace, crash, restored), 2..9);
        let first = signature((2, 1, Crash::Power, Some(one)));
        assert_eq!(first, signature((3, 1, Crash::Power, Some(one))), "another attempt");
        assert_eq!(first, signature((2, 7, Crash::Power, Some(one))), "another time");
        assert_ne!(first, signature((2, 1, Crash::Process, Some(one))), "another disk");
        assert_ne!(first, signature((2, 1, Crash::Power, None)), "another beginning");
    }
}
