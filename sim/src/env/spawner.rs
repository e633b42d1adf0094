//! Concurrency, by madsim's scheduler.

use madsim::task::AbortHandle;
use tidegate::env::{BoxFuture, Spawner, spawner::Abort};

/// Spawns on the node whose task asks for it.
pub(super) struct SimSpawner;

struct SimAbort(AbortHandle);

impl Spawner for SimSpawner {
    fn spawn_raw(&self, _name: &str, future: BoxFuture<'static, ()>) -> Box<dyn Abort> {
        Box::new(SimAbort(madsim::task::spawn(future).abort_handle()))
    }
}

impl Abort for SimAbort {
    fn abort(&self) {
        self.0.abort();
    }
}
