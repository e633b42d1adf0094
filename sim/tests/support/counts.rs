//! What small jobs that count words have in common.

use tidegate::{connector::ElementsSplit, key_group::KeyHash, state::KeyGroupEntries, stream::Key};

/// The hashes of the words in a key group.
pub fn word_hashes(group: &KeyGroupEntries) -> Result<Vec<KeyHash>, String> {
    let entries = group.decode::<String, u64>().map_err(|e| e.to_string())?;
    Ok(entries.iter().map(|(word, _)| word.key_hash()).collect())
}

/// The name of a split of elements, and its position.
#[allow(dead_code, reason = "not every job reads elements")]
pub fn elements_split(item: &[u8]) -> Result<(String, u64), String> {
    let split = ElementsSplit::decode(item).map_err(|e| e.to_string())?;
    Ok((format!("{}..{}", split.start, split.end), split.position))
}
