//! The levels of filters, each text stored once and counted.

use super::pool::{NIL, Pool};
use super::table::Table;
use crate::seed::Seed;

/// Levels by number and by text.
#[derive(Clone, Debug)]
pub(super) struct Levels {
    pool: Pool<Level>,
    by_text: Table<u32>,
    /// Bytes of texts that lie outside the pool.
    long_bytes: usize,
}

#[derive(Clone, Default, Debug)]
struct Level {
    text: Text,
    /// Nodes reached by this level.
    nodes: u32,
}

const SHORT_MAX: usize = 22;

#[derive(Clone, Debug)]
enum Text {
    Short(u8, [u8; SHORT_MAX]),
    Long(Box<[u8]>),
}

const _: () = assert!(size_of::<Level>() <= 32, "a level is half a cache line");

impl Default for Text {
    fn default() -> Text {
        Text::Short(0, [0; SHORT_MAX])
    }
}

impl Text {
    fn new(bytes: &[u8]) -> Text {
        if bytes.len() > SHORT_MAX {
            return Text::Long(bytes.into());
        }
        let mut short = [0; SHORT_MAX];
        short[..bytes.len()].copy_from_slice(bytes);
        Text::Short(bytes.len() as u8, short)
    }

    #[inline]
    fn bytes(&self) -> &[u8] {
        match self {
            Text::Short(len, bytes) => &bytes[..usize::from(*len)],
            Text::Long(bytes) => bytes,
        }
    }

    fn outside(&self) -> usize {
        match self {
            Text::Short(..) => 0,
            Text::Long(bytes) => bytes.len(),
        }
    }
}

impl Levels {
    pub(super) fn new() -> Levels {
        Levels { pool: Pool::new(), by_text: Table::new(), long_bytes: 0 }
    }

    /// The number of a level, `NIL` if no filter has it.
    #[inline]
    pub(super) fn find(&self, seed: &Seed, text: &[u8]) -> u32 {
        let same = |&level: &u32| self.pool[level].text.bytes() == text;
        self.by_text.find(seed.of_bytes(text), same).copied().unwrap_or(NIL)
    }

    /// The number of a level, for one more node.
    pub(super) fn acquire(&mut self, seed: &Seed, text: &[u8]) -> u32 {
        let mut level = self.find(seed, text);
        if level == NIL {
            let stored = Text::new(text);
            self.long_bytes += stored.outside();
            level = self.pool.insert(Level { text: stored, nodes: 0 });
            let pool = &self.pool;
            let hash_of = |&level: &u32| seed.of_bytes(pool[level].text.bytes());
            self.by_text.insert(seed.of_bytes(text), level, hash_of);
        }
        self.pool[level].nodes += 1;
        level
    }

    /// One node less; the last one takes the level with it.
    pub(super) fn release(&mut self, seed: &Seed, level: u32) {
        self.pool[level].nodes -= 1;
        if self.pool[level].nodes > 0 {
            return;
        }
        let pool = &self.pool;
        let hash_of = |&other: &u32| seed.of_bytes(pool[other].text.bytes());
        self.by_text.remove(hash_of(&level), |&other| other == level, hash_of);
        let gone = self.pool.remove(level);
        self.long_bytes -= gone.text.outside();
    }

    pub(super) fn bytes(&self) -> usize {
        self.pool.bytes() + self.by_text.bytes() + self.long_bytes
    }

    /// Panics unless `nodes_of` (number of nodes by level) is what was counted.
    pub(super) fn check(&self, seed: &Seed, nodes_of: impl Fn(u32) -> u32) {
        let numbers = self.pool.numbers();
        assert_eq!(numbers.len(), self.by_text.len(), "every level is found by its text");
        let mut long_bytes = 0;
        for level in numbers {
            let Level { text, nodes } = &self.pool[level];
            assert_eq!(self.find(seed, text.bytes()), level, "a text has one number");
            assert!(*nodes > 0 && *nodes == nodes_of(level), "level {level} counts its nodes");
            long_bytes += text.outside();
        }
        assert_eq!(long_bytes, self.long_bytes);
    }
}
