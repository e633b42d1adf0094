//! Real tasks: tokio's.

use tokio::{runtime::Handle, task::AbortHandle};

use crate::env::{BoxFuture, Spawner, spawner::Abort};

/// Starts tasks on the runtime that the environment was made in, from whichever thread.
pub(super) struct TokioSpawner {
    runtime: Handle,
}

impl TokioSpawner {
    pub(super) fn new(runtime: Handle) -> Self {
        Self { runtime }
    }
}

impl Spawner for TokioSpawner {
    /// The name is not used: tokio shows names only in unstable builds.
    fn spawn_raw(&self, _name: &str, future: BoxFuture<'static, ()>) -> Box<dyn Abort> {
        Box::new(TokioAbort(self.runtime.spawn(future).abort_handle()))
    }
}

struct TokioAbort(AbortHandle);

impl Abort for TokioAbort {
    fn abort(&self) {
        self.0.abort();
    }
}
