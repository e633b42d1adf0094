//! The most general operator over a keyed stream: user code with state of its own.

use super::{
    collector::Emitter,
    keyed::Keyed,
    stage::{Operator, OperatorContext},
};
use crate::{
    error::{Context, Result},
    state::{KeyedContext, KeyedStates, OperatorSnapshot, RestoredOperator},
    stream::Key,
};

/// User code that is called for each record of a keyed stream and may keep state for the record's key.
///
/// Each subtask works on its own clone. Everything that must survive a failure belongs into state; fields of the function
/// itself start again from the clone.
///
/// ```
/// use tidegate::{
///     error::Result,
///     operator::KeyedProcessFunction,
///     state::{KeyedContext, KeyedStates, ValueState, ValueStateDescriptor},
/// };
///
/// /// Lets the first record of each key pass.
/// #[derive(Clone, Default)]
/// struct Distinct {
///     seen: ValueState<bool>,
/// }
///
/// impl KeyedProcessFunction<String, String, String> for Distinct {
///     fn open(&mut self, states: &mut KeyedStates<String>) -> Result<()> {
///         self.seen = states.value(ValueStateDescriptor::new("seen"))?;
///         Ok(())
///     }
///
///     fn process(&mut self, word: String, context: &mut KeyedContext<'_, String>, out: &mut Vec<String>) -> Result<()> {
///         if self.seen.value(context).is_none() {
///             self.seen.update(context, true);
///             out.push(word);
///         }
///         Ok(())
///     }
/// }
/// ```
pub trait KeyedProcessFunction<K: Key, In, Out>: Send + 'static {
    /// Called once before the first record: registers all state that the function keeps.
    ///
    /// # Errors
    /// `BadInput` if a state's name is taken by one of another type, now or in the restored checkpoint.
    fn open(&mut self, states: &mut KeyedStates<K>) -> Result<()>;

    /// Called for each record, in the order of each channel. Results are appended to `out`.
    ///
    /// # Errors
    /// Any; the job fails and the restart strategy decides.
    fn process(&mut self, record: In, context: &mut KeyedContext<'_, K>, out: &mut Vec<Out>) -> Result<()>;
}

/// Runs a `KeyedProcessFunction`.
pub(crate) struct KeyedProcess<K, F> {
    context: OperatorContext,
    function: F,
    states: KeyedStates<K>,
}

impl<K: Key, F> KeyedProcess<K, F> {
    pub fn new(context: &OperatorContext, function: F) -> Self {
        let states = KeyedStates::new(context.subtask.max_parallelism, context.subtask.key_groups());
        Self { context: context.clone(), function, states }
    }
}

impl<K, In, Out, F> Operator<Keyed<K, In>, Out> for KeyedProcess<K, F>
where
    K: Key,
    In: Send + 'static,
    Out: Send + 'static,
    F: KeyedProcessFunction<K, In, Out>,
{
    fn open(&mut self, restored: Option<RestoredOperator>) -> Result<()> {
        self.states.restore(restored.unwrap_or_default());
        self.function.open(&mut self.states).at(|| self.context.place())?;
        self.states.check_all_restored().at(|| self.context.place())
    }

    fn process(&mut self, batch: &mut Vec<Keyed<K, In>>, out: &mut Emitter<'_, Out>) -> Result<()> {
        for Keyed { hash, key, record } in batch.drain(..) {
            let mut context = KeyedContext::new(&mut self.states, hash, &key);
            out.emit_with(|results| self.function.process(record, &mut context, results).at(|| self.context.place()))?;
        }
        Ok(())
    }

    fn snapshot(&mut self) -> Result<Option<OperatorSnapshot>> {
        let keyed = self.states.snapshot().at(|| self.context.place())?;
        Ok(Some(OperatorSnapshot {
            uid: self.context.uid.clone(),
            key_groups: Some(self.context.subtask.key_groups()),
            keyed,
            lists: Vec::new(),
        }))
    }
}
