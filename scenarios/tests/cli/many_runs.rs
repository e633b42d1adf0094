//! Commands with many runs are stopped: what was done is told, what was not is counted, and the exit code says it.

use std::{
    io::{BufRead, BufReader, Read},
    process::{Command, Output, Stdio},
};

fn tidegate(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidegate"));
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Runs it, and sends Ctrl-C once it has printed a line.
fn interrupted(arguments: &[&str]) -> Output {
    let mut child = tidegate(arguments).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    let mut said = String::new();
    lines.read_line(&mut said).unwrap();
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    lines.read_to_string(&mut said).unwrap();
    let output = child.wait_with_output().unwrap();
    Output { stdout: said.into_bytes(), ..output }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// `12 of 34 runs done, 22 not: why`: the numbers.
fn shortfall(output: &Output, unit: &str, why: &str) -> (u64, u64) {
    let complaint = text(&output.stderr);
    let line = complaint.lines().find(|line| line.contains(why)).unwrap_or_else(|| panic!("{complaint}"));
    let number = |word: usize| line.split(' ').nth(word).unwrap().parse::<u64>().unwrap();
    let (done, total) = (number(0), number(2));
    assert!(line.starts_with(&format!("{done} of {total} {unit} done, {} not: {why}", total - done)), "{line}");
    assert!(done < total, "{line}");
    (done, total)
}

#[test]
fn ctrl_c_ends_seeds() {
    let output = interrupted(&["sim", "small", "--seeds", "0..1000000", "--json"]);
    assert_eq!(output.status.code(), Some(130));
    let (done, total) = shortfall(&output, "runs", "interrupted");
    assert_eq!(total, 1_000_000);
    let said = text(&output.stdout);
    assert_eq!(said.lines().count() as u64, done + 1, "what was done is told, each run, and the sum of all");
    let summary = said.lines().last().unwrap();
    assert!(summary.starts_with(&format!("{{\"runs\":{done},\"held\":{done},")), "{summary}");
}

#[test]
fn ctrl_c_ends_a_sweep() {
    let output = interrupted(&["kill-sweep", "wordcount", "--pairs", "--json"]);
    assert_eq!(output.status.code(), Some(130));
    let (done, total) = shortfall(&output, "points", "interrupted");
    let said = text(&output.stdout);
    let summary = said.lines().last().unwrap();
    assert!(summary.starts_with("{\"summary\":{\"scenario\":\"wordcount\",\"seed\":1,"), "{summary}");
    assert!(summary.contains(&format!("\"points\":{total},\"done\":{done},\"held\":{done}")), "{summary}");
    assert_eq!(said.lines().count() as u64, done + 1);
    assert!(text(&output.stderr).contains("; no pair was begun"), "{}", text(&output.stderr));
}

#[test]
fn a_budget_is_kept() {
    let output = tidegate(&["sim", "small", "--seeds", "0..1000000", "--budget", "300ms"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "nothing is broken, but not all was done");
    let (done, _) = shortfall(&output, "runs", "the budget of 300ms is used up");
    assert!(text(&output.stdout).contains(&format!("{done} runs: {done} held")), "{}", text(&output.stdout));
    let output = tidegate(&["kill-sweep", "small", "--budget", "0s"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(shortfall(&output, "points", "the budget of 0s is used up").0, 0);
    let enough = tidegate(&["sim", "small", "--seeds", "0..4", "--budget", "10min"]).output().unwrap();
    assert_eq!(enough.status.code(), Some(0), "{}", text(&enough.stderr));
    assert_eq!(text(&enough.stderr), "");
}

#[test]
fn wrong_use() {
    let cases: &[(&[&str], &str)] = &[
        (&["kill-sweep", "smal"], "there is no scenario smal: choose one of"),
        (&["kill-sweep", "small", "--crash", "water"], "[possible values: process, power, all]"),
        (&["kill-sweep", "small", "--budget", "soon"], "invalid value 'soon' for '--budget <DURATION>'"),
        (&["sim", "small", "--seed", "1", "--budget", "1s"], "cannot be used with"),
    ];
    for (arguments, complaint) in cases {
        let output = tidegate(arguments).output().unwrap();
        let said = text(&output.stderr);
        assert!(output.status.code() == Some(2) && said.contains(complaint), "{arguments:?}: {said}");
    }
}
