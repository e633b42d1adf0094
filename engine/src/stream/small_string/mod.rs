//! A string that needs no memory of its own while it is short.

mod packed;

use std::{borrow::Borrow, cmp::Ordering, fmt, hash, ops::Deref};

use packed::Packed;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Visitor};

use super::{Key, hash_bytes};
use crate::key_group::KeyHash;

/// A string of 16 bytes, in which up to 15 bytes of text fit. Longer text is shared by its clones, so that a clone never
/// allocates; to append to it makes a new one.
///
/// As a key or a record it is what a `String` is: the same hash, order and bytes on the wire. Words, names and codes are
/// mostly short, and a job that makes a `String` of each spends its time in the allocator.
///
/// ```
/// use tidegate::stream::SmallString;
///
/// let mut word = SmallString::from("tide");
/// word.push_str("gate");
/// assert_eq!((&*word, word.len()), ("tidegate", 8));
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct SmallString(Packed);

impl SmallString {
    /// The longest text, in bytes, that takes no memory of its own.
    pub const INLINE_LEN: usize = packed::INLINE_LEN;

    /// An empty string.
    #[must_use]
    pub const fn new() -> Self {
        Self(Packed::EMPTY)
    }

    /// The text.
    #[inline]
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// Appends text.
    #[inline]
    pub fn push_str(&mut self, text: &str) {
        self.0.push_str(text);
    }

    /// Appends a character.
    #[inline]
    pub fn push(&mut self, c: char) {
        self.push_str(c.encode_utf8(&mut [0; 4]));
    }
}

impl SmallString {
    /// The text, the first byte in the lowest bits, and its length in bytes, if it takes no memory of its own.
    #[inline]
    pub(crate) fn inline(&self) -> Option<(u128, usize)> {
        self.0.inline_text()
    }
}

impl Key for SmallString {
    #[inline]
    fn key_hash(&self) -> KeyHash {
        hash_bytes(self.as_bytes())
    }
}

impl Default for SmallString {
    fn default() -> Self {
        Self::new()
    }
}

impl Ord for SmallString {
    fn cmp(&self, other: &Self) -> Ordering {
        self.as_str().cmp(other.as_str())
    }
}

impl PartialOrd for SmallString {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl hash::Hash for SmallString {
    fn hash<H: hash::Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

impl Deref for SmallString {
    type Target = str;

    #[inline]
    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl AsRef<str> for SmallString {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl Borrow<str> for SmallString {
    fn borrow(&self) -> &str {
        self.as_str()
    }
}

impl From<&str> for SmallString {
    #[inline]
    fn from(text: &str) -> Self {
        Self(Packed::new(text))
    }
}

impl From<String> for SmallString {
    fn from(text: String) -> Self {
        Self::from(&*text)
    }
}

impl From<SmallString> for String {
    fn from(text: SmallString) -> Self {
        text.as_str().to_owned()
    }
}

impl PartialEq<str> for SmallString {
    fn eq(&self, other: &str) -> bool {
        self.as_str() == other
    }
}

impl PartialEq<&str> for SmallString {
    fn eq(&self, other: &&str) -> bool {
        self.as_str() == *other
    }
}

impl fmt::Display for SmallString {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self.as_str(), f)
    }
}

impl fmt::Debug for SmallString {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl fmt::Write for SmallString {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.push_str(text);
        Ok(())
    }
}

impl Serialize for SmallString {
    #[inline]
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self)
    }
}

impl<'de> Deserialize<'de> for SmallString {
    #[inline]
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;

        impl Visitor<'_> for Text {
            type Value = SmallString;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            #[inline]
            fn visit_str<E>(self, text: &str) -> Result<SmallString, E> {
                Ok(SmallString::from(text))
            }
        }

        deserializer.deserialize_str(Text)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn it_takes_no_more_room_than_two_words() {
        assert_eq!((size_of::<SmallString>(), SmallString::INLINE_LEN), (16, 15));
    }

    #[test]
    fn clones_of_long_text_share_it_until_one_changes() {
        let long = SmallString::from("a text of more than fifteen bytes");
        let mut clone = long.clone();
        assert_eq!((long.as_ptr(), &long), (clone.as_ptr(), &clone));
        clone.push('!');
        assert_eq!((&*long, &*clone), ("a text of more than fifteen bytes", "a text of more than fifteen bytes!"));
        drop(long);
        assert_eq!(clone.len(), 34);
    }

    proptest! {
        /// Also at 15 and 16 bytes, where its form changes.
        #[test]
        fn it_is_what_a_string_is(a in "\\PC{0,20}", b in "[a-z]{12,18}") {
            let (small, other) = (SmallString::from(&*a), SmallString::from(&*b));
            prop_assert_eq!(small.as_str(), &*a);
            prop_assert_eq!(small.key_hash(), a.key_hash());
            prop_assert_eq!(small.cmp(&other), a.cmp(&b));
            prop_assert_eq!(small == other, a == b);
            let bytes = postcard::to_stdvec(&small).unwrap();
            prop_assert_eq!(&bytes, &postcard::to_stdvec(&a).unwrap());
            prop_assert_eq!(postcard::from_bytes::<SmallString>(&bytes).unwrap(), small.clone());
            let mut both = small;
            both.push_str(&other);
            prop_assert_eq!(String::from(both), a + &b);
        }
    }
}
