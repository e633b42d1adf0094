//! The lifecycle as transcripts: what it is told, and what it wants to be done.

use std::{fmt::Write as _, time::Duration};

use super::*;

const SOURCE: SubtaskId = SubtaskId { vertex: VertexId(0), index: 0 };
const COUNT_0: SubtaskId = SubtaskId { vertex: VertexId(1), index: 0 };
const COUNT_1: SubtaskId = SubtaskId { vertex: VertexId(1), index: 1 };
const ALL: [SubtaskId; 3] = [SOURCE, COUNT_0, COUNT_1];

/// A lifecycle, the time, and what was said so far.
struct Play {
    lifecycle: Lifecycle,
    now: Instant,
    text: String,
}

impl Play {
    /// A job of one source and two counters, in term 3; two restarts are allowed, each after 10 ms.
    fn new(takes_checkpoints: bool) -> Self {
        let strategy = RestartStrategy::FixedDelay { attempts: 2, delay: Duration::from_millis(10) };
        let lifecycle = Lifecycle::new(3, vec![(VertexId(0), 1), (VertexId(1), 2)], strategy, takes_checkpoints);
        Self { lifecycle, now: Instant(0), text: String::new() }
    }

    /// The same with two task managers of one slot, and the first attempt running.
    fn running(takes_checkpoints: bool) -> Self {
        let mut play = Self::new(takes_checkpoints);
        play.registers("tm-1").registers("tm-2").tell(LifecycleEvent::RestorePointRead).running_tasks(1, &ALL);
        play.text.clear();
        play
    }

    /// The time comes, and with it what is due.
    fn at(&mut self, ms: u64) -> &mut Self {
        self.now = Instant(ms * 1_000_000);
        let mut out = Vec::new();
        self.lifecycle.on_deadline(self.now, &mut out);
        self.note(&format!("{ms} ms"), &out)
    }

    fn tell(&mut self, event: LifecycleEvent) -> &mut Self {
        let said = describe_event(&event);
        let mut out = Vec::new();
        self.lifecycle.handle(self.now, event, &mut out);
        self.note(&said, &out)
    }

    fn note(&mut self, said: &str, out: &[LifecycleCommand]) -> &mut Self {
        self.lifecycle.assert_invariants();
        let commands: Vec<String> = out.iter().map(describe_command).collect();
        let arrow = if commands.is_empty() { "" } else { " -> " };
        let _ = writeln!(self.text, "{said}{arrow}{}", commands.join("; "));
        self
    }

    fn registers(&mut self, name: &str) -> &mut Self {
        self.tell(LifecycleEvent::TaskManagerRegistered { id: TaskManagerId::new(name), slots: 1 })
    }

    fn lost(&mut self, name: &str) -> &mut Self {
        self.tell(LifecycleEvent::TaskManagerLost { id: TaskManagerId::new(name) })
    }

    fn running_tasks(&mut self, number: u32, subtasks: &[SubtaskId]) -> &mut Self {
        subtasks
            .iter()
            .fold(self, |play, subtask| play.tell(LifecycleEvent::TaskRunning { task: task(number, *subtask) }))
    }

    fn finished(&mut self, number: u32, subtasks: &[SubtaskId]) -> &mut Self {
        subtasks
            .iter()
            .fold(self, |play, subtask| play.tell(LifecycleEvent::TaskFinished { task: task(number, *subtask) }))
    }

    fn fails(&mut self, number: u32, error: Error) -> &mut Self {
        self.tell(LifecycleEvent::TaskFailed { task: task(number, COUNT_1), error })
    }

    fn text(&mut self) -> String {
        std::mem::take(&mut self.text)
    }
}

fn task(number: u32, subtask: SubtaskId) -> TaskId {
    TaskId { subtask, attempt: AttemptId { term: 3, number } }
}

fn cut_off() -> Error {
    Error::unavailable("cut off")
}

fn describe_event(event: &LifecycleEvent) -> String {
    use LifecycleEvent as E;
    match event {
        E::TaskManagerRegistered { id, .. } => format!("{id} registers"),
        E::TaskManagerLost { id } => format!("{id} is lost"),
        E::RestorePointRead => "restore point read".into(),
        E::RestoreFailed { .. } => "no restore point".into(),
        E::TaskRunning { task } => format!("{task} runs"),
        E::TaskFinished { task } => format!("{task} has finished"),
        E::TaskFailed { task, .. } => format!("{task} fails"),
        E::AttemptFailed { .. } => "the attempt fails".into(),
        E::AllCommitted => "all committed".into(),
        E::CleanedUp => "cleaned up".into(),
        E::CancelRequested => "cancel".into(),
    }
}

fn describe_command(command: &LifecycleCommand) -> String {
    use LifecycleCommand as C;
    match command {
        C::ReadRestorePoint => "read restore point".into(),
        C::Deploy { attempt, assignment } => {
            let places: Vec<String> = assignment.iter().map(|(subtask, tm)| format!("{subtask}:{tm}")).collect();
            format!("deploy {attempt} {}", places.join(" "))
        }
        C::AttemptRunning { attempt } => format!("{attempt} runs"),
        C::CancelTasks { attempt } => format!("cancel tasks up to {attempt}"),
        C::EndAttempt { attempt } => format!("end {attempt}"),
        C::FinishTasks { attempt } => format!("finish tasks of {attempt}"),
        C::CleanUp => "clean up".into(),
        C::End { status: JobStatus::Failed(error) } => format!("END Failed: {error}"),
        C::End { status } => format!("END {status:?}"),
        C::Report { step: Step::RestartScheduled { delay, error } } => format!("restart in {delay:?} after: {error}"),
        C::Report { step } => format!("report {}", step.kind()),
    }
}

#[test]
fn a_job_with_checkpoints_from_start_to_end() {
    let mut play = Play::new(true);
    play.registers("tm-1").registers("tm-2").tell(LifecycleEvent::RestorePointRead);
    play.running_tasks(1, &ALL).finished(1, &ALL).tell(LifecycleEvent::AllCommitted).tell(LifecycleEvent::CleanedUp);
    insta::assert_snapshot!(play.text(), @r"
    tm-1 registers
    tm-2 registers -> read restore point
    restore point read -> deploy 3.1 v0/0:tm-1 v1/0:tm-1 v1/1:tm-2
    v0/0@3.1 runs
    v1/0@3.1 runs
    v1/1@3.1 runs -> 3.1 runs
    v0/0@3.1 has finished
    v1/0@3.1 has finished
    v1/1@3.1 has finished
    all committed -> finish tasks of 3.1; clean up
    cleaned up -> END Finished
    ");
}

#[test]
fn without_checkpoints_the_job_ends_with_its_last_task() {
    let mut play = Play::running(false);
    play.finished(1, &[SOURCE, COUNT_0]).lost("tm-1").finished(1, &[COUNT_1]).tell(LifecycleEvent::CleanedUp);
    insta::assert_snapshot!(play.text(), @r"
    v0/0@3.1 has finished
    v1/0@3.1 has finished
    tm-1 is lost
    v1/1@3.1 has finished -> clean up
    cleaned up -> END Finished
    ");
}

#[test]
fn a_failure_restarts_all_tasks_until_no_restart_is_left() {
    let mut play = Play::running(true);
    play.fails(1, cut_off()).at(9).at(10).tell(LifecycleEvent::RestorePointRead);
    play.fails(2, cut_off()).at(20).tell(LifecycleEvent::RestorePointRead).running_tasks(3, &ALL);
    play.fails(3, cut_off()).fails(3, cut_off()).at(220);
    insta::assert_snapshot!(play.text(), @r"
    v1/1@3.1 fails -> end 3.1; cancel tasks up to 3.1; restart in 10ms after: cut off
    9 ms
    10 ms -> read restore point
    restore point read -> deploy 3.2 v0/0:tm-1 v1/0:tm-1 v1/1:tm-2
    v1/1@3.2 fails -> end 3.2; cancel tasks up to 3.2; restart in 10ms after: cut off
    20 ms -> read restore point
    restore point read -> deploy 3.3 v0/0:tm-1 v1/0:tm-1 v1/1:tm-2
    v0/0@3.3 runs
    v1/0@3.3 runs
    v1/1@3.3 runs -> 3.3 runs
    v1/1@3.3 fails -> end 3.3; cancel tasks up to 3.3
    v1/1@3.3 fails
    220 ms -> END Failed: cut off
    ");
}

/// FLINK-13593: what is said of a superseded attempt is no news.
#[test]
fn a_superseded_attempt_can_neither_run_nor_fail_nor_finish() {
    let mut play = Play::running(true);
    play.fails(1, cut_off()).at(10).tell(LifecycleEvent::RestorePointRead);
    play.running_tasks(1, &ALL).finished(1, &ALL).fails(1, cut_off()).running_tasks(2, &ALL);
    insta::assert_snapshot!(play.text(), @r"
    v1/1@3.1 fails -> end 3.1; cancel tasks up to 3.1; restart in 10ms after: cut off
    10 ms -> read restore point
    restore point read -> deploy 3.2 v0/0:tm-1 v1/0:tm-1 v1/1:tm-2
    v0/0@3.1 runs
    v1/0@3.1 runs
    v1/1@3.1 runs
    v0/0@3.1 has finished
    v1/0@3.1 has finished
    v1/1@3.1 has finished
    v1/1@3.1 fails
    v0/0@3.2 runs
    v1/0@3.2 runs
    v1/1@3.2 runs -> 3.2 runs
    ");
}

#[test]
fn an_error_that_no_restart_can_mend_ends_the_job() {
    let mut play = Play::running(true);
    play.fails(1, Error::bad_input("line 7 is not UTF-8"));
    insta::assert_snapshot!(play.text(), @r"
    v1/1@3.1 fails -> end 3.1; cancel tasks up to 3.1; END Failed: line 7 is not UTF-8
    ");
}

/// A task that panics breaks the connections of others, whose complaint comes first.
#[test]
fn before_it_gives_up_it_listens_for_the_reason() {
    let last_failure = || {
        let mut play = Play::running(true);
        for number in 1..3 {
            play.fails(number, cut_off()).at(u64::from(number) * 10).tell(LifecycleEvent::RestorePointRead);
            play.running_tasks(number + 1, &ALL);
        }
        play.text.clear();
        play.fails(3, cut_off());
        play
    };
    let mut told = last_failure();
    told.fails(2, Error::user_code("of another attempt")).fails(3, cut_off()).fails(3, Error::user_code("panicked"));
    let mut silent = last_failure();
    silent.registers("tm-3").at(219).at(220);
    let mut canceled = last_failure();
    canceled.tell(LifecycleEvent::CancelRequested);
    insta::assert_snapshot!([told, silent, canceled].map(|mut play| play.text()).join("---\n"));
}

#[test]
fn a_lost_task_manager_takes_its_tasks_along_and_another_replaces_it() {
    let mut play = Play::running(true);
    play.lost("tm-2").at(10).registers("tm-3").lost("tm-1").tell(LifecycleEvent::RestorePointRead);
    play.registers("tm-1").tell(LifecycleEvent::RestorePointRead);
    insta::assert_snapshot!(play.text(), @r"
    tm-2 is lost -> end 3.1; cancel tasks up to 3.1; restart in 10ms after: task manager tm-2 is lost, which ran v1/1
    10 ms
    tm-3 registers -> read restore point
    tm-1 is lost
    restore point read
    tm-1 registers -> read restore point
    restore point read -> deploy 3.2 v0/0:tm-1 v1/0:tm-1 v1/1:tm-3
    ");
}

/// Feldera a5d8d17cf the other way round: once all is committed, nothing can make the job start again.
#[test]
fn nothing_can_happen_to_a_job_that_has_committed_all() {
    let mut play = Play::running(true);
    play.tell(LifecycleEvent::AllCommitted).fails(1, cut_off()).lost("tm-1").tell(LifecycleEvent::CancelRequested);
    play.tell(LifecycleEvent::CleanedUp).registers("tm-1");
    insta::assert_snapshot!(play.text(), @r"
    all committed -> finish tasks of 3.1; clean up
    v1/1@3.1 fails
    tm-1 is lost
    cancel
    cleaned up -> END Finished
    tm-1 registers
    ");
}

#[test]
fn a_cancel_ends_the_job_wherever_it_is() {
    let mut play = Play::running(true);
    play.tell(LifecycleEvent::CancelRequested);
    let mut restoring = Play::new(true);
    restoring.registers("tm-1").registers("tm-2").tell(LifecycleEvent::CancelRequested);
    restoring.tell(LifecycleEvent::RestorePointRead);
    insta::assert_snapshot!(play.text() + "---\n" + &restoring.text(), @r"
    cancel -> end 3.1; cancel tasks up to 3.1; END Canceled
    ---
    tm-1 registers
    tm-2 registers -> read restore point
    cancel -> END Canceled
    restore point read
    ");
}

#[test]
fn checkpoints_that_fail_too_often_and_restore_points_that_cannot_be_read_are_failures() {
    let mut play = Play::running(true);
    play.tell(LifecycleEvent::AttemptFailed { error: cut_off() })
        .tell(LifecycleEvent::AttemptFailed { error: cut_off() });
    play.at(10).tell(LifecycleEvent::RestoreFailed { error: cut_off() });
    play.at(20).tell(LifecycleEvent::RestoreFailed { error: Error::damaged("the manifest is damaged") });
    insta::assert_snapshot!(play.text(), @r"
    the attempt fails -> end 3.1; cancel tasks up to 3.1; restart in 10ms after: cut off
    the attempt fails
    10 ms -> read restore point
    no restore point -> restart in 10ms after: cut off
    20 ms -> read restore point
    no restore point -> END Failed: the manifest is damaged
    ");
}
