//! Publications that fail, die, and are repeated.

use super::*;
use crate::{
    connector::memory_disk::MemoryDisk,
    graph::local_executor::{Recorder, now},
    probe::Actor,
    storage::{checkpoint_path, read_manifest},
};

fn opened(disk: &MemoryDisk) -> CheckpointStore {
    let store = CheckpointStore::open(Arc::new(disk.clone()), Path::new("/c"), "Words", 128);
    now(store).expect("nothing fails")
}

/// What a job manager finds that starts after a loss of power, or after a kill.
fn found(disk: &MemoryDisk, power: bool) -> Survey {
    disk.set_life(None);
    if power {
        disk.lose_power();
    }
    now(opened(disk).survey()).expect("nothing fails")
}

fn ids<const N: usize>(ids: [u64; N]) -> [CheckpointId; N] {
    ids.map(CheckpointId)
}

fn published(store: &CheckpointStore, id: u64, oldest: u64) -> (Result<(), PublishError>, Vec<Step>) {
    let manifest = Manifest {
        job: "Words".into(),
        checkpoint: CheckpointId(id),
        oldest: CheckpointId(oldest),
        attempt: AttemptId { term: 1, number: 1 },
        is_final: false,
        max_parallelism: 128,
        vertices: Vec::new(),
        completed_at_ms: 0,
        duration_us: 0,
    };
    let recorder = Recorder::default();
    let reporter = Reporter::new(Arc::new(recorder.clone()), Actor::JobManager);
    (now(store.publish_manifest(&manifest, &reporter)), recorder.take_steps())
}

/// Each keeps the one before.
fn published_through(store: &CheckpointStore, last: u64) {
    for id in 1..=last {
        published(store, id, (id - 1).max(1)).0.expect("nothing fails");
    }
}

/// FLINK-2354, and Pillai et al. 2014: wherever it dies, who comes next knows all numbers that somebody may have heard of.
#[test]
fn what_is_reserved_is_so_for_ever_wherever_it_dies() {
    for (operations, power) in (0..20).flat_map(|n| [(n, false), (n, true)]) {
        let disk = MemoryDisk::default();
        now(opened(&disk).reserve_numbers(CheckpointId(16))).expect("nothing fails");
        let store = opened(&disk);
        disk.set_life(Some(operations));
        let reserved = now(store.reserve_numbers(CheckpointId(32)));
        let found = found(&disk, power).reserved;
        assert!(found >= Some(CheckpointId(16)), "{operations} {power}: {found:?}");
        assert!(reserved.is_err() || found == Some(CheckpointId(32)), "{operations} {power}: {found:?}");
        assert!(operations < 10 || reserved.is_ok(), "there are fewer operations");
    }
    let disk = MemoryDisk::default();
    let store = opened(&disk);
    for through in [16, 32].map(CheckpointId) {
        now(store.reserve_numbers(through)).expect("nothing fails");
    }
    let claims: Vec<_> = disk.paths().into_iter().filter(|path| path.starts_with("/c/reserved")).collect();
    assert_eq!(claims, ["/c/reserved-32"], "what is superseded is gone");
}

/// Wherever it dies, it is the newest two that are there, or the two before them; in a new slot, and over an old one.
#[test]
fn what_is_obsolete_goes_with_the_manifest_that_comes() {
    for (last, operations, power) in (2..6).flat_map(|l| (0..20).flat_map(move |n| [(l, n, false), (l, n, true)])) {
        let disk = MemoryDisk::default();
        let store = opened(&disk);
        published_through(&store, last);
        disk.set_life(Some(operations));
        let (result, steps) = published(&store, last + 1, last);
        let left = found(&disk, power).completed;
        let case = format!("{last} {operations} {power}: {result:?}, {left:?} after {steps:?}");
        let (before, after) = (ids([last - 1, last]), ids([last, last + 1]));
        match result {
            Ok(()) => assert_eq!(left, after, "{case}"),
            Err(PublishError::NotPublished(_)) => assert_eq!(left, before, "{case}"),
            Err(PublishError::Indeterminate(_)) if power => assert_eq!(left, before, "it was not synced: {case}"),
            Err(PublishError::Indeterminate(_)) => assert!(left == before || left == after, "{case}"),
        }
        assert!(operations < 10 || steps.len() == 3, "there are fewer operations: {case}");
    }
}

/// One more than are kept, however many are published; and what an earlier process has left is used again.
#[test]
fn there_are_as_many_slots_as_it_takes() {
    let disk = MemoryDisk::default();
    published_through(&opened(&disk), 9);
    let slots = || disk.paths().into_iter().filter(|path| path.starts_with("/c/manifest-")).count();
    assert_eq!(slots(), 3);
    let store = opened(&disk);
    published(&store, 10, 7).0.expect("nothing fails");
    published(&store, 11, 11).0.expect("nothing fails");
    assert_eq!((slots(), now(store.survey()).expect("nothing fails").completed), (4, vec![CheckpointId(11)]));
    for id in 12..20 {
        published(&store, id, id).0.expect("nothing fails");
    }
    assert_eq!(slots(), 4);
}

/// After an error of a sync everybody sees what a loss of power may take away: before anything is written over on its word,
/// it is made durable.
#[test]
fn what_was_shown_and_not_synced_is_settled_before_anything_else() {
    for operations in 0..60 {
        let disk = MemoryDisk::default();
        let store = opened(&disk);
        published_through(&store, 4);
        disk.fail_after(1, "sync", "/c/manifest-1", io::ErrorKind::Other);
        let result = published(&store, 5, 5).0;
        assert!(matches!(result, Err(PublishError::Indeterminate(_))), "{result:?}");
        disk.set_life(Some(operations));
        let result = published(&store, 6, 6).0;
        let left = found(&disk, true).completed;
        assert!(left.last() >= Some(&CheckpointId(4)), "{operations} {result:?} {left:?}");
        for id in left {
            let manifest = now(read_manifest(&disk, &checkpoint_path(Path::new("/c"), id)));
            assert_eq!(manifest.expect("it is kept").checkpoint, id, "{operations} {result:?}");
        }
        assert!(operations < 50 || result.is_ok(), "there are fewer operations");
    }
}

/// Who has named another checkpoint is past what cannot be read once a newer one exists, and not before.
#[test]
fn what_cannot_be_read_goes_with_the_next_publication() {
    let disk = MemoryDisk::default();
    let store = opened(&disk);
    published_through(&store, 2);
    disk.put("/c/manifest-9", b"rotten");
    let unreadable = || now(store.survey()).expect("nothing fails").unreadable;
    assert!(unreadable().expect("nobody knows what it holds").to_string().contains("/c/manifest-9 is damaged"));
    disk.fail_next("sync", "/c/manifest-2.tmp", io::ErrorKind::Other);
    published(&store, 3, 2).0.expect_err("an operation fails");
    assert!(unreadable().is_some());
    disk.fail_next("remove_file", "/c/manifest-9", io::ErrorKind::Other);
    published(&store, 4, 2).0.expect("the checkpoint exists");
    assert!(unreadable().is_some());
    published(&store, 5, 4).0.expect("nothing fails");
    assert_eq!(unreadable(), None);
    assert!(!disk.paths().iter().any(|path| path == "/c/manifest-9"));
    assert_eq!(found(&disk, true).completed, ids([4, 5]));
}

/// On a disk that is full, what is left of a publication would be in the way of all to come.
#[test]
fn nothing_is_left_of_a_publication_that_failed_or_died() {
    let disk = MemoryDisk::default();
    let store = opened(&disk);
    let before = disk.paths();
    disk.set_space(Some(10));
    assert!(matches!(published(&store, 1, 1).0, Err(PublishError::NotPublished(_))));
    disk.set_space(None);
    assert_eq!(disk.paths(), before);
    // A listing, an attempt to open what is not there, and the creation of what is.
    disk.set_life(Some(4));
    published(&store, 2, 2).0.expect_err("the node dies");
    assert!(disk.paths().iter().any(|path| path == "/c/manifest-0.tmp"));
    assert_eq!(found(&disk, false).completed, []);
    assert_eq!(disk.paths(), before);
}

#[test]
fn an_older_layout_is_refused_by_name() {
    for manifest in ["/c/chk-3", "/c/chk-3/manifest"] {
        let disk = MemoryDisk::default();
        let store = opened(&disk);
        disk.put(manifest, b"");
        let refused = now(store.survey()).expect_err("it is of an older layout").to_string();
        let open = CheckpointStore::open(Arc::new(disk), Path::new("/c"), "Words", 128);
        let Err(error) = now(open) else { panic!("it was opened") };
        assert_eq!(error.to_string(), format!("checkpoint directory /c: {refused}"));
        assert!(refused.starts_with("/c/chk-3 was made by an older build"), "{refused}");
    }
}

/// Who reads beside a job may get a part of what was there and a part of what comes: only what stays wrong is damage.
#[test]
fn what_is_wrong_once_is_read_again() {
    let disk = MemoryDisk::default();
    let store = opened(&disk);
    published_through(&store, 2);
    let path = checkpoint_path(Path::new("/c"), CheckpointId(2));
    let mut reads = 0;
    loop {
        disk.misread_after(reads, "/c/manifest-1");
        assert_eq!(now(store.survey()).expect("nothing fails").unreadable, None, "read {reads}");
        disk.misread_after(reads, "/c/manifest-1");
        let manifest = now(read_manifest(&disk, &path)).unwrap_or_else(|error| panic!("read {reads}: {error}"));
        assert_eq!(manifest.checkpoint, CheckpointId(2));
        if disk.will_misread() {
            break;
        }
        reads += 1;
    }
    assert!(reads > 20, "header and body, half of what is left at a time: {reads}");
}
