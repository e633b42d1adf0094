//! State as people read it: what a connector keeps in its lists, and entries of keyed state whose types are known.

use serde::Serialize;
use tidegate::{
    connector::{Committable, ElementsSplit, TextSplit},
    operator::{COMMITTABLES_STATE, SPLITS_STATE},
    state::{KeyedStateSnapshot, ListStateSnapshot, OperatorSnapshot, SubtaskSnapshot},
};

/// So many bytes are shown of what cannot be decoded.
const HEX_BYTES: usize = 32;

/// The state of an operator over all its subtasks.
#[derive(Serialize)]
pub(crate) struct OperatorReport {
    pub uid: String,
    pub lists: Vec<ListReport>,
    pub keyed: Vec<KeyedReport>,
}

/// A list state: source positions, or transactions of a sink.
#[derive(Serialize)]
pub(crate) struct ListReport {
    pub name: String,
    pub items: Vec<ItemReport>,
}

#[derive(Serialize)]
pub(crate) struct ItemReport {
    pub subtask: usize,
    #[serde(flatten)]
    pub item: Item,
}

/// An item, as far as it is known what it is.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Item {
    TextSplit(TextSplit),
    ElementsSplit(ElementsSplit),
    PendingPart { file: String, checkpoint: u64 },
    Hex(String),
}

/// A keyed state.
#[derive(Serialize)]
pub(crate) struct KeyedReport {
    pub name: String,
    pub type_name: String,
    pub entries_per_subtask: Vec<u64>,
    /// The first ones, in order of key groups.
    pub entries: Vec<EntryReport>,
    /// The beginning of the state's bytes, if its types are not known here.
    pub hex: Option<String>,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct EntryReport {
    pub key: String,
    pub value: String,
}

/// What the readable snapshots of a vertex hold, operator by operator.
pub(crate) fn describe_operators(
    uids: &[String],
    snapshots: &[(usize, SubtaskSnapshot)],
    entries: usize,
) -> Vec<OperatorReport> {
    let describe = |uid: &String| {
        let of_uid = |(index, s)| operator(s, uid).map(|o| (index, o));
        let parts: Vec<(usize, &OperatorSnapshot)> =
            snapshots.iter().map(|(index, s)| (*index, s)).filter_map(of_uid).collect();
        let first = parts.first().map(|(_, o)| *o);
        let lists = first.map_or(&[][..], |o| &o.lists).iter().map(|list| describe_list(&list.name, &parts));
        let keyed = first.map_or(&[][..], |o| &o.keyed).iter().map(|s| describe_keyed(&s.name, &parts, entries));
        OperatorReport { uid: uid.clone(), lists: lists.collect(), keyed: keyed.collect() }
    };
    uids.iter().map(describe).collect()
}

fn operator<'a>(snapshot: &'a SubtaskSnapshot, uid: &str) -> Option<&'a OperatorSnapshot> {
    snapshot.operators.iter().find(|o| o.uid == uid)
}

fn describe_list(name: &str, parts: &[(usize, &OperatorSnapshot)]) -> ListReport {
    let lists = parts.iter().flat_map(|(index, o)| o.lists.iter().map(move |list| (*index, list)));
    let items = |(subtask, list): (usize, &ListStateSnapshot)| {
        let item = |bytes: &Vec<u8>| ItemReport { subtask, item: describe_item(name, bytes) };
        list.items.iter().map(item).collect::<Vec<_>>()
    };
    ListReport { name: name.to_owned(), items: lists.filter(|(_, l)| l.name == name).flat_map(items).collect() }
}

/// A list does not say which connector wrote it. The formats of those that are known leave no byte over, and their numbers
/// must be in order, so that one is hardly taken for another.
fn describe_item(list: &str, bytes: &[u8]) -> Item {
    if list == COMMITTABLES_STATE
        && let Ok(part) = Committable::decode(bytes)
    {
        return Item::PendingPart { file: part.pending_name(), checkpoint: part.checkpoint.0 };
    }
    if list == SPLITS_STATE {
        match (TextSplit::decode(bytes), ElementsSplit::decode(bytes)) {
            (Ok(split), _) if !split.path.is_empty() => return Item::TextSplit(split),
            (_, Ok(split)) => return Item::ElementsSplit(split),
            _ => {}
        }
    }
    Item::Hex(hex(bytes))
}

/// The entries of all subtasks, as if they were in one snapshot; key groups ascend from subtask to subtask.
fn describe_keyed(name: &str, parts: &[(usize, &OperatorSnapshot)], limit: usize) -> KeyedReport {
    let states: Vec<_> = parts.iter().flat_map(|(_, o)| &o.keyed).filter(|s| s.name == name).collect();
    let total = |state: &&KeyedStateSnapshot| state.groups.iter().map(|g| g.entries).sum();
    let type_name = states.first().map_or("", |s| &s.type_name);
    let mut report = KeyedReport {
        name: name.to_owned(),
        type_name: type_name.replace("alloc::string::String", "String"),
        entries_per_subtask: states.iter().map(total).collect(),
        entries: Vec::new(),
        hex: None,
    };
    for state in &states {
        match state.entries_as_text(limit - report.entries.len()) {
            Some(Ok(entries)) => {
                report.entries.extend(entries.into_iter().map(|(key, value)| EntryReport { key, value }));
            }
            // What the checksum vouches for and yet is not what its type says can only be shown as it is.
            Some(Err(_)) | None => {
                let bytes = state.groups.iter().find(|g| g.entries > 0).map(|g| &g.bytes[..]);
                report.hex = bytes.filter(|_| limit > 0).map(hex);
                break;
            }
        }
    }
    report
}

/// The bytes in hexadecimal digits, if need be the first ones only.
fn hex(bytes: &[u8]) -> String {
    let digits: String = bytes.iter().take(HEX_BYTES).map(|b| format!("{b:02x}")).collect();
    if bytes.len() > HEX_BYTES { format!("{digits}… ({} bytes)", bytes.len()) } else { digits }
}
