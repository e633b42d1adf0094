//! A record on its way to the subtask that owns its key.

use std::sync::Arc;

use crate::{
    error::Result,
    key_group::KeyHash,
    stream::{AnyBatch, BatchCodec, Data, Key, PostcardCodec},
};

/// A record with its key and the key's hash, both computed once, where the record is routed. Within a process they travel
/// along; across the network only the record travels and the receiver computes them again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Keyed<K, T> {
    pub hash: KeyHash,
    pub key: K,
    pub record: T,
}

impl<K: Key, T> Keyed<K, T> {
    /// Computes the key's hash.
    #[inline]
    pub fn new(key: K, record: T) -> Self {
        Self { hash: key.key_hash(), key, record }
    }
}

/// How a user names the key of a record.
pub(crate) type KeySelector<T, K> = Arc<dyn Fn(&T) -> K + Send + Sync>;

/// The codec of a keyed edge: the records alone.
pub(crate) struct KeyedCodec<T, K> {
    pub key_of: KeySelector<T, K>,
}

impl<T: Data, K: Key> BatchCodec for KeyedCodec<T, K> {
    fn encode(&self, batch: &AnyBatch, out: &mut Vec<u8>) -> Result<()> {
        let records: Vec<T> = batch.as_slice::<Keyed<K, T>>().iter().map(|k| k.record.clone()).collect();
        PostcardCodec::<T>::new().encode(&AnyBatch::new(records), out)
    }

    fn decode(&self, bytes: &[u8]) -> Result<AnyBatch> {
        let records = PostcardCodec::<T>::new().decode(bytes)?.downcast::<T>();
        let keyed = records.into_iter().map(|record| Keyed::new((self.key_of)(&record), record));
        Ok(AnyBatch::new(keyed.collect::<Vec<_>>()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn keys_and_hashes_are_found_again_after_the_wire(records: Vec<(String, u32)>) {
            let codec = KeyedCodec { key_of: Arc::new(|r: &(String, u32)| r.0.clone()) };
            let keyed: Vec<_> = records.into_iter().map(|r| Keyed::new(r.0.clone(), r)).collect();
            let mut bytes = Vec::new();
            codec.encode(&AnyBatch::new(keyed.clone()), &mut bytes).unwrap();
            prop_assert_eq!(codec.decode(&bytes).unwrap().downcast::<Keyed<String, (String, u32)>>(), keyed);
        }
    }
}
