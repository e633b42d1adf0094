//! What the pieces of a key group come to when they are taken together.

use super::{
    ExtentKind, KeyGroupEntries,
    change_log::decode_logged,
    changes::{Run, decode_known},
    snapshot::PieceReader,
};
use crate::error::Result;

/// Something that is done to an entry, or some, by the key.
pub(super) enum ByKey<'a, E> {
    /// It is new, or replaces the one of its key.
    Put(E),
    /// So many keys follow. They are removed.
    Remove(u64, PieceReader<'a>),
}

impl KeyGroupEntries {
    /// Replays it as far as that can be done without looking for keys. Adds the entries of the full snapshot to `entries`, with the
    /// values that they got by their places, and gives what is to be done after that, in this order. `take` takes an entry, in whatever
    /// form, and `change` a value, which replaces that of an entry.
    ///
    /// An entry that is removed or moved is unknown until the next full snapshot. So of each entry what was changed by its place
    /// comes before all that was changed by its key.
    ///
    /// # Errors
    /// `Damaged` if the pieces are not what a sweep writes.
    pub(super) fn replay<'a, E>(
        &'a self,
        entries: &mut Vec<E>,
        mut take: impl FnMut(&mut PieceReader<'a>) -> Result<E>,
        mut change: impl FnMut(&mut PieceReader<'a>, &mut E) -> Result<()>,
    ) -> Result<Vec<ByKey<'a, E>>> {
        let (mut runs, mut by_key) = (Vec::<Run>::new(), Vec::new());
        for piece in &self.pieces {
            let mut reader = piece.reader(self.group)?;
            match piece.kind {
                ExtentKind::Removed => {
                    by_key.push(ByKey::Remove(piece.entries, reader));
                    continue;
                }
                ExtentKind::Entries => {
                    entries.reserve(piece.entries as usize);
                    let mut left = piece.entries;
                    while left > 0 {
                        let run = Run::decode(entries.len(), &mut reader)?;
                        left = reader.less(left, run.len as u64)?;
                        for _ in 0..run.len {
                            entries.push(take(&mut reader)?);
                        }
                        runs.push(run);
                    }
                }
                ExtentKind::Logged => {
                    for _ in 0..piece.entries {
                        decode_logged(&runs, &mut reader, |place, reader| change(reader, &mut entries[place]))?;
                    }
                }
                ExtentKind::Changes => {
                    let mut left = piece.entries;
                    while left > 0 {
                        let (known, keyed) =
                            decode_known(&runs, &mut reader, |place, reader| change(reader, &mut entries[place]))?;
                        left = reader.less(left, known + keyed)?;
                        for _ in 0..keyed {
                            by_key.push(ByKey::Put(take(&mut reader)?));
                        }
                    }
                }
            }
            reader.end()?;
        }
        Ok(by_key)
    }
}
