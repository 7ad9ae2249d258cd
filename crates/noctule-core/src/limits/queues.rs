//! Bounds of queues, which some clients may have of their own.

use super::Limits;
use serde::{Deserialize, Serialize};

/// Bounds of the queue of a session.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct QueueLimits {
    /// Messages that wait; beyond, `overflow` decides.
    pub messages_max: u32,
    /// Bytes of messages that wait; beyond, `overflow` decides.
    pub bytes_max: u64,
    /// Seconds that a message of QoS 1 or 2 waits at most; 0 = any number.
    pub age_secs_max: u32,
    /// Which message gives way when the queue is full.
    pub overflow: Overflow,
    /// Queue QoS 0 messages while the session is away.
    pub qos0: bool,
}

/// What a full queue drops.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Overflow {
    /// The message that just came.
    DropNewest,
    /// The message that has waited longest.
    DropOldest,
}

/// Bounds of the queues of some clients.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct QueueRule {
    /// Client ids it is for: `*` stands for any characters, `?` for one.
    pub clients: Box<str>,
    /// The bounds.
    pub queue: QueueLimits,
}

/// Which bounds a session has: those of a rule, counted from 1, or those of everybody else.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub(crate) struct QueueChoice(u16);

impl Default for QueueLimits {
    fn default() -> QueueLimits {
        QueueLimits {
            messages_max: 100_000,
            bytes_max: 64 * 1024 * 1024,
            age_secs_max: 0,
            overflow: Overflow::DropNewest,
            qos0: false,
        }
    }
}

impl QueueRule {
    /// Whether the rule is for a client.
    #[must_use]
    pub fn is_for(&self, client_id: &str) -> bool {
        matches(self.clients.as_bytes(), client_id.as_bytes())
    }
}

impl Limits {
    /// Which bounds the session of a client has. The first rule that is for it decides.
    pub(crate) fn queue_choice(&self, client_id: &str) -> QueueChoice {
        let at = self.queue_rules.iter().position(|rule| rule.is_for(client_id));
        QueueChoice(at.and_then(|at| u16::try_from(at + 1).ok()).unwrap_or_default())
    }

    /// The bounds of a queue.
    #[inline]
    pub(crate) fn queue_of(&self, choice: QueueChoice) -> &QueueLimits {
        let rule = usize::from(choice.0).checked_sub(1).and_then(|at| self.queue_rules.get(at));
        rule.map_or(&self.queue, |rule| &rule.queue)
    }
}

/// Whether a pattern matches a whole text, in time of their product at most.
fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let (mut at, mut seen) = (0, 0);
    // The last star, and where the text behind it began.
    let mut star: Option<(usize, usize)> = None;
    while seen < text.len() {
        match pattern.get(at) {
            Some(b'*') => {
                star = Some((at, seen));
                at += 1;
            }
            Some(b'?') => {
                at += 1;
                seen = next_char(text, seen);
            }
            Some(byte) if *byte == text[seen] => {
                at += 1;
                seen += 1;
            }
            _ => {
                let Some((last, from)) = star else { return false };
                let from = next_char(text, from);
                star = Some((last, from));
                (at, seen) = (last + 1, from);
            }
        }
    }
    pattern[at..].iter().all(|byte| *byte == b'*')
}

/// Where the character behind the one at `at` begins.
fn next_char(text: &[u8], at: usize) -> usize {
    let behind = text[at + 1..].iter().position(|byte| byte & 0xC0 != 0x80);
    behind.map_or(text.len(), |more| at + 1 + more)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(clients: &str, messages_max: u32) -> QueueRule {
        let queue = QueueLimits { messages_max, ..QueueLimits::default() };
        QueueRule { clients: clients.into(), queue }
    }

    #[test]
    fn patterns_match_client_ids() {
        let yes = "* ,* a,meter-* meter-,meter-* meter-7,*-7 meter-7,m*r*7 meter-17,m?t?r meter,\
                   ? é,a**b ab,*aab aaab,?* x,a*é aéé, ";
        for (pattern, client) in yes.split(',').filter_map(|pair| pair.split_once(' ')) {
            assert!(rule(pattern, 1).is_for(client), "{pattern} {client}");
        }
        let no = " a,meter-* meter,meter meters,? ,? ab,*-7 meter-78,m*r*7 meter-71,M* meter,?? é";
        for (pattern, client) in no.split(',').filter_map(|pair| pair.split_once(' ')) {
            assert!(!rule(pattern, 1).is_for(client), "{pattern} {client}");
        }
    }

    #[test]
    fn the_first_rule_that_is_for_a_client_decides() {
        let queue_rules = vec![rule("a*", 1), rule("*b", 2)];
        let limits = Limits { queue_rules, ..Limits::default() };
        let most = |client| limits.queue_of(limits.queue_choice(client)).messages_max;
        assert_eq!([most("ab"), most("cb"), most("c")], [1, 2, 100_000]);
    }
}
