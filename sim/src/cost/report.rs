//! The costs of a run as people read them: a line for each thing that is counted.

use std::{
    collections::BTreeMap,
    fmt::{self, Write as _},
};

use tidegate::id::CheckpointId;

use super::{Costs, FileOp, Item, Region, Sum, ledger::Checkpoint};

/// How wide the names are.
const NAMES: usize = 38;

/// What stands at the head: the sums that matter, of which the items are the parts.
type Total = (&'static str, fn(&Checkpoint) -> u64);

const TOTALS: &[Total] = &[
    ("virtual time, µs", |c| c.took.map_or(0, |took| u64::try_from(took.as_micros()).unwrap_or(u64::MAX))),
    ("bytes to files", |c| c.bill.files(|_, op| op == FileOp::Write).bytes),
    ("bytes to the network", |c| c.bill.of(Item::BarrierFrame).bytes + c.bill.of(Item::Message).bytes),
    ("operations on files", |c| c.bill.files(|_, _| true).count),
    ("  of these syncs", |c| c.bill.files(|_, op| matches!(op, FileOp::Sync | FileOp::SyncDirectory)).count),
    ("  of these on snapshots", |c| c.bill.files(|region, _| region == Region::Snapshot).count),
    ("  of these on manifests", |c| c.bill.files(|region, _| region == Region::Manifest).count),
    ("  of these on the layout", |c| c.bill.files(|region, _| region == Region::Layout).count),
    ("  of these on output", |c| c.bill.files(|region, _| region == Region::Output).count),
];

impl fmt::Display for Costs {
    /// The figures of the completed checkpoints, one line each: the median (the lower of two), the least, the most, and all
    /// together; then what others have cost.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (completed, given_up) = (self.completed.len(), self.given_up.len());
        let head = format!("{completed} completed, {given_up} given up, {} skipped", self.skipped);
        writeln!(f, "{head:NAMES$} {:>9} {:>9} {:>9} {:>11}", "median", "least", "most", "in all")?;
        for (name, figure) in TOTALS {
            self.line(f, name, figure)?;
        }
        for item in self.items() {
            self.line(f, &item.to_string(), |checkpoint| checkpoint.bill.of(item).count)?;
        }
        let mut lost = super::Bill::default();
        self.given_up.values().for_each(|checkpoint| lost.add(&checkpoint.bill));
        let bills = [
            ("given up", &lost),
            ("start, recovery, end", &self.recovery),
            ("records", &self.records),
            ("cluster", &self.cluster),
        ];
        for (name, bill) in bills {
            let said = bill.items().fold(String::new(), |mut said, (item, Sum { count, bytes })| {
                let bytes = if bytes > 0 { format!(" ({bytes} bytes)") } else { String::new() };
                let _ = write!(said, "{}{item} {count}{bytes}", if said.is_empty() { "" } else { ", " });
                said
            });
            writeln!(f, "{name}: {}", if said.is_empty() { "nothing" } else { &said })?;
        }
        Ok(())
    }
}

impl Costs {
    /// All that completed checkpoints were billed for.
    fn items(&self) -> Vec<Item> {
        let items: BTreeMap<Item, ()> =
            self.completed.values().flat_map(|c| c.bill.items()).map(|(item, _)| (item, ())).collect();
        items.into_keys().collect()
    }

    fn line(&self, f: &mut fmt::Formatter<'_>, name: &str, figure: impl Fn(&Checkpoint) -> u64) -> fmt::Result {
        let mut figures: Vec<u64> = self.completed.values().map(figure).collect();
        figures.sort_unstable();
        let Some((least, most)) = figures.first().zip(figures.last()) else { return Ok(()) };
        let (median, all) = (figures[(figures.len() - 1) / 2], figures.iter().sum::<u64>());
        writeln!(f, "{name:NAMES$} {median:>9} {least:>9} {most:>9} {all:>11}")
    }

    /// The bill of a checkpoint, whether it completed or not.
    #[must_use]
    pub fn of(&self, id: CheckpointId) -> Option<&Checkpoint> {
        self.completed.get(&id).or_else(|| self.given_up.get(&id))
    }
}
