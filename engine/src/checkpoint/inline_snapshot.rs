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
    /// Their [`snapshot_digest`](crate::storage::snapshot_digest), as the task that froze them has seen it: so what happens to
    /// them on the way is noticed.
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
    use super::*;

    #[test]
    fn text_that_is_no_base64_is_refused() {
        let error = serde_json::from_str::<InlineSnapshot>(r#"{"contents": "a?bc", "digest": 1}"#).unwrap_err();
        assert!(error.to_string().contains("Invalid symbol 63"), "{error}");
    }
}
