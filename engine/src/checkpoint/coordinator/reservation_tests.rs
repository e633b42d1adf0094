//! When numbers of checkpoints are reserved, and what becomes of a checkpoint that waits for it.

use super::{
    play::{ALL, FIRST, Play, SECOND},
    *,
};

/// FLINK-2354: whoever starts after a crash begins above all that is reserved.
#[test]
fn nobody_is_told_a_number_that_is_not_reserved() {
    let mut play = Play::reserving(2);
    play.at(100).reserved(7).acknowledge(6, FIRST, &ALL).published(6);
    play.at(200).acknowledge(7, FIRST, &ALL).published(7);
    play.text();
    play.at(300).acknowledge(8, FIRST, &ALL).reserved(9).at(349).at(350);
    play.at(400).at(450).at(500);
    insta::assert_snapshot!(play.text(), @r"
    300 ms -> reserve through 9
    v0/0@1.1 acknowledges 8
    v0/1@1.1 acknowledges 8
    v1/0@1.1 acknowledges 8
    reserved through 9 -> trigger 8 on 7 since 7 at v0/0@1.1 v0/1@1.1
    349 ms
    350 ms -> aborted: the checkpoint did not complete within 50ms; notify 8@1.1 aborted
    400 ms -> trigger 9 on 7 since 7 at v0/0@1.1 v0/1@1.1
    450 ms -> aborted: the checkpoint did not complete within 50ms; notify 9@1.1 aborted; fail the attempt: checkpoint 9 (2 failed in a row): the checkpoint did not complete within 50ms
    500 ms
    ");
}

/// A disk that hangs, for longer than checkpoints may take: what is reserved at last may do for another one, or not.
#[test]
fn one_reservation_at_a_time() {
    let mut play = Play::reserving(2);
    play.coordinator.options.tolerable_failures = 9;
    play.at(100).at(150).at(200).at(250).at(300).reserved(7).reserved(9);
    insta::assert_snapshot!(play.text(), @r"
    attempt 1.1 runs
    100 ms -> reserve through 7
    150 ms -> aborted: the checkpoint did not complete within 50ms; notify 6@1.1 aborted
    200 ms
    250 ms -> aborted: the checkpoint did not complete within 50ms; notify 7@1.1 aborted
    300 ms
    reserved through 7 -> reserve through 9
    reserved through 9 -> trigger 8 since 4 at v0/0@1.1 v0/1@1.1
    ");
}

#[test]
fn a_reservation_that_fails_fails_the_checkpoint_that_waits_for_it() {
    let mut play = Play::new();
    play.at(100).not_reserved().at(200).not_reserved();
    play.tell(CoordinatorEvent::AttemptEnded { attempt: FIRST });
    play.tell(CoordinatorEvent::AttemptRunning { attempt: SECOND }).at(300);
    play.tell(CoordinatorEvent::AttemptEnded { attempt: SECOND }).not_reserved();
    insta::assert_snapshot!(play.text(), @r"
    attempt 1.1 runs
    100 ms -> reserve through 21
    not reserved -> aborted: disk gone; notify 6@1.1 aborted
    200 ms -> reserve through 22
    not reserved -> aborted: disk gone; notify 7@1.1 aborted; fail the attempt: checkpoint 7 (2 failed in a row): disk gone
    attempt 1.1 has ended
    attempt 1.2 runs
    300 ms -> reserve through 23
    attempt 1.2 has ended -> aborted: attempt 1.2 has ended
    not reserved
    ");
}
