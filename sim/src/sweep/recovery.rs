//! The recovery from a crash: from the crash until the first checkpoint that completes after a new attempt runs, or else
//! until the end of the job.

use std::{collections::BTreeMap, ops::Range, sync::Arc};

use tidegate::{
    id::{AttemptId, CheckpointId, TaskId},
    probe::{Actor, Step},
};
use xxhash_rust::xxh3::Xxh3;

use super::{Aim, Place, Strike, places};
use crate::{
    cluster::JOB_MANAGER,
    env::Crash,
    history::{Event, History},
    run::RunReport,
};

/// The steps of a recovery.
#[derive(Clone, Debug)]
pub struct Recovery {
    /// A checksum of what was done. Two recoveries of equal history have the same.
    pub signature: u64,
    /// Its places, and whether the job manager was alive then.
    places: Vec<(Arc<Place>, bool)>,
}

impl Recovery {
    /// The recovery from the first fault that happened at a step.
    #[must_use]
    pub fn of(report: &RunReport) -> Option<Self> {
        let struck = report.fired.iter().find(|fired| fired.step.is_some())?.event;
        let end = end(&report.history, struck);
        let window = struck + 1..end;
        let mut alive = true;
        let alive: Vec<bool> = report.history.entries[..end].iter().map(|entry| {
            match entry.event {
                Event::Crashed(_) if &*entry.node == JOB_MANAGER => alive = false,
                Event::Restarted if &*entry.node == JOB_MANAGER => alive = true,
                _ => {}
            }
            alive
        }).collect();
        let places = places(&report.history, &report.graph).into_iter();
        let places = places.filter(|(i, _)| window.contains(i)).map(|(i, place)| (Arc::new(place), alive[i])).collect();
        Some(Self { signature: signature(&report.history, window), places })
    }

    /// How many steps it has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether nothing was done any more.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// At each step the node that took it, and the job manager, if it is another one and there.
    pub(super) fn strikes(&self, crashes: &[Crash]) -> impl Iterator<Item = Strike> {
        let both = |(place, alive): &(Arc<Place>, bool)| {
            let here = (place.clone(), Aim::Here, place.node.clone());
            let other = *alive && &*place.node != JOB_MANAGER;
            let other = other.then(|| (place.clone(), Aim::JobManager, Arc::from(JOB_MANAGER)));
            [Some(here), other].into_iter().flatten()
        };
        self.places.iter().flat_map(both).flat_map(move |(place, aim, victim)| {
            crashes.iter().map(move |crash| Strike { place: place.clone(), aim, victim: victim.clone(), crash: *crash })
        })
    }
}

/// Where the recovery ends: after the first checkpoint that completes once an attempt runs that had not started before.
fn end(history: &History, struck: usize) -> usize {
    let mut newest: Option<AttemptId> = None;
    let mut runs = false;
    for (i, fact) in history.facts() {
        match fact.step {
            Step::AttemptStarted { attempt, .. } if i <= struck => newest = newest.max(Some(attempt)),
            Step::AttemptRunning { attempt } if i > struck && Some(attempt) > newest => runs = true,
            Step::CheckpointCompleted if runs => return i + 1,
            _ => {}
        }
    }
    history.entries.len()
}

/// A checksum over the events, without times, and with the attempts of this recovery counted from its first.
fn signature(history: &History, window: Range<usize>) -> u64 {
    let mut by_actor: BTreeMap<_, Xxh3> = BTreeMap::new();
    let mut total = Xxh3::new();
    for entry in &history.entries[window] {
        let (actor, what) = match &entry.event {
            Event::Fact(fact) => (Some(without_attempt(&fact.actor)), format!("{:?} {:?} {:?}", fact.checkpoint, fact.step.kind(), restored(&fact.step))),
            event => (None, format!("{event:?}")),
        };
        let key = (entry.node.clone(), actor);
        total.update(format!("{key:?}{what}").as_bytes());
        by_actor.entry(key).or_default().update(what.as_bytes());
    }
    if std::env::var_os("TOTAL").is_some() { return total.digest(); }
    let mut all = Xxh3::new();
    for (key, hasher) in by_actor {
        all.update(format!("{key:?}{}", hasher.digest()).as_bytes());
    }
    all.digest()
}

fn without_attempt(actor: &Actor) -> Actor {
    match actor {
        Actor::Task(task) => Actor::Task(TaskId { attempt: AttemptId { term: 0, number: 0 }, ..*task }),
        actor => actor.clone(),
    }
}

fn restored(step: &Step) -> Option<CheckpointId> {
    match step {
        Step::RestorePointChosen { restored } | Step::AttemptStarted { restored, .. } | Step::StateRestored { restored } => *restored,
        Step::SnapshotRead { restored } => Some(*restored),
        _ => None,
    }
}
