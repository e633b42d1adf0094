//! Keyed state as text for people, where its types are known without the program that wrote it.

use std::any::type_name;

use serde::de::DeserializeOwned;

use super::KeyedStateSnapshot;
use crate::{
    error::{Error, Result},
    stream::SmallString,
};

/// Takes one value off the front of the bytes.
type Decoder = fn(&mut &[u8]) -> Result<String, postcard::Error>;

impl KeyedStateSnapshot {
    /// The first entries, key and value, in the order in which they are stored; `None` if the types of key and value are not
    /// both strings, numbers, characters or truth values.
    ///
    /// # Errors
    /// `Damaged` if the bytes are not entries of these types.
    #[must_use]
    pub fn entries_as_text(&self, limit: usize) -> Option<Result<Vec<(String, String)>>> {
        let (key, value) = self.type_name.split_once(" -> ")?;
        Some(self.first_entries(limit, decoder(key)?, decoder(value)?))
    }

    fn first_entries(&self, limit: usize, key: Decoder, value: Decoder) -> Result<Vec<(String, String)>> {
        let mut entries = Vec::new();
        for group in &self.groups {
            let mut rest = &group.bytes[..];
            for _ in 0..group.entries {
                if entries.len() == limit {
                    return Ok(entries);
                }
                let mut entry = || Ok((key(&mut rest)?, value(&mut rest)?));
                entries.push(entry().map_err(|e: postcard::Error| {
                    let message =
                        format!("state {}, key group {}: an entry cannot be read: {e}", self.name, group.group.0);
                    Error::damaged(message)
                })?);
            }
        }
        Ok(entries)
    }
}

fn decoder(name: &str) -> Option<Decoder> {
    macro_rules! known {
        ($($t:ty),*) => {
            [$((type_name::<$t>(), take::<$t> as Decoder)),*]
        };
    }
    let known = known!(
        String,
        SmallString,
        char,
        bool,
        u8,
        u16,
        u32,
        u64,
        u128,
        usize,
        i8,
        i16,
        i32,
        i64,
        i128,
        isize,
        f32,
        f64
    );
    known.into_iter().find(|(known, _)| *known == name).map(|(_, decoder)| decoder)
}

fn take<T: DeserializeOwned + ToString>(bytes: &mut &[u8]) -> Result<String, postcard::Error> {
    let (value, rest) = postcard::take_from_bytes::<T>(bytes)?;
    *bytes = rest;
    Ok(value.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        key_group::DEFAULT_MAX_PARALLELISM,
        state::{ValueStateDescriptor, ValueTable},
        stream::{Data, Key},
    };

    fn snapshot<K: Key, V: Data>(entries: impl IntoIterator<Item = (K, V)>) -> KeyedStateSnapshot {
        let mut table = ValueTable::new();
        entries.into_iter().for_each(|(key, value)| table.insert_new(key.key_hash(), key, value));
        table.snapshot(&ValueStateDescriptor::new("s"), DEFAULT_MAX_PARALLELISM).unwrap()
    }

    #[test]
    fn entries_of_known_types_are_text() {
        let words = snapshot((0..300_u64).map(|n| (format!("word{n}"), n)));
        let entries = words.entries_as_text(usize::MAX).unwrap().unwrap();
        assert_eq!(entries.len(), 300);
        assert!(entries.iter().all(|(word, n)| *word == format!("word{n}")), "{entries:?}");
        assert_eq!(words.entries_as_text(7).unwrap().unwrap(), entries[..7]);
        let signed = snapshot([(-5_i32, true)]);
        assert_eq!(signed.entries_as_text(9).unwrap().unwrap(), [("-5".to_owned(), "true".to_owned())]);
        assert!(snapshot([(1_u8, vec![1_u8])]).entries_as_text(9).is_none());
    }

    #[test]
    fn damage_is_told() {
        let mut state = snapshot([("a".to_owned(), 1_u64)]);
        state.groups[0].bytes.pop();
        assert_eq!(state.entries_as_text(1).unwrap().unwrap_err().kind, crate::error::ErrorKind::Damaged);
    }
}
