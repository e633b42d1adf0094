//! The sink against a disk that loses what was not synced.

use std::{collections::BTreeSet, io::ErrorKind as IoKind, path::Path, sync::Arc};

use super::*;
use crate::{
    checkpoint::CompletionNotification,
    connector::{Sink, SinkWriter, memory_disk::MemoryDisk},
    error::{ErrorKind, Result},
    graph::{
        PrepareContext,
        local_executor::{Recorder, now},
    },
    id::{AttemptId, CheckpointId, SubtaskId, TaskId, VertexId},
    operator::SubtaskContext,
    probe::{Actor, Reporter},
};

type Writer = Box<dyn SinkWriter<u32>>;

fn sink(part_size: u64) -> impl Sink<u32> {
    FileSink::new("a/out", |n: &u32, line: &mut Vec<u8>| line.extend(n.to_string().bytes())).part_size(part_size)
}

fn attempt(number: u32) -> AttemptId {
    AttemptId { term: 1, number }
}

fn id(checkpoint: u64) -> CheckpointId {
    CheckpointId(checkpoint)
}

fn prepare_as(disk: &MemoryDisk, job: &str, uid: &str, restored: Option<u64>) -> Result<()> {
    let disk = Arc::new(disk.clone());
    let context = PrepareContext { disk, job: job.to_owned(), parallelism: 1, restored: restored.map(CheckpointId) };
    now(sink(100).prepare(&context, uid))
}

fn prepare(disk: &MemoryDisk, restored: Option<u64>) -> Result<()> {
    prepare_as(disk, "job", "sink", restored)
}

fn clean_up(disk: &MemoryDisk) -> Result<()> {
    let disk = Arc::new(disk.clone());
    let context = PrepareContext { disk, job: "job".to_owned(), parallelism: 1, restored: None };
    now(sink(100).clean_up(&context, "sink"))
}

/// The writer of subtask `index` of `parallelism` in an attempt, not opened yet.
fn writer_of(disk: &MemoryDisk, recorder: &Recorder, index: u32, parallelism: u32, number: u32) -> Writer {
    let subtask = SubtaskId { vertex: VertexId(2), index };
    let actor = Actor::Task(TaskId { subtask, attempt: attempt(number) });
    sink(5).create_writer(&SubtaskContext {
        subtask,
        attempt: attempt(number),
        parallelism,
        disk: Arc::new(disk.clone()),
        reporter: Reporter::new(Arc::new(recorder.clone()), actor),
        ..SubtaskContext::alone()
    })
}

/// The only writer of the first attempt, opened.
fn writer(disk: &MemoryDisk, recorder: &Recorder) -> Writer {
    prepare(disk, None).unwrap();
    let mut writer = writer_of(disk, recorder, 0, 1, 1);
    now(writer.open(None, Vec::new())).unwrap();
    writer
}

fn notification(checkpoint: u64, number: u32) -> CompletionNotification {
    CompletionNotification { checkpoint: id(checkpoint), attempt: attempt(number) }
}

/// The visible numbers, sorted.
fn visible(disk: &MemoryDisk) -> Vec<u32> {
    let name = |path: &String| path.strip_prefix("a/out/").and_then(PartFile::parse);
    let parts = disk.paths().into_iter().filter(|p| matches!(name(p), Some(PartFile::Visible(..))));
    let text = |path: String| String::from_utf8(disk.contents(path)).unwrap();
    let mut numbers: Vec<u32> =
        parts.flat_map(|p| text(p).lines().map(|l| l.parse().unwrap()).collect::<Vec<_>>()).collect();
    numbers.sort_unstable();
    numbers
}

fn hidden(disk: &MemoryDisk) -> Vec<String> {
    disk.paths()
        .iter()
        .filter_map(|p| p.strip_prefix("a/out/").filter(|n| n.starts_with(".part")))
        .map(str::to_owned)
        .collect()
}

/// What the checkpoint directory of a job holds: its newest completed checkpoint.
#[derive(Clone)]
struct Completed {
    id: u64,
    position: u32,
    items: Vec<Vec<Vec<u8>>>,
}

const RECORDS: u32 = 8;

/// Runs one attempt of a job that writes 0..RECORDS and takes a checkpoint after every third record, until it ends or the
/// disk fails. Completed checkpoints go to `completed` at the moment at which their manifest would be durable.
fn run_attempt(disk: &MemoryDisk, number: u32, parallelism: u32, completed: &mut Option<Completed>) -> Result<()> {
    let restored = completed.clone();
    prepare(disk, restored.as_ref().map(|c| c.id))?;
    let old = restored.as_ref().map_or(Vec::new(), |c| c.items.clone());
    let mut shares = vec![Vec::new(); parallelism as usize];
    if old.len() == shares.len() {
        shares = old;
    } else {
        old.concat().into_iter().enumerate().for_each(|(i, item)| shares[i % parallelism as usize].push(item));
    }
    let recorder = Recorder::default();
    let mut writers: Vec<_> = (0..parallelism).map(|i| writer_of(disk, &recorder, i, parallelism, number)).collect();
    for (writer, items) in writers.iter_mut().zip(shares) {
        now(writer.open(restored.as_ref().map(|c| id(c.id)), items))?;
    }
    // Numbers of checkpoints are never used again, also not those of an attempt that failed.
    let mut next = u64::from(number) * 100;
    let mut record = restored.map_or(0, |c| c.position);
    loop {
        if record.is_multiple_of(3) || record == RECORDS {
            next += 1;
            let mut items = Vec::new();
            for writer in &mut writers {
                now(writer.prepare_commit(id(next)))?;
                items.push(writer.snapshot(id(next))?);
            }
            // Every other checkpoint is acknowledged by all but never completes.
            if next % 2 == 0 || record == RECORDS {
                *completed = Some(Completed { id: next, position: record, items });
                for writer in &mut writers {
                    now(writer.notify_complete(notification(next, number)))?;
                }
            } else {
                writers.iter_mut().for_each(|w| w.notify_aborted(id(next)));
            }
        }
        if record == RECORDS {
            return clean_up(disk);
        }
        let writer = &mut writers[(record % parallelism) as usize];
        writer.write(&mut vec![record])?;
        now(writer.flush())?;
        record += 1;
    }
}

/// The whole promise of the sink, for a node that dies before any operation on its disk, by a kill or by loss of power, then
/// again in the second attempt, and with any change of parallelism: at every moment the visible records are some of those
/// before the newest completed checkpoint, each once; at the end all of them.
#[test]
fn whatever_fails_wherever_each_record_becomes_visible_exactly_once() {
    let mut runs = 0;
    for (power, widths) in [(true, [1, 1, 1]), (true, [2, 1, 2]), (false, [2, 1, 1]), (true, [1, 3, 2])] {
        for first in 0.. {
            let mut first_died = false;
            for second in (0..).step_by(3) {
                runs += 1;
                let disk = MemoryDisk::default();
                let mut completed = None;
                let mut second_died = false;
                for (number, life) in [(1, Some(first)), (2, Some(second)), (3, None)] {
                    disk.set_life(life);
                    let ended = run_attempt(&disk, number, widths[number as usize - 1], &mut completed);
                    disk.set_life(None);
                    if power {
                        disk.lose_power();
                    }
                    let shown = visible(&disk);
                    let until = completed.as_ref().map_or(0, |c| c.position);
                    let story =
                        format!("power {power}, {widths:?}, died before {first} and {second}, attempt {number}");
                    assert!(shown.windows(2).all(|w| w[0] < w[1]), "{story}: twice in {shown:?}");
                    assert!(shown.iter().all(|n| *n < until), "{story}: {shown:?} with a checkpoint at {until}");
                    match ended {
                        Ok(()) => {
                            assert_eq!(shown, (0..RECORDS).collect::<Vec<_>>(), "{story}");
                            assert_eq!(hidden(&disk), [""; 0], "{story}");
                            break;
                        }
                        Err(error) => assert_eq!(error.kind, ErrorKind::Unavailable, "{story}: {error}"),
                    }
                    first_died |= number == 1;
                    second_died |= number == 2;
                }
                if !second_died {
                    break;
                }
            }
            if !first_died {
                break;
            }
        }
    }
    assert!(runs > 1000, "{runs} runs are too few: nothing died");
}

#[test]
fn the_steps_of_two_intervals() {
    let (disk, recorder) = (MemoryDisk::default(), Recorder::default());
    let mut writer = writer(&disk, &recorder);
    let mut steps = Vec::new();
    let mut tell = |what: &str| {
        steps.push(format!("{what}:"));
        steps.extend(recorder.take_steps().iter().map(|s| format!("  {s:?}")));
        steps.extend(hidden(&disk).iter().map(|name| format!("    {name}")));
    };
    writer.write(&mut vec![1, 22, 333]).unwrap();
    now(writer.flush()).unwrap();
    tell("written");
    now(writer.prepare_commit(id(1))).unwrap();
    tell("prepared");
    assert_eq!(writer.snapshot(id(1)).unwrap().len(), 1);
    now(writer.prepare_commit(id(2))).unwrap();
    tell("prepared, with nothing new");
    assert_eq!(writer.snapshot(id(2)).unwrap().len(), 1);
    now(writer.notify_complete(notification(2, 1))).unwrap();
    tell("complete");
    now(writer.prepare_commit(id(3))).unwrap();
    now(writer.notify_complete(notification(3, 1))).unwrap();
    tell("prepared and complete, with nothing at all");
    assert_eq!(visible(&disk), [1, 22, 333]);
    insta::assert_snapshot!(steps.join("\n"), @r#"
written:
prepared:
  PartOpened { path: "a/out/.part-0-1.1-0.inprogress" }
  PartSynced { path: "a/out/.part-0-1.1-0.inprogress" }
  PartPending { path: "a/out/.part-0-1.1-0-1.pending" }
  CommitPrepared { committables: ["part-0-1-1.1-0"] }
    .part-0-1.1-0-1.pending
prepared, with nothing new:
  CommitPrepared { committables: ["part-0-1-1.1-0"] }
    .part-0-1.1-0-1.pending
complete:
  PartRenamed { path: "a/out/part-0-1-1.1-0" }
  CommitDirectorySynced
  Committed { committables: ["part-0-1-1.1-0"] }
prepared and complete, with nothing at all:
  CommitPrepared { committables: [] }
  Committed { committables: [] }
"#);
}

#[test]
fn a_notification_may_come_late_twice_or_for_another_attempt() {
    let (disk, recorder) = (MemoryDisk::default(), Recorder::default());
    let mut writer = writer(&disk, &recorder);
    for checkpoint in 1..=3 {
        writer.write(&mut vec![checkpoint]).unwrap();
        now(writer.prepare_commit(id(checkpoint.into()))).unwrap();
    }
    let mut notify = |checkpoint, number| {
        now(writer.notify_complete(notification(checkpoint, number))).unwrap();
        visible(&disk)
    };
    assert_eq!(notify(3, 2), [0_u32; 0]);
    assert_eq!(notify(2, 1), [1, 2]);
    assert_eq!(notify(1, 1), [1, 2]);
    assert_eq!(notify(2, 1), [1, 2]);
    assert_eq!(notify(3, 1), [1, 2, 3]);
}

/// FLINK-3651: subtask 1 must not take subtask 11's files for its own.
#[test]
fn leftovers_are_removed_by_the_subtask_that_looks_after_them() {
    let all = [
        ".part-1-1.1-0.inprogress",
        ".part-1-1.1-1-4.pending",
        ".part-1-1.1-2-5.pending",
        ".part-1-1.2-0.inprogress",
        ".part-11-1.1-0.inprogress",
        ".part-21-1.1-0.inprogress",
        "part-1-4-1.1-7",
        "part-1-notes.txt",
        ".part-1-1.1-00.inprogress",
    ];
    let disk = MemoryDisk::with(all.map(|name| (format!("a/out/{name}"), "1\n")));
    let mut writer = writer_of(&disk, &Recorder::default(), 1, 20, 2);
    now(writer.open(Some(id(4)), Vec::new())).unwrap();
    let gone = |name: &&str| !disk.paths().contains(&format!("a/out/{name}"));
    let gone: Vec<_> = all.into_iter().filter(gone).collect();
    assert_eq!(gone, [".part-1-1.1-0.inprogress", ".part-1-1.1-2-5.pending", ".part-21-1.1-0.inprogress"]);
}

#[test]
fn an_attempt_that_sees_a_later_one_stops() {
    for later in [".part-3-2.1-0.inprogress", ".part-3-1.3-0-9.pending", "part-3-9-1.3-0"] {
        let disk =
            MemoryDisk::with([(format!("a/out/{later}"), "1\n"), ("a/out/.part-0-1.1-0.inprogress".into(), "2\n")]);
        let mut writer = writer_of(&disk, &Recorder::default(), 0, 1, 2);
        let error = now(writer.open(Some(id(9)), Vec::new())).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Superseded, "{error}");
        assert_eq!(disk.paths().len(), 4, "it has touched nothing");
    }
}

#[test]
fn lost_output_is_never_passed_over() {
    let disk = MemoryDisk::default();
    let mut first = writer(&disk, &Recorder::default());
    first.write(&mut vec![1]).unwrap();
    now(first.prepare_commit(id(1))).unwrap();
    let items = first.snapshot(id(1)).unwrap();
    let open = || now(writer_of(&disk, &Recorder::default(), 0, 1, 2).open(Some(id(1)), items.clone()));
    open().unwrap();
    open().unwrap();
    assert_eq!(visible(&disk), [1]);
    disk.take("a/out/part-0-1-1.1-0");
    let error = open().unwrap_err();
    assert_eq!(error.kind, ErrorKind::Damaged);
    insta::assert_snapshot!(error, @"checkpoint 1 holds output that is gone: neither a/out/.part-0-1.1-0-1.pending nor a/out/part-0-1-1.1-0 exists; bring the file back if it was moved, else start afresh with new directories");
    // That the file cannot be looked up does not mean that it is gone.
    disk.put("a/out/part-0-1-1.1-0", b"1\n");
    disk.fail_next("metadata", "part-0-1-1.1-0", IoKind::TimedOut);
    assert_eq!(open().unwrap_err().kind, ErrorKind::Unavailable);
}

#[test]
fn a_full_disk_is_said_to_be_full() {
    let disk = MemoryDisk::default();
    let mut writer = writer(&disk, &Recorder::default());
    disk.set_space(Some(0));
    writer.write(&mut vec![1]).unwrap();
    let error = now(writer.prepare_commit(id(1))).unwrap_err();
    assert!(error.may_be_retried());
    insta::assert_snapshot!(error, @"the output a/out/.part-0-1.1-0.inprogress cannot be written: no storage space; nothing is lost: free some space, and the job goes on where it was");
}

#[test]
fn a_large_batch_is_written_before_the_barrier_and_in_parts() {
    let disk = MemoryDisk::default();
    let mut writer = writer(&disk, &Recorder::default());
    for _ in 0..2 {
        writer.write(&mut vec![7; 200_000]).unwrap();
        now(writer.flush()).unwrap();
    }
    assert_eq!(hidden(&disk), [".part-0-1.1-0.inprogress", ".part-0-1.1-1.inprogress"]);
    now(writer.prepare_commit(id(1))).unwrap();
    now(writer.notify_complete(notification(1, 1))).unwrap();
    assert_eq!(visible(&disk).len(), 400_000);
}

#[test]
fn a_directory_that_is_not_usable_is_refused() {
    let with = |files: &[&str]| MemoryDisk::with(files.iter().map(|f| (f, "1\n")));
    let refused = |disk: &MemoryDisk, restored| {
        let before = disk.paths();
        let error = prepare(disk, restored).unwrap_err();
        assert_eq!((error.kind, disk.paths()), (ErrorKind::BadInput, before));
        error.to_string()
    };
    insta::assert_snapshot!(refused(&with(&["a/out/thesis.tex"]), None), @"the output directory a/out holds thesis.tex, which no sink wrote: choose an empty directory, or move the file away");
    insta::assert_snapshot!(refused(&with(&["a/out/thesis.tex"]), Some(3)), @"the output directory a/out holds thesis.tex, which no sink wrote: choose an empty directory, or move the file away");
    insta::assert_snapshot!(refused(&with(&["a/out/part-0-1-1.1-0"]), None), @"the output directory a/out holds part-0-1-1.1-0, but no .tidegate-sink.json that says whose it is: bring that file back, or choose an empty directory");
    insta::assert_snapshot!(refused(&with(&["a/out"]), None), @"the output directory: a/out is not a directory: choose another one");
    insta::assert_snapshot!(refused(&with(&["a/out/.tidegate-sink.json"]), None), @"the marker a/out/.tidegate-sink.json is not one of this version: invalid type: integer `1`, expected struct Marker at line 1 column 1; choose another directory");

    let disk = MemoryDisk::default();
    prepare(&disk, None).unwrap();
    insta::assert_snapshot!(prepare_as(&disk, "other", "sink", None).unwrap_err(), @"the output directory a/out belongs to the sink sink of the job job: choose another directory for this one");
    insta::assert_snapshot!(prepare_as(&disk, "job", "second", None).unwrap_err(), @"the output directory a/out belongs to the sink sink of the job job: choose another directory for this one");
    disk.put("a/out/part-0-4-1.1-0", b"1\n");
    insta::assert_snapshot!(refused(&disk, None), @"the output a/out/part-0-4-1.1-0 was committed by checkpoint 4, but the job starts afresh and would write it again: resume from the job's checkpoint directory, or move the output away");
    insta::assert_snapshot!(refused(&disk, Some(3)), @"the output a/out/part-0-4-1.1-0 was committed by checkpoint 4, but the job restores checkpoint 3 and would write it again: restore the latest checkpoint, or move away the output of checkpoints after 3");
    prepare(&disk, Some(4)).unwrap();
    // Once it has checkpoints, a job does not stop for a file that somebody has put there.
    disk.put("a/out/notes", b"1\n");
    prepare(&disk, Some(4)).unwrap();
}

#[test]
fn the_marker_says_whose_the_directory_is_and_stays() {
    let disk = MemoryDisk::default();
    prepare(&disk, None).unwrap();
    disk.lose_power();
    insta::assert_snapshot!(String::from_utf8(disk.contents("a/out/.tidegate-sink.json")).unwrap(), @r#"
{
  "format": 1,
  "job": "job",
  "uid": "sink"
}
"#);
    disk.put("a/out/.part-5-1.1-0.inprogress", b"1\n");
    disk.put("a/out/part-0-4-1.1-0", b"1\n");
    disk.put("a/out/notes", b"1\n");
    clean_up(&disk).unwrap();
    disk.lose_power();
    let left: BTreeSet<_> = disk.paths().into_iter().filter(|p| Path::new(p).starts_with("a/out/")).collect();
    assert_eq!(
        left,
        BTreeSet::from(
            ["a/out/", "a/out/.tidegate-sink.json", "a/out/notes", "a/out/part-0-4-1.1-0"].map(str::to_owned)
        )
    );
}

/// The marker has its name, but whoever gave it died before that was durable: the next start makes up for it.
#[test]
fn a_marker_that_is_there_is_made_durable() {
    let disk = MemoryDisk::default();
    // The first directory to be synced under this name is the marker's; before that, only those above it are.
    disk.fail_next("sync_dir", "a/out", IoKind::TimedOut);
    prepare(&disk, None).unwrap_err();
    prepare(&disk, None).unwrap();
    disk.lose_power();
    assert_eq!(disk.paths(), ["a/", "a/out/", "a/out/.tidegate-sink.json"]);
}
