//! Real processes over real files and TCP, killed with SIGKILL again and again until the job ends: exactly once.

use std::{thread, time::Duration};

use crate::support::{
    Numbers, Place, Running, assert_exactly_once, count, eventually, given_text, kill, task_managers, text,
};

/// Enough for dozens of checkpoints.
const TEXT: usize = 24 << 20;

/// How often a job was killed until it ended, and how often it went on from a checkpoint.
#[derive(Clone, Copy, Debug)]
struct Deaths {
    kills: usize,
    resumed: usize,
}

impl Deaths {
    /// Whether there were so many that they say something.
    fn is_enough(self) -> bool {
        self.kills >= 5 && self.resumed >= 3
    }
}

/// Kills the whole job at moments of all kinds: before it has done anything, in the middle of a checkpoint, right
/// after. A fast machine is through with a text before it has been killed often enough: then with a longer one. A text
/// that was given is what it is, and comes once.
fn kill_until_it_ends(arguments: &[&str]) {
    if let Some(given) = given_text() {
        let deaths = kill_until_this_ends(&given, arguments);
        assert!(deaths.is_enough(), "{deaths:?} with the given text is too few: let TIDEGATE_TEXT name a longer one");
        return;
    }
    let enough =
        [4, 8, 16, 32].into_iter().any(|times| kill_until_this_ends(&text(times * TEXT), arguments).is_enough());
    assert!(enough, "it was never killed and resumed often enough: more text is needed");
}

fn kill_until_this_ends(text: &str, arguments: &[&str]) -> Deaths {
    let place = Place::new();
    place.write("in", text);
    let mut numbers = Numbers(arguments.len() as u64);
    let mut kills = 0;
    let mut resumed = 0;
    loop {
        let mut job = Running::start(&place, arguments);
        let checkpoints = numbers.below(4);
        let alive = (0..checkpoints).all(|_| job.wait_for_line("completed"));
        if alive {
            thread::sleep(Duration::from_micros(numbers.below(60_000)));
        }
        let ended_well = job.kill();
        job.wait_for_line("no such line");
        assert!(!job.log.iter().any(|line| line.contains("error")), "{:#?}", job.log);
        resumed += usize::from(job.log.iter().any(|line| line.contains("goes on from checkpoint")));
        if ended_well {
            break;
        }
        kills += 1;
        assert!(kills < 500, "the job gets nowhere: {:#?}", job.log);
    }
    assert_exactly_once(&place.path("out"), &count(text.as_bytes()));
    eventually("the end of all task managers", || task_managers(&place).is_empty());
    Deaths { kills, resumed }
}

#[test]
fn one_process_killed_again_and_again() {
    kill_until_it_ends(&[]);
}

#[test]
fn three_processes_killed_again_and_again() {
    kill_until_it_ends(&["--task-managers", "2", "--parallelism", "3"]);
}

/// The job manager and the other task manager go on; the lost one is replaced.
#[test]
fn task_managers_killed_one_by_one() {
    let place = Place::new();
    let text = text(8 * TEXT);
    place.write("in", &text);
    let mut job = Running::start(&place, &["--task-managers", "2"]);
    let mut numbers = Numbers(3);
    for kills in 0..4 {
        assert!(job.wait_for_line("completed"), "ended after {kills} kills: more text is needed; {:#?}", job.log);
        thread::sleep(Duration::from_micros(numbers.below(60_000)));
        let others = task_managers(&place);
        let victim = others[numbers.below(others.len() as u64) as usize].clone();
        kill(victim.0);
        assert!(job.wait_for_line("goes on from checkpoint"), "{:#?}", job.log);
        let now = task_managers(&place);
        assert!(!now.contains(&victim), "{} was not replaced: {now:?}", victim.1);
        let survivors = others.iter().filter(|other| **other != victim);
        survivors.for_each(|other| assert!(now.contains(other), "{} did not go on: {now:?}", other.1));
    }
    job.assert_ends_well();
    assert_exactly_once(&place.path("out"), &count(text.as_bytes()));
    eventually("the end of all task managers", || task_managers(&place).is_empty());
}

/// Task managers must not outlive the process that started them.
#[test]
fn task_managers_end_with_their_parent() {
    let place = Place::new();
    place.write("in", text(TEXT));
    let mut job = Running::start(&place, &["--task-managers", "2"]);
    assert!(job.wait_for_line("completed"), "{:#?}", job.log);
    assert_eq!(task_managers(&place).len(), 2);
    job.kill();
    eventually("the end of all task managers", || task_managers(&place).is_empty());
}

/// Ctrl-C ends the job in order; it can be resumed.
#[test]
fn a_canceled_job_goes_on_where_it_was() {
    let place = Place::new();
    let text = text(TEXT);
    place.write("in", &text);
    for arguments in [&[][..], &["--task-managers", "2"]] {
        let mut job = Running::start(&place, arguments);
        assert!(job.wait_for_line("completed"), "{:#?}", job.log);
        let interrupt = std::process::Command::new("kill").args(["-INT", &job.child.id().to_string()]).status();
        assert!(interrupt.unwrap().success());
        assert!(job.wait_for_line("to go on, run: tidegate run wordcount --input in"), "{:#?}", job.log);
        assert_eq!(job.child.wait().unwrap().code(), Some(130), "{:#?}", job.log);
        eventually("the end of all task managers", || task_managers(&place).is_empty());
    }
    Running::start(&place, &[]).assert_ends_well();
    assert_exactly_once(&place.path("out"), &count(text.as_bytes()));
}
