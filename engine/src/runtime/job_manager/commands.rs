//! What the machines have decided, and what is done about it.

use std::collections::BTreeMap;

use super::actor::JobManager;
use crate::{
    checkpoint::{Coordinator, CoordinatorCommand, CoordinatorEvent},
    id::{AttemptId, SubtaskId, TaskId, TaskManagerId},
    job::{LifecycleCommand, LifecycleEvent},
    metrics::Measurement,
    probe::Step,
    runtime::rpc::{Deployment, Location, ToTaskManager},
};

impl JobManager {
    /// Does what the lifecycle has decided.
    pub(super) async fn carry_out(&mut self, commands: Vec<LifecycleCommand>) {
        for command in commands {
            match command {
                LifecycleCommand::ReadRestorePoint => {
                    self.restore_point_wanted = self.coordinator.as_ref().is_some_and(Coordinator::is_publishing);
                    if !self.restore_point_wanted {
                        self.read_restore_point();
                    }
                }
                LifecycleCommand::Deploy { attempt, assignment } => self.deploy(attempt, assignment).await,
                LifecycleCommand::AttemptRunning { attempt } => {
                    self.reporter.report(Step::AttemptRunning { attempt }).await;
                    Box::pin(self.coordinator_event(CoordinatorEvent::AttemptRunning { attempt })).await;
                }
                LifecycleCommand::CancelTasks { attempt } => {
                    self.peers.broadcast(&ToTaskManager::CancelTasks { attempt })
                }
                LifecycleCommand::EndAttempt { attempt } => {
                    Box::pin(self.coordinator_event(CoordinatorEvent::AttemptEnded { attempt })).await;
                }
                LifecycleCommand::FinishTasks { attempt } => {
                    self.peers.broadcast(&ToTaskManager::FinishTasks { attempt })
                }
                LifecycleCommand::CleanUp => self.clean_up(),
                LifecycleCommand::End { status } => self.ended = Some(status),
                LifecycleCommand::Report { step } => self.reporter.report(step).await,
            }
        }
    }

    /// Does what the coordinator has decided.
    pub(super) async fn carry_out_checkpoint(&mut self, commands: Vec<CoordinatorCommand>) {
        for command in commands {
            match command {
                CoordinatorCommand::ReserveNumbers { through } => self.reserve_numbers(through),
                CoordinatorCommand::TriggerSources { barrier, tasks } => {
                    self.peers.broadcast(&ToTaskManager::Trigger { barrier, tasks });
                    let step = Step::CheckpointTriggered { is_final: barrier.is_final };
                    self.reporter.report_for(barrier.checkpoint, step).await;
                }
                CoordinatorCommand::PublishManifest { manifest, obsolete } => self.publish(manifest, obsolete),
                CoordinatorCommand::NotifyComplete { checkpoint, attempt } => {
                    self.peers.broadcast(&ToTaskManager::NotifyComplete { checkpoint, attempt });
                    self.reporter.report_for(checkpoint, Step::CompletionNotified).await;
                }
                CoordinatorCommand::NotifyAborted { checkpoint, attempt, reason } => {
                    self.peers.broadcast(&ToTaskManager::NotifyAborted { checkpoint, attempt, reason });
                }
                CoordinatorCommand::FailAttempt { error } => {
                    Box::pin(self.lifecycle_event(LifecycleEvent::AttemptFailed { error })).await;
                }
                CoordinatorCommand::AllCommitted { checkpoint } => {
                    self.committed = Some(checkpoint);
                    Box::pin(self.lifecycle_event(LifecycleEvent::AllCommitted)).await;
                }
                CoordinatorCommand::Skipped { checkpoints } => {
                    self.reporter.measure(&Measurement::Skipped { checkpoints });
                }
                CoordinatorCommand::Report { checkpoint, step } => self.reporter.report_for(checkpoint, step).await,
            }
        }
    }

    async fn deploy(&mut self, attempt: AttemptId, assignment: BTreeMap<SubtaskId, TaskManagerId>) {
        let prepared = self.prepared.take().expect("an attempt is deployed once its restore point is read");
        let addresses: BTreeMap<_, _> =
            self.peers.registered().map(|r| (r.id.clone(), r.data_address.clone())).collect();
        let location = |task_manager: &TaskManagerId| Location {
            task_manager: task_manager.clone(),
            data_address: addresses[task_manager].clone(),
        };
        let locations: BTreeMap<_, _> = assignment.iter().map(|(s, tm)| (*s, location(tm))).collect();
        let mut shares: BTreeMap<&TaskManagerId, BTreeMap<SubtaskId, Vec<Vec<u8>>>> = BTreeMap::new();
        for (subtask, task_manager) in &assignment {
            let splits = prepared.splits.get(&subtask.vertex).and_then(|s| s.get(subtask.index as usize));
            shares.entry(task_manager).or_default().insert(*subtask, splits.cloned().unwrap_or_default());
        }
        let restored = prepared.restore.as_ref().map(|r| r.manifest.checkpoint);
        self.reporter.report(Step::AttemptStarted { attempt, restored }).await;
        for (task_manager, tasks) in shares {
            for subtask in tasks.keys() {
                let task = TaskId { subtask: *subtask, attempt };
                self.reporter.report(Step::TaskDeployed { task, task_manager: task_manager.clone() }).await;
            }
            let (restore, locations) = (prepared.restore.clone(), locations.clone());
            self.peers.send(task_manager, ToTaskManager::Deploy(Deployment { attempt, restore, tasks, locations }));
        }
        self.stale_files = true;
        self.remove_stale_files();
    }
}
