//! How the state of a whole chain is frozen and swept.

use crate::{
    error::{Context, Result},
    key_group::KeyGroupRange,
    probe::{GivenState, Share},
    state::{AnyTable, DeltaSize, Freeze, FrozenOperator, FrozenSnapshot, StateSize},
    stream::hash_bytes,
};

/// The keyed states of one operator of a chain.
pub(crate) struct OperatorTables<'a> {
    pub uid: &'a str,
    pub key_groups: KeyGroupRange,
    pub tables: Vec<&'a mut dyn AnyTable>,
}

/// How much there is in these tables, and how much of it has changed.
pub(crate) fn size_of(operators: &[OperatorTables<'_>]) -> StateSize {
    let sum = |all: Option<DeltaSize>, more: Option<DeltaSize>| Some(all? + more?);
    let nothing = Some(DeltaSize::default());
    let none = StateSize { entries: 0, incremental: nothing, differential: nothing };
    operators.iter().flat_map(|o| &o.tables).map(|table| table.size()).fold(none, |all, more| StateSize {
        entries: all.entries + more.entries,
        incremental: sum(all.incremental, more.incremental),
        differential: sum(all.differential, more.differential),
    })
}

/// What is in these tables.
pub(crate) fn content_of(operators: &[OperatorTables<'_>]) -> Result<Vec<GivenState>> {
    let mut content = Vec::new();
    for operator in operators {
        for table in &operator.tables {
            let share = Share::KeyGroups(table.content().at(|| format!("operator {}", operator.uid))?);
            content.push(GivenState { uid: operator.uid.to_owned(), state: table.name().to_owned(), share });
        }
    }
    Ok(content)
}

/// What is in these lists.
pub(crate) fn content_of_lists(operators: &[FrozenOperator]) -> Vec<GivenState> {
    let lists = operators.iter().flat_map(|o| o.lists.iter().map(move |list| (o, list)));
    let content = lists.map(|(operator, list)| {
        let items = list.items.iter().map(|item| hash_bytes(item).0).collect();
        GivenState { uid: operator.uid.clone(), state: list.name.clone(), share: Share::Items(items) }
    });
    content.collect()
}

/// Freezes all tables. `lists` are those of the chain, which are small and encoded already.
pub(crate) fn freeze(
    operators: Vec<OperatorTables<'_>>,
    lists: Vec<FrozenOperator>,
    freeze: Freeze,
) -> Result<(FrozenSnapshot, Vec<GivenState>)> {
    let mut content = Vec::new();
    if freeze.wants_content {
        content = content_of(&operators)?;
        content.extend(content_of_lists(&lists));
    }
    let mut frozen = FrozenSnapshot { buffer: freeze.buffer, operators: lists };
    for OperatorTables { uid, key_groups, tables } in operators {
        let (uid, key_groups) = (uid.to_owned(), Some(key_groups));
        frozen.operators.push(FrozenOperator { uid, key_groups, keyed: Vec::new(), lists: Vec::new() });
        for table in tables {
            // The first table writes where the file begins, the others elsewhere.
            table.freeze(freeze.scope, std::mem::take(&mut frozen.buffer));
        }
    }
    Ok((frozen, content))
}

/// Goes on with the sweep, by `budget` entries. Says whether it is over.
pub(crate) fn sweep(
    mut operators: Vec<OperatorTables<'_>>,
    frozen: &mut FrozenSnapshot,
    mut budget: u64,
) -> Result<bool> {
    for OperatorTables { uid, tables, .. } in &mut operators {
        for table in tables {
            if !table.sweep(&mut budget).at(|| format!("operator {uid}"))? {
                return Ok(false);
            }
        }
    }
    for OperatorTables { uid, tables, .. } in operators {
        for table in tables {
            let (buffer, state) = table.collect();
            frozen.add(uid, buffer, state);
        }
        let operator = frozen.operators.iter_mut().find(|o| o.uid == uid).expect("it was frozen");
        operator.keyed.sort_by(|a, b| a.name.cmp(&b.name));
    }
    Ok(true)
}
