//! Memory that is used again.

use std::sync::{Arc, Mutex, PoisonError};

/// Emptied buffers on their way back to where they are filled. Bounded: what does not fit is freed. Cheap to clone; all
/// clones are one.
pub(crate) struct Recycler<T> {
    buffers: Arc<Mutex<Vec<T>>>,
    limit: usize,
}

impl<T> Clone for Recycler<T> {
    fn clone(&self) -> Self {
        Self { buffers: self.buffers.clone(), limit: self.limit }
    }
}

impl<T> Recycler<T> {
    /// An empty recycler that keeps up to `limit` buffers.
    pub(crate) fn new(limit: usize) -> Self {
        Self { buffers: Arc::default(), limit }
    }

    /// A buffer, if one is there.
    pub(crate) fn take(&self) -> Option<T> {
        self.buffers.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }

    /// Gives a buffer back.
    pub(crate) fn put(&self, buffer: T) {
        let mut buffers = self.buffers.lock().unwrap_or_else(PoisonError::into_inner);
        if buffers.len() < self.limit {
            buffers.push(buffer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_is_kept_than_allowed() {
        let recycler = Recycler::new(2);
        let other = recycler.clone();
        (0..5).for_each(|n| other.put(n));
        assert_eq!([(); 3].map(|()| recycler.take()), [Some(1), Some(0), None]);
    }
}
