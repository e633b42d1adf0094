//! A snapshot that is too small for a file of its own: its bytes are part of the acknowledgement, and of the manifest.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// What would be the contents of a snapshot file. It is always a full snapshot, for the very checkpoint in whose manifest it
/// stands: nothing builds on it, and it goes with its manifest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InlineSnapshot {
    /// The bytes; in JSON, base64.
    #[serde(with = "encoding")]
    pub contents: Bytes,
    /// XXH3 (64 bits) of the bytes, as the task that froze them has seen it: so what happens to them on the way is noticed.
    pub digest: u64,
}

mod encoding {
    use super::*;

    pub(super) fn serialize<S: Serializer>(contents: &Bytes, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.serialize_str(&STANDARD.encode(contents))
        } else {
            serde_bytes::serialize(&**contents, serializer)
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Bytes, D::Error> {
        if deserializer.is_human_readable() {
            let text = String::deserialize(deserializer)?;
            STANDARD.decode(text).map(Bytes::from).map_err(D::Error::custom)
        } else {
            serde_bytes::deserialize::<Vec<u8>, _>(deserializer).map(Bytes::from)
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        checkpoint::{SnapshotFile, SnapshotHandle},
        id::CheckpointId,
    };

    fn handle() -> impl Strategy<Value = SnapshotHandle> {
        let bytes = prop::collection::vec(any::<u8>(), 0..200);
        let inline = (bytes, any::<u64>())
            .prop_map(|(bytes, digest)| SnapshotHandle::Inline(InlineSnapshot { contents: bytes.into(), digest }));
        let file = ("[a-z0-9.-]{1,20}", any::<u64>(), any::<u64>(), any::<u64>()).prop_map(|(name, id, len, digest)| {
            SnapshotFile { name, written_for: CheckpointId(id), len, digest }
        });
        prop_oneof![inline, prop::collection::vec(file, 1..4).prop_map(SnapshotHandle::Files)]
    }

    proptest! {
        /// As it goes to the job manager, and as it stands in the manifest.
        #[test]
        fn a_handle_comes_back_from_both_encodings(handle in handle()) {
            let message = postcard::to_stdvec(&handle).unwrap();
            prop_assert_eq!(&postcard::from_bytes::<SnapshotHandle>(&message).unwrap(), &handle);
            let text = serde_json::to_string(&handle).unwrap();
            prop_assert_eq!(&serde_json::from_str::<SnapshotHandle>(&text).unwrap(), &handle);
            // A few bytes more than it has, not one number for each of them.
            if let SnapshotHandle::Inline(inline) = &handle {
                prop_assert!(message.len() <= inline.contents.len() + 16);
                prop_assert!(text.len() <= inline.contents.len() * 4 / 3 + 80);
            }
        }
    }

    #[test]
    fn text_that_is_no_base64_is_refused() {
        let error = serde_json::from_str::<InlineSnapshot>(r#"{"contents": "a?bc", "digest": 1}"#).unwrap_err();
        assert!(error.to_string().contains("Invalid symbol 63"), "{error}");
    }
}
