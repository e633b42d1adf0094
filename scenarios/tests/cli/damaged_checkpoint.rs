//! What rests in a checkpoint directory is damaged, half written, or of another version: it is told with its path and the
//! remedy, and once it is put right the job goes on to exactly the right counts.

use std::{fs, path::Path};

use bytes::Bytes;
use tidegate::{
    checkpoint::{InlineSnapshot, Manifest, SnapshotHandle},
    storage::decode_snapshot,
};

use crate::support::{
    Outcome, copy, edit_manifest, remove, slots,
    stopped_job::{Job, READ_WHOLE, RESUME, completed, cut_in_half, replace},
    write_header,
};

fn flip_a_bit_at(path: &Path, at: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at] ^= 1;
    fs::write(path, bytes).unwrap();
}

fn flip_a_bit_in_the_header(path: &Path) {
    flip_a_bit_at(path, 30);
}

fn flip_a_bit_in_the_body(path: &Path) {
    flip_a_bit_at(path, 4100);
}

#[test]
fn a_damaged_newest_manifest() {
    let job = Job::stopped();
    let said = format!("manifest chk/{} is damaged: ", job.slot);
    let said = [&*said, "it is not skipped", "bring it back from a copy, or restore another checkpoint", RESUME];
    for spoil in
        [flip_a_bit_in_the_header, flip_a_bit_in_the_body, cut_in_half, |path: &Path| fs::write(path, "").unwrap()]
    {
        job.refuses(&job.manifest(), spoil, &said);
    }
    // As JSON it is still what it should be.
    job.refuses(&job.manifest(), replace("\"max_parallelism\": 128", "\"max_parallelism\":  128"), &said);
    job.goes_on(&[]);
}

/// The remedy that the message names: to restore another one, whose output is the last that was committed.
#[test]
fn past_a_damaged_newest_manifest() {
    for (spoil, is_known) in [(cut_in_half as fn(&Path), true), (flip_a_bit_in_the_header, false)] {
        let job = Job::stopped();
        let newer = job.place.path("chk/manifest-900");
        copy(&job.manifest(), &newer);
        edit_manifest(&newer, |manifest| manifest.checkpoint.0 = 900);
        fs::OpenOptions::new().write(true).open(&newer).unwrap().set_len(6000).unwrap();
        spoil(&newer);
        job.refuses_arguments(&[], &["manifest chk/manifest-900 is damaged"]);
        job.goes_on(&["--restore", &format!("chk/chk-{}", job.newest)]);
        assert_eq!(slots(&job.place).unreadable().count(), 0, "what is newer takes its place");
        let newest = *completed(&job.place).last().unwrap();
        assert_eq!(newest > 900, is_known, "a number that is known is never used twice");
    }
}

/// Where a bit of a snapshot file is flipped, and what is said of it: the same of a file that is read as a whole and of one that
/// is read in parts.
fn flips(path: &Path) -> Vec<(usize, String)> {
    let bytes: Bytes = fs::read(path).unwrap().into();
    let number = |from_end: usize| u64::from_le_bytes(*bytes[bytes.len() - from_end..].first_chunk().unwrap()) as usize;
    let index = number(24);
    let (_, snapshot) = decode_snapshot(&bytes, path).unwrap();
    let groups = snapshot.operators.iter().flat_map(|o| &o.keyed).flat_map(|k| &k.groups);
    let pieces = groups.flat_map(|g| g.pieces.iter().map(|piece| (g.group.0, piece)));
    // The extent in the middle of the file. What is not compressed lies in the file as it is.
    let offset = |part: &[u8]| part.as_ptr() as usize - bytes.as_ptr() as usize;
    let middle =
        pieces.map(|(group, piece)| (group, offset(&piece.bytes))).min_by_key(|(_, at)| at.abs_diff(index / 2));
    let in_a_group = middle.map(|(group, at)| (at, format!("the checksum of key group {group} does not match")));
    let elsewhere = [
        (0, "it does not begin like a snapshot file"),
        (index, "the checksum of its index does not match"),
        (bytes.len() - 24, "it does not end like a snapshot file"),
    ];
    in_a_group.into_iter().chain(elsewhere.map(|(at, what)| (at, what.to_owned()))).collect()
}

/// The one line that says what a job has failed of.
fn error_line(outcome: &Outcome) -> &str {
    let mut errors = outcome.stderr.lines().filter(|line| line.starts_with("error: "));
    let error = errors.next().expect("the error is said");
    assert_eq!(errors.next(), None, "{outcome:#?}");
    error
}

#[test]
fn a_damaged_snapshot() {
    let job = Job::stopped();
    for (subtask, is_large) in [("source-0", false), ("count-1", true), ("sink-0", false)] {
        let file = job.snapshot(subtask);
        assert_eq!(file.len > READ_WHOLE, is_large, "{file:?}");
        let path = job.place.path("chk/state").join(&file.name);
        let (vertex, _) = subtask.split_once('-').unwrap();
        let refuses = |spoil: &dyn Fn(&Path), what: &str| {
            let outcome = job.refuses(&path, spoil, &[RESUME]);
            // Which subtask of the vertex says so first is a matter of luck.
            let line = |index: u32| {
                format!(
                    "error: job WordCount: task {vertex}/{index}: restoring checkpoint {}: snapshot file \
                     chk/state/{} is damaged: {what}; bring it back from a copy, restore another checkpoint by its \
                     path, or start afresh with new directories",
                    job.newest, file.name
                )
            };
            let said = error_line(&outcome);
            assert!([0, 1].map(line).iter().any(|line| line == said), "{said}\ninstead of\n{}", line(0));
        };
        refuses(&remove, "it is missing");
        refuses(&cut_in_half, &format!("it has {} bytes instead of {}", file.len / 2, file.len));
        for (at, what) in flips(&path) {
            refuses(&|path| flip_a_bit_at(path, at), &what);
        }
    }
    job.goes_on(&[]);
}

#[test]
fn a_half_written_checkpoint() {
    let job = Job::stopped();
    let half = job.place.path("chk/manifest-900.tmp");
    copy(&job.manifest(), &half);
    cut_in_half(&half);
    job.goes_on(&[]);
    assert!(!half.exists());
    assert!(completed(&job.place).last().unwrap() < &900, "a number that is only written down is not used");
}

/// What has been reserved may have been used, and nothing be left of it.
#[test]
fn numbers_go_on_above_all_that_are_reserved() {
    let job = Job::stopped();
    job.place.write("chk/reserved-900", "");
    // Not one that this build writes.
    job.place.write("chk/reserved-0999", "");
    job.goes_on(&[]);
    let newest = *completed(&job.place).last().unwrap();
    assert!((901..917).contains(&newest), "{newest}");
}

/// One checkpoint was a directory once, with its manifest inside, and then a file. Nothing of that is overlooked (I20).
#[test]
fn a_checkpoint_of_an_older_layout() {
    let job = Job::stopped();
    let said = [
        "chk/chk-900 was made by an older build, which had a file or a directory for each checkpoint",
        "go on with the build that wrote it, or choose another directory",
        RESUME,
    ];
    // Not a number that the job has reached.
    let old = job.place.path("chk/chk-900");
    fs::create_dir(&old).unwrap();
    job.refuses_arguments(&[], &said);
    copy(&job.manifest(), &old.join("manifest"));
    job.refuses_arguments(&[], &said);
    fs::rename(&old, job.place.path("chk-900")).unwrap();
    job.refuses_arguments(&["--restore", "chk-900"], &["chk-900 was made by an older build", RESUME]);
    copy(&job.manifest(), &job.place.path("chk/chk-900"));
    job.refuses_arguments(&[], &said);
    remove(&job.place.path("chk/chk-900"));
    let format = ["checkpoint directory chk: its format is version 2, this build reads version 3: use the build"];
    job.refuses(&job.place.path("chk/job.json"), replace("\"format\": 3", "\"format\": 2"), &format);
    job.goes_on(&[]);
}

/// The snapshots of the sources are moved from their files into the manifest, where they do as well; damage there is told with
/// the manifest's path.
#[test]
fn a_damaged_snapshot_in_a_manifest() {
    let job = Job::stopped();
    let of_sources = |manifest: &mut Manifest, change: &dyn Fn(&mut SnapshotHandle)| {
        let source = manifest.vertices.iter_mut().find(|vertex| vertex.name == "source").unwrap();
        source.snapshots.iter_mut().for_each(change);
    };
    let inline = |handle: &mut SnapshotHandle| {
        let [file] = handle.files() else { panic!("{handle:?}: what has no keys is written in full") };
        let mut contents = fs::read(job.place.path("chk/state").join(&file.name)).unwrap();
        contents.truncate(file.len as usize);
        *handle = SnapshotHandle::Inline(InlineSnapshot { contents: contents.into(), digest: file.digest });
    };
    edit_manifest(&job.manifest(), |manifest| of_sources(manifest, &inline));
    let manifest = job.manifest();
    let rotten = format!("manifest chk/{} is damaged: its checksum does not match", job.slot);
    let in_contents = |path: &Path| {
        let text = fs::read_to_string(path).unwrap();
        let at = text.find(r#""contents": ""#).unwrap() + 20;
        let mut bytes = text.into_bytes();
        bytes[at] ^= 1;
        fs::write(path, bytes).unwrap();
    };
    job.refuses(&manifest, in_contents, &[&rotten, "bring it back from a copy", RESUME]);
    let spoilt = |change: fn(&mut InlineSnapshot)| {
        move |path: &Path| {
            edit_manifest(path, |manifest| {
                of_sources(manifest, &|handle| {
                    let SnapshotHandle::Inline(inline) = handle else { panic!("it was moved into the manifest") };
                    change(inline);
                });
            });
        }
    };
    let place = format!("in the manifest of chk/chk-{}", job.newest);
    let other = spoilt(|inline| inline.digest ^= 1);
    let said = format!("{place} is damaged: its checksum is not the one that it had when it was taken; bring it back");
    job.refuses(&manifest, other, &["task source/", "snapshot of source/", &said, RESUME]);
    let cut = spoilt(|inline| {
        inline.contents = inline.contents.slice(..11);
    });
    job.refuses(&manifest, cut, &["snapshot of source/", &format!("{place} is damaged: it is cut short"), RESUME]);
    job.goes_on(&[]);
}

#[test]
fn another_format_version() {
    let job = Job::stopped();
    let remedy = |ours| {
        format!("has format version 9, this build reads version {ours}: restore it with the build that wrote it")
    };
    let said = format!("manifest chk/{} {}", job.slot, remedy(4));
    job.refuses(&job.manifest(), |path| write_header(path, "tidegate-manifest 9 sum=7"), &[&said, RESUME]);
    let rotten = format!("manifest chk/{} is damaged: its header is not what was written", job.slot);
    job.refuses(&job.manifest(), replace("manifest 4", "manifest 9"), &[&rotten, RESUME]);
    let name = job.snapshot("count-1").name;
    let said = format!("snapshot file chk/state/{name} {}", remedy(4));
    let newer = |path: &Path| {
        let mut bytes = fs::read(path).unwrap();
        bytes[8] = 9;
        fs::write(path, &bytes).unwrap();
    };
    job.refuses(&job.place.path("chk/state").join(&name), newer, &[&said, RESUME]);
    let said = ["checkpoint directory chk: its format is version 9, this build reads version 3: use the build"];
    job.refuses(&job.place.path("chk/job.json"), replace("3,", "9,"), &said);
    job.goes_on(&[]);
}
