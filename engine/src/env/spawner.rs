//! Concurrency.

use futures_util::future::FutureExt;
use tokio::sync::oneshot;

use super::{AbortOnDrop, BoxFuture};

/// Starts tasks on one node.
///
/// Promises:
/// 1. A spawned future is polled until it ends, is aborted, or its node dies.
/// 2. After `abort`, the future is dropped at its next await point at the latest; it is never polled again after that.
/// 3. A panic stays inside its task.
/// 4. `spawn` itself never polls the future.
pub trait Spawner: Send + Sync {
    /// Starts a task. `name` is for people ("count/1@2.1").
    /// Use [`dyn Spawner::start`](trait.Spawner.html#method.start) to learn how it ended.
    fn spawn_raw(&self, name: &str, future: BoxFuture<'static, ()>) -> Box<dyn Abort>;

    /// Likewise a task that does little but one operation on files after the other. It may have a thread to itself, where each of
    /// the operations would take one. It must not wait for anything that may never come, and must not call a user's code: a process
    /// may wait for its end. Nothing else about it differs.
    fn spawn_file_work_raw(&self, name: &str, future: BoxFuture<'static, ()>) -> Box<dyn Abort> {
        self.spawn_raw(name, future)
    }
}

/// Ends a task from outside.
pub trait Abort: Send + Sync {
    /// See promise 2 of [`Spawner`]. Does nothing if the task has ended.
    fn abort(&self);
}

/// How a task ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TaskExit {
    /// It ran to its end.
    Completed,
    /// It panicked with this message.
    Panicked(String),
    /// It was aborted, or its node died.
    Aborted,
}

/// A running task. Dropping the handle lets the task run on.
pub struct TaskHandle {
    abort: Box<dyn Abort>,
    exit: oneshot::Receiver<TaskExit>,
}

impl TaskHandle {
    /// Asks the task to end at its next await point.
    pub fn abort(&self) {
        self.abort.abort();
    }

    /// Waits for the end of the task. Cancel safe.
    pub async fn join(&mut self) -> TaskExit {
        (&mut self.exit).await.unwrap_or(TaskExit::Aborted)
    }
}

impl dyn Spawner + '_ {
    /// Starts a task and keeps hold of it.
    pub fn start(&self, name: &str, future: impl Future<Output = ()> + Send + 'static) -> TaskHandle {
        let (task, exit) = guarded(future);
        TaskHandle { abort: self.spawn_raw(name, task), exit }
    }

    /// Starts a task that does little but work on files, and keeps hold of it.
    pub fn start_file_work(&self, name: &str, future: impl Future<Output = ()> + Send + 'static) -> TaskHandle {
        let (task, exit) = guarded(future);
        TaskHandle { abort: self.spawn_file_work_raw(name, task), exit }
    }

    /// Has work done in a task of its own and waits for what comes of it. Whoever stops waiting ends the task.
    ///
    /// # Errors
    /// How the task ended, if nothing came of it.
    pub async fn run<T: Send + 'static>(
        &self,
        name: &str,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, TaskExit> {
        let (give, given) = oneshot::channel();
        let mut task = AbortOnDrop(self.start(name, async move {
            // Nobody may be waiting any more; that is fine.
            let _ = give.send(work.await);
        }));
        match given.await {
            Ok(done) => Ok(done),
            Err(_) => Err(task.0.join().await),
        }
    }
}

/// A task that tells how it ends.
fn guarded(future: impl Future<Output = ()> + Send + 'static) -> (BoxFuture<'static, ()>, oneshot::Receiver<TaskExit>) {
    let (tell, exit) = oneshot::channel();
    let guarded = async move {
        let end = match std::panic::AssertUnwindSafe(future).catch_unwind().await {
            Ok(()) => TaskExit::Completed,
            Err(panic) => TaskExit::Panicked(panic_message(&*panic)),
        };
        // Nobody may be listening any more; that is fine.
        let _ = tell.send(end);
    };
    (Box::pin(guarded), exit)
}

/// The text of a panic's payload.
#[must_use]
pub fn panic_message(payload: &(dyn std::any::Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().map(|s| (*s).to_owned());
    text.or_else(|| payload.downcast_ref::<String>().cloned()).unwrap_or_else(|| "a panic without a message".to_owned())
}

/// Starts nothing: for tests of what is done by one task alone.
#[cfg(test)]
pub(crate) struct NoSpawner;

#[cfg(test)]
impl Spawner for NoSpawner {
    fn spawn_raw(&self, name: &str, _: BoxFuture<'static, ()>) -> Box<dyn Abort> {
        panic!("{name} was to be started where there are no tasks")
    }
}
