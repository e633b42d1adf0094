//! Threads for tasks that do little but work on files.
//!
//! An operation on a file blocks its thread, so it must not run on one that others wait for: as a rule a thread of the blocking
//! pool does it, and wakes the task when it is done. A task of some operations in a row is woken as often, and each time
//! another thread loses its core. So such a task runs on the pool as a whole, and its operations run where it does.

use std::cell::RefCell;

use futures_util::future::{AbortHandle, abortable};
use tokio::{runtime::Handle, task::spawn_blocking};

use crate::env::BoxFuture;

thread_local! {
    /// The task that this thread belongs to, if it belongs to one.
    static OWNER: RefCell<Option<AbortHandle>> = const { RefCell::new(None) };
}

/// A thread that belongs to a task, until this is dropped.
struct Owned;

impl Owned {
    fn by(task: AbortHandle) -> Self {
        OWNER.set(Some(task));
        Self
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        OWNER.set(None);
    }
}

/// Runs a task on a thread of the pool that is its own until it ends.
pub(super) fn spawn(task: BoxFuture<'static, ()>) -> AbortHandle {
    let (task, abort) = abortable(task);
    let (runtime, owner) = (Handle::current(), abort.clone());
    // It ends by itself, or is aborted. A panic is its own affair.
    drop(spawn_blocking(move || {
        let _owned = Owned::by(owner);
        let _ = runtime.block_on(task);
    }));
    abort
}

/// Whether whoever asks may block this thread, because it belongs to him. To one who was aborted it gives no answer.
pub(super) async fn may_be_blocked() -> bool {
    let is_aborted = OWNER.with_borrow(|owner| owner.as_ref().map(AbortHandle::is_aborted));
    if is_aborted == Some(true) {
        // Its future is dropped when this waits.
        std::future::pending::<()>().await;
    }
    is_aborted.is_some()
}

#[cfg(test)]
mod tests {
    use std::{fs, path::PathBuf, sync::Arc};

    use tokio::sync::oneshot;

    use super::super::{block_on, env};
    use super::*;
    use crate::env::{Disk, TaskExit};

    #[test]
    fn only_the_thread_of_a_task_may_be_blocked_and_only_by_it() {
        block_on(async {
            let spawner = env().spawner;
            let (tell, told) = oneshot::channel();
            let asks = async move {
                let inside = may_be_blocked().await;
                let _ = tell.send((inside, tokio::spawn(may_be_blocked()).await.unwrap()));
                panic!("on purpose, to leave the thread");
            };
            let exit = spawner.start_file_work("asks", asks).join().await;
            assert_eq!(exit, TaskExit::Panicked("on purpose, to leave the thread".to_owned()));
            assert_eq!(told.await, Ok((true, false)));
            assert!(!may_be_blocked().await);
            // The same thread, as a rule.
            assert!(spawn_blocking(|| OWNER.with_borrow(Option::is_none)).await.unwrap());
        });
    }

    /// The first is under way and comes to its end; the second is never begun.
    #[test]
    fn abort_falls_between_two_operations() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let paths = ["first", "second"].map(|name| directory.path().join(name));
        let [first, second] = paths.clone();
        block_on(async move {
            let env = env();
            let disk: Arc<dyn Disk> = env.disk.clone();
            let (abort, aborted) = oneshot::channel::<AbortHandle>();
            let task = spawn(Box::pin(async move {
                let me = aborted.await.expect("it is sent");
                let create = async |path: &PathBuf| disk.create_dir(path).await.expect("the disk has room");
                create(&first).await;
                me.abort();
                create(&second).await;
            }));
            abort.send(task).expect("it waits");
        });
        let made = paths.map(|path| fs::metadata(path).is_ok());
        assert_eq!(made, [true, false]);
    }
}
