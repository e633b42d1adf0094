//! I20: an attempt begins with the newest checkpoint whose manifest stands on the disk, readable or not, and with nothing only
//! if none does. If that cannot be read, it does not begin: it must never begin with something older, or empty.
//!
//! Holds where the newest checkpoint is asked for, as all scenarios do.

use tidegate::{
    id::CheckpointId,
    probe::{Fact, Step},
};

use super::{Checker, DiskView, ground::Ground};

/// Looks for manifests itself.
pub(super) struct NoSilentFallback {
    ground: Ground,
}

impl NoSilentFallback {
    pub(super) fn new(ground: &Ground) -> Self {
        Self { ground: ground.clone() }
    }
}

fn show(checkpoint: Option<CheckpointId>) -> String {
    checkpoint.map_or_else(|| "nothing".to_owned(), |id| format!("checkpoint {id}"))
}

impl Checker for NoSilentFallback {
    fn id(&self) -> &'static str {
        "I20"
    }

    fn observe(&mut self, fact: &Fact, disk: &dyn DiskView) -> Result<(), String> {
        let Step::AttemptStarted { attempt, restored } = &fact.step else { return Ok(()) };
        let newest = self.ground.newest(disk);
        if *restored == newest {
            return Ok(());
        }
        Err(format!("attempt {attempt} begins with {}, but {} stands on the disk", show(*restored), show(newest)))
    }

    fn holds_beyond(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use tidegate::storage::encode_manifest;

    use super::*;
    use crate::checker::testing::{Event, Story, all_break, all_hold, ground, manifest_of, remove, started, write};

    fn checker() -> NoSilentFallback {
        NoSilentFallback::new(&ground())
    }

    fn manifest(id: u64) -> Event {
        write(&format!("/chk/manifest-{id}"), encode_manifest(&manifest_of(id, Vec::new())))
    }

    /// Checkpoints 2 and 10 have completed, 11 not.
    fn story() -> Story {
        let half = write("/chk/manifest-11.tmp", encode_manifest(&manifest_of(11, Vec::new())));
        Story::new([started(1, 0), manifest(2), manifest(10), half, started(2, 10)])
    }

    #[test]
    fn the_newest_is_right() {
        let retired = story().then(remove("/chk/chk-2")).then(started(3, 10));
        all_hold(checker, [story(), retired]);
    }

    #[test]
    fn anything_else_is_seen() {
        all_break(
            checker,
            [
                // FLINK-22502: what cannot be read is left out.
                (
                    story().instead(started(2, 10), started(2, 2)),
                    "attempt 1.2 begins with checkpoint 2, but checkpoint 10 stands on the disk",
                ),
                (
                    story().instead(started(2, 10), started(2, 0)),
                    "attempt 1.2 begins with nothing, but checkpoint 10 stands on the disk",
                ),
                (
                    story().instead(started(2, 10), started(2, 11)),
                    "attempt 1.2 begins with checkpoint 11, but checkpoint 10 stands on the disk",
                ),
                (
                    story().instead(started(1, 0), started(1, 1)),
                    "attempt 1.1 begins with checkpoint 1, but nothing stands on the disk",
                ),
            ],
        );
    }
}
