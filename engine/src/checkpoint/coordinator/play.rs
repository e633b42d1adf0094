//! A coordinator that is told things, and writes down what it is told and what it wants to be done.

use std::{collections::BTreeSet, fmt::Write as _, time::Duration};

use super::*;
use crate::{
    checkpoint::{CheckpointedVertex, SnapshotFile},
    id::{SubtaskId, VertexId},
    metrics::SubtaskCheckpointMetrics,
    stream::CheckpointMode,
};

pub(super) const FIRST: AttemptId = AttemptId { term: 1, number: 1 };
pub(super) const SECOND: AttemptId = AttemptId { term: 1, number: 2 };
pub(super) const SOURCE_0: SubtaskId = SubtaskId { vertex: VertexId(0), index: 0 };
pub(super) const SOURCE_1: SubtaskId = SubtaskId { vertex: VertexId(0), index: 1 };
pub(super) const SINK: SubtaskId = SubtaskId { vertex: VertexId(1), index: 0 };
pub(super) const ALL: [SubtaskId; 3] = [SOURCE_0, SOURCE_1, SINK];

/// A coordinator, the time, and what was said so far.
pub(super) struct Play {
    pub(super) coordinator: Coordinator,
    now: Instant,
    text: String,
}

impl Play {
    /// A job of two sources and a sink; a checkpoint every 100 ms, with a limit of 50 ms, a pause of 20 ms, and one
    /// tolerated failure. Checkpoint 4 has been completed before, and 5 may have been begun. The first attempt runs.
    pub(super) fn new() -> Self {
        Self::reserving(16)
    }

    /// The same, with so many numbers reserved at once.
    pub(super) fn reserving(block: u64) -> Self {
        let ms = Duration::from_millis;
        let options = CheckpointOptions {
            interval: ms(100),
            mode: CheckpointMode::ExactlyOnce,
            timeout: ms(50),
            min_pause: ms(20),
            tolerable_failures: 1,
            retained: 1,
            ..CheckpointOptions::default()
        };
        let vertex = |id, name: &str, parallelism| CheckpointedVertex {
            id: VertexId(id),
            name: name.into(),
            operators: vec![name.into()],
            parallelism,
        };
        let job = CheckpointedJob {
            name: "job".into(),
            max_parallelism: 8,
            vertices: vec![vertex(0, "source", 2), vertex(1, "sink", 1)],
            sources: BTreeSet::from([SOURCE_0, SOURCE_1]),
        };
        let coordinator = Coordinator::new(options, job, CheckpointId(6), block, &[CheckpointId(4)]);
        let mut play = Self { coordinator, now: Instant(0), text: String::new() };
        play.tell(CoordinatorEvent::AttemptRunning { attempt: FIRST });
        play
    }

    /// The time comes, and with it what is due.
    pub(super) fn at(&mut self, ms: u64) -> &mut Self {
        self.now = Instant(ms * 1_000_000);
        let mut out = Vec::new();
        self.coordinator.on_deadline(self.now, &mut out);
        self.note(&format!("{ms} ms"), &out)
    }

    pub(super) fn tell(&mut self, event: CoordinatorEvent) -> &mut Self {
        let said = describe_event(&event);
        let mut out = Vec::new();
        self.coordinator.handle(self.now, event, &mut out);
        self.note(&said, &out)
    }

    fn note(&mut self, said: &str, out: &[CoordinatorCommand]) -> &mut Self {
        self.coordinator.assert_invariants();
        let commands: Vec<String> = out.iter().map(describe_command).collect();
        let arrow = if commands.is_empty() { "" } else { " -> " };
        let _ = writeln!(self.text, "{said}{arrow}{}", commands.join("; "));
        self
    }

    pub(super) fn reserved(&mut self, through: u64) -> &mut Self {
        self.tell(CoordinatorEvent::NumbersReserved { through: CheckpointId(through) })
    }

    pub(super) fn not_reserved(&mut self) -> &mut Self {
        self.tell(CoordinatorEvent::ReservationFailed { error: Error::unavailable("disk gone") })
    }

    pub(super) fn acknowledge(&mut self, id: u64, attempt: AttemptId, subtasks: &[SubtaskId]) -> &mut Self {
        for subtask in subtasks {
            let (name, written_for) = (format!("{subtask}"), CheckpointId(id));
            let handle = SnapshotHandle::Files(vec![SnapshotFile { name, written_for, len: 1, digest: 2 }]);
            let task = TaskId { subtask: *subtask, attempt };
            self.tell(CoordinatorEvent::Acknowledged {
                task,
                checkpoint: CheckpointId(id),
                handle,
                metrics: SubtaskCheckpointMetrics::default(),
            });
        }
        self
    }

    pub(super) fn published(&mut self, id: u64) -> &mut Self {
        // Which are gone with it, the coordinator knows itself.
        self.tell(CoordinatorEvent::ManifestPublished { checkpoint: CheckpointId(id), retired: Vec::new() })
    }

    pub(super) fn input_ended(&mut self, attempt: AttemptId) -> &mut Self {
        for subtask in ALL {
            self.tell(CoordinatorEvent::InputEnded { task: TaskId { subtask, attempt } });
        }
        self
    }

    pub(super) fn committed(&mut self, id: u64, attempt: AttemptId, subtasks: &[SubtaskId]) -> &mut Self {
        for subtask in subtasks {
            let task = TaskId { subtask: *subtask, attempt };
            self.tell(CoordinatorEvent::Committed { task, checkpoint: CheckpointId(id) });
        }
        self
    }

    pub(super) fn declined(&mut self, id: u64, attempt: AttemptId) -> &mut Self {
        let task = TaskId { subtask: SINK, attempt };
        let error = Error::unavailable("no space");
        self.tell(CoordinatorEvent::Declined { task, checkpoint: CheckpointId(id), error })
    }

    pub(super) fn text(&mut self) -> String {
        std::mem::take(&mut self.text)
    }
}

/// Checkpoints that go.
fn without(checkpoints: &[CheckpointId]) -> String {
    let ids: Vec<String> = checkpoints.iter().map(ToString::to_string).collect();
    if ids.is_empty() { String::new() } else { format!(", without {}", ids.join(" ")) }
}

fn describe_event(event: &CoordinatorEvent) -> String {
    use CoordinatorEvent as E;
    match event {
        E::AttemptRunning { attempt } => format!("attempt {attempt} runs"),
        E::AttemptEnded { attempt } => format!("attempt {attempt} has ended"),
        E::InputEnded { task } => format!("input of {task} has ended"),
        E::NumbersReserved { through } => format!("reserved through {through}"),
        E::ReservationFailed { .. } => "not reserved".into(),
        E::Acknowledged { task, checkpoint, .. } => format!("{task} acknowledges {checkpoint}"),
        E::Declined { task, checkpoint, .. } => format!("{task} declines {checkpoint}"),
        E::ManifestPublished { checkpoint, .. } => format!("manifest {checkpoint}"),
        E::ManifestNotPublished { checkpoint, .. } => format!("no manifest {checkpoint}"),
        E::ManifestIndeterminate { checkpoint, .. } => format!("manifest {checkpoint} in doubt"),
        E::Committed { task, checkpoint } => format!("{task} committed {checkpoint}"),
    }
}

fn describe_command(command: &CoordinatorCommand) -> String {
    use CoordinatorCommand as C;
    match command {
        C::ReserveNumbers { through } => format!("reserve through {through}"),
        C::TriggerSources { barrier, tasks } => {
            let tasks: Vec<String> = tasks.iter().map(ToString::to_string).collect();
            let base = barrier.base.map(|base| format!(" on {base}")).unwrap_or_default();
            let oldest = format!(" since {}", barrier.oldest);
            let kind = if barrier.is_final { " (final)" } else { "" };
            format!("trigger {}{base}{oldest}{kind} at {}", barrier.checkpoint, tasks.join(" "))
        }
        C::PublishManifest { manifest, obsolete } => {
            let files: Vec<&str> = manifest.files().map(|f| f.name.as_str()).collect();
            let (id, attempt) = (manifest.checkpoint, manifest.attempt);
            format!("publish {id} of attempt {attempt}: {}{}", files.join(" "), without(obsolete))
        }
        C::NotifyComplete { checkpoint, attempt } => format!("notify {checkpoint}@{attempt} complete"),
        C::NotifyAborted { checkpoint, attempt, .. } => format!("notify {checkpoint}@{attempt} aborted"),
        C::FailAttempt { error } => format!("fail the attempt: {error}"),
        C::Skipped { checkpoints } => format!("skipped {checkpoints}"),
        C::AllCommitted { checkpoint } => format!("all committed {checkpoint}"),
        C::Report { step: Step::CheckpointAborted { reason }, .. } => format!("aborted: {reason}"),
        C::Report { step: Step::AcknowledgementReceived { .. }, .. } => "counts".into(),
        C::Report { step, .. } => format!("report {}", step.kind()),
    }
}
