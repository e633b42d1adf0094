//! The lines of the whole output, numbered, so that whoever counts them needs no copy of a line.

use crate::workload::Lines;

/// What must come of a job.
pub(super) struct ExpectedOutput {
    /// Ascending, each with how often it stands in the output.
    lines: Vec<(Vec<u8>, u64)>,
}

impl ExpectedOutput {
    pub(super) fn new(lines: Lines) -> Self {
        Self { lines: lines.into_iter().collect() }
    }

    /// A count for each line, none seen yet.
    pub(super) fn tally(&self) -> Vec<u64> {
        vec![0; self.lines.len()]
    }

    /// The line's number, and how often it must stand there; `None` for a line that no run can give.
    pub(super) fn find(&self, line: &[u8]) -> Option<(usize, u64)> {
        let number = self.lines.binary_search_by(|(known, _)| (**known).cmp(line)).ok()?;
        Some((number, self.lines[number].1))
    }

    /// All lines: the line, how often it must stand there, and how often it was counted.
    pub(super) fn compare<'a>(&'a self, tally: &'a [u64]) -> impl Iterator<Item = (&'a [u8], u64, u64)> {
        self.lines.iter().zip(tally).map(|((line, wanted), seen)| (&**line, *wanted, *seen))
    }
}
