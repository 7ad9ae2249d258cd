//! What a client was told, by topic and in order.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

/// Clones share it.
#[derive(Clone, Debug, Default)]
pub(super) struct Ledger(Arc<Mutex<BTreeMap<String, Vec<u32>>>>);

impl Ledger {
    fn with<T>(&self, look: impl FnOnce(&mut BTreeMap<String, Vec<u32>>) -> T) -> T {
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A message came. What is no number stands for one that no publisher comes to.
    pub(super) fn write(&self, topic: &str, payload: &[u8]) {
        let number = std::str::from_utf8(payload).ok().and_then(|text| text.parse().ok());
        let number = number.unwrap_or(u32::MAX);
        self.with(|all| all.entry(topic.to_owned()).or_default().push(number));
    }

    pub(super) fn clear(&self) {
        self.with(BTreeMap::clear);
    }

    pub(super) fn topics(&self) -> usize {
        self.with(|all| all.len())
    }

    pub(super) fn names(&self) -> Vec<String> {
        self.with(|all| all.keys().cloned().collect())
    }

    fn numbers(&self, topic: &str) -> Vec<u32> {
        self.with(|all| all.get(topic).cloned().unwrap_or_default())
    }

    /// Different numbers of a topic.
    pub(super) fn different(&self, topic: &str) -> usize {
        self.numbers(topic).into_iter().collect::<HashSet<_>>().len()
    }

    /// How many of them came again.
    pub(super) fn twice(&self, topic: &str) -> usize {
        let numbers = self.numbers(topic);
        numbers.len() - numbers.into_iter().collect::<HashSet<_>>().len()
    }

    /// The first of those up to `count` that have not come.
    pub(super) fn missing(&self, topic: &str, count: u32) -> Vec<u32> {
        let have: HashSet<u32> = self.numbers(topic).into_iter().collect();
        (0..count).filter(|number| !have.contains(number)).take(20).collect()
    }

    /// Whether each came for the first time behind the one before it.
    pub(super) fn in_order(&self, topic: &str, count: u32) -> bool {
        let mut seen = HashSet::new();
        let first: Vec<u32> =
            self.numbers(topic).into_iter().filter(|number| seen.insert(*number)).collect();
        first.into_iter().eq(0..count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(numbers: &[u32]) -> Ledger {
        let ledger = Ledger::default();
        for number in numbers {
            ledger.write("t", number.to_string().as_bytes());
        }
        ledger
    }

    #[test]
    fn it_sees_what_is_missing_doubled_and_out_of_order() {
        assert!(told(&[0, 1, 1, 2]).in_order("t", 3));
        assert_eq!(told(&[0, 1, 1, 2]).twice("t"), 1);
        assert!(!told(&[0, 2, 1]).in_order("t", 3));
        assert!(!told(&[0, 1]).in_order("t", 3));
        assert_eq!(told(&[0, 2]).missing("t", 4), [1, 3]);
    }
}
