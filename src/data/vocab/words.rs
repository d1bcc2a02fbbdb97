//! Many strings without many allocations: each is stored once, one after another, and found by a hash.

use std::fmt;

use foldhash::fast::RandomState;
use hashbrown::HashTable;
use std::hash::BuildHasher;

/// Different strings, numbered from 0 in the order in which they came.
#[derive(Clone, Default)]
pub(super) struct Words {
    text: Vec<u8>,
    /// Where each one ends in `text`.
    ends: Vec<u64>,
    table: HashTable<u32>,
    hasher: RandomState,
}

impl Words {
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// The string of a number below [`len`](Self::len).
    pub fn get(&self, number: u32) -> &[u8] {
        nth(&self.text, &self.ends, number)
    }

    pub fn find(&self, word: &[u8]) -> Option<u32> {
        let hash = self.hasher.hash_one(word);
        self.table.find(hash, |n| self.get(*n) == word).copied()
    }

    /// The number of `word`, which is stored if it is new; none when 2^32 - 1 are there already.
    pub fn intern(&mut self, word: &[u8]) -> Option<u32> {
        let Words {
            text,
            ends,
            table,
            hasher,
        } = self;
        let hash = hasher.hash_one(word);
        if let Some(number) = table.find(hash, |n| nth(text, ends, *n) == word) {
            return Some(*number);
        }
        let number = u32::try_from(ends.len()).ok().filter(|n| *n != u32::MAX)?;
        text.extend_from_slice(word);
        ends.push(text.len() as u64);
        table.insert_unique(hash, number, |n| hasher.hash_one(nth(text, ends, *n)));
        Some(number)
    }

    /// All of them, in order.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.len()).map(|n| self.get(n as u32))
    }
}

fn nth<'a>(text: &'a [u8], ends: &[u64], number: u32) -> &'a [u8] {
    let number = number as usize;
    let start = number.checked_sub(1).map_or(0, |before| ends[before]);
    &text[start as usize..ends[number] as usize]
}

impl PartialEq for Words {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text && self.ends == other.ends
    }
}

impl Eq for Words {}

impl fmt::Debug for Words {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} words", self.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    #[test]
    fn agrees_with_a_map_of_the_library() {
        let (mut words, mut map) = (Words::default(), HashMap::new());
        for i in 0..20_000u32 {
            let word = format!("w{}", i.wrapping_mul(2_654_435_761) % 7001);
            let next = map.len() as u32;
            let want = *map.entry(word.clone()).or_insert(next);
            assert_eq!(words.intern(word.as_bytes()), Some(want));
        }
        assert_eq!(words.len(), map.len());
        for (word, number) in &map {
            assert_eq!(words.find(word.as_bytes()), Some(*number));
            assert_eq!(words.get(*number), word.as_bytes());
        }
        assert_eq!(words.find(b"w"), None);
    }
}
