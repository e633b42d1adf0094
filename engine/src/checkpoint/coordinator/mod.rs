//! When checkpoints begin, when they are complete, and what follows from that.
//!
//! ```text
//!   due ─► reserve numbers ─► trigger sources ─► acknowledgements ─► publish manifest, let obsolete ones go ─► notify
//!          (one time of many)       │ decline, time-out, failure          │
//!                                   ▼                                     ▼ nobody knows whether it was published
//!                                aborted                          the attempt fails; recovery reads the files
//! ```
//!
//! One checkpoint at a time. A bounded job ends with a final checkpoint, begun when all tasks have processed all input;
//! its notification is repeated until every task has confirmed its commit.
//!
//! Feed it with `handle`, and with `on_deadline` when `next_deadline` has passed; carry out the commands in order.

mod message;
#[cfg(test)]
mod play;
#[cfg(test)]
mod reservation_tests;
#[cfg(test)]
mod tests;

use std::{collections::BTreeSet, time::Duration};

pub use self::message::{CoordinatorCommand, CoordinatorEvent};
use super::{CheckpointOptions, CheckpointedJob, PendingCheckpoint, Retention, SnapshotHandle};
use crate::{
    error::Error,
    id::{AttemptId, CheckpointId, SubtaskId, TaskId},
    instant::Instant,
    metrics::SubtaskCheckpointMetrics,
    probe::Step,
    stream::CheckpointBarrier,
};

/// How often the notification of the final checkpoint is repeated, and the longest pause before it is tried again.
const FINAL_RETRY: Duration = Duration::from_secs(1);

/// How many numbers of checkpoints are reserved at once. A reservation costs about as much as a small checkpoint does, so that
/// it makes one of 16 dearer; and a job manager that starts leaves out fewer than 16 numbers.
pub const NUMBERS_AT_ONCE: u64 = 16;

/// The manifest that is being published.
#[derive(Clone, Debug)]
struct Publication {
    checkpoint: CheckpointId,
    attempt: AttemptId,
    is_final: bool,
}

/// The final checkpoint, until every task has confirmed its commit.
#[derive(Clone, Debug)]
struct FinalCommit {
    checkpoint: CheckpointId,
    attempt: AttemptId,
    waiting: BTreeSet<SubtaskId>,
    repeat_at: Instant,
}

/// The checkpoint coordinator of one job manager.
#[derive(Debug)]
pub struct Coordinator {
    options: CheckpointOptions,
    job: CheckpointedJob,
    tasks: BTreeSet<SubtaskId>,
    next_id: CheckpointId,
    /// How many numbers are reserved at once.
    block: u64,
    /// All numbers up to this one may be used.
    reserved: Option<CheckpointId>,
    /// Whether more of them are being reserved.
    is_reserving: bool,
    /// The attempt whose tasks all run.
    attempt: Option<AttemptId>,
    /// The newest checkpoint that has completed in that attempt.
    base: Option<CheckpointId>,
    /// The tasks of an attempt that have processed all their input. May be ahead of `attempt`: a small input can be used
    /// up before the last task says that it runs.
    ended: Option<(AttemptId, BTreeSet<SubtaskId>)>,
    /// When the next checkpoint is due.
    due: Instant,
    /// When it would be, if the one before it took no time and needed no pause after it.
    wanted: Instant,
    pending: Option<PendingCheckpoint>,
    publication: Option<Publication>,
    final_commit: Option<FinalCommit>,
    retention: Retention,
    /// How many checkpoints in a row have failed.
    failures: u32,
}

impl Coordinator {
    /// A coordinator whose first checkpoint gets the number `next_id`, above all that may have been used, and that reserves so
    /// many numbers at once. `completed` are the completed checkpoints in storage.
    #[must_use]
    pub fn new(
        options: CheckpointOptions,
        job: CheckpointedJob,
        next_id: CheckpointId,
        block: u64,
        completed: &[CheckpointId],
    ) -> Self {
        assert!(completed.iter().all(|id| *id < next_id), "checkpoint {next_id} has been used");
        Self {
            tasks: job.subtasks(),
            retention: Retention::new(options.retained, completed),
            options,
            job,
            next_id,
            block: block.max(1),
            reserved: None,
            is_reserving: false,
            attempt: None,
            base: None,
            ended: None,
            due: Instant(0),
            wanted: Instant(0),
            pending: None,
            publication: None,
            final_commit: None,
            failures: 0,
        }
    }

    /// Recovery has looked at the directory, and found these checkpoints completed.
    pub fn found(&mut self, completed: &[CheckpointId]) {
        self.retention.found(completed);
    }

    /// Whether a manifest is on its way to storage: until the result is known, nobody may choose a restore point.
    #[must_use]
    pub fn is_publishing(&self) -> bool {
        self.publication.is_some()
    }

    /// When `on_deadline` wants to be called.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        let due = self.may_begin().then_some(self.due);
        let timeout = self.pending.as_ref().map(|p| p.started + self.options.timeout);
        let repeat = self.final_commit.as_ref().map(|f| f.repeat_at);
        [due, timeout, repeat].into_iter().flatten().min()
    }

    /// The time that `next_deadline` gave may have come.
    pub fn on_deadline(&mut self, now: Instant, out: &mut Vec<CoordinatorCommand>) {
        if self.pending.as_ref().is_some_and(|p| p.started + self.options.timeout <= now) {
            let limit = self.options.timeout;
            let error = Error::unavailable(format!("the checkpoint did not complete within {limit:?}"));
            self.abort_pending(now, &error, out);
        }
        if let Some(commit) = self.final_commit.as_mut().filter(|f| f.repeat_at <= now) {
            commit.repeat_at = now + FINAL_RETRY;
            let FinalCommit { checkpoint, attempt, .. } = *commit;
            out.push(CoordinatorCommand::NotifyComplete { checkpoint, attempt });
        }
        if self.may_begin() && self.due <= now {
            self.begin(now, out);
        }
    }

    /// Something has happened.
    pub fn handle(&mut self, now: Instant, event: CoordinatorEvent, out: &mut Vec<CoordinatorCommand>) {
        match event {
            CoordinatorEvent::AttemptRunning { attempt } => {
                self.attempt = Some(attempt);
                self.base = None;
                self.due = now + self.options.interval;
                self.wanted = self.due;
                self.begin_if_all_ended(now, out);
            }
            CoordinatorEvent::AttemptEnded { attempt } => self.attempt_ended(attempt, out),
            CoordinatorEvent::InputEnded { task } => self.input_ended(now, task, out),
            CoordinatorEvent::NumbersReserved { through } => {
                (self.is_reserving, self.reserved) = (false, self.reserved.max(Some(through)));
                self.trigger_or_reserve(out);
            }
            CoordinatorEvent::ReservationFailed { error } => {
                self.is_reserving = false;
                if self.pending.as_ref().is_some_and(|p| !p.triggered) {
                    self.abort_pending(now, &error, out);
                }
            }
            CoordinatorEvent::Acknowledged { task, checkpoint, handle, metrics } => {
                self.acknowledged(now, task, checkpoint, (handle, metrics), out);
            }
            CoordinatorEvent::Declined { task, .. } if planted!(MissingCountsAsCollected) => {
                self.pending.iter_mut().for_each(|p| p.owing.retain(|owing| *owing != task.subtask)); // RisingWave 22384
            }
            CoordinatorEvent::Declined { task, checkpoint, error } => {
                if self.pending.as_ref().is_some_and(|p| p.id == checkpoint && p.is_owed_by(task)) {
                    self.abort_pending(now, &error.at(format!("declined by {}", task.subtask)), out);
                }
            }
            CoordinatorEvent::ManifestPublished { checkpoint, .. } => self.published(now, checkpoint, out),
            CoordinatorEvent::ManifestNotPublished { checkpoint, error } => {
                let publication = self.take_publication(checkpoint);
                self.retention.in_doubt(checkpoint);
                self.give_up(now, publication.checkpoint, publication.attempt, &error, out);
            }
            CoordinatorEvent::ManifestIndeterminate { checkpoint, error } => {
                // Nothing of it may be deleted: it may be what recovery finds (FLINK-22494).
                let publication = self.take_publication(checkpoint);
                self.retention.in_doubt(checkpoint);
                if self.attempt == Some(publication.attempt) {
                    let place = format!("checkpoint {checkpoint}: it is not known whether its manifest is durable");
                    out.push(CoordinatorCommand::FailAttempt { error: error.at(place) });
                }
            }
            CoordinatorEvent::Committed { task, checkpoint } => self.committed(task, checkpoint, out),
        }
    }

    /// What must hold between any two events.
    pub fn assert_invariants(&self) {
        assert!(self.pending.is_none() || self.publication.is_none(), "one checkpoint at a time");
        assert!(self.pending.as_ref().is_none_or(|p| p.id < self.next_id && Some(p.attempt) == self.attempt));
        assert!(
            self.pending.as_ref().is_none_or(|p| !p.triggered || Some(p.id) <= self.reserved),
            "nobody knows its number"
        );
        assert!(self.publication.as_ref().is_none_or(|p| p.checkpoint < self.next_id));
        assert!(self.final_commit.as_ref().is_none_or(|f| Some(f.attempt) == self.attempt && !f.waiting.is_empty()));
    }

    fn may_begin(&self) -> bool {
        let idle = self.pending.is_none() && self.publication.is_none() && self.final_commit.is_none();
        idle && self.attempt.is_some()
    }

    fn all_ended(&self) -> bool {
        let current = |attempt| Some(attempt) == self.attempt || planted!(DeadAttemptCounts); // FLINK-13593
        let ended = self.ended.as_ref().filter(|(attempt, _)| current(*attempt));
        ended.is_some_and(|(_, tasks)| *tasks == self.tasks)
    }

    /// When there is nothing left to do but to commit, there is nothing to wait for.
    fn begin_if_all_ended(&mut self, now: Instant, out: &mut Vec<CoordinatorCommand>) {
        if self.may_begin() && self.all_ended() {
            self.begin(now, out);
        }
    }

    fn begin(&mut self, now: Instant, out: &mut Vec<CoordinatorCommand>) {
        let attempt = self.attempt.expect("checkpoints begin only while an attempt runs");
        let id = self.next_id;
        self.next_id = id.next();
        // The first that was wanted is begun now; those that were wanted since are not made up for.
        let skipped = now.since(self.wanted).as_nanos() / self.options.interval.as_nanos();
        let checkpoints = u64::try_from(skipped).unwrap_or(u64::MAX);
        out.extend((checkpoints > 0).then_some(CoordinatorCommand::Skipped { checkpoints }));
        self.due = now + self.options.interval;
        self.wanted = self.due;
        self.pending = Some(PendingCheckpoint::new(id, attempt, now, self.all_ended(), self.tasks.clone()));
        self.trigger_or_reserve(out);
    }

    /// Nobody hears of a number before it is reserved. One reservation at a time: what an earlier checkpoint has asked for and
    /// not lived to see may do for this one.
    fn trigger_or_reserve(&mut self, out: &mut Vec<CoordinatorCommand>) {
        let Some(pending) = self.pending.as_mut().filter(|p| !p.triggered) else { return };
        let checkpoint = pending.id;
        if self.reserved < Some(checkpoint) {
            if !std::mem::replace(&mut self.is_reserving, true) {
                let through = CheckpointId(checkpoint.0.saturating_add(self.block - 1));
                out.push(CoordinatorCommand::ReserveNumbers { through });
            }
            return;
        }
        pending.triggered = true;
        let barrier = CheckpointBarrier {
            checkpoint,
            mode: self.options.mode,
            is_final: pending.is_final,
            base: self.base,
            oldest: self.retention.oldest().unwrap_or(checkpoint),
        };
        let attempt = pending.attempt;
        let tasks = self.job.sources.iter().map(|subtask| TaskId { subtask: *subtask, attempt }).collect();
        out.push(CoordinatorCommand::TriggerSources { barrier, tasks });
    }

    fn acknowledged(
        &mut self,
        now: Instant,
        task: TaskId,
        checkpoint: CheckpointId,
        part: (SnapshotHandle, SubtaskCheckpointMetrics),
        out: &mut Vec<CoordinatorCommand>,
    ) {
        let owed = |p: &&mut PendingCheckpoint| p.id == checkpoint && p.is_owed_by(task);
        let Some(pending) = self.pending.as_mut().filter(owed) else { return };
        pending.acknowledge(task.subtask, part);
        out.push(CoordinatorCommand::Report { checkpoint, step: Step::AcknowledgementReceived { task } });
        if pending.is_acknowledged() {
            let manifest = pending.manifest(&self.job, self.retention.oldest_with(checkpoint), now);
            let attempt = pending.attempt;
            let early = CoordinatorCommand::NotifyComplete { checkpoint, attempt };
            out.extend(planted!(NotifiedBeforeDurable).then_some(early)); // Gray 1978
            self.publication = Some(Publication { checkpoint, attempt: pending.attempt, is_final: pending.is_final });
            self.pending = None;
            out.push(CoordinatorCommand::Report { checkpoint, step: Step::AllAcknowledged });
            let obsolete = self.retention.obsolete_with(checkpoint);
            out.push(CoordinatorCommand::PublishManifest { manifest, obsolete });
        }
    }

    /// The checkpoint exists from here on, whatever becomes of the attempt.
    fn published(&mut self, now: Instant, checkpoint: CheckpointId, out: &mut Vec<CoordinatorCommand>) {
        let Publication { attempt, is_final, .. } = self.take_publication(checkpoint);
        self.failures = 0;
        self.retention.completed(checkpoint);
        if self.attempt == Some(attempt) {
            self.base = Some(checkpoint);
            out.push(CoordinatorCommand::NotifyComplete { checkpoint, attempt });
            if is_final {
                let waiting = self.tasks.clone();
                self.final_commit = Some(FinalCommit { checkpoint, attempt, waiting, repeat_at: now + FINAL_RETRY });
            }
        }
        self.due = self.due.max(now + self.options.min_pause);
        self.begin_if_all_ended(now, out);
    }

    fn take_publication(&mut self, checkpoint: CheckpointId) -> Publication {
        let publication = self.publication.take().expect("a result of a publication answers one");
        assert_eq!(publication.checkpoint, checkpoint, "one publication at a time");
        publication
    }

    fn input_ended(&mut self, now: Instant, task: TaskId, out: &mut Vec<CoordinatorCommand>) {
        match &mut self.ended {
            // FLINK-13593
            Some((attempt, tasks)) if *attempt == task.attempt || planted!(DeadAttemptCounts) => {
                tasks.insert(task.subtask);
            }
            Some((attempt, _)) if *attempt > task.attempt => return,
            _ => self.ended = Some((task.attempt, BTreeSet::from([task.subtask]))),
        }
        self.begin_if_all_ended(now, out);
    }

    fn committed(&mut self, task: TaskId, checkpoint: CheckpointId, out: &mut Vec<CoordinatorCommand>) {
        let this = |f: &&mut FinalCommit| f.checkpoint == checkpoint && f.attempt == task.attempt;
        let Some(commit) = self.final_commit.as_mut().filter(this) else { return };
        commit.waiting.remove(&task.subtask);
        if commit.waiting.is_empty() {
            self.final_commit = None;
            // The job is over; nothing is begun any more.
            self.attempt = None;
            out.push(CoordinatorCommand::AllCommitted { checkpoint });
        }
    }

    fn attempt_ended(&mut self, attempt: AttemptId, out: &mut Vec<CoordinatorCommand>) {
        if self.attempt == Some(attempt) {
            self.attempt = None;
        }
        self.ended = self.ended.take().filter(|(of, _)| *of > attempt);
        self.final_commit = None;
        if let Some(pending) = self.pending.take() {
            let reason = format!("attempt {attempt} has ended");
            out.push(CoordinatorCommand::Report { checkpoint: pending.id, step: Step::CheckpointAborted { reason } });
        }
    }

    fn abort_pending(&mut self, now: Instant, error: &Error, out: &mut Vec<CoordinatorCommand>) {
        let pending = self.pending.take().expect("there is something to abort");
        if planted!(FinishedThoughFinalFailed) && pending.is_final {
            return out.push(CoordinatorCommand::AllCommitted { checkpoint: pending.id }); // Feldera a5d8d17cf
        }
        self.give_up(now, pending.id, pending.attempt, error, out);
    }

    /// The checkpoint has failed by itself, not with its attempt.
    fn give_up(
        &mut self,
        now: Instant,
        checkpoint: CheckpointId,
        attempt: AttemptId,
        error: &Error,
        out: &mut Vec<CoordinatorCommand>,
    ) {
        let reason = error.to_string();
        out.push(CoordinatorCommand::Report { checkpoint, step: Step::CheckpointAborted { reason: reason.clone() } });
        if self.attempt != Some(attempt) {
            return;
        }
        out.push(CoordinatorCommand::NotifyAborted { checkpoint, attempt, reason });
        self.failures += 1;
        if self.failures > self.options.tolerable_failures {
            let place = format!("checkpoint {checkpoint} ({} failed in a row)", self.failures);
            self.failures = 0;
            // Nothing is begun any more that the failure would only abort.
            self.attempt = None;
            out.push(CoordinatorCommand::FailAttempt { error: error.clone().at(place) });
            return;
        }
        self.due = self.due.max(now + self.options.min_pause);
        if self.all_ended() {
            self.due = now + self.options.interval.min(FINAL_RETRY);
        }
    }
}
