//! The reference of WordCount: a loop over bytes, run once for each text, whose result answers what any part of it holds.

use std::collections::BTreeMap;

use tidegate_sim::workload::Lines;

/// How often each word stands somewhere; by the word's number.
pub(super) type Counts = Vec<u64>;

/// The words of some texts, found once.
pub(super) struct WordReference<K> {
    /// All words of all texts, lower-cased, with their numbers.
    words: BTreeMap<Vec<u8>, usize>,
    /// Each text's lines, in order.
    texts: BTreeMap<K, Vec<Line>>,
}

struct Line {
    /// The offset of its first byte.
    start: u64,
    /// The numbers of its words.
    words: Vec<usize>,
}

/// The words of some bytes, found byte by byte, in whichever case they are written.
fn words(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let is_word = |b: &u8| matches!(b, b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_');
    bytes.split(move |b| !is_word(b)).filter(|w| !w.is_empty())
}

fn lines(text: &[u8]) -> impl Iterator<Item = (u64, &[u8])> {
    let mut start = 0;
    text.split_inclusive(|b| *b == b'\n').map(move |line| {
        let at = start;
        start += line.len() as u64;
        (at, line)
    })
}

impl<K: Clone + Ord> WordReference<K> {
    pub fn new(texts: &BTreeMap<K, Vec<u8>>) -> Self {
        let mut numbers = BTreeMap::new();
        let mut lower = Vec::new();
        let mut number = |word: &[u8]| {
            lower.clear();
            lower.extend(word.iter().map(u8::to_ascii_lowercase));
            numbers.get(&lower).copied().unwrap_or_else(|| {
                let new = numbers.len();
                numbers.insert(lower.clone(), new);
                new
            })
        };
        let mut line = |(start, line)| Line { start, words: words(line).map(&mut number).collect() };
        let texts = texts.iter().map(|(name, text)| (name.clone(), lines(text).map(&mut line).collect())).collect();
        Self { words: numbers, texts }
    }

    /// No word yet.
    pub fn none(&self) -> Counts {
        vec![0; self.words.len()]
    }

    /// Adds the words of all lines of a text that begin within `from..to`. `None` if there is no such text.
    pub fn add(&self, text: &K, from: u64, to: u64, counts: &mut Counts) -> Option<()> {
        for line in self.texts.get(text)?.iter().filter(|line| (from..to).contains(&line.start)) {
            line.words.iter().for_each(|word| counts[*word] += 1);
        }
        Some(())
    }

    /// The number of a word.
    pub fn number(&self, word: &[u8]) -> Option<usize> {
        self.words.get(word).copied()
    }

    /// A word whose counts differ, with both.
    pub fn difference(&self, found: &Counts, expected: &Counts) -> Option<(&[u8], u64, u64)> {
        let mut all = self.words.iter().map(|(word, number)| (&**word, found[*number], expected[*number]));
        all.find(|(_, found, expected)| found != expected)
    }

    /// A line `word<TAB>n` for each update of each word's count.
    pub fn updates(&self) -> Lines {
        let mut counts = self.none();
        for text in self.texts.keys() {
            let _ = self.add(text, 0, u64::MAX, &mut counts);
        }
        let updates = self.words.iter().flat_map(|(word, number)| (1..=counts[*number]).map(move |n| (word, n)));
        // No two are the same. Sorted all at once, which is a fraction of what it takes to put them in one by one.
        updates.map(|(word, n)| ([word, &b"\t"[..], n.to_string().as_bytes()].concat(), 1)).collect()
    }
}
