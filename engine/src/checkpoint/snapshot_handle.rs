//! Where one subtask's snapshot rests, as tasks say it and as manifests hold it.

use std::fmt;

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{Error, SeqAccess, Visitor},
};

use super::{InlineSnapshot, SnapshotFile};

/// Where one subtask's snapshot rests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self", rename_all = "kebab-case")]
pub enum SnapshotHandle {
    /// In files, to be read in this order: one that holds all, then those that hold what changed since the one before. At
    /// least one.
    Files(Vec<SnapshotFile>),
    /// Here.
    Inline(InlineSnapshot),
}

impl SnapshotHandle {
    /// Its files; none if it needs none.
    #[must_use]
    pub fn files(&self) -> &[SnapshotFile] {
        match self {
            Self::Files(files) => files,
            Self::Inline(_) => &[],
        }
    }

    /// How many bytes it has in all.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        match self {
            Self::Files(files) => files.iter().map(|file| file.len).sum(),
            Self::Inline(inline) => inline.contents.len() as u64,
        }
    }
}

/// In a message it is the list of its files. There is always one: so an empty list says that the snapshot follows.
impl Serialize for SnapshotHandle {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            _ if serializer.is_human_readable() => Self::serialize(self, serializer),
            Self::Files(files) => files.serialize(serializer),
            Self::Inline(inline) => (self.files(), inline).serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for SnapshotHandle {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            return Self::deserialize(deserializer);
        }
        deserializer.deserialize_tuple(2, FromMessage)
    }
}

struct FromMessage;

impl<'de> Visitor<'de> for FromMessage {
    type Value = SnapshotHandle;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the files of a snapshot, or none and the snapshot")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut parts: A) -> Result<SnapshotHandle, A::Error> {
        let files: Vec<SnapshotFile> = parts.next_element()?.ok_or_else(|| A::Error::invalid_length(0, &self))?;
        if !files.is_empty() {
            return Ok(SnapshotHandle::Files(files));
        }
        let inline = parts.next_element()?.ok_or_else(|| A::Error::invalid_length(1, &self))?;
        Ok(SnapshotHandle::Inline(inline))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::id::CheckpointId;

    fn handle() -> impl Strategy<Value = SnapshotHandle> {
        let bytes = prop::collection::vec(any::<u8>(), 0..200);
        let inline = (bytes, any::<u64>())
            .prop_map(|(bytes, digest)| SnapshotHandle::Inline(InlineSnapshot { contents: bytes.into(), digest }));
        let file = ("[a-z0-9.-]{1,20}", any::<u64>(), any::<u64>(), any::<u64>())
            .prop_map(|(name, id, len, digest)| SnapshotFile { name, written_for: CheckpointId(id), len, digest });
        prop_oneof![inline, prop::collection::vec(file, 1..4).prop_map(SnapshotHandle::Files)]
    }

    proptest! {
        /// As they go to the job manager, and as they stand in the manifest.
        #[test]
        fn handles_come_back_from_both_encodings(handles in prop::collection::vec(handle(), 0..4)) {
            let message = postcard::to_stdvec(&handles).unwrap();
            prop_assert_eq!(&postcard::from_bytes::<Vec<SnapshotHandle>>(&message).unwrap(), &handles);
            let text = serde_json::to_string(&handles).unwrap();
            prop_assert_eq!(&serde_json::from_str::<Vec<SnapshotHandle>>(&text).unwrap(), &handles);
        }

        /// A few bytes more than it has, not one number for each of them.
        #[test]
        fn bytes_are_told_as_bytes(contents in prop::collection::vec(any::<u8>(), 0..200), digest: u64) {
            let len = contents.len();
            let handle = SnapshotHandle::Inline(InlineSnapshot { contents: contents.into(), digest });
            prop_assert!(postcard::to_stdvec(&handle).unwrap().len() <= len + 16);
            prop_assert!(serde_json::to_string(&handle).unwrap().len() <= len * 4 / 3 + 80);
        }
    }

    #[test]
    fn half_of_a_message_is_none() {
        let contents = b"what was frozen".as_slice().into();
        let message = postcard::to_stdvec(&SnapshotHandle::Inline(InlineSnapshot { contents, digest: 7 })).unwrap();
        for len in 0..message.len() {
            assert!(postcard::from_bytes::<SnapshotHandle>(&message[..len]).is_err(), "the first {len} bytes");
        }
    }
}
