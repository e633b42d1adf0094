//! State as people read it: what a connector keeps in its lists, and entries of keyed state whose types are known.

use serde::Serialize;
use tidegate::{
    connector::{Committable, ElementsSplit, TextSplit},
    operator::{COMMITTABLES_STATE, SPLITS_STATE},
    state::{ListStateSnapshot, OperatorSnapshot, SubtaskSnapshot},
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
    /// Of those subtasks whose snapshots can be read.
    pub entries_per_subtask: Vec<u64>,
    /// The first ones, in order of key groups.
    pub entries: Vec<EntryReport>,
    /// The beginning of the state's bytes, if its types are not known here.
    #[serde(skip_serializing_if = "Option::is_none")]
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
    let type_name = states.first().map_or("", |s| &s.type_name);
    let mut report = KeyedReport {
        name: name.to_owned(),
        type_name: type_name
            .replace("alloc::string::String", "String")
            .replace("tidegate::stream::small_string::SmallString", "SmallString"),
        entries_per_subtask: states.iter().map(|s| s.count_entries()).collect(),
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
                let mut pieces = states.iter().flat_map(|s| &s.groups).flat_map(|g| &g.pieces);
                report.hex = pieces.find(|p| p.entries > 0).filter(|_| limit > 0).map(|p| hex(p.first_entries()));
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

#[cfg(test)]
mod tests {
    use tidegate::{
        connector::PartId,
        id::{AttemptId, CheckpointId},
        key_group::KeyGroup,
        state::{KeyGroupEntries, KeyedStateSnapshot},
    };

    use super::*;

    #[test]
    fn items_are_known_by_their_list_and_bytes() {
        let text = TextSplit { path: "a".into(), start: 0, end: 9, file_len: 9, position: 4 };
        let elements = ElementsSplit { start: 0, end: 5, position: 2, total: 300 };
        let part = PartId { subtask: 1, attempt: AttemptId { term: 2, number: 3 }, number: 4 };
        let committable = Committable { part, checkpoint: CheckpointId(5) }.encode();
        let cases = [
            (SPLITS_STATE, text.encode(), Item::TextSplit(text)),
            (SPLITS_STATE, elements.encode(), Item::ElementsSplit(elements)),
            (
                COMMITTABLES_STATE,
                committable.clone(),
                Item::PendingPart { file: ".part-1-2.3-4-5.pending".into(), checkpoint: 5 },
            ),
            ("mine", committable, Item::Hex("0102030405".into())),
            (COMMITTABLES_STATE, vec![0; 40], Item::Hex(format!("{}… (40 bytes)", "00".repeat(32)))),
        ];
        for (list, bytes, expected) in cases {
            assert_eq!(describe_item(list, &bytes), expected);
        }
    }

    #[test]
    fn state_of_unknown_types_is_shown_in_hex() {
        let entries = |group, byte| KeyGroupEntries::new(KeyGroup(group), 1, &[byte; 3]);
        let state = |groups| KeyedStateSnapshot {
            name: "s".into(),
            type_name: "my::Key -> u64".into(),
            is_delta: false,
            groups,
        };
        let operator = |groups| OperatorSnapshot {
            uid: "o".into(),
            key_groups: None,
            keyed: vec![state(groups)],
            lists: Vec::new(),
        };
        let (first, second) = (operator(Vec::new()), operator(vec![entries(70, 0xab), entries(71, 1)]));
        let report = describe_keyed("s", &[(0, &first), (1, &second)], 5);
        assert_eq!((report.hex.as_deref(), report.entries_per_subtask), (Some("ababab"), vec![0, 2]));
    }
}
