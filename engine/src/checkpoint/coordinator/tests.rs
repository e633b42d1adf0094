//! The coordinator's life as transcripts: what it is told, and what it wants to be done.

use std::{collections::BTreeSet, fmt::Write as _, time::Duration};

use super::*;
use crate::{
    checkpoint::{CheckpointedVertex, SnapshotFile},
    id::{SubtaskId, VertexId},
    metrics::SubtaskCheckpointMetrics,
    stream::CheckpointMode,
};

const FIRST: AttemptId = AttemptId { term: 1, number: 1 };
const SECOND: AttemptId = AttemptId { term: 1, number: 2 };
const SOURCE_0: SubtaskId = SubtaskId { vertex: VertexId(0), index: 0 };
const SOURCE_1: SubtaskId = SubtaskId { vertex: VertexId(0), index: 1 };
const SINK: SubtaskId = SubtaskId { vertex: VertexId(1), index: 0 };
const ALL: [SubtaskId; 3] = [SOURCE_0, SOURCE_1, SINK];

/// A coordinator, the time, and what was said so far.
struct Play {
    coordinator: Coordinator,
    now: Instant,
    text: String,
}

impl Play {
    /// A job of two sources and a sink; a checkpoint every 100 ms, with a limit of 50 ms, a pause of 20 ms, and one
    /// tolerated failure. Checkpoint 4 has been completed before, 5 only begun. The first attempt runs.
    fn new() -> Self {
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
        let coordinator =
            Coordinator::new(options, job, CheckpointId(6), &[CheckpointId(4), CheckpointId(5)], &[CheckpointId(4)]);
        let mut play = Self { coordinator, now: Instant(0), text: String::new() };
        play.tell(CoordinatorEvent::AttemptRunning { attempt: FIRST });
        play
    }

    /// The time comes, and with it what is due.
    fn at(&mut self, ms: u64) -> &mut Self {
        self.now = Instant(ms * 1_000_000);
        let mut out = Vec::new();
        self.coordinator.on_deadline(self.now, &mut out);
        self.note(&format!("{ms} ms"), &out)
    }

    fn tell(&mut self, event: CoordinatorEvent) -> &mut Self {
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

    fn directory(&mut self, id: u64) -> &mut Self {
        self.tell(CoordinatorEvent::DirectoryCreated { checkpoint: CheckpointId(id) })
    }

    fn acknowledge(&mut self, id: u64, attempt: AttemptId, subtasks: &[SubtaskId]) -> &mut Self {
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

    fn published(&mut self, id: u64) -> &mut Self {
        self.tell(CoordinatorEvent::ManifestPublished { checkpoint: CheckpointId(id) })
    }

    fn input_ended(&mut self, attempt: AttemptId) -> &mut Self {
        for subtask in ALL {
            self.tell(CoordinatorEvent::InputEnded { task: TaskId { subtask, attempt } });
        }
        self
    }

    fn committed(&mut self, id: u64, attempt: AttemptId, subtasks: &[SubtaskId]) -> &mut Self {
        for subtask in subtasks {
            let task = TaskId { subtask: *subtask, attempt };
            self.tell(CoordinatorEvent::Committed { task, checkpoint: CheckpointId(id) });
        }
        self
    }

    fn declined(&mut self, id: u64, attempt: AttemptId) -> &mut Self {
        let task = TaskId { subtask: SINK, attempt };
        let error = Error::unavailable("no space");
        self.tell(CoordinatorEvent::Declined { task, checkpoint: CheckpointId(id), error })
    }

    fn text(&mut self) -> String {
        std::mem::take(&mut self.text)
    }
}

fn describe_event(event: &CoordinatorEvent) -> String {
    use CoordinatorEvent as E;
    match event {
        E::AttemptRunning { attempt } => format!("attempt {attempt} runs"),
        E::AttemptEnded { attempt } => format!("attempt {attempt} has ended"),
        E::InputEnded { task } => format!("input of {task} has ended"),
        E::DirectoryCreated { checkpoint } => format!("directory {checkpoint}"),
        E::DirectoryFailed { checkpoint, .. } => format!("no directory {checkpoint}"),
        E::Acknowledged { task, checkpoint, .. } => format!("{task} acknowledges {checkpoint}"),
        E::Declined { task, checkpoint, .. } => format!("{task} declines {checkpoint}"),
        E::ManifestPublished { checkpoint } => format!("manifest {checkpoint}"),
        E::ManifestNotPublished { checkpoint, .. } => format!("no manifest {checkpoint}"),
        E::ManifestIndeterminate { checkpoint, .. } => format!("manifest {checkpoint} in doubt"),
        E::Retired { checkpoint } => format!("{checkpoint} is deleted"),
        E::Committed { task, checkpoint } => format!("{task} committed {checkpoint}"),
    }
}

fn describe_command(command: &CoordinatorCommand) -> String {
    use CoordinatorCommand as C;
    match command {
        C::CreateDirectory { checkpoint } => format!("create directory {checkpoint}"),
        C::TriggerSources { barrier, tasks } => {
            let tasks: Vec<String> = tasks.iter().map(ToString::to_string).collect();
            let base = barrier.base.map(|base| format!(" on {base}")).unwrap_or_default();
            let oldest = format!(" since {}", barrier.oldest);
            let kind = if barrier.is_final { " (final)" } else { "" };
            format!("trigger {}{base}{oldest}{kind} at {}", barrier.checkpoint, tasks.join(" "))
        }
        C::PublishManifest { manifest } => {
            let files: Vec<&str> = manifest.files().map(|f| f.name.as_str()).collect();
            format!("publish {} of attempt {}: {}", manifest.checkpoint, manifest.attempt, files.join(" "))
        }
        C::NotifyComplete { checkpoint, attempt } => format!("notify {checkpoint}@{attempt} complete"),
        C::NotifyAborted { checkpoint, attempt, .. } => format!("notify {checkpoint}@{attempt} aborted"),
        C::Retire { checkpoint } => format!("retire {checkpoint}"),
        C::FailAttempt { error } => format!("fail the attempt: {error}"),
        C::Skipped { checkpoints } => format!("skipped {checkpoints}"),
        C::AllCommitted { checkpoint } => format!("all committed {checkpoint}"),
        C::Report { step: Step::CheckpointAborted { reason }, .. } => format!("aborted: {reason}"),
        C::Report { step: Step::AcknowledgementReceived { .. }, .. } => "counts".into(),
        C::Report { step, .. } => format!("report {}", step.kind()),
    }
}

/// SlateDB 433: nobody hears of a checkpoint before its manifest is durable. And the directory is there before anybody
/// is asked to write into it.
#[test]
fn a_checkpoint_from_trigger_to_notification() {
    let mut play = Play::new();
    play.at(99).at(100).directory(6).acknowledge(6, FIRST, &ALL).published(6).at(199).at(200);
    // The next one says what may still be asked for: 4 could not be deleted yet.
    play.tell(CoordinatorEvent::Retired { checkpoint: CheckpointId(5) }).directory(7).acknowledge(7, FIRST, &ALL);
    play.tell(CoordinatorEvent::Retired { checkpoint: CheckpointId(4) }).published(7).at(300).directory(8);
    insta::assert_snapshot!(play.text(), @r"
    attempt 1.1 runs
    99 ms
    100 ms -> create directory 6
    directory 6 -> trigger 6 since 4 at v0/0@1.1 v0/1@1.1
    v0/0@1.1 acknowledges 6 -> counts
    v0/1@1.1 acknowledges 6 -> counts
    v1/0@1.1 acknowledges 6 -> counts; report all-acknowledged; publish 6 of attempt 1.1: v0/0 v0/1 v1/0
    manifest 6 -> notify 6@1.1 complete; retire 4; retire 5
    199 ms
    200 ms -> create directory 7
    5 is deleted
    directory 7 -> trigger 7 on 6 since 4 at v0/0@1.1 v0/1@1.1
    v0/0@1.1 acknowledges 7 -> counts
    v0/1@1.1 acknowledges 7 -> counts
    v1/0@1.1 acknowledges 7 -> counts; report all-acknowledged; publish 7 of attempt 1.1: v0/0 v0/1 v1/0
    4 is deleted
    manifest 7 -> notify 7@1.1 complete; retire 6
    300 ms -> create directory 8
    directory 8 -> trigger 8 on 7 since 6 at v0/0@1.1 v0/1@1.1
    ");
}

/// RisingWave 22384 and FLINK-13593.
#[test]
fn only_who_owes_an_acknowledgement_can_give_or_refuse_it() {
    let mut play = Play::new();
    play.acknowledge(6, FIRST, &[SINK]).at(100).acknowledge(6, FIRST, &[SINK]).directory(6);
    play.acknowledge(6, SECOND, &[SINK]).acknowledge(5, FIRST, &[SINK]).declined(6, SECOND).declined(5, FIRST);
    play.acknowledge(6, FIRST, &[SINK, SINK]).declined(6, FIRST);
    insta::assert_snapshot!(play.text(), @r"
    attempt 1.1 runs
    v1/0@1.1 acknowledges 6
    100 ms -> create directory 6
    v1/0@1.1 acknowledges 6
    directory 6 -> trigger 6 since 4 at v0/0@1.1 v0/1@1.1
    v1/0@1.2 acknowledges 6
    v1/0@1.1 acknowledges 5
    v1/0@1.2 declines 6
    v1/0@1.1 declines 5
    v1/0@1.1 acknowledges 6 -> counts
    v1/0@1.1 acknowledges 6
    v1/0@1.1 declines 6
    ");
}

#[test]
fn a_time_out_aborts_and_what_comes_late_is_void() {
    let mut play = Play::new();
    play.at(100).directory(6).acknowledge(6, FIRST, &[SOURCE_0]).at(149).at(150);
    play.acknowledge(6, FIRST, &[SOURCE_1, SINK]).at(199).at(200).directory(6).directory(7);
    insta::assert_snapshot!(play.text(), @r"
    attempt 1.1 runs
    100 ms -> create directory 6
    directory 6 -> trigger 6 since 4 at v0/0@1.1 v0/1@1.1
    v0/0@1.1 acknowledges 6 -> counts
    149 ms
    150 ms -> aborted: the checkpoint did not complete within 50ms; notify 6@1.1 aborted
    v0/1@1.1 acknowledges 6
    v1/0@1.1 acknowledges 6
    199 ms
    200 ms -> create directory 7
    directory 6
    directory 7 -> trigger 7 since 4 at v0/0@1.1 v0/1@1.1
    ");
}

#[test]
fn more_failures_in_a_row_than_are_tolerated_fail_the_attempt() {
    let mut play = Play::new();
    play.at(100).directory(6).declined(6, FIRST);
    play.at(200).directory(7).acknowledge(7, FIRST, &ALL).published(7);
    play.at(300).directory(8).declined(8, FIRST);
    let error = Error::unavailable("disk gone");
    play.at(400).tell(CoordinatorEvent::DirectoryFailed { checkpoint: CheckpointId(9), error }).at(500);
    insta::assert_snapshot!(play.text(), @r"
    attempt 1.1 runs
    100 ms -> create directory 6
    directory 6 -> trigger 6 since 4 at v0/0@1.1 v0/1@1.1
    v1/0@1.1 declines 6 -> aborted: declined by v1/0: no space; notify 6@1.1 aborted
    200 ms -> create directory 7
    directory 7 -> trigger 7 since 4 at v0/0@1.1 v0/1@1.1
    v0/0@1.1 acknowledges 7 -> counts
    v0/1@1.1 acknowledges 7 -> counts
    v1/0@1.1 acknowledges 7 -> counts; report all-acknowledged; publish 7 of attempt 1.1: v0/0 v0/1 v1/0
    manifest 7 -> notify 7@1.1 complete; retire 4; retire 5; retire 6
    300 ms -> create directory 8
    directory 8 -> trigger 8 on 7 since 4 at v0/0@1.1 v0/1@1.1
    v1/0@1.1 declines 8 -> aborted: declined by v1/0: no space; notify 8@1.1 aborted
    400 ms -> create directory 9
    no directory 9 -> aborted: disk gone; notify 9@1.1 aborted; fail the attempt: checkpoint 9 (2 failed in a row): disk gone
    500 ms
    ");
}

/// A disk that is slower than the interval: the times that are missed are told, and not made up for.
#[test]
fn what_is_due_while_one_is_under_way_is_skipped() {
    let mut play = Play::new();
    play.coordinator.options.timeout = Duration::from_secs(10);
    play.at(100).directory(6).at(200).at(300).at(449).acknowledge(6, FIRST, &ALL).published(6).at(468).at(469);
    play.directory(7).acknowledge(7, FIRST, &ALL).published(7).at(569).directory(8);
    insta::assert_snapshot!(play.text(), @r"
    attempt 1.1 runs
    100 ms -> create directory 6
    directory 6 -> trigger 6 since 4 at v0/0@1.1 v0/1@1.1
    200 ms
    300 ms
    449 ms
    v0/0@1.1 acknowledges 6 -> counts
    v0/1@1.1 acknowledges 6 -> counts
    v1/0@1.1 acknowledges 6 -> counts; report all-acknowledged; publish 6 of attempt 1.1: v0/0 v0/1 v1/0
    manifest 6 -> notify 6@1.1 complete; retire 4; retire 5
    468 ms
    469 ms -> skipped 2; create directory 7
    directory 7 -> trigger 7 on 6 since 4 at v0/0@1.1 v0/1@1.1
    v0/0@1.1 acknowledges 7 -> counts
    v0/1@1.1 acknowledges 7 -> counts
    v1/0@1.1 acknowledges 7 -> counts; report all-acknowledged; publish 7 of attempt 1.1: v0/0 v0/1 v1/0
    manifest 7 -> notify 7@1.1 complete; retire 6
    569 ms -> create directory 8
    directory 8 -> trigger 8 on 7 since 4 at v0/0@1.1 v0/1@1.1
    ");
}

#[test]
fn the_end_of_an_attempt_ends_its_checkpoint() {
    let mut play = Play::new();
    play.at(100).directory(6).tell(CoordinatorEvent::AttemptEnded { attempt: FIRST });
    play.acknowledge(6, FIRST, &ALL).at(1000).tell(CoordinatorEvent::AttemptRunning { attempt: SECOND });
    play.at(1100).directory(7).acknowledge(7, SECOND, &ALL);
    // Published by an attempt that is gone: it exists, but there is nobody to be told. The next attempt restores it.
    play.tell(CoordinatorEvent::AttemptEnded { attempt: SECOND }).published(7);
    insta::assert_snapshot!(play.text(), @r"
    attempt 1.1 runs
    100 ms -> create directory 6
    directory 6 -> trigger 6 since 4 at v0/0@1.1 v0/1@1.1
    attempt 1.1 has ended -> aborted: attempt 1.1 has ended
    v0/0@1.1 acknowledges 6
    v0/1@1.1 acknowledges 6
    v1/0@1.1 acknowledges 6
    1000 ms
    attempt 1.2 runs
    1100 ms -> create directory 7
    directory 7 -> trigger 7 since 4 at v0/0@1.2 v0/1@1.2
    v0/0@1.2 acknowledges 7 -> counts
    v0/1@1.2 acknowledges 7 -> counts
    v1/0@1.2 acknowledges 7 -> counts; report all-acknowledged; publish 7 of attempt 1.2: v0/0 v0/1 v1/0
    attempt 1.2 has ended
    manifest 7 -> retire 4; retire 5; retire 6
    ");
}

/// FLINK-22494: what may exist is never deleted, and nothing goes on before recovery has looked.
#[test]
fn a_manifest_in_doubt_fails_the_attempt_and_deletes_nothing() {
    let mut play = Play::new();
    let error = || Error::unavailable("cut off");
    play.at(100).directory(6).acknowledge(6, FIRST, &ALL);
    play.tell(CoordinatorEvent::ManifestIndeterminate { checkpoint: CheckpointId(6), error: error() });
    play.tell(CoordinatorEvent::AttemptEnded { attempt: FIRST });
    play.tell(CoordinatorEvent::AttemptRunning { attempt: SECOND });
    play.at(200).directory(7).acknowledge(7, SECOND, &ALL);
    play.tell(CoordinatorEvent::ManifestNotPublished { checkpoint: CheckpointId(7), error: error() });
    play.at(300).directory(8).acknowledge(8, SECOND, &ALL).published(8);
    insta::assert_snapshot!(play.text(), @r"
    attempt 1.1 runs
    100 ms -> create directory 6
    directory 6 -> trigger 6 since 4 at v0/0@1.1 v0/1@1.1
    v0/0@1.1 acknowledges 6 -> counts
    v0/1@1.1 acknowledges 6 -> counts
    v1/0@1.1 acknowledges 6 -> counts; report all-acknowledged; publish 6 of attempt 1.1: v0/0 v0/1 v1/0
    manifest 6 in doubt -> fail the attempt: checkpoint 6: it is not known whether its manifest is durable: cut off
    attempt 1.1 has ended
    attempt 1.2 runs
    200 ms -> create directory 7
    directory 7 -> trigger 7 since 4 at v0/0@1.2 v0/1@1.2
    v0/0@1.2 acknowledges 7 -> counts
    v0/1@1.2 acknowledges 7 -> counts
    v1/0@1.2 acknowledges 7 -> counts; report all-acknowledged; publish 7 of attempt 1.2: v0/0 v0/1 v1/0
    no manifest 7 -> aborted: cut off; notify 7@1.2 aborted
    300 ms -> create directory 8
    directory 8 -> trigger 8 since 4 at v0/0@1.2 v0/1@1.2
    v0/0@1.2 acknowledges 8 -> counts
    v0/1@1.2 acknowledges 8 -> counts
    v1/0@1.2 acknowledges 8 -> counts; report all-acknowledged; publish 8 of attempt 1.2: v0/0 v0/1 v1/0
    manifest 8 -> notify 8@1.2 complete; retire 4; retire 5; retire 6; retire 7
    ");
}

/// Feldera a5d8d17cf: the tail of a bounded job is committed before the job is over, even if a notification is lost.
#[test]
fn a_bounded_job_ends_with_a_final_checkpoint_that_every_task_has_committed() {
    let mut play = Play::new();
    play.input_ended(FIRST).directory(6).acknowledge(6, FIRST, &ALL).published(6);
    play.committed(6, FIRST, &[SOURCE_0, SINK, SINK]).at(999).at(1000).committed(6, SECOND, &[SOURCE_1]);
    play.committed(6, FIRST, &[SOURCE_1]).at(5000);
    insta::assert_snapshot!(play.text(), @r"
    attempt 1.1 runs
    input of v0/0@1.1 has ended
    input of v0/1@1.1 has ended
    input of v1/0@1.1 has ended -> create directory 6
    directory 6 -> trigger 6 since 4 (final) at v0/0@1.1 v0/1@1.1
    v0/0@1.1 acknowledges 6 -> counts
    v0/1@1.1 acknowledges 6 -> counts
    v1/0@1.1 acknowledges 6 -> counts; report all-acknowledged; publish 6 of attempt 1.1: v0/0 v0/1 v1/0
    manifest 6 -> notify 6@1.1 complete; retire 4; retire 5
    v0/0@1.1 committed 6
    v1/0@1.1 committed 6
    v1/0@1.1 committed 6
    999 ms
    1000 ms -> notify 6@1.1 complete
    v0/1@1.2 committed 6
    v0/1@1.1 committed 6 -> all committed 6
    5000 ms
    ");
}

/// A small input can be used up before the last task says that it runs; a checkpoint under way is not the final one.
#[test]
fn the_final_checkpoint_waits_for_its_attempt_and_for_the_one_under_way() {
    let mut play = Play::new();
    play.at(100).directory(6).input_ended(FIRST).acknowledge(6, FIRST, &ALL).published(6);
    play.tell(CoordinatorEvent::AttemptEnded { attempt: FIRST }).input_ended(SECOND);
    play.input_ended(FIRST).tell(CoordinatorEvent::AttemptRunning { attempt: SECOND });
    insta::assert_snapshot!(play.text(), @r"
    attempt 1.1 runs
    100 ms -> create directory 6
    directory 6 -> trigger 6 since 4 at v0/0@1.1 v0/1@1.1
    input of v0/0@1.1 has ended
    input of v0/1@1.1 has ended
    input of v1/0@1.1 has ended
    v0/0@1.1 acknowledges 6 -> counts
    v0/1@1.1 acknowledges 6 -> counts
    v1/0@1.1 acknowledges 6 -> counts; report all-acknowledged; publish 6 of attempt 1.1: v0/0 v0/1 v1/0
    manifest 6 -> notify 6@1.1 complete; retire 4; retire 5; create directory 7
    attempt 1.1 has ended -> aborted: attempt 1.1 has ended
    input of v0/0@1.2 has ended
    input of v0/1@1.2 has ended
    input of v1/0@1.2 has ended
    input of v0/0@1.1 has ended
    input of v0/1@1.1 has ended
    input of v1/0@1.1 has ended
    attempt 1.2 runs -> create directory 8
    ");
}
