//! What the job manager asks of storage: each in a task of its own, whose result comes back as an event.

use std::sync::Arc;

use super::actor::{Event, JobManager};
use crate::{
    checkpoint::{CoordinatorEvent, Manifest},
    id::CheckpointId,
    metrics::{Measurement, micros},
    probe::Step,
    runtime::restore_point::{clean_up, prepare},
    storage::{CheckpointStore, PublishError, StaleFiles},
};

/// How often deleting what is left over is tried before the job ends without it.
const TIDY_ATTEMPTS: u32 = 5;

/// How much longer the pause between two attempts to clean up is each time.
const PAUSE_GROWTH: u32 = 2;

impl JobManager {
    /// For what waits for nothing but files: a process waits for it before it ends.
    fn start_file_work(&self, name: &str, work: impl Future<Output = Event> + Send + 'static) {
        self.env.spawner.start_file_work(name, self.report(work));
    }

    /// For what calls a user's code, too, or pauses.
    fn start_work(&self, name: &str, work: impl Future<Output = Event> + Send + 'static) {
        self.env.spawner.start(name, self.report(work));
    }

    fn report<W: Future<Output = Event>>(&self, work: W) -> impl Future<Output = ()> + use<W> {
        let events = self.events.clone();
        async move {
            // Nobody listens any more if the job has ended.
            let _ = events.send(work.await);
        }
    }

    fn store(&self) -> Arc<CheckpointStore> {
        self.store.clone().expect("a coordinator exists only where checkpoints are on")
    }

    /// Finds out where the next attempt starts.
    pub(super) fn read_restore_point(&self) {
        let (mode, own_from) = (self.restore.clone(), Some(self.first_id));
        let published = self.published;
        let (disk, graph, store) = (self.env.disk.clone(), self.graph.clone(), self.store.clone());
        let directory = self.checkpoint_directory.clone();
        self.start_work("read restore point", async move {
            let (store, directory) = (store.as_deref(), directory.as_deref());
            let prepared = prepare(&disk, &graph, store, directory, &mode, own_from, published).await;
            Event::Prepared(prepared.map(Box::new))
        });
    }

    /// Claims numbers of checkpoints.
    pub(super) fn reserve_numbers(&self, through: CheckpointId) {
        let (store, reporter) = (self.store(), self.reporter.clone());
        self.start_file_work("reserve numbers of checkpoints", async move {
            Event::Coordinator(match store.reserve_numbers(through).await {
                Ok(()) => {
                    reporter.report(Step::NumbersReserved { through }).await;
                    CoordinatorEvent::NumbersReserved { through }
                }
                Err(error) => CoordinatorEvent::ReservationFailed { error },
            })
        });
    }

    /// Makes the checkpoint exist, with which obsolete ones go.
    pub(super) fn publish(&self, mut manifest: Manifest, obsolete: Vec<CheckpointId>) {
        let (store, reporter, clock) = (self.store(), self.reporter.clone(), self.env.clock.clone());
        self.start_file_work("publish manifest", async move {
            let checkpoint = manifest.checkpoint;
            manifest.completed_at_ms = clock.wall_clock_ms();
            let since = clock.now();
            Event::Coordinator(match store.publish_manifest(&manifest, &reporter).await {
                Ok(()) => {
                    let duration_us = manifest.duration_us + micros(clock.now().since(since));
                    let metrics = manifest.metrics();
                    reporter.measure(&Measurement::Checkpoint { checkpoint, duration_us, metrics });
                    reporter.report_for(checkpoint, Step::CheckpointCompleted).await;
                    for id in &obsolete {
                        reporter.report_for(*id, Step::CheckpointRetired).await;
                    }
                    CoordinatorEvent::ManifestPublished { checkpoint, retired: obsolete }
                }
                Err(PublishError::NotPublished(error)) => CoordinatorEvent::ManifestNotPublished { checkpoint, error },
                Err(PublishError::Indeterminate(error)) => {
                    CoordinatorEvent::ManifestIndeterminate { checkpoint, error }
                }
            })
        });
    }

    /// Deletes what earlier attempts have left behind, as far as no checkpoint names it. Their tasks may still run somewhere:
    /// what they write counts for nobody.
    pub(super) fn remove_stale_files(&self) {
        let (Some(attempt), Some(store), true) = (self.lifecycle.attempt(), &self.store, self.stale_files) else {
            return;
        };
        let (store, reporter) = (store.clone(), self.reporter.clone());
        self.start_file_work("remove stale files", async move {
            // What cannot be deleted now only takes up room until it is tried again.
            let left = match store.remove_stale_files(attempt).await {
                Ok(StaleFiles { removed, left }) => {
                    if removed > 0 {
                        reporter.report(Step::StaleFilesRemoved).await;
                    }
                    left > 0
                }
                Err(_) => true,
            };
            Event::StaleFilesRemoved { attempt, left }
        });
    }

    /// Tidies up after the last commit and records that the job is done: in this order, because nobody looks again after the
    /// record. A disk that fails is tried again for as long as it takes: all output is visible, and to give up would call the
    /// job failed.
    pub(super) fn clean_up(&self) {
        let (disk, graph, store) = (self.env.disk.clone(), self.graph.clone(), self.store.clone());
        let retained = self.graph.checkpoints.as_ref().map_or(1, |options| options.retained);
        let (clock, last) = (self.env.clock.clone(), self.committed);
        let (mut pause, longest) = (self.options.heartbeat_interval, self.options.heartbeat_timeout);
        self.start_work("clean up", async move {
            let mut attempts = 0;
            loop {
                attempts += 1;
                let result = async {
                    clean_up(&disk, &graph, last).await?;
                    let (Some(store), Some(last)) = (&store, last) else { return Ok(()) };
                    match store.tidy(retained).await {
                        Err(error) if attempts < TIDY_ATTEMPTS => Err(error),
                        // What cannot be deleted only takes up room: the job does not fail for it.
                        _ => store.record_finished(last).await,
                    }
                };
                match result.await {
                    Err(error) if error.may_be_retried() => {
                        clock.sleep_until(clock.now() + pause).await;
                        pause = longest.min(pause * PAUSE_GROWTH);
                    }
                    result => return Event::CleanedUp(result),
                }
            }
        });
    }
}
