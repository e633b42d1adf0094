//! The promises of `Clock`.

use std::{
    sync::Arc,
    task::{Wake, Waker},
    time::Duration,
};

use futures_util::{FutureExt, StreamExt, stream::FuturesUnordered};
use tokio::sync::oneshot;

use super::check::{Outcome, Scene, ensure, pause, soon};
use crate::{
    env::{Env, timeout},
    instant::Instant,
};

const MS: Duration = Duration::from_millis(1);

/// Within a task, and from one task to the next.
pub(super) async fn now_never_goes_backwards(env: Env, _: Scene) -> Outcome {
    let mut last = env.clock.now();
    for round in 0..20 {
        for _ in 0..1000 {
            let now = env.clock.now();
            ensure!(now >= last, "it was {last}, and then it was {now}");
            last = now;
        }
        let (tell, told) = oneshot::channel();
        let clock = env.clock.clone();
        env.spawner.start("another look at the clock", async move {
            let _ = tell.send(clock.now());
        });
        let there = soon(&env, "the answer of a task", told).await?;
        let there = there.map_err(|_| super::Broken::new("a task ended before its end"))?;
        ensure!(there >= last, "it was {last}, and then another task, in round {round}, had {there}");
        last = there;
    }
    Ok(())
}

pub(super) async fn no_sleep_ends_early(env: Env, _: Scene) -> Outcome {
    let start = env.clock.now();
    let sleeps: FuturesUnordered<_> = [40, 10, 30, 20, 0]
        .into_iter()
        .map(|ms| {
            let at = start + MS * ms;
            let clock = env.clock.clone();
            env.clock.sleep_until(at).map(move |()| (at, clock.now()))
        })
        .collect();
    let ends: Vec<(Instant, Instant)> = soon(&env, "the end of five short sleeps", sleeps.collect()).await?;
    for (at, now) in &ends {
        ensure!(now >= at, "a sleep until {at} ended at {now}");
    }
    let order: Vec<Instant> = ends.iter().map(|(at, _)| *at).collect();
    ensure!(order.is_sorted(), "sleeps ended in the order {order:?}");
    Ok(())
}

/// Not only the first time: a runtime's budget for one poll must not get in between.
pub(super) async fn a_past_deadline_is_ready_at_once(env: Env, _: Scene) -> Outcome {
    pause(&env, 2).await;
    for round in 0..1000 {
        let now = env.clock.now();
        for at in [Instant(0), Instant(now.0 - 1), now] {
            let ended = env.clock.sleep_until(at).now_or_never();
            ensure!(ended.is_some(), "a sleep until {at} waits, though it is {now} (round {round})");
        }
    }
    Ok(())
}

pub(super) async fn a_deadline_may_be_never(env: Env, _: Scene) -> Outcome {
    let years = env.clock.now() + Duration::from_secs(300 * 365 * 24 * 3600);
    for at in [years, Instant(u64::MAX), env.clock.now() + Duration::MAX] {
        let ended = timeout(&*env.clock, 5 * MS, env.clock.sleep_until(at)).await;
        ensure!(ended.is_none(), "a sleep until {at} ended at {}", env.clock.now());
    }
    Ok(())
}

pub(super) async fn a_limit_ends_work(env: Env, _: Scene) -> Outcome {
    let start = env.clock.now();
    let late = timeout(&*env.clock, 10 * MS, std::future::pending::<()>()).await;
    ensure!(late.is_none(), "work that never ends did");
    let took = env.clock.now().since(start);
    ensure!(took >= 10 * MS, "a limit of 10 ms passed after {took:?}");
    let both = timeout(&*env.clock, Duration::ZERO, std::future::ready(1)).await;
    ensure!(both == Some(1), "work that is ready loses against a limit of zero");
    Ok(())
}

/// Nothing may hold on to the waker of a dropped sleep once its time has passed: a select in a loop drops one per round.
pub(super) async fn a_dropped_sleep_lets_go(env: Env, _: Scene) -> Outcome {
    struct Nobody;
    impl Wake for Nobody {
        fn wake(self: Arc<Self>) {}
    }
    let nobody = Arc::new(Nobody);
    for _ in 0..10 {
        let waker = Waker::from(nobody.clone());
        let mut sleep = env.clock.sleep_until(env.clock.now() + 20 * MS);
        let first = sleep.poll_unpin(&mut std::task::Context::from_waker(&waker));
        ensure!(first.is_pending(), "a sleep of 20 ms is ready at once");
    }
    pause(&env, 30).await;
    let held = Arc::strong_count(&nobody) - 1;
    ensure!(held == 0, "{held} wakers of 10 dropped sleeps are still held after their time");
    Ok(())
}
