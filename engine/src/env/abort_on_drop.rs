//! A task that ends with its owner.

use super::TaskHandle;

/// Aborts the task when dropped.
pub(crate) struct AbortOnDrop(pub TaskHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}
