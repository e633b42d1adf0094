//! The lines of the whole output, numbered, so that whoever counts them needs no copy of a line.

use tidegate::stream::hash_bytes;

use crate::workload::Lines;

/// What must come of a job.
pub(super) struct ExpectedOutput {
    /// Ascending, each with how often it stands in the output.
    lines: Vec<(Vec<u8>, u64)>,
    /// The hash and the number of each line, ascending: many lines are looked up, and numbers are compared faster than lines.
    numbers: Vec<(u64, usize)>,
}

impl ExpectedOutput {
    pub(super) fn new(lines: Lines) -> Self {
        let lines: Vec<_> = lines.into_iter().collect();
        let mut numbers: Vec<_> = lines.iter().map(|(line, _)| hash_bytes(line).0).zip(0..).collect();
        numbers.sort_unstable();
        Self { lines, numbers }
    }

    /// A count for each line, none seen yet.
    pub(super) fn tally(&self) -> Vec<u64> {
        vec![0; self.lines.len()]
    }

    /// The line's number, and how often it must stand there; `None` for a line that no run can give.
    pub(super) fn find(&self, line: &[u8]) -> Option<(usize, u64)> {
        let hash = hash_bytes(line).0;
        let first = self.numbers.partition_point(|(known, _)| *known < hash);
        let same_hash = self.numbers[first..].iter().take_while(|(known, _)| *known == hash);
        let number = same_hash.map(|(_, number)| *number).find(|number| self.lines[*number].0 == line)?;
        Some((number, self.lines[number].1))
    }

    /// All lines: the line, how often it must stand there, and how often it was counted.
    pub(super) fn compare<'a>(&'a self, tally: &'a [u64]) -> impl Iterator<Item = (&'a [u8], u64, u64)> {
        self.lines.iter().zip(tally).map(|((line, wanted), seen)| (&**line, *wanted, *seen))
    }
}
