//! The coordinator's life as transcripts: what it is told, and what it wants to be done.

use std::time::Duration;

use super::{
    play::{ALL, FIRST, Play, SECOND, SINK, SOURCE_0, SOURCE_1},
    *,
};

/// SlateDB 433: nobody hears of a checkpoint before its manifest is durable. And its number is reserved before anybody is
/// told of it.
#[test]
fn a_checkpoint_from_trigger_to_notification() {
    let mut play = Play::new();
    play.at(99).at(100).reserved(21).acknowledge(6, FIRST, &ALL).published(6).at(199).at(200);
    insta::assert_snapshot!(play.text(), @r"
    attempt 1.1 runs
    99 ms
    100 ms -> reserve through 21
    reserved through 21 -> trigger 6 since 4 at v0/0@1.1 v0/1@1.1
    v0/0@1.1 acknowledges 6 -> counts
    v0/1@1.1 acknowledges 6 -> counts
    v1/0@1.1 acknowledges 6 -> counts; report all-acknowledged; publish 6 of attempt 1.1: v0/0 v0/1 v1/0, without 4
    manifest 6 -> notify 6@1.1 complete
    199 ms
    200 ms -> trigger 7 on 6 since 6 at v0/0@1.1 v0/1@1.1
    ");
}

/// And each barrier says what may still be asked for.
#[test]
fn what_is_obsolete_goes_with_the_checkpoint_that_makes_it_so() {
    let mut play = Play::new();
    play.at(100).reserved(21).acknowledge(6, FIRST, &ALL).published(6);
    play.text();
    play.at(200).acknowledge(7, FIRST, &ALL).published(7);
    play.at(300).acknowledge(8, FIRST, &ALL).published(8).at(400);
    insta::assert_snapshot!(play.text(), @r"
    200 ms -> trigger 7 on 6 since 6 at v0/0@1.1 v0/1@1.1
    v0/0@1.1 acknowledges 7 -> counts
    v0/1@1.1 acknowledges 7 -> counts
    v1/0@1.1 acknowledges 7 -> counts; report all-acknowledged; publish 7 of attempt 1.1: v0/0 v0/1 v1/0, without 6
    manifest 7 -> notify 7@1.1 complete
    300 ms -> trigger 8 on 7 since 7 at v0/0@1.1 v0/1@1.1
    v0/0@1.1 acknowledges 8 -> counts
    v0/1@1.1 acknowledges 8 -> counts
    v1/0@1.1 acknowledges 8 -> counts; report all-acknowledged; publish 8 of attempt 1.1: v0/0 v0/1 v1/0, without 7
    manifest 8 -> notify 8@1.1 complete
    400 ms -> trigger 9 on 8 since 8 at v0/0@1.1 v0/1@1.1
    ");
}

/// RisingWave 22384 and FLINK-13593.
#[test]
fn only_who_owes_an_acknowledgement_can_give_or_refuse_it() {
    let mut play = Play::new();
    play.acknowledge(6, FIRST, &[SINK]).at(100).acknowledge(6, FIRST, &[SINK]).reserved(21);
    play.acknowledge(6, SECOND, &[SINK]).acknowledge(5, FIRST, &[SINK]).declined(6, SECOND).declined(5, FIRST);
    play.acknowledge(6, FIRST, &[SINK, SINK]).declined(6, FIRST);
    insta::assert_snapshot!(play.text(), @r"
    attempt 1.1 runs
    v1/0@1.1 acknowledges 6
    100 ms -> reserve through 21
    v1/0@1.1 acknowledges 6
    reserved through 21 -> trigger 6 since 4 at v0/0@1.1 v0/1@1.1
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
    play.at(100).reserved(21).acknowledge(6, FIRST, &[SOURCE_0]).at(149).at(150);
    play.acknowledge(6, FIRST, &[SOURCE_1, SINK]).at(199).at(200);
    insta::assert_snapshot!(play.text(), @r"
    attempt 1.1 runs
    100 ms -> reserve through 21
    reserved through 21 -> trigger 6 since 4 at v0/0@1.1 v0/1@1.1
    v0/0@1.1 acknowledges 6 -> counts
    149 ms
    150 ms -> aborted: the checkpoint did not complete within 50ms; notify 6@1.1 aborted
    v0/1@1.1 acknowledges 6
    v1/0@1.1 acknowledges 6
    199 ms
    200 ms -> trigger 7 since 4 at v0/0@1.1 v0/1@1.1
    ");
}

#[test]
fn more_failures_in_a_row_than_are_tolerated_fail_the_attempt() {
    let mut play = Play::new();
    play.at(100).reserved(21).declined(6, FIRST);
    play.at(200).acknowledge(7, FIRST, &ALL).published(7);
    play.at(300).declined(8, FIRST);
    play.at(400).declined(9, FIRST).at(500);
    insta::assert_snapshot!(play.text(), @r"
    attempt 1.1 runs
    100 ms -> reserve through 21
    reserved through 21 -> trigger 6 since 4 at v0/0@1.1 v0/1@1.1
    v1/0@1.1 declines 6 -> aborted: declined by v1/0: no space; notify 6@1.1 aborted
    200 ms -> trigger 7 since 4 at v0/0@1.1 v0/1@1.1
    v0/0@1.1 acknowledges 7 -> counts
    v0/1@1.1 acknowledges 7 -> counts
    v1/0@1.1 acknowledges 7 -> counts; report all-acknowledged; publish 7 of attempt 1.1: v0/0 v0/1 v1/0, without 4
    manifest 7 -> notify 7@1.1 complete
    300 ms -> trigger 8 on 7 since 7 at v0/0@1.1 v0/1@1.1
    v1/0@1.1 declines 8 -> aborted: declined by v1/0: no space; notify 8@1.1 aborted
    400 ms -> trigger 9 on 7 since 7 at v0/0@1.1 v0/1@1.1
    v1/0@1.1 declines 9 -> aborted: declined by v1/0: no space; notify 9@1.1 aborted; fail the attempt: checkpoint 9 (2 failed in a row): declined by v1/0: no space
    500 ms
    ");
}

/// A disk that is slower than the interval: the times that are missed are told, and not made up for.
#[test]
fn what_is_due_while_one_is_under_way_is_skipped() {
    let mut play = Play::new();
    play.coordinator.options.timeout = Duration::from_secs(10);
    play.at(100).reserved(21).at(200).at(300).at(449).acknowledge(6, FIRST, &ALL).published(6).at(468).at(469);
    play.acknowledge(7, FIRST, &ALL).published(7).at(569);
    insta::assert_snapshot!(play.text(), @r"
    attempt 1.1 runs
    100 ms -> reserve through 21
    reserved through 21 -> trigger 6 since 4 at v0/0@1.1 v0/1@1.1
    200 ms
    300 ms
    449 ms
    v0/0@1.1 acknowledges 6 -> counts
    v0/1@1.1 acknowledges 6 -> counts
    v1/0@1.1 acknowledges 6 -> counts; report all-acknowledged; publish 6 of attempt 1.1: v0/0 v0/1 v1/0, without 4
    manifest 6 -> notify 6@1.1 complete
    468 ms
    469 ms -> skipped 2; trigger 7 on 6 since 6 at v0/0@1.1 v0/1@1.1
    v0/0@1.1 acknowledges 7 -> counts
    v0/1@1.1 acknowledges 7 -> counts
    v1/0@1.1 acknowledges 7 -> counts; report all-acknowledged; publish 7 of attempt 1.1: v0/0 v0/1 v1/0, without 6
    manifest 7 -> notify 7@1.1 complete
    569 ms -> trigger 8 on 7 since 7 at v0/0@1.1 v0/1@1.1
    ");
}

#[test]
fn the_end_of_an_attempt_ends_its_checkpoint() {
    let mut play = Play::new();
    play.at(100).reserved(21).tell(CoordinatorEvent::AttemptEnded { attempt: FIRST });
    play.acknowledge(6, FIRST, &ALL).at(1000).tell(CoordinatorEvent::AttemptRunning { attempt: SECOND });
    play.at(1100).acknowledge(7, SECOND, &ALL);
    // Published by an attempt that is gone: it exists, but there is nobody to be told. The next attempt restores it.
    play.tell(CoordinatorEvent::AttemptEnded { attempt: SECOND }).published(7);
    insta::assert_snapshot!(play.text(), @r"
    attempt 1.1 runs
    100 ms -> reserve through 21
    reserved through 21 -> trigger 6 since 4 at v0/0@1.1 v0/1@1.1
    attempt 1.1 has ended -> aborted: attempt 1.1 has ended
    v0/0@1.1 acknowledges 6
    v0/1@1.1 acknowledges 6
    v1/0@1.1 acknowledges 6
    1000 ms
    attempt 1.2 runs
    1100 ms -> trigger 7 since 4 at v0/0@1.2 v0/1@1.2
    v0/0@1.2 acknowledges 7 -> counts
    v0/1@1.2 acknowledges 7 -> counts
    v1/0@1.2 acknowledges 7 -> counts; report all-acknowledged; publish 7 of attempt 1.2: v0/0 v0/1 v1/0, without 4
    attempt 1.2 has ended
    manifest 7
    ");
}

/// FLINK-22494: what may exist is never deleted, and nothing goes on before recovery has looked.
#[test]
fn a_manifest_in_doubt_fails_the_attempt_and_deletes_nothing() {
    let mut play = Play::new();
    let error = || Error::unavailable("cut off");
    play.at(100).reserved(21).acknowledge(6, FIRST, &ALL);
    play.tell(CoordinatorEvent::ManifestIndeterminate { checkpoint: CheckpointId(6), error: error() });
    play.tell(CoordinatorEvent::AttemptEnded { attempt: FIRST });
    play.tell(CoordinatorEvent::AttemptRunning { attempt: SECOND });
    play.at(200).acknowledge(7, SECOND, &ALL);
    play.tell(CoordinatorEvent::ManifestNotPublished { checkpoint: CheckpointId(7), error: error() });
    play.at(300).acknowledge(8, SECOND, &ALL).published(8).at(400).acknowledge(9, SECOND, &ALL);
    insta::assert_snapshot!(play.text(), @r"
    attempt 1.1 runs
    100 ms -> reserve through 21
    reserved through 21 -> trigger 6 since 4 at v0/0@1.1 v0/1@1.1
    v0/0@1.1 acknowledges 6 -> counts
    v0/1@1.1 acknowledges 6 -> counts
    v1/0@1.1 acknowledges 6 -> counts; report all-acknowledged; publish 6 of attempt 1.1: v0/0 v0/1 v1/0, without 4
    manifest 6 in doubt -> fail the attempt: checkpoint 6: it is not known whether its manifest is durable: cut off
    attempt 1.1 has ended
    attempt 1.2 runs
    200 ms -> trigger 7 since 4 at v0/0@1.2 v0/1@1.2
    v0/0@1.2 acknowledges 7 -> counts
    v0/1@1.2 acknowledges 7 -> counts
    v1/0@1.2 acknowledges 7 -> counts; report all-acknowledged; publish 7 of attempt 1.2: v0/0 v0/1 v1/0, without 4 6
    no manifest 7 -> aborted: cut off; notify 7@1.2 aborted
    300 ms -> trigger 8 since 4 at v0/0@1.2 v0/1@1.2
    v0/0@1.2 acknowledges 8 -> counts
    v0/1@1.2 acknowledges 8 -> counts
    v1/0@1.2 acknowledges 8 -> counts; report all-acknowledged; publish 8 of attempt 1.2: v0/0 v0/1 v1/0, without 4 6 7
    manifest 8 -> notify 8@1.2 complete
    400 ms -> trigger 9 on 8 since 8 at v0/0@1.2 v0/1@1.2
    v0/0@1.2 acknowledges 9 -> counts
    v0/1@1.2 acknowledges 9 -> counts
    v1/0@1.2 acknowledges 9 -> counts; report all-acknowledged; publish 9 of attempt 1.2: v0/0 v0/1 v1/0, without 8
    ");
}

/// Feldera a5d8d17cf: the tail of a bounded job is committed before the job is over, even if a notification is lost.
#[test]
fn a_bounded_job_ends_with_a_final_checkpoint_that_every_task_has_committed() {
    let mut play = Play::new();
    play.input_ended(FIRST).reserved(21).acknowledge(6, FIRST, &ALL).published(6);
    play.committed(6, FIRST, &[SOURCE_0, SINK, SINK]).at(999).at(1000).committed(6, SECOND, &[SOURCE_1]);
    play.committed(6, FIRST, &[SOURCE_1]).at(5000);
    insta::assert_snapshot!(play.text(), @r"
    attempt 1.1 runs
    input of v0/0@1.1 has ended
    input of v0/1@1.1 has ended
    input of v1/0@1.1 has ended -> reserve through 21
    reserved through 21 -> trigger 6 since 4 (final) at v0/0@1.1 v0/1@1.1
    v0/0@1.1 acknowledges 6 -> counts
    v0/1@1.1 acknowledges 6 -> counts
    v1/0@1.1 acknowledges 6 -> counts; report all-acknowledged; publish 6 of attempt 1.1: v0/0 v0/1 v1/0, without 4
    manifest 6 -> notify 6@1.1 complete
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
    play.at(100).reserved(21).input_ended(FIRST).acknowledge(6, FIRST, &ALL).published(6);
    play.tell(CoordinatorEvent::AttemptEnded { attempt: FIRST }).input_ended(SECOND);
    play.input_ended(FIRST).tell(CoordinatorEvent::AttemptRunning { attempt: SECOND });
    insta::assert_snapshot!(play.text(), @r"
    attempt 1.1 runs
    100 ms -> reserve through 21
    reserved through 21 -> trigger 6 since 4 at v0/0@1.1 v0/1@1.1
    input of v0/0@1.1 has ended
    input of v0/1@1.1 has ended
    input of v1/0@1.1 has ended
    v0/0@1.1 acknowledges 6 -> counts
    v0/1@1.1 acknowledges 6 -> counts
    v1/0@1.1 acknowledges 6 -> counts; report all-acknowledged; publish 6 of attempt 1.1: v0/0 v0/1 v1/0, without 4
    manifest 6 -> notify 6@1.1 complete; trigger 7 on 6 since 6 (final) at v0/0@1.1 v0/1@1.1
    attempt 1.1 has ended -> aborted: attempt 1.1 has ended
    input of v0/0@1.2 has ended
    input of v0/1@1.2 has ended
    input of v1/0@1.2 has ended
    input of v0/0@1.1 has ended
    input of v0/1@1.1 has ended
    input of v1/0@1.1 has ended
    attempt 1.2 runs -> trigger 8 since 6 (final) at v0/0@1.2 v0/1@1.2
    ");
}
