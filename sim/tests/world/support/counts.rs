//! What small jobs that count words have in common.

use tidegate::connector::ElementsSplit;

/// The name of a split of elements, and its position.
pub fn elements_split(item: &[u8]) -> Result<(String, u64), String> {
    let split = ElementsSplit::decode(item).map_err(|e| e.to_string())?;
    Ok((format!("{}..{}", split.start, split.end), split.position))
}
