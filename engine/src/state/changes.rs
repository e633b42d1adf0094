//! What a snapshot file holds of a segment: a run of all its entries, or what has changed in it.
//!
//! ```text
//!   run:      buckets | which of them hold an entry, a bit each | for each of these: key, value
//!             0 | how many entries | for each: key, value
//!   changes:  4 × run + form | which entries of the run, by form | for each: value | how many others | for each: key, value
//! ```
//!
//! Numbers are in postcard's wire format. The entries of a run are told apart by their buckets; those of a segment of more buckets than
//! usual are not.

use super::{
    codec,
    marks::{BUCKETS, Marks},
    prefetch::prefetch_both,
    segment::{Entry, Segment},
    snapshot::PieceReader,
};
use crate::{
    error::Result,
    stream::{Data, Key},
};

/// No entry of a run.
const NONE: u32 = 0;
/// All of them.
const ALL: u32 = 1;
/// So many, by the distances from one bucket to the next.
const FEW: u32 = 2;
/// A bit for each bucket.
const SOME: u32 = 3;

/// Up to so many are few: a distance is a byte as a rule, and a bit for each bucket are 64.
const MOST_FEW: usize = 32;

/// Appends all entries of a segment, as a run. Says how many bytes of this are values. Asks the processor for what is at the
/// addresses `ahead`, two with each entry: in so many lines it may lie, if it is small.
// By itself, so that what else its caller holds takes no register of the loop.
#[inline(never)]
pub(super) fn encode_run<K: Key, V: Data>(
    segment: &Segment<K, V>,
    mut ahead: Option<impl Iterator<Item = [usize; 2]>>,
    out: &mut Vec<u8>,
) -> postcard::Result<u64> {
    let (buckets, mut value_bytes) = (segment.entries.num_buckets(), 0);
    if segment.entries.is_empty() {
        // There is no run without an entry.
    } else if buckets <= BUCKETS {
        encode_numbers([buckets as u32], out)?;
        segment.occupied.append(buckets, out);
    } else {
        out.extend(run_of_unknown_buckets(segment.entries.len() as u32));
    }
    // In the order of their buckets: tests of what is known would fail if it were another.
    for entry in &segment.entries {
        if let Some(addresses) = ahead.as_mut().and_then(Iterator::next) {
            prefetch_both(addresses);
        }
        codec::encode(&entry.key, out)?;
        let start = out.len();
        codec::encode(&entry.value, out)?;
        value_bytes += out.len() - start;
    }
    ahead.into_iter().flatten().for_each(prefetch_both);
    Ok(value_bytes as u64)
}

/// Appends what has changed in a segment. Says how many changes there are; without any, nothing is appended. Asks the processor for
/// what is at the addresses `ahead`, two with each change.
pub(super) fn encode_changes<K: Key, V: Data>(
    segment: &Segment<K, V>,
    ahead: Option<impl Iterator<Item = [usize; 2]>>,
    out: &mut Vec<u8>,
) -> postcard::Result<u64> {
    encode_these(segment, &segment.marks.and(segment.known.entries()), &segment.marks, ahead, out)
}

/// Likewise, but if there is a change, the values of all known entries are written: most of them have changed, and to tell which
/// would take longer than to write the others, too.
pub(super) fn encode_many_changes<K: Key, V: Data>(
    segment: &Segment<K, V>,
    ahead: Option<impl Iterator<Item = [usize; 2]>>,
    out: &mut Vec<u8>,
) -> postcard::Result<u64> {
    if segment.marks.is_empty() {
        return encode_changes(segment, ahead, out);
    }
    encode_all_known(segment, &segment.marks, ahead, out)
}

/// Likewise, whatever has changed, and with all entries that are not known: it is all in which the segment differs from the run.
pub(super) fn encode_difference<K: Key, V: Data>(
    segment: &Segment<K, V>,
    ahead: Option<impl Iterator<Item = [usize; 2]>>,
    out: &mut Vec<u8>,
) -> postcard::Result<u64> {
    let others = if planted!(DifferenceOfMarkedOnly) { &segment.marks } else { &segment.occupied }; // Bareos 1785
    encode_all_known(segment, others, ahead, out)
}

/// Appends the values of all known entries, and, with their keys, those in the buckets `others` that are not known.
fn encode_all_known<K: Key, V: Data>(
    segment: &Segment<K, V>,
    others: &Marks,
    mut ahead: Option<impl Iterator<Item = [usize; 2]>>,
    out: &mut Vec<u8>,
) -> postcard::Result<u64> {
    if !segment.known.is_complete() || *segment.known.entries() != segment.occupied {
        return encode_these(segment, segment.known.entries(), others, ahead, out);
    }
    encode_numbers([segment.known.run << 2 | ALL], out)?;
    // A loop of its own, in which what is asked for next stays in registers: a tenth fewer instructions.
    for entry in &segment.entries {
        if let Some(addresses) = ahead.as_mut().and_then(Iterator::next) {
            prefetch_both(addresses);
        }
        codec::encode(&entry.value, out)?;
    }
    ahead.into_iter().flatten().for_each(prefetch_both);
    encode_numbers([0], out)?;
    Ok(segment.entries.len() as u64)
}

/// Appends the values of some known entries, and, with their keys, those in the buckets `others` that are not known.
fn encode_these<K: Key, V: Data>(
    segment: &Segment<K, V>,
    known: &Marks,
    others: &Marks,
    mut ahead: Option<impl Iterator<Item = [usize; 2]>>,
    out: &mut Vec<u8>,
) -> postcard::Result<u64> {
    let mut ask_ahead = || ahead.as_mut().and_then(Iterator::next).map(prefetch_both);
    let unknown = others.without(segment.known.entries());
    let (values, keyed) = (known.count(), segment.entries_in(&unknown).count());
    if values + keyed > 0 {
        encode_places(segment, known, values, out)?;
        for entry in segment.entries_in(known) {
            ask_ahead();
            codec::encode(&entry.value, out)?;
        }
        encode_numbers([keyed as u32], out)?;
        for Entry { key, value } in segment.entries_in(&unknown) {
            ask_ahead();
            codec::encode(key, out)?;
            codec::encode(value, out)?;
        }
    }
    while ask_ahead().is_some() {}
    Ok((values + keyed) as u64)
}

/// Says which entries of which run are meant: those in the `n` buckets that are marked.
fn encode_places<K: Key, V: Data>(
    segment: &Segment<K, V>,
    marks: &Marks,
    n: usize,
    out: &mut Vec<u8>,
) -> postcard::Result<()> {
    let (run, buckets) = (segment.known.run << 2, segment.entries.num_buckets());
    if n == 0 {
        encode_numbers([NONE], out)?;
    } else if segment.known.is_complete() && marks == segment.known.entries() {
        encode_numbers([run | ALL], out)?;
    } else if n > MOST_FEW.min(buckets / 8) {
        encode_numbers([run | SOME], out)?;
        marks.append(buckets, out);
    } else {
        encode_numbers([run | FEW, n as u32], out)?;
        let mut next = 0;
        for bucket in marks.iter(buckets) {
            encode_numbers([(bucket - next) as u32], out)?;
            next = bucket + 1;
        }
    }
    Ok(())
}

/// What precedes so many entries of which it is not known in which buckets they were.
pub(super) fn run_of_unknown_buckets(entries: u32) -> Vec<u8> {
    let mut run = Vec::new();
    encode_numbers([0, entries], &mut run).expect("numbers can be encoded");
    run
}

#[inline]
fn encode_numbers<const N: usize>(numbers: [u32; N], out: &mut Vec<u8>) -> postcard::Result<()> {
    numbers.iter().try_for_each(|n| codec::encode(n, out))
}

/// A run that has been read.
pub(super) struct Run {
    /// The first of its entries, among those of its key group.
    first: usize,
    /// How many there are.
    pub len: usize,
    /// The buckets in which they were. None if they cannot be told apart.
    occupied: Marks,
    buckets: usize,
}

impl Run {
    /// Takes the beginning of a run off a piece: its entries follow. So many are there from earlier ones.
    pub fn decode(first: usize, reader: &mut PieceReader<'_>) -> Result<Self> {
        let buckets = reader.number()?;
        if buckets == 0 {
            return Ok(Self { first, len: reader.number()?, occupied: Marks::default(), buckets });
        }
        let occupied = decode_marks(buckets, reader)?;
        Ok(Self { first, len: occupied.count(), occupied, buckets })
    }

    /// Of the entry that was in this bucket: its place among those of its key group.
    pub fn place(&self, bucket: usize) -> Option<usize> {
        Some(self.first + self.occupied.rank(bucket)?)
    }

    /// The buckets that are meant by changes of this form.
    fn changed(&self, form: u32, reader: &mut PieceReader<'_>) -> Result<Marks> {
        let marks = if form == SOME {
            decode_marks(self.buckets, reader)?
        } else {
            let (mut marks, mut next) = (Marks::default(), 0);
            for _ in 0..reader.number()? {
                let bucket = next + reader.number()?;
                if bucket >= self.buckets {
                    return Err(reader.damaged(&format!("a change in bucket {bucket} of {}", self.buckets)));
                }
                marks.set(bucket);
                next = bucket + 1;
            }
            marks
        };
        if marks.without(&self.occupied).is_empty() {
            Ok(marks)
        } else {
            Err(reader.damaged("a change in a vacant bucket"))
        }
    }
}

fn decode_marks(buckets: usize, reader: &mut PieceReader<'_>) -> Result<Marks> {
    if buckets > BUCKETS {
        return Err(reader.damaged(&format!("a run of {buckets} buckets")));
    }
    Ok(Marks::from_bytes(reader.take_bytes(buckets.div_ceil(8))?))
}

/// Takes the known changes of one segment off a piece, where these runs were read before: gives `change` the place of each entry
/// among those of the key group, and the piece, to take its value from there. Says how many these were, and how many follow with
/// their keys.
pub(super) fn decode_known<'a>(
    runs: &[Run],
    reader: &mut PieceReader<'a>,
    mut change: impl FnMut(usize, &mut PieceReader<'a>) -> Result<()>,
) -> Result<(u64, u64)> {
    let number = reader.number()?;
    let (run, form) = (number >> 2, number as u32 & 3);
    let mut changes = 0;
    if form != NONE {
        let run = runs.get(run).ok_or_else(|| reader.damaged(&format!("changes of run {run}, which is not there")))?;
        let changed = if form == ALL { None } else { Some(run.changed(form, reader)?) };
        let mut change = |rank| {
            changes += 1;
            change(run.first + rank, reader)
        };
        match changed {
            None => (0..run.len).try_for_each(&mut change)?,
            Some(changed) => run.occupied.ranks(&changed).iter(BUCKETS).try_for_each(&mut change)?,
        }
    }
    Ok((changes, reader.number()? as u64))
}
