//! Keyed state as text for people, where its types are known without the program that wrote it.

use std::any::type_name;

use serde::de::DeserializeOwned;

use super::{ExtentKind, KeyGroupEntries, KeyedStateSnapshot, snapshot::PieceReader};
use crate::{
    error::{Context, Result},
    stream::SmallString,
};

/// Takes one value off the front of the bytes.
type Decoder = fn(&mut &[u8]) -> Result<String, postcard::Error>;

impl KeyedStateSnapshot {
    /// How many entries it has; at most, if changes are among what is stored and the types are not known here.
    #[must_use]
    pub fn count_entries(&self) -> u64 {
        let is_simple = self.groups.iter().flat_map(|g| &g.pieces).all(|piece| piece.kind == ExtentKind::Entries);
        match self.entries_as_text(usize::MAX).filter(|_| !is_simple) {
            Some(Ok(entries)) => entries.len() as u64,
            _ => self.groups.iter().map(KeyGroupEntries::stored_entries).sum(),
        }
    }

    /// The first entries, key and value, in order of key groups, and of the keys' bytes within one; `None` if the types of key
    /// and value are not both strings, numbers, characters or truth values.
    ///
    /// # Errors
    /// `Damaged` if the bytes are not entries of these types.
    #[must_use]
    pub fn entries_as_text(&self, limit: usize) -> Option<Result<Vec<(String, String)>>> {
        let (key, value) = self.type_name.split_once(" -> ")?;
        let (key, value) = (decoder(key)?, decoder(value)?);
        let mut entries = Vec::new();
        for group in &self.groups {
            if entries.len() >= limit {
                break;
            }
            match group_as_text(group, key, value).at(|| format!("state {}", self.name)) {
                Ok(group) => entries.extend(group),
                Err(e) => return Some(Err(e)),
            }
        }
        entries.truncate(limit);
        Some(Ok(entries))
    }
}

/// The entries of a group that are left when all its pieces are taken together.
fn group_as_text(group: &KeyGroupEntries, key: Decoder, value: Decoder) -> Result<Vec<(String, String)>> {
    let with = |decoder: Decoder| {
        move |reader: &mut PieceReader<'_>| {
            decoder(&mut reader.rest).map_err(|e| reader.damaged(&format!("an entry cannot be read: {e}")))
        }
    };
    Ok(group.by_key(with(key), with(value))?.into_values().collect())
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
        error::ErrorKind,
        state::tests::{full, table},
        stream::{Data, Key},
    };

    fn snapshot<K: Key, V: Data>(entries: impl IntoIterator<Item = (K, V)>) -> KeyedStateSnapshot {
        full(&mut table(entries))
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
        let bytes = &mut state.groups[0].pieces[0].bytes;
        *bytes = bytes.slice(..bytes.len() - 1);
        assert_eq!(state.entries_as_text(1).unwrap().unwrap_err().kind, ErrorKind::Damaged);
    }
}
