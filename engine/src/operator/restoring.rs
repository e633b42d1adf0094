//! How the keyed state of an operator is put in place: decoded in pieces, by several tasks if it is large.
//!
//! Pieces have nothing to do with one another, and are put together in their order, whichever is done first. What is
//! reported is the first error in that order. A task that is dropped takes its helpers with it.

use std::sync::Arc;

use futures_util::{StreamExt, TryStreamExt, stream};

use super::stage::OperatorContext;
use crate::{
    env::{Site, Spawner, TaskExit},
    error::{Error, Result},
    state::{AnyTable, Decode, Decoded},
};

/// State of up to so many bytes, about, is one piece of work: some 50,000 entries, a millisecond or two. To hand out less would
/// cost more than it saves, and small state is decoded by its own task alone.
const PIECE: usize = 512 << 10;

/// So many pieces are in work at once: enough for the cores of a machine, and few enough for other subtasks to have a turn.
const AT_ONCE: usize = 16;

/// Decodes what these tables, which have been registered, are restored from.
///
/// # Errors
/// `Damaged` if it is not what a sweep writes; `UserCode` if a type panics while it is decoded.
pub(crate) async fn restore_tables(tables: Vec<&mut dyn AnyTable>, context: &OperatorContext) -> Result<()> {
    for table in tables {
        let piece = if context.subtask.entropy.perturbs(Site::SmallSweep) { 1 } else { PIECE };
        let mut pieces = table.restoring(piece);
        let decoded = match pieces.len() {
            0 => continue,
            1 => vec![pieces.remove(0)()?],
            _ => {
                let name = format!("restoring {} of {}/{}", table.name(), context.uid, context.subtask.subtask.index);
                let beside = |piece| decode_beside(piece, context.subtask.spawner.clone(), name.clone());
                let beside: Vec<_> = pieces.into_iter().map(beside).collect();
                stream::iter(beside).buffered(AT_ONCE).try_collect().await?
            }
        };
        table.join(decoded);
    }
    Ok(())
}

/// Has a piece decoded by a task of its own.
async fn decode_beside(piece: Decode, spawner: Arc<dyn Spawner>, name: String) -> Result<Decoded> {
    match spawner.run(&name, async { piece() }).await {
        Ok(decoded) => decoded,
        Err(TaskExit::Panicked(message)) => Err(Error::user_code(format!("{name} panicked: {message}"))),
        // Only its owner ends it, or the end of the whole process.
        Err(exit) => Err(Error::unavailable(format!("{name} has ended early: {exit:?}"))),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use futures_util::FutureExt;

    use super::*;
    use crate::{
        env::{BoxFuture, entropy::Perturbing, spawner::Abort},
        error::ErrorKind,
        key_group::{KeyGroup, KeyGroupRange},
        operator::SubtaskContext,
        state::{KeyGroupEntries, KeyedStateSnapshot, NamedTable, RestoredOperator, ValueStateDescriptor},
        stream::{Data, Key},
    };

    /// With the number of the task.
    type Task = (usize, BoxFuture<'static, ()>);

    /// A world in which the newest task is always the next to run.
    #[derive(Clone, Default)]
    struct NewestFirst {
        tasks: Arc<Mutex<Vec<Task>>>,
        started: Arc<Mutex<usize>>,
    }

    struct Forget(NewestFirst, usize);

    impl Spawner for NewestFirst {
        fn spawn_raw(&self, _: &str, future: BoxFuture<'static, ()>) -> Box<dyn Abort> {
            let mut started = self.started.lock().unwrap();
            *started += 1;
            self.tasks.lock().unwrap().push((*started, future));
            Box::new(Forget(self.clone(), *started))
        }
    }

    impl Abort for Forget {
        fn abort(&self) {
            self.0.tasks.lock().unwrap().retain(|(task, _)| *task != self.1);
        }
    }

    impl NewestFirst {
        fn waiting(&self) -> usize {
            self.tasks.lock().unwrap().len()
        }

        /// Runs the newest task.
        fn step(&self) {
            let task = self.tasks.lock().unwrap().pop();
            let (_, future) = task.expect("whoever waits waits for a task");
            future.now_or_never().expect("decoding waits for nobody");
        }

        /// Polls `future` between any two tasks until it is done.
        fn run<T>(&self, future: impl Future<Output = T>) -> T {
            let mut future = std::pin::pin!(future);
            loop {
                match future.as_mut().now_or_never() {
                    Some(done) => return done,
                    None => self.step(),
                }
            }
        }
    }

    /// Where it perturbs, each key group is a piece.
    fn context(spawner: &NewestFirst, perturbs: bool) -> OperatorContext {
        let (spawner, entropy) = (Arc::new(spawner.clone()), Arc::new(Perturbing(perturbs)));
        let subtask = SubtaskContext { spawner, entropy, ..SubtaskContext::alone() };
        OperatorContext { uid: "count".to_owned(), subtask }
    }

    const MAX: u32 = 128;
    const ALL: KeyGroupRange = KeyGroupRange { start: 0, end: MAX };
    const KEYS: u32 = 1000;

    fn snapshot() -> KeyedStateSnapshot {
        let groups = (0..MAX).map(|group| {
            let keys = (0..KEYS).filter(|key| KeyGroup::of(key.key_hash(), MAX) == KeyGroup(group));
            let entries: Vec<Vec<u8>> = keys.map(|key| postcard::to_stdvec(&(key, key)).unwrap()).collect();
            KeyGroupEntries::new(KeyGroup(group), entries.len() as u32, &entries.concat())
        });
        KeyedStateSnapshot {
            name: "count".to_owned(),
            type_name: String::new(),
            is_delta: false,
            groups: groups.collect(),
        }
    }

    fn registered<V: Data>(mut snapshot: KeyedStateSnapshot) -> NamedTable<u32, V> {
        let descriptor = ValueStateDescriptor::new("count");
        snapshot.type_name = descriptor.type_name::<u32>();
        let keyed = [("count".to_owned(), snapshot)].into();
        let mut restored = RestoredOperator { keyed, ..RestoredOperator::default() };
        NamedTable::restore(descriptor, &mut restored, MAX, ALL).unwrap()
    }

    fn is_whole(table: &NamedTable<u32, u32>) -> bool {
        table.table.len() == KEYS as usize && (0..KEYS).all(|key| table.table.get(key.key_hash(), &key) == Some(&key))
    }

    #[test]
    fn pieces_are_put_together_in_their_order_whichever_is_done_first() {
        let world = NewestFirst::default();
        let mut table = registered(snapshot());
        world.run(restore_tables(vec![&mut table], &context(&world, true))).unwrap();
        assert!(is_whole(&table));
        assert!(*world.started.lock().unwrap() > 100, "a task for each key group");
    }

    #[test]
    fn small_state_is_decoded_without_tasks() {
        let world = NewestFirst::default();
        let mut table = registered(snapshot());
        restore_tables(vec![&mut table], &context(&world, false)).now_or_never().unwrap().unwrap();
        assert!(is_whole(&table));
        assert_eq!(*world.started.lock().unwrap(), 0);
    }

    /// What is reported hangs on the state, and not on who was first.
    #[test]
    fn of_two_errors_the_first_is_reported() {
        let mut damaged = snapshot();
        for group in [7, 3] {
            damaged.groups[group].pieces[0].entries += 1;
        }
        let world = NewestFirst::default();
        let error =
            world.run(restore_tables(vec![&mut registered::<u32>(damaged)], &context(&world, true))).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Damaged);
        insta::assert_snapshot!(error, @"state count: key group 3: an entry cannot be read: Hit the end of buffer, expected more data");
        assert_eq!(world.waiting(), 0, "helpers were left behind");
    }

    #[test]
    fn a_task_that_is_dropped_takes_its_helpers_with_it() {
        let world = NewestFirst::default();
        let mut table = registered::<u32>(snapshot());
        let context = context(&world, true);
        let mut restoring = Box::pin(restore_tables(vec![&mut table], &context));
        for _ in 0..3 {
            assert!(restoring.as_mut().now_or_never().is_none());
            assert!((1..=AT_ONCE).contains(&world.waiting()), "{} helpers", world.waiting());
            world.step();
        }
        drop(restoring);
        assert_eq!(world.waiting(), 0);
    }

    /// A value whose decoding is a bug of its user.
    #[derive(Clone, serde::Serialize)]
    struct Panics;

    impl<'de> serde::Deserialize<'de> for Panics {
        fn deserialize<D: serde::Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
            panic!("no such value")
        }
    }

    #[test]
    fn a_panic_of_a_helper_is_told() {
        let world = NewestFirst::default();
        let mut table = registered::<Panics>(snapshot());
        let error = world.run(restore_tables(vec![&mut table], &context(&world, true))).unwrap_err();
        assert_eq!(error.kind, ErrorKind::UserCode);
        insta::assert_snapshot!(error, @"restoring count of count/0 panicked: no such value");
    }
}
