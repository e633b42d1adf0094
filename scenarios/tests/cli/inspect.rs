//! `tidegate inspect` over checkpoints that real jobs have made.

use std::fs;

use tidegate::checkpoint::SnapshotHandle;

use crate::support::{Outcome, Place, copy, edit_manifest, run, write_header};

/// A job that has finished with its first checkpoint, which always takes as long, with all snapshots in files.
fn finished_job() -> Place {
    finished_job_inlining("0")
}

/// The same, with snapshots of up to so many bytes in the manifest.
fn finished_job_inlining(threshold: &str) -> Place {
    let place = Place::new();
    place.write("in", "to be, or not to be: that is the question\n");
    run(&mut place.word_count(&["--checkpoint-interval", "1h", "--inline-snapshots", threshold]))
        .assert(0, &["checkpoint 1 completed"]);
    edit_manifest(&place.path("chk/manifest-0"), |manifest| {
        (manifest.completed_at_ms, manifest.duration_us) = (1_700_000_000_123, 12_345);
        for (metrics, n) in manifest.vertices.iter_mut().map(|vertex| &mut vertex.metrics).zip(1..) {
            (metrics.alignment_us, metrics.synchronous_us, metrics.asynchronous_us) = (20 * n, 310 * n, 4_700 * n);
        }
    });
    place
}

fn inspect(place: &Place, arguments: &[&str]) -> Outcome {
    run(&mut place.tidegate(&[&["inspect"], arguments].concat()))
}

#[test]
fn a_finished_job() {
    let outcome = inspect(&finished_job(), &["chk"]);
    outcome.assert(0, &[]);
    insta::assert_snapshot!(outcome.stdout);
}

#[test]
fn one_json_object() {
    let place = finished_job();
    place.write("chk/manifest-1.tmp", "half");
    let outcome = inspect(&place, &["chk", "--json", "--state", "2"]);
    outcome.assert(0, &[]);
    let report: serde_json::Value = serde_json::from_str(&outcome.stdout).unwrap();
    insta::assert_json_snapshot!(report);
    assert_eq!(outcome.stdout.lines().count(), 1);
}

/// What stands in the manifest is shown like the rest, and so is what is wrong with it.
#[test]
fn snapshots_in_the_manifest() {
    let place = finished_job_inlining("200");
    let outcome = inspect(&place, &["chk", "--state", "1"]);
    outcome.assert(0, &[]);
    insta::assert_snapshot!(outcome.stdout);
    edit_manifest(&place.path("chk/manifest-0"), |manifest| {
        let sink = manifest.vertices.iter_mut().find(|vertex| vertex.name == "sink").unwrap();
        let SnapshotHandle::Inline(inline) = &mut sink.snapshots[1] else { panic!("it is in a file") };
        inline.digest ^= 1;
    });
    let said = "snapshot of sink/1 in the manifest of chk/chk-1 is damaged: its checksum is not the one that it had when \
                it was taken; bring it back from a copy, restore another checkpoint by its path";
    inspect(&place, &["chk"]).assert(2, &[said]);
}

/// What is damaged is told, and the rest is shown all the same.
#[test]
fn damage_of_every_kind() {
    let place = finished_job();
    for (slot, id) in [(1, 2), (2, 3), (3, 10)] {
        let copied = place.path(&format!("chk/manifest-{slot}"));
        copy(&place.path("chk/manifest-0"), &copied);
        edit_manifest(&copied, |manifest| {
            manifest.checkpoint.0 = id;
            for handle in manifest.vertices.iter_mut().flat_map(|v| &mut v.snapshots) {
                let SnapshotHandle::Files(files) = handle else { panic!("{handle:?} is no file") };
                let [file] = &mut files[..] else { panic!("{files:?} are several") };
                let name = file.name.replace("-1.state", &format!("-{id}.state"));
                let path = |name: &str| place.path("chk/state").join(name);
                copy(&path(&file.name), &path(&name));
                file.name = name;
            }
        });
    }
    write_header(&place.path("chk/manifest-0"), "tidegate-manifest 9 x");
    let text = fs::read_to_string(place.path("chk/manifest-2")).unwrap();
    place.write("chk/manifest-2", text.replace("WordCount", "wordcount"));
    fs::remove_file(place.path("chk/state/count-0-1.1-10.state")).unwrap();
    let mut bytes = fs::read(place.path("chk/state/sink-1-1.1-10.state")).unwrap();
    bytes[20] ^= 1;
    place.write("chk/state/sink-1-1.1-10.state", bytes);
    place.write("chk/job.json", "{");
    let outcome = inspect(&place, &["chk", "--all", "--state", "0"]);
    assert_eq!(outcome.code, Some(2));
    insta::assert_snapshot!(format!("{}\n{}", outcome.stdout, outcome.stderr));
    // Only what was asked for is judged.
    place.write("chk/job.json", r#"{"format": 3, "job": "WordCount", "max_parallelism": 128}"#);
    inspect(&place, &["chk/chk-2"]).assert(0, &[]);
    inspect(&place, &["chk/chk-3"]).assert(2, &["chk/manifest-2 is damaged"]);
    // It may be the one that cannot be read.
    inspect(&place, &["chk/chk-1"]).assert(2, &["chk/manifest-0 has format version 9"]);
}

#[test]
fn what_is_no_checkpoint_directory() {
    let place = finished_job();
    for (path, said) in [
        ("in", "in is not a directory"),
        ("out", "out is not a checkpoint directory"),
        ("missing", "missing does not exist"),
        ("chk/chk-9", "chk/chk-9 does not exist"),
    ] {
        inspect(&place, &[path]).assert(2, &[said, "name the directory that a job was given as --checkpoint-dir"]);
    }
    fs::create_dir(place.path("chk/chk-9")).unwrap();
    for path in ["chk", "chk/chk-1", "chk/chk-9"] {
        inspect(&place, &[path]).assert(2, &["chk/chk-9 was made by an older build"]);
    }
}
