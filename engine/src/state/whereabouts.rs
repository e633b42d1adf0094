//! Where the entries of a segment lie in memory, so that the processor can be asked for them before they are read.
//!
//! The table itself tells that only by its tags, which may be as far away as the entries. So the address is remembered from
//! the time at which the segment was read last. It is a hint and nothing else: memory is never read through it, and if the
//! segment has moved meanwhile, the processor was asked for the wrong lines.

use hashbrown::HashTable;

use super::marks::Marks;

/// What the processor fetches at once, in bytes: the tags of as many buckets as a word has marks for.
pub(super) const LINE: usize = 64;

/// At most so many addresses of a segment are asked for: those of the first entries, if entries are large.
const MOST_LINES: usize = 1024;

/// Where the tags of a segment began, one byte for each bucket. The buckets lie before them, the first one last: that is how
/// `hashbrown` lays them out. Zero if it is not known.
#[derive(Clone, Copy, Default)]
pub(super) struct Whereabouts(usize);

impl Whereabouts {
    /// Remembers where they are now, if there is an entry to tell it by.
    pub fn note<T>(&mut self, entries: &HashTable<T>) {
        let first = (0..entries.num_buckets()).find_map(|bucket| Some((bucket, entries.get_bucket(bucket)?)));
        if let Some((bucket, entry)) = first {
            self.0 = (&raw const *entry).addr() + (bucket + 1) * size_of::<T>();
        }
    }

    /// The addresses of the lines in which all buckets and their tags lie, in the order in which they are read, by pairs.
    pub fn all<T>(self, buckets: usize) -> impl Iterator<Item = [usize; 2]> {
        let (tags, entries) = (buckets, buckets * size_of::<T>());
        let lines = if self.0 == 0 { 0 } else { (tags + entries).div_ceil(LINE) + 1 };
        let first = self.0.wrapping_add(tags);
        (0..lines.min(MOST_LINES).div_ceil(2)).map(move |pair| {
            let line = first.wrapping_sub(2 * pair * LINE);
            [line, line.wrapping_sub(LINE)]
        })
    }

    /// The addresses of the buckets that are marked, of their beginning and their end, because one in four lies across two
    /// lines; and before those of each word of marks their tags.
    pub fn marked<T>(self, buckets: usize, marks: &Marks) -> impl Iterator<Item = [usize; 2]> + '_ {
        let mut marks = marks.iter(if self.0 == 0 { 0 } else { buckets });
        let mut word_asked = None;
        std::iter::from_fn(move || {
            let bucket = marks.peek()?;
            let word = bucket / LINE;
            if word_asked.replace(word) != Some(word) {
                let tags = self.0.wrapping_add(word * LINE);
                return Some([tags, tags]);
            }
            marks.next();
            let end = self.0.wrapping_sub(bucket * size_of::<T>());
            Some([end.wrapping_sub(size_of::<T>()), end.wrapping_sub(1)])
        })
        .take(MOST_LINES)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Entry = (u64, u64, u64);

    fn lines(addresses: impl Iterator<Item = [usize; 2]>) -> Vec<usize> {
        let mut lines: Vec<_> = addresses.flatten().map(|address| address / LINE).collect();
        lines.sort_unstable();
        lines.dedup();
        lines
    }

    /// If `hashbrown` ever lays its buckets out in another way, asking ahead is of no use any more.
    #[test]
    fn the_lines_of_all_entries_are_asked_for_and_few_others() {
        let mut table = HashTable::<Entry>::with_capacity(448);
        let mut marks = Marks::default();
        for n in 0..300_u64 {
            let hash = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let bucket = table.insert_unique(hash, (n, 0, 0), |_| unreachable!("there is room")).bucket_index();
            if n % 3 == 0 {
                marks.set(bucket);
            }
        }
        let buckets = table.num_buckets();
        let mut place = Whereabouts::default();
        assert_eq!(place.all::<Entry>(buckets).count() + place.marked::<Entry>(buckets, &marks).count(), 0);
        place.note(&table);
        let address = |entry: &Entry| (&raw const *entry).addr();
        let all = lines(place.all::<Entry>(buckets));
        assert!(table.iter().all(|entry| all.contains(&(address(entry) / LINE))));
        assert!(all.len() <= (buckets * (size_of::<Entry>() + 1)).div_ceil(LINE) + 2);
        let marked: Vec<_> = place.marked::<Entry>(buckets, &marks).flatten().collect();
        assert!(table.iter().filter(|(n, _, _)| n % 3 == 0).all(|entry| marked.contains(&address(entry))));
        assert_eq!(marked.len(), 2 * (100 + buckets / LINE), "both ends of entries, and tags");
    }
}
