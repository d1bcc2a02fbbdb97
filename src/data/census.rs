//! What the bytes of a text say about its encoding and its line ends.

/// Counts of the bytes of a file that tell something about it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Census {
    /// Bytes.
    pub bytes: u64,
    /// NUL bytes, by their offset modulo 4.
    nuls: [u64; 4],
    /// Line feeds.
    pub feeds: u64,
    /// Carriage returns.
    returns: u64,
    /// Of these, those before a line feed.
    pub pairs: u64,
    /// Whether the last byte is a carriage return.
    returned: bool,
}

impl Census {
    /// Goes on with `bytes`.
    pub fn feed(&mut self, bytes: &[u8]) {
        for byte in bytes {
            match byte {
                0 => self.nuls[(self.bytes % 4) as usize] += 1,
                b'\n' => {
                    self.feeds += 1;
                    self.pairs += u64::from(self.returned);
                }
                b'\r' => self.returns += 1,
                _ => {}
            }
            self.returned = *byte == b'\r';
            self.bytes += 1;
        }
    }

    /// NUL bytes.
    pub fn nuls(&self) -> u64 {
        self.nuls.iter().sum()
    }

    /// Carriage returns without a line feed after them.
    pub fn lone_returns(&self) -> u64 {
        self.returns - self.pairs
    }

    /// The encoding, without a mark that says so, of which characters two or four bytes wide are; known by where NUL bytes
    /// stand: a text has spaces, line ends, digits at least.
    pub fn wide(&self) -> Option<&'static str> {
        let [a, b, c, d] = self.nuls;
        let quarter = self.bytes / 4;
        let full = |n: u64| n * 10 >= quarter * 9;
        // One character in three or fewer ends in a zero byte, such as the Chinese "one".
        let few = |n: u64| n * 3 <= quarter;
        if self.nuls() < 8 {
            None
        } else if full(c) && full(d) && few(a) {
            Some("UTF-32LE")
        } else if full(a) && full(b) && few(d) {
            Some("UTF-32BE")
        } else {
            let (even, odd) = (a + c, b + d);
            // Every 25th character, at the least; Chinese has so many of ASCII.
            let many = |n: u64| n * 50 >= self.bytes;
            match (many(odd) && even * 3 <= odd, many(even) && odd * 3 <= even) {
                (true, _) => Some("UTF-16LE"),
                (_, true) => Some("UTF-16BE"),
                _ => None,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(bytes: &[u8]) -> Census {
        let (mut whole, mut parts) = (Census::default(), Census::default());
        whole.feed(bytes);
        bytes.chunks(3).for_each(|part| parts.feed(part));
        assert_eq!(whole, parts, "where it is cut");
        whole
    }

    #[test]
    fn line_ends_are_told_apart() {
        let census = of(b"a\r\nb\rc\r\r\nd\ne\r");
        let found = (census.feeds, census.pairs, census.lone_returns());
        assert_eq!(found, (3, 2, 3));
        assert_eq!((census.bytes, census.nuls()), (13, 0));
    }

    #[test]
    fn wide_characters_are_known_by_their_zeros() {
        for text in [
            "a text of some words\nand lines\n".repeat(3),
            "это просто строка слов и букв\n".repeat(3),
            "中文 文本有一些空格 和 换行\n".repeat(9),
        ] {
            let wide = |big: bool| -> Vec<u8> {
                let units = text.encode_utf16();
                units
                    .flat_map(|u| {
                        if big {
                            u.to_be_bytes()
                        } else {
                            u.to_le_bytes()
                        }
                    })
                    .collect()
            };
            let widest = |big: bool| -> Vec<u8> {
                let chars = text.chars().map(u32::from);
                chars
                    .flat_map(|c| {
                        if big {
                            c.to_be_bytes()
                        } else {
                            c.to_le_bytes()
                        }
                    })
                    .collect()
            };
            assert_eq!(of(&wide(false)).wide(), Some("UTF-16LE"));
            assert_eq!(of(&wide(true)).wide(), Some("UTF-16BE"));
            assert_eq!(of(&widest(false)).wide(), Some("UTF-32LE"));
            assert_eq!(of(&widest(true)).wide(), Some("UTF-32BE"));
            assert_eq!(of(text.as_bytes()).wide(), None);
        }
        // Zeros here and there, and many of them side by side.
        let scattered = [b"some words and then".as_slice(), &[0, 0, 7, 0]].concat();
        assert_eq!(of(&scattered.repeat(20)).wide(), None);
        assert_eq!(of(&[0; 4096]).wide(), None);
    }
}
