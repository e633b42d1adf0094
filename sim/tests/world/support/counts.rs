//! What small jobs that count words have in common.

use tidegate::connector::ElementsSplit;

/// The line of a sink for a word and how often it has come.
pub fn put_line((word, n): &(String, u64), line: &mut Vec<u8>) {
    line.extend(format!("{word}\t{n}").bytes());
}

/// The name of a split of elements, and its position.
pub fn elements_split(item: &[u8]) -> Result<(String, u64), String> {
    let split = ElementsSplit::decode(item).map_err(|e| e.to_string())?;
    Ok((format!("{}..{}", split.start, split.end), split.position))
}
