//! Concurrency, by madsim's scheduler.

use std::panic::AssertUnwindSafe;

use futures_util::FutureExt;
use madsim::task::AbortHandle;
use tidegate::env::{BoxFuture, Spawner, spawner::Abort};

/// Spawns on the node whose task asks for it.
pub(super) struct SimSpawner;

struct SimAbort(AbortHandle);

impl Spawner for SimSpawner {
    fn spawn_raw(&self, _name: &str, future: BoxFuture<'static, ()>) -> Box<dyn Abort> {
        // Madsim lets a panic unwind the whole simulation.
        let guarded = AssertUnwindSafe(future).catch_unwind().map(drop);
        Box::new(SimAbort(madsim::task::spawn(guarded).abort_handle()))
    }
}

impl Abort for SimAbort {
    fn abort(&self) {
        self.0.abort();
    }
}
