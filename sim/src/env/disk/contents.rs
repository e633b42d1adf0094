//! Bytes that change seldom and are looked at often.

use std::ops::Deref;

use bytes::Bytes;

/// A copy to look at is made once after each change, however many look: and whoever gets the very same copy again knows,
/// without reading it, that nothing has changed.
#[derive(Debug, Default)]
pub(super) struct Contents {
    bytes: Vec<u8>,
    copy: Option<Bytes>,
}

impl Contents {
    pub fn new(bytes: Vec<u8>) -> Self {
        Self { bytes, copy: None }
    }

    /// The bytes, to be changed.
    pub fn change(&mut self) -> &mut Vec<u8> {
        self.copy = None;
        &mut self.bytes
    }

    /// As they are now.
    pub fn copy(&mut self) -> Bytes {
        self.copy.get_or_insert_with(|| Bytes::copy_from_slice(&self.bytes)).clone()
    }
}

impl Deref for Contents {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_lasts_until_the_next_change() {
        let mut contents = Contents::new(b"old".to_vec());
        let old = contents.copy();
        assert_eq!(contents.copy().as_ptr(), old.as_ptr());
        contents.change()[0] = b'O';
        assert_eq!((&contents.copy()[..], &contents[..], &old[..]), (&b"Old"[..], &b"Old"[..], &b"old"[..]));
    }
}
