//! The promises of `Spawner`.

use std::{
    cell::Cell,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering::SeqCst},
    },
};

use tokio::sync::oneshot;

use super::check::{Broken, Outcome, Scene, ensure, pause, soon, until};
use crate::env::{Env, TaskExit};

/// Tells when it is dropped.
struct Guard(Arc<AtomicBool>);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.store(true, SeqCst);
    }
}

pub(super) async fn a_task_outlives_its_handle(env: Env, _: Scene) -> Outcome {
    let (tell, told) = oneshot::channel();
    let inside = env.clone();
    drop(env.spawner.start("without a handle", async move {
        for _ in 0..3 {
            pause(&inside, 2).await;
        }
        let _ = tell.send(());
    }));
    let end = soon(&env, "the end of a task without a handle", told).await?;
    end.map_err(|_| Broken::new("a task was dropped with its handle"))
}

/// A long chain of tasks, each of which waits for the one that is started after it.
pub(super) async fn tasks_wait_for_one_another(env: Env, _: Scene) -> Outcome {
    let (first, mut next) = oneshot::channel::<u32>();
    let mut handles = Vec::new();
    for _ in 0..200 {
        let (tell, told) = oneshot::channel();
        let tell_next = std::mem::replace(&mut next, told);
        handles.push(env.spawner.start("link", async move {
            let _ = tell.send(tell_next.await.map_or(0, |n| n + 1));
        }));
    }
    let _ = first.send(0);
    let last = soon(&env, "the end of a chain of 200 tasks", next).await?;
    ensure!(last == Ok(200), "a chain of 200 tasks ended with {last:?}");
    for mut handle in handles {
        let exit = soon(&env, "the exit of a task that has ended", handle.join()).await?;
        ensure!(exit == TaskExit::Completed, "a task that ran to its end is {exit:?}");
    }
    Ok(())
}

pub(super) async fn an_aborted_task_is_dropped(env: Env, _: Scene) -> Outcome {
    let (polls, dropped) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicBool::new(false)));
    let (counter, guard, inside) = (polls.clone(), Guard(dropped.clone()), env.clone());
    let mut task = env.spawner.start("to be aborted", async move {
        let _guard = guard;
        loop {
            counter.fetch_add(1, SeqCst);
            pause(&inside, 1).await;
        }
    });
    until(&env, "the third round of a task", || polls.load(SeqCst) >= 3).await?;
    task.abort();
    let exit = soon(&env, "the exit of an aborted task", task.join()).await?;
    ensure!(exit == TaskExit::Aborted, "an aborted task is {exit:?}");
    until(&env, "the drop of an aborted task", || dropped.load(SeqCst)).await?;
    let at_drop = polls.load(SeqCst);
    pause(&env, 20).await;
    let later = polls.load(SeqCst);
    ensure!(later == at_drop, "a task that was aborted and dropped has gone on: {at_drop} rounds, then {later}");
    Ok(())
}

/// Abort must reach a task that nothing else would ever wake.
pub(super) async fn an_aborted_task_need_not_wake(env: Env, _: Scene) -> Outcome {
    let dropped = Arc::new(AtomicBool::new(false));
    let guard = Guard(dropped.clone());
    let mut task = env.spawner.start("waits for ever", async move {
        let _guard = guard;
        std::future::pending::<()>().await;
    });
    pause(&env, 2).await;
    ensure!(!dropped.load(SeqCst), "a task that waits was dropped");
    task.abort();
    let exit = soon(&env, "the exit of an aborted task that waits for ever", task.join()).await?;
    ensure!(exit == TaskExit::Aborted, "an aborted task is {exit:?}");
    until(&env, "the drop of an aborted task that waits for ever", || dropped.load(SeqCst)).await
}

pub(super) async fn aborting_what_has_ended_does_nothing(env: Env, _: Scene) -> Outcome {
    let ended = Arc::new(AtomicBool::new(false));
    let end = ended.clone();
    let mut task = env.spawner.start("short", async move { end.store(true, SeqCst) });
    until(&env, "the end of a short task", || ended.load(SeqCst)).await?;
    pause(&env, 2).await;
    task.abort();
    task.abort();
    let exit = soon(&env, "the exit of a task that has ended", task.join()).await?;
    ensure!(exit == TaskExit::Completed, "a task that ended before it was aborted is {exit:?}");
    Ok(())
}

pub(super) async fn a_panic_stays_inside_its_task(env: Env, _: Scene) -> Outcome {
    let (tell, told) = oneshot::channel();
    let inside = env.clone();
    env.spawner.start("bystander", async move {
        pause(&inside, 10).await;
        let _ = tell.send(());
    });
    let mut literal = env.spawner.start("panics", async { panic!("on purpose, for a check") });
    let exit = soon(&env, "the exit of a task that panicked", literal.join()).await?;
    ensure!(exit == TaskExit::Panicked("on purpose, for a check".into()), "a task that panicked is {exit:?}");
    // Without the wrapper that `start` puts around a future.
    env.spawner.spawn_raw("panics bare", Box::pin(async { panic!("on purpose, for a check of {}", "spawn_raw") }));
    let bystander = soon(&env, "the end of a task beside two that panicked", told).await?;
    bystander.map_err(|_| Broken::new("a task was dropped because another one panicked"))
}

/// The caller may hold a lock that the task will take.
pub(super) async fn spawning_does_not_poll(env: Env, _: Scene) -> Outcome {
    thread_local! {
        static SPAWNING: Cell<bool> = const { Cell::new(false) };
    }
    for _ in 0..50 {
        let (tell, told) = oneshot::channel();
        let future = Box::pin(async move {
            let _ = tell.send(SPAWNING.get());
        });
        SPAWNING.set(true);
        env.spawner.spawn_raw("just spawned", future);
        SPAWNING.set(false);
        let inside = soon(&env, "the first poll of a task", told).await?;
        ensure!(inside == Ok(false), "a task was polled while it was being spawned: {inside:?}");
    }
    Ok(())
}
