//! What must be so once nothing has been broken for a while: no attempt fails any more, and no task of a dead attempt is left.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use tidegate::{
    id::{AttemptId, TaskId},
    instant::Instant,
    probe::{Fact, Step},
};

use crate::{
    checker::Violation,
    history::{Event, History},
};

/// An attempt that starts so long, in virtual time, after the last disturbance has no reason to fail.
const GRACE: Duration = Duration::from_millis(500);

/// What is wrong with the history of a job that has finished, was last disturbed then, and ended at `end`.
pub(crate) fn judge(history: &History, disturbed: Instant, end: Instant) -> Option<Violation> {
    let left = || if end > disturbed + GRACE { task_of_a_dead_attempt(history) } else { None };
    unprovoked_failure(history, disturbed).or_else(left)
}

/// A failure of an attempt that began long after the last fault was over: something is still broken that should not be, or
/// breaks by itself.
fn unprovoked_failure(history: &History, disturbed: Instant) -> Option<Violation> {
    let mut quiet = None;
    for (event, entry) in history.entries.iter().enumerate() {
        let Event::Fact(Fact { step, .. }) = &entry.event else { continue };
        match step {
            Step::AttemptStarted { attempt, .. } => quiet = (entry.at > disturbed + GRACE).then_some(attempt),
            Step::RestartScheduled { error, .. } => {
                if let Some(attempt) = quiet {
                    let message =
                        format!("attempt {attempt} fails, though nothing has been broken for {GRACE:?}: {error}");
                    return Some(Violation { invariant: "I15".into(), message, event: Some(event) });
                }
            }
            _ => {}
        }
    }
    None
}

/// A task of a superseded attempt of which nobody has heard that it ended, on a node that lives.
fn task_of_a_dead_attempt(history: &History) -> Option<Violation> {
    let mut running: BTreeMap<TaskId, (Arc<str>, usize)> = BTreeMap::new();
    let mut newest: Option<AttemptId> = None;
    for (event, entry) in history.entries.iter().enumerate() {
        match &entry.event {
            Event::Crashed(_) => running.retain(|_, (node, _)| *node != entry.node),
            Event::Fact(fact) => match (&fact.step, fact.task()) {
                (Step::AttemptStarted { attempt, .. }, _) => newest = Some(*attempt),
                (Step::TaskStarted, Some(task)) => {
                    running.insert(task, (entry.node.clone(), event));
                }
                (Step::TaskFinished | Step::TaskFailed { .. } | Step::TaskCanceled, Some(task)) => {
                    running.remove(&task);
                }
                _ => {}
            },
            _ => {}
        }
    }
    let (task, (node, event)) = running.into_iter().find(|(task, _)| Some(task.attempt) < newest)?;
    let message = format!("task {task} of a dead attempt still runs on {node} at the end");
    Some(Violation { invariant: "I7".into(), message, event: Some(event) })
}

#[cfg(test)]
mod tests {
    use tidegate::{
        error::Error,
        id::{SubtaskId, VertexId},
        probe::Actor,
    };

    use super::*;
    use crate::{env::Crash, history::Entry};

    fn attempt(number: u32) -> AttemptId {
        AttemptId { term: 1, number }
    }

    fn history(events: &[(u64, &str, Event)]) -> History {
        let entry = |(ms, node, event): &(u64, &str, Event)| Entry {
            at: Instant(ms * 1_000_000),
            node: (*node).into(),
            event: event.clone(),
        };
        History { entries: events.iter().map(entry).collect() }
    }

    fn manager(step: Step) -> Event {
        Event::Fact(Fact { actor: Actor::JobManager, checkpoint: None, step })
    }

    fn task(number: u32, step: Step) -> Event {
        let subtask = SubtaskId { vertex: VertexId(0), index: 0 };
        Event::Fact(Fact { actor: Actor::Task(TaskId { subtask, attempt: attempt(number) }), checkpoint: None, step })
    }

    fn started(number: u32) -> Event {
        manager(Step::AttemptStarted { attempt: attempt(number), restored: None })
    }

    /// What is said of a history that was last disturbed after 100 ms and ended after two seconds.
    fn said(events: &[(u64, &str, Event)]) -> Option<String> {
        let ms = |ms: u64| Instant(ms * 1_000_000);
        judge(&history(events), ms(100), ms(2_000)).map(|violation| violation.message)
    }

    #[test]
    fn a_failure_that_nothing_has_provoked_is_seen() {
        let fails =
            |ms| (ms, "jm", manager(Step::RestartScheduled { delay: Duration::ZERO, error: Error::unavailable("?") }));
        assert_eq!(said(&[(50, "jm", started(1)), fails(900)]), None, "it began before");
        assert_eq!(said(&[(550, "jm", started(1)), fails(900)]), None, "it began soon after");
        let seen = said(&[(650, "jm", started(1)), fails(900)]);
        assert_eq!(seen.as_deref(), Some("attempt 1.1 fails, though nothing has been broken for 500ms: ?"));
    }

    #[test]
    fn a_task_that_nobody_has_ended_is_seen() {
        let begin = [(10, "jm", started(1)), (20, "tm-1", task(1, Step::TaskStarted)), (90, "jm", started(2))];
        let with = |event| said(&[&begin[..], &[(95, "tm-1", event)]].concat());
        assert_eq!(with(task(1, Step::TaskCanceled)), None);
        assert_eq!(with(Event::Crashed(Crash::Power)), None);
        let seen = with(task(2, Step::TaskStarted));
        assert_eq!(seen.as_deref(), Some("task v0/0@1.1 of a dead attempt still runs on tm-1 at the end"));
    }
}
