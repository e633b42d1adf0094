//! What a table holds, told in a way that does not hang on how it is stored: for checkers, who compare it with what is restored.

use super::{ValueTable, codec};
use crate::{
    error::Result,
    probe::KeyGroupContent,
    stream::{Data, Key, hash_bytes},
};

impl<K: Key, V: Data> ValueTable<K, V> {
    /// What the table holds, whatever the order: for each key group with entries the sum of their checksums.
    ///
    /// # Errors
    /// `UserCode` if a key or a value refuses to be encoded.
    pub fn content(&self) -> Result<Vec<KeyGroupContent>> {
        let mut groups: Vec<KeyGroupContent> = Vec::new();
        let mut bytes = Vec::new();
        let mut previous = None;
        for index in self.directory.slots() {
            let segment = &self.segments[*index as usize];
            if previous.replace(*index) == Some(*index) || segment.entries.is_empty() {
                continue;
            }
            if groups.last().is_none_or(|g| g.group != segment.group) {
                groups.push(KeyGroupContent { group: segment.group, sum: 0 });
            }
            let into = groups.last_mut().expect("just pushed");
            for entry in &segment.entries {
                bytes.clear();
                codec::encode(&entry.key, &mut bytes)
                    .and_then(|()| codec::encode(&entry.value, &mut bytes))
                    .map_err(|e| codec::refused(&e))?;
                into.sum = into.sum.wrapping_add(hash_bytes(&bytes).0);
            }
        }
        Ok(groups)
    }
}
