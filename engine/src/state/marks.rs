//! A set of buckets of a segment.

/// A segment has so many buckets, unless the hashes of its keys cannot be told apart.
pub(super) const BUCKETS: usize = 512;

const WORDS: usize = BUCKETS / 64;

/// Some of the buckets of a segment, or of the entries that it had. In a segment of more buckets than usual, several share a bit.
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
pub(super) struct Marks([u64; WORDS]);

impl Marks {
    /// Marks a bucket. Says whether it was unmarked.
    #[inline]
    pub fn set(&mut self, bucket: usize) -> bool {
        let word = &mut self.0[bucket / 64 % WORDS];
        let bit = 1 << (bucket % 64);
        let is_new = *word & bit == 0;
        *word |= bit;
        is_new
    }

    /// Takes the mark off a bucket. Says whether it had one.
    pub fn clear(&mut self, bucket: usize) -> bool {
        let was_set = self.get(bucket);
        self.0[bucket / 64 % WORDS] &= !(1 << (bucket % 64));
        was_set
    }

    pub fn get(&self, bucket: usize) -> bool {
        self.0[bucket / 64 % WORDS] & (1 << (bucket % 64)) != 0
    }

    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.0.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// What is marked in both.
    pub fn and(&self, other: &Self) -> Self {
        Self(std::array::from_fn(|i| self.0[i] & other.0[i]))
    }

    /// What is marked here and not there.
    pub fn without(&self, other: &Self) -> Self {
        Self(std::array::from_fn(|i| self.0[i] & !other.0[i]))
    }

    /// Of the marks of `among`, all of which are here: the how-manieth of the marks here each of them is.
    pub fn ranks(&self, among: &Self) -> Self {
        let (mut ranks, mut before) = (Self::default(), 0);
        for (all, some) in self.0.iter().zip(among.0) {
            let mut left = some;
            while left != 0 {
                let below = (left & left.wrapping_neg()) - 1;
                ranks.set(before + (all & below).count_ones() as usize);
                left &= left - 1;
            }
            before += all.count_ones() as usize;
        }
        ranks
    }

    /// How many there are before this bucket, if it is marked.
    pub fn rank(&self, bucket: usize) -> Option<usize> {
        let (before, word) = (&self.0[..bucket / 64], self.0[bucket / 64] & !(u64::MAX << (bucket % 64)));
        let count = |word: &u64| word.count_ones() as usize;
        self.get(bucket).then(|| before.iter().map(count).sum::<usize>() + count(&word))
    }

    /// Appends those of the first `buckets`, eight to a byte, the lowest first.
    pub fn append(&self, buckets: usize, out: &mut Vec<u8>) {
        let start = out.len();
        self.0.iter().for_each(|word| out.extend_from_slice(&word.to_le_bytes()));
        out.truncate(start + buckets.div_ceil(8));
    }

    /// The inverse of [`append`](Self::append).
    pub fn from_bytes(bytes: &[u8]) -> Self {
        let mut words = [0; WORDS];
        for (word, bytes) in words.iter_mut().zip(bytes.chunks(8)) {
            let mut all = [0; 8];
            all[..bytes.len()].copy_from_slice(bytes);
            *word = u64::from_le_bytes(all);
        }
        Self(words)
    }

    /// The marked ones among the first `buckets`, up to the end of a word, ascending.
    #[inline]
    pub fn iter(&self, buckets: usize) -> Marked<'_> {
        Marked { marks: self, word: 0, words: buckets.div_ceil(64), bits: if buckets == 0 { 0 } else { self.0[0] } }
    }
}

/// See [`Marks::iter`].
pub(super) struct Marked<'m> {
    marks: &'m Marks,
    word: usize,
    words: usize,
    /// The marks of the word that are still to come.
    bits: u64,
}

impl Marked<'_> {
    /// The next one, which stays.
    #[inline]
    pub fn peek(&mut self) -> Option<usize> {
        while self.bits == 0 {
            self.word += 1;
            if self.word >= self.words {
                return None;
            }
            self.bits = self.marks.0[self.word % WORDS];
        }
        Some(self.word * 64 + self.bits.trailing_zeros() as usize)
    }
}

impl Iterator for Marked<'_> {
    type Item = usize;

    #[inline]
    fn next(&mut self) -> Option<usize> {
        let bucket = self.peek()?;
        self.bits &= self.bits - 1;
        Some(bucket)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn marks(buckets: &BTreeSet<usize>) -> Marks {
        let mut marks = Marks::default();
        buckets.iter().for_each(|bucket| assert!(marks.set(*bucket)));
        marks
    }

    proptest! {
        #[test]
        fn they_are_a_set(
            a in proptest::collection::btree_set(0..BUCKETS, 0..BUCKETS), b in proptest::collection::btree_set(0..BUCKETS, 0..40),
        ) {
            let (of_a, of_b) = (marks(&a), marks(&b));
            let list = |marks: Marks| marks.iter(BUCKETS).collect::<Vec<_>>();
            prop_assert_eq!(list(of_a), a.iter().copied().collect::<Vec<_>>());
            prop_assert_eq!(of_a.count(), a.len());
            prop_assert_eq!(list(of_a.and(&of_b)), a.intersection(&b).copied().collect::<Vec<_>>());
            prop_assert_eq!(list(of_a.without(&of_b)), a.difference(&b).copied().collect::<Vec<_>>());
            let both: Vec<_> = a.iter().enumerate().filter(|(_, bucket)| b.contains(bucket)).map(|(rank, _)| rank).collect();
            prop_assert_eq!(list(of_a.ranks(&of_a.and(&of_b))), both);
            let ranks: Vec<_> = (0..BUCKETS).filter_map(|bucket| Some((bucket, of_a.rank(bucket)?))).collect();
            prop_assert_eq!(ranks, a.iter().copied().zip(0..).collect::<Vec<_>>());
            let mut bytes = Vec::new();
            of_b.append(BUCKETS, &mut bytes);
            prop_assert_eq!(Marks::from_bytes(&bytes), of_b);
            let mut cleared = of_a;
            prop_assert!(b.iter().all(|bucket| cleared.clear(*bucket) == a.contains(bucket)));
            prop_assert_eq!(cleared, of_a.without(&of_b));
        }
    }
}
