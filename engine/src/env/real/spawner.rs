//! Concurrency, by tokio.

use futures_util::future::AbortHandle;

use super::file_thread;
use crate::env::{BoxFuture, Spawner, spawner::Abort};

/// Spawns on the current runtime.
pub(super) struct RealSpawner;

struct RealAbort(tokio::task::AbortHandle);

impl Spawner for RealSpawner {
    fn spawn_raw(&self, _name: &str, future: BoxFuture<'static, ()>) -> Box<dyn Abort> {
        Box::new(RealAbort(tokio::spawn(future).abort_handle()))
    }

    fn spawn_file_work_raw(&self, _name: &str, future: BoxFuture<'static, ()>) -> Box<dyn Abort> {
        Box::new(file_thread::spawn(future))
    }
}

impl Abort for AbortHandle {
    fn abort(&self) {
        Self::abort(self);
    }
}

impl Abort for RealAbort {
    fn abort(&self) {
        self.0.abort();
    }
}
