//! I6: nothing becomes visible before the checkpoint that allows it is durable.

use std::collections::BTreeSet;

use tidegate::{
    connector::PartFile,
    id::CheckpointId,
    probe::{Fact, Step},
};

use super::{Checker, DiskView};

/// Compares the order of events. A part names the checkpoint that it was prepared for; that one, or a later one, must have
/// completed.
#[derive(Default)]
pub(super) struct CommitAfterManifest {
    completed: BTreeSet<CheckpointId>,
    /// A manifest that has its name may turn out to be durable after a crash, without anybody having said so.
    in_doubt: BTreeSet<CheckpointId>,
}

impl Checker for CommitAfterManifest {
    fn id(&self) -> &'static str {
        "I6"
    }

    fn observe(&mut self, fact: &Fact, _: &dyn DiskView) -> Result<(), String> {
        match (&fact.step, fact.checkpoint) {
            (Step::CheckpointCompleted, Some(id)) => {
                self.completed.insert(id);
            }
            (Step::ManifestSynced | Step::ManifestRenamed, Some(id)) => {
                self.in_doubt.insert(id);
            }
            // A restart found it whole: it was durable.
            (Step::RestorePointChosen { restored: Some(id) }, _) => {
                if !self.completed.contains(id) && !self.in_doubt.contains(id) {
                    return Err(format!("checkpoint {id} is restored, but its manifest was never written"));
                }
                self.completed.insert(*id);
            }
            (Step::PartRenamed { path }, _) => {
                let name = path.file_name().and_then(|n| n.to_str()).and_then(PartFile::parse);
                let Some(PartFile::Visible(_, id)) = name else {
                    return Err(format!("{} is made visible under a name that is no part's", path.display()));
                };
                if self.completed.last() < Some(&id) {
                    return Err(format!("{} is made visible before checkpoint {id} is durable", path.display()));
                }
            }
            _ => {}
        }
        Ok(())
    }
}
