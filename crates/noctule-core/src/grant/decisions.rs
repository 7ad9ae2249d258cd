//! What was decided a moment ago: whether the holder of a permit may be given a topic.

/// Remembered at most; a new decision takes the place of an old one.
const ENTRIES: usize = 16 * 1024;

/// Marks an entry that holds something, whatever its key.
const TAKEN: u64 = 2;

/// Decisions by a keyed hash of topic and permit, eight bytes each: the hash, but for a bit that
/// says whether, and one that says that there is one. Nobody outside can choose what collides.
#[derive(Debug, Default)]
pub(crate) struct Decisions {
    /// Empty until there is the first to remember.
    entries: Box<[u64]>,
}

impl Decisions {
    #[inline]
    pub(crate) fn find(&self, key: u64) -> Option<bool> {
        let entry = *self.entries.get(place(key))?;
        (entry | 1 == key | TAKEN | 1).then_some(entry & 1 == 1)
    }

    pub(crate) fn remember(&mut self, key: u64, allowed: bool) {
        if self.entries.is_empty() {
            self.entries = vec![0; ENTRIES].into();
        }
        self.entries[place(key)] = (key | TAKEN) & !1 | u64::from(allowed);
    }

    /// Rules have changed.
    pub(crate) fn clear(&mut self) {
        self.entries = Box::default();
    }
}

/// From bits that are compared as well.
fn place(key: u64) -> usize {
    (key >> 2) as usize % ENTRIES
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_decided_is_found_until_another_takes_its_place() {
        let mut decisions = Decisions::default();
        assert_eq!(decisions.find(0), None);
        decisions.remember(0, false);
        decisions.remember(4, true);
        assert_eq!((decisions.find(0), decisions.find(4)), (Some(false), Some(true)));
        assert_eq!(decisions.find(8), None);
        let same_place = 4 * ENTRIES as u64;
        decisions.remember(same_place, true);
        assert_eq!((decisions.find(0), decisions.find(same_place)), (None, Some(true)));
        decisions.clear();
        assert_eq!(decisions.find(4), None);
    }
}
