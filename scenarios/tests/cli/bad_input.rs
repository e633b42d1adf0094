//! Bad input: what is wrong is told with its path and the remedy, nothing is lost and nothing is overwritten, and once it is
//! put right the job goes on to exactly the right counts.

use std::{
    fs,
    os::unix::{fs::PermissionsExt, process::CommandExt},
    path::Path,
    process::{Command, Stdio},
};

use crate::support::{
    Place, Running, assert_exactly_once, count, edit_manifest, kill, remove, run,
    stopped_job::{Job, RESUME, STOPPED, cut_in_half, replace},
    text,
};

#[test]
fn missing_input() {
    let job = Job::stopped();
    let said = ["the input in does not exist: bring it back", "job WordCount: ", "operator source", RESUME];
    job.refuses(&job.place.path("in"), remove, &said);
    job.goes_on(&[]);
    let place = Place::new();
    run(&mut place.word_count(&[])).assert(2, &said);
    place.write("in", "to be or not to be");
    run(&mut place.word_count(&[])).assert(0, &[]);
    assert_exactly_once(&place.path("out"), &count(b"to be or not to be"));
}

#[test]
fn unreadable_input() {
    let place = Place::new();
    place.write("in", "to be or not to be");
    place.write("tidegate", fs::read(env!("CARGO_BIN_EXE_tidegate")).unwrap());
    let mode = |name: &str, mode| fs::set_permissions(place.path(name), PermissionsExt::from_mode(mode)).unwrap();
    mode("in", 0o000);
    mode("tidegate", 0o755);
    mode("", 0o777);
    let start = || {
        let mut command = Command::new(place.path("tidegate"));
        command.args(place.word_count(&[]).get_args()).current_dir(place.path("")).stdin(Stdio::null());
        // Root may read everything.
        if fs::read(place.path("in")).is_ok() {
            command.uid(65_534).gid(65_534);
        }
        command
    };
    if let Err(e) = start().output() {
        eprintln!("not tested: nobody here is without rights ({e})");
        return;
    }
    run(&mut start()).assert(2, &["the input in may not be read", "change its mode or its owner", RESUME]);
    mode("in", 0o444);
    run(&mut start()).assert(0, &[]);
    assert_exactly_once(&place.path("out"), &count(b"to be or not to be"));
}

#[test]
fn an_input_that_is_no_text_file() {
    let place = Place::new();
    assert!(Command::new("mkfifo").arg(place.path("in")).status().unwrap().success());
    run(&mut place.word_count(&[])).assert(2, &["the input in is neither a file nor a directory", RESUME]);
    remove(&place.path("in"));
    fs::create_dir(place.path("in")).unwrap();
    place.write("in/.hidden", "x");
    run(&mut place.word_count(&[])).assert(2, &["the input directory in holds no files to read", RESUME]);
    place.write("in/shown", "y");
    run(&mut place.word_count(&[])).assert(0, &[]);
    assert_exactly_once(&place.path("out"), &count(b"y"));
}

#[test]
fn bytes_that_are_not_utf_8() {
    let offset = fs::metadata(STOPPED.place.path("in")).unwrap().len() - 2;
    let said = format!("the input in is not UTF-8 at byte {offset}: overwrite that byte to go on, or convert the file");
    STOPPED.outcome.assert(2, &[&said, "job WordCount: ", RESUME]);
    Job::stopped().goes_on(&[]);
}

/// A name, another number of key groups, and another program: all three are in the way of a restore.
#[test]
fn a_checkpoint_directory_of_another_job() {
    let job = Job::stopped();
    let owner = job.place.path("chk/job.json");
    let place = "checkpoint directory chk: it";
    let other = [place, "belongs to job Other, not to job WordCount: choose another directory", RESUME];
    job.refuses(&owner, replace("WordCount", "Other"), &other);
    let wider = ["checkpoint directory chk: its", "256, which cannot be changed to 128: run the job with the old one"];
    job.refuses(&owner, replace("128", "256"), &wider);
    let lost = [place, "holds manifest-", "no job.json that says whose it is: bring that file back"];
    job.refuses(&owner, remove, &lost);
    let damaged = ["checkpoint directory chk: job.json is damaged", "bring it back from a copy"];
    job.refuses(&owner, cut_in_half, &damaged);
    let checkpoint = job.manifest();
    let edit = |edit: fn(&mut tidegate::checkpoint::Manifest)| move |path: &Path| edit_manifest(path, edit);
    let other = ["belongs to job Other, not to job WordCount: restore one of this job", RESUME];
    job.refuses(&checkpoint, edit(|m| m.job = "Other".into()), &other);
    let shape = ["holds state of operator window, which job WordCount does not have", "restore it with the program"];
    job.refuses(&checkpoint, edit(|m| m.vertices[1].operators.push("window".into())), &shape);
    job.goes_on(&[]);
}

#[test]
fn a_directory_that_is_no_checkpoint_directory() {
    let place = Place::new();
    place.write("in", "to be");
    place.write("chk", "mine");
    run(&mut place.word_count(&[])).assert(2, &["chk is not a directory: choose another one", RESUME]);
    assert_eq!(fs::read(place.path("chk")).unwrap(), b"mine");
    remove(&place.path("chk"));
    fs::create_dir(place.path("chk")).unwrap();
    place.write("chk/notes", "mine");
    let said = ["checkpoint directory chk: it holds notes, which Tidegate did not put there: choose an empty", RESUME];
    run(&mut place.word_count(&[])).assert(2, &said);
    assert_eq!(fs::read(place.path("chk/notes")).unwrap(), b"mine");
    assert_eq!(fs::read_dir(place.path("chk")).unwrap().count(), 1, "nothing is put beside it");
}

#[test]
fn a_parallelism_that_makes_no_sense() {
    let job = Job::stopped();
    let operator = "operator source (number 0, uid \"source\") has parallelism";
    job.refuses_arguments(&["--parallelism", "0"], &[operator, " 0: choose 1 or more"]);
    job.refuses_arguments(&["--parallelism", "129"], &[operator, " 129, above the maximum parallelism 128: lower it"]);
    job.refuses_arguments(&["--parallelism", "-1"], &["invalid value '-1' for '--parallelism <N>'"]);
    job.goes_on(&["--parallelism", "3"]);
}

#[test]
fn snapshot_settings_that_make_no_sense() {
    let place = Place::new();
    place.write("in", "to be");
    let policies = "possible values: by-cost, incremental, full";
    let methods = "possible values: none, lz4, zstd";
    let cases = [
        (["--snapshots", "never"], ["invalid value 'never' for '--snapshots <POLICY>'", policies]),
        (["--snapshot-compression", "gzip"], ["invalid value 'gzip' for '--snapshot-compression <METHOD>'", methods]),
        (["--retained-checkpoints", "0"], ["no checkpoint would be retained", "keep at least 1 to recover from"]),
        (["--inline-snapshots", "1048577"], ["snapshots is 1048577 bytes", "choose one from 0 to 1048576"]),
        (["--inline-snapshots", "-1"], ["invalid value '-1' for '--inline-snapshots <BYTES>'", "invalid digit"]),
        (["--retained-checkpoints", "-1"], ["invalid value '-1' for '--retained-checkpoints <N>'", "is not in"]),
    ];
    for (arguments, said) in cases {
        run(&mut place.word_count(&arguments)).assert(2, &said);
        assert!(!place.path("out").exists() && !place.path("chk").exists());
    }
}

#[test]
fn an_output_directory_with_foreign_files() {
    let place = Place::new();
    place.write("in", "to be");
    place.write("out", "mine");
    run(&mut place.word_count(&[]))
        .assert(2, &["the output directory: out is not a directory: choose another one", RESUME]);
    assert_eq!(fs::read(place.path("out")).unwrap(), b"mine");
    remove(&place.path("out"));
    fs::create_dir(place.path("out")).unwrap();
    place.write("out/notes", "mine");
    let said =
        ["the output directory out holds notes, which no sink wrote: choose an empty directory, or move", RESUME];
    run(&mut place.word_count(&[])).assert(2, &said);
    assert_eq!(fs::read(place.path("out/notes")).unwrap(), b"mine");
    fs::rename(place.path("out/notes"), place.path("notes")).unwrap();
    run(&mut place.word_count(&[])).assert(0, &[]);
    assert_exactly_once(&place.path("out"), &count(b"to be"));
}

#[test]
fn an_output_directory_of_another_job() {
    let job = Job::stopped();
    let marker = job.place.path("out/.tidegate-sink.json");
    let said = ["the output directory out belongs to the sink sink of the job Other: choose another directory", RESUME];
    job.refuses(&marker, replace("WordCount", "Other"), &said);
    job.refuses(&marker, remove, &["but no .tidegate-sink.json that says whose it is: bring that file back", RESUME]);
    job.goes_on(&[]);
}

/// With one of the two directories lost, going on could only lose or double something.
#[test]
fn a_lost_directory() {
    let job = Job::stopped();
    let gone = ["holds output that is gone: neither out/.part-", "bring the file back if it was moved", RESUME];
    job.refuses(&job.place.path("out"), remove, &gone);
    let again = ["was committed by checkpoint", "resume from the job's checkpoint directory, or move the output away"];
    let committed = fs::read_dir(job.place.path("out"))
        .unwrap()
        .any(|e| e.unwrap().file_name().to_str().unwrap().starts_with("part-"));
    if committed {
        // The newest checkpoint goes with the directory.
        let checkpoints = job.place.path("chk");
        fs::rename(&checkpoints, job.place.path("lost")).unwrap();
        job.run(&[]).assert(2, &again);
        remove(&checkpoints);
        fs::rename(job.place.path("lost"), &checkpoints).unwrap();
    }
    job.goes_on(&[]);
}

#[test]
fn a_changed_input() {
    let job = Job::stopped();
    let said = ["the input in has changed since the job started", "Bring the old file back to go on", RESUME];
    job.refuses(&job.place.path("in"), cut_in_half, &said);
    job.goes_on(&[]);
}

#[test]
fn two_starts_at_once() {
    let job = Job::stopped();
    let mut first = Running::start(&job.place, &[]);
    assert!(first.wait_for_line("goes on from checkpoint"), "{:#?}", first.log);
    let signal = |name: &str| {
        assert!(Command::new("kill").args([name, &first.child.id().to_string()]).status().unwrap().success());
    };
    signal("-STOP");
    let second = job.run(&[]);
    signal("-CONT");
    second
        .assert(2, &["checkpoint directory chk: another process runs a job in it: wait until that has ended", RESUME]);
    first.assert_ends_well();
    assert_exactly_once(&job.place.path("out"), &count(&fs::read(job.place.path("in")).unwrap()));
}

#[test]
fn a_restore_that_cannot_be() {
    let job = Job::stopped();
    let none = ["checkpoint directory chk holds completed checkpoints", "choose another checkpoint directory", RESUME];
    job.refuses_arguments(&["--restore", "none"], &none);
    for path in ["chk/chk-77", "chk", "in", "elsewhere/chk-1"] {
        let said = [path, "is no completed checkpoint: name a checkpoint directory and chk-<id>", RESUME];
        job.refuses_arguments(&["--restore", path], &said);
    }
    job.refuses_arguments(&["--restore", ""], &["expected latest, none, or the path of a checkpoint"]);
    job.goes_on(&[]);
}

/// A limit on the size of files stands in for a disk that is full: it needs no rights.
#[test]
fn no_room_for_the_output() {
    let job = Job::stopped();
    let arguments = job.place.word_count(&[]);
    let mut limited = Command::new("sh");
    limited.args(["-c", "trap '' XFSZ; ulimit -f 8; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_tidegate")]);
    limited.args(arguments.get_args()).current_dir(job.place.path(""));
    let mut limited = Running::spawn(limited);
    // Which of the two grows too large first, a part of the output or a snapshot, is a matter of luck.
    let said = "nothing is lost: raise the limit on the size of files";
    assert!(limited.wait_for_line(said), "{:#?}", limited.log);
    let line = limited.log.last().unwrap();
    assert!(line.contains("the output out/.part-") || line.contains("writing snapshot file chk/state/"), "{line}");
    assert!(limited.wait_for_line("attempt 2.3"), "{:#?}", limited.log);
    kill(limited.child.id());
    limited.child.wait().unwrap();
    job.goes_on(&[]);
}

/// A small disk of its own, output and checkpoints on it. The job waits for room, and goes on by itself when there is some.
#[test]
fn a_full_disk() {
    let place = Place::new();
    place.write("in", text(1 << 20));
    fs::create_dir(place.path("full")).unwrap();
    let script = r#"
        mount -t tmpfs -o size=600k none full || { echo no disk >&2; exit 0; }
        "$0" run wordcount --input in --output full/out --checkpoint-dir full/chk --checkpoint-interval 5ms &
        trap 'kill $!' EXIT
        for i in $(seq 3000); do test -e more && break; sleep 0.02; done
        mount -o remount,size=64m full
        wait $! || exit
        cp -a full/out out
    "#;
    let mut small = Command::new("unshare");
    small.args(["--mount", "sh", "-c", script, env!("CARGO_BIN_EXE_tidegate")]).current_dir(place.path(""));
    let mut small = Running::spawn(small);
    if !small.wait_for_line("nothing is lost: free some space") {
        let log = small.log.concat();
        assert!(log.contains("no disk") || log.contains("unshare"), "{log}");
        eprintln!("not tested: no disk may be mounted here");
        return;
    }
    let full = small.log.last().unwrap().clone();
    assert!(full.contains("full/") && full.contains("No space left on device"), "{full}");
    place.write("more", "");
    small.assert_ends_well();
    assert_exactly_once(&place.path("out"), &count(&fs::read(place.path("in")).unwrap()));
}

#[test]
fn a_simulation_that_cannot_be() {
    let place = Place::new();
    let cases: &[(&[&str], &str)] = &[
        (&["sim", "nope"], "there is no scenario nope: choose one of "),
        (&["sim", "wordcount", "--seeds", "9..3"], "9..3 holds no seed: the second number must be greater"),
        (&["sim", "wordcount", "--seeds", "5..5"], "5..5 holds no seed"),
        (&["sim", "wordcount", "--seeds", "7"], "\"7\" is not a range of seeds: write the first and the one after"),
        (&["sim", "wordcount", "--seeds", "-1..3"], "\"-1..3\" is not a range of seeds"),
        (&["sim", "wordcount", "--seed", "x"], "invalid value 'x' for '--seed <S>'"),
        (&["sim", "wordcount", "--seed", "1", "--seeds", "1..2"], "cannot be used with"),
    ];
    for (arguments, said) in cases {
        run(&mut place.tidegate(arguments)).assert(2, &[said]);
    }
}

#[test]
fn a_replay_that_cannot_be() {
    let place = Place::new();
    run(&mut place.tidegate(&["sim", "wordcount", "--seed", "2", "--save", "saved"])).assert(0, &[]);
    let saved = fs::read_to_string(place.path("saved")).unwrap();
    let newer = saved.replace("\"version\": 2,", "\"version\": 3, \"severity\": 3,");
    let unknown = r#"{"about": "", "scenario": "wordcount", "seed": 1, "plan": {"version": 1, "faults": [
        {"at": {"step": {"step": "manifest-syncd"}}, "do": "kill-task"}]}}"#;
    let remedy = "name a file that `tidegate sim --save` has written";
    let misnamed = r#"{"about": "", "scenario": "wordcount", "seed": 1, "plan": {"version": 2, "faults": [
        {"at": {"step": {"step": "aligned", "actor": "cuont/0"}}, "do": "kill-task"}]}}"#;
    let cases: [(&str, Option<&str>, [&str; 2]); 6] = [
        ("misnamed", Some(misnamed), ["fault 0 of the plan names the actor cuont/0", "did you mean count/0?"]),
        ("missing", None, ["No such file", remedy]),
        ("cut", Some(&saved[..saved.len() / 2]), ["EOF while parsing", "at line"]),
        (
            "unknown",
            Some(unknown),
            ["plan.faults[0].at.step.step: unknown variant `manifest-syncd`", "did you mean manifest-synced?"],
        ),
        ("newer", Some(&newer), ["has version 3, this build reads versions 1 to 2", "use the build that wrote it"]),
        ("stranger", Some(&saved.replace("wordcount", "nope")), ["no scenario nope", "choose one of"]),
    ];
    for (name, contents, said) in cases {
        contents.inspect(|contents| place.write(name, contents));
        run(&mut place.tidegate(&["replay", name])).assert(2, &[&format!("saved run {name}: "), said[0], said[1]]);
    }
    run(&mut place.tidegate(&["replay", "saved"])).assert(0, &[]);
}
