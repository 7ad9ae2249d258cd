//! The bytes of a fuzz input, read as decisions. Past their end every decision is the first one.

/// What is left to decide.
pub(crate) struct Script<'a> {
    bytes: &'a [u8],
}

/// Most bytes that are taken as they are at once.
pub(crate) const RAW_MAX: usize = 63;

/// Topics that meet each other's filters, some too deep, some not for clients.
const TOPICS: [&str; 8] = ["a", "a/b", "a/b/c", "$SYS/x", "/", "b", "a/b/c/d/e/f/g/h", ""];
const FILTERS: [&str; 12] = [
    "a",
    "a/b",
    "#",
    "+",
    "a/+",
    "a/#",
    "+/b/#",
    "$SYS/#",
    "$share/g/a",
    "$share/g/#",
    "$share/h/+/b",
    "b",
];
const CLIENT_IDS: [&str; 4] = ["one", "two", "three", ""];

impl<'a> Script<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    pub(crate) fn is_over(&self) -> bool {
        self.bytes.is_empty()
    }

    pub(crate) fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.bytes.split_first() else { return 0 };
        self.bytes = rest;
        *first
    }

    pub(crate) fn flag(&mut self) -> bool {
        self.byte() & 1 == 1
    }

    /// A number below `end`.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        usize::from(self.byte()) % end
    }

    /// Some bytes as they are, their number first.
    pub(crate) fn raw(&mut self) -> &'a [u8] {
        let len = self.below(RAW_MAX + 1).min(self.bytes.len());
        let (raw, rest) = self.bytes.split_at(len);
        self.bytes = rest;
        raw
    }

    /// All that is left, as it is.
    pub(crate) fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.bytes)
    }

    pub(crate) fn topic(&mut self) -> &'static str {
        TOPICS[self.below(TOPICS.len())]
    }

    pub(crate) fn filter(&mut self) -> &'static str {
        FILTERS[self.below(FILTERS.len())]
    }

    pub(crate) fn client_id(&mut self) -> &'static str {
        CLIENT_IDS[self.below(CLIENT_IDS.len())]
    }
}
