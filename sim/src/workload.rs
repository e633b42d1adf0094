//! A job with its input, and what must come of it. The expectation is computed by a reference of the workload's own, which
//! shares no code with the engine's operators.

use std::{
    collections::BTreeMap,
    ops::RangeInclusive,
    path::{Path, PathBuf},
};

use tidegate::{
    error::Result,
    graph::JobGraph,
    key_group::KeyHash,
    state::{KeyGroupEntries, OperatorSnapshot},
    stream::{Data, Key, hash_bytes},
};

/// How often each line stands in the output.
pub type Lines = BTreeMap<Vec<u8>, u64>;

/// A job to be run in the simulated world.
pub trait Workload: Send + Sync {
    /// The files that are there before the job starts.
    fn input_files(&self) -> &BTreeMap<PathBuf, Vec<u8>>;

    /// The job. Called once for a run; all nodes share it.
    ///
    /// # Errors
    /// Those of a graph that makes no sense.
    fn graph(&self) -> Result<JobGraph>;

    /// The same job with another parallelism, for plans that deploy it anew. `None` if there is no such.
    fn rescaled(&self) -> Option<Result<JobGraph>> {
        None
    }

    /// Where the exactly-once sink leaves its part files.
    fn output_directory(&self) -> &Path;

    /// The whole output: each line, and how often it stands there.
    fn expected_output(&self) -> Lines;

    /// Whether the state of a checkpoint is the fold of exactly the input before its source positions (I1). Gets the
    /// snapshots of each stateful operator, by uid, in order of the subtask's index.
    ///
    /// # Errors
    /// What does not fit.
    fn check_state(&self, operators: &BTreeMap<String, Vec<OperatorSnapshot>>) -> Result<(), String>;

    /// The entries of a key group of a keyed state, as [`entries_of`] gives them: only the workload knows the types.
    ///
    /// # Errors
    /// What cannot be decoded, or a state that the job does not have.
    fn entries(&self, uid: &str, state: &str, group: &KeyGroupEntries) -> Result<Vec<StateEntry>, String>;

    /// Every split of the input by a name of its own, with the first and the last position that a checkpoint may have in it
    /// (I14). Found without the engine's code that cuts the input.
    fn splits(&self) -> BTreeMap<String, RangeInclusive<u64>>;

    /// The name of the split that an item of a source's state is about, and the position that it holds.
    ///
    /// # Errors
    /// What cannot be decoded.
    fn split(&self, item: &[u8]) -> Result<(String, u64), String>;
}

/// An entry of keyed state, without its type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StateEntry {
    /// The hash of the key, as `Key::key_hash` gives it.
    pub key_hash: KeyHash,
    /// The checksum of key and value in postcard's wire format.
    pub checksum: u64,
}

/// The entries of a key group that are left when all that was stored is taken together.
///
/// # Errors
/// What cannot be decoded.
pub fn entries_of<K: Key, V: Data>(group: &KeyGroupEntries) -> Result<Vec<StateEntry>, String> {
    let mut bytes = Vec::new();
    let entry = |(key, value): (K, V)| {
        bytes.clear();
        bytes = postcard::to_extend(&(&key, &value), std::mem::take(&mut bytes)).map_err(|e| e.to_string())?;
        Ok(StateEntry { key_hash: key.key_hash(), checksum: hash_bytes(&bytes).0 })
    };
    group.decode().map_err(|e| e.to_string())?.into_iter().map(entry).collect()
}
