//! The ledger against what really happened.

use super::*;
use crate::payload::LEN;
use std::collections::BTreeSet;
use std::time::Duration;

const RUN: RunId = RunId(7);

fn payload(run: RunId, publisher: u32, sequence: u64) -> [u8; LEN] {
    let mut payload = [0; LEN];
    Header { run, publisher, sequence, sent: Duration::ZERO }.write(&mut payload);
    payload
}

fn ledger(publishers: u32, each: u64) -> Ledger {
    let mut ledger = Ledger::new(RUN, LEN, publishers);
    for publisher in 0..publishers {
        for sequence in 0..each {
            assert_eq!(ledger.publish(publisher), sequence);
        }
    }
    ledger
}

fn settled(arrival: &Arrival) -> Option<Range<u64>> {
    match arrival {
        Arrival::Fresh { settled, .. } => Some(settled.clone()),
        _ => None,
    }
}

#[test]
fn each_fault_is_counted_as_what_it_is() {
    let mut ledger = ledger(2, 10);
    let subscriber = ledger.subscriber(0..2);
    let mut arrive = |sequence| ledger.arrive(subscriber, &payload(RUN, 0, sequence), false);
    assert_eq!(settled(&arrive(0)), Some(0..1));
    assert_eq!(settled(&arrive(4)), Some(1..5));
    assert!(matches!(arrive(2), Arrival::Late { .. }));
    assert!(matches!(arrive(2), Arrival::Duplicate(_)));
    assert!(matches!(arrive(0), Arrival::Duplicate(_)));
    assert_eq!(settled(&arrive(5)), Some(5..6));
    let faults: Vec<Faults> = ledger.faults().collect();
    assert_eq!(faults[0], Faults { lost: 2 + 4, duplicated: 2, reordered: 1 });
    assert_eq!(faults[1], Faults { lost: 10, duplicated: 0, reordered: 0 });
    assert_eq!(ledger.outstanding(), 4 + 10);
    let counts = ledger.counts();
    assert_eq!((counts.sent, counts.due, counts.received, counts.lost), (20, 20, 4, 16));
}

#[test]
fn what_is_not_of_this_run_is_told_apart() {
    let mut ledger = ledger(2, 1);
    let subscriber = ledger.subscriber(0..1);
    let mut arrive = |payload: &[u8], retain| ledger.arrive(subscriber, payload, retain);
    assert_eq!(arrive(&payload(RunId(8), 0, 0), false), Arrival::Earlier);
    assert_eq!(arrive(&payload(RunId(8), 0, 0), true), Arrival::Retained);
    assert_eq!(arrive(&payload(RUN, 0, 0), true), Arrival::Retained);
    assert_eq!(arrive(b"hello", false), Arrival::Foreign);
    assert_eq!(arrive(&[&payload(RUN, 0, 0)[..], b"x"].concat(), false), Arrival::Foreign);
    assert_eq!(arrive(&payload(RUN, 1, 0), false), Arrival::Foreign, "not its publisher");
    assert_eq!(arrive(&payload(RUN, 0, 1), false), Arrival::Foreign, "never sent");
    assert_eq!(arrive(&payload(RUN, u32::MAX, 0), false), Arrival::Foreign, "no publisher");
    let counts = ledger.counts();
    assert_eq!((counts.foreign, counts.earlier, counts.retained), (5, 1, 2));
    assert_eq!((counts.received, counts.lost, counts.duplicated), (0, 1, 0));
}

#[test]
fn a_share_group_gets_each_message_once_and_each_member_in_order() {
    let mut ledger = ledger(1, 6);
    let first = ledger.share_group(0..1, 2);
    let mut arrive =
        |member: usize, sequence| ledger.arrive(first + member, &payload(RUN, 0, sequence), false);
    assert_eq!(settled(&arrive(0, 1)), Some(1..2));
    // Between two members nothing is promised.
    assert_eq!(settled(&arrive(1, 0)), Some(0..1));
    assert_eq!(settled(&arrive(1, 4)), Some(4..5));
    assert!(matches!(arrive(1, 2), Arrival::Late { .. }));
    assert!(matches!(arrive(0, 4), Arrival::Duplicate(_)));
    let counts = ledger.counts();
    assert_eq!((counts.due, counts.received, counts.lost), (6, 4, 2));
    assert_eq!((counts.duplicated, counts.reordered), (1, 1));
}

/// A naive ledger: remembers all it has seen.
#[derive(Default)]
struct Naive {
    seen: BTreeSet<u64>,
    faults: Faults,
}

impl Naive {
    fn arrive(&mut self, sequence: u64) {
        let late = self.seen.last().is_some_and(|last| sequence < *last);
        if !self.seen.insert(sequence) {
            self.faults.duplicated += 1;
        } else if late {
            self.faults.reordered += 1;
        }
    }
}

#[test]
fn it_agrees_with_one_that_remembers_everything() {
    const SENT: u64 = 200;
    let mut random = 0x2545_F491_4F6C_DD1D_u64;
    for _ in 0..50 {
        let mut ledger = ledger(1, SENT);
        let subscriber = ledger.subscriber(0..1);
        let mut naive = Naive::default();
        for _ in 0..300 {
            // xorshift64
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            let sequence = random % SENT;
            ledger.arrive(subscriber, &payload(RUN, 0, sequence), false);
            naive.arrive(sequence);
        }
        naive.faults.lost = SENT - naive.seen.len() as u64;
        assert_eq!(ledger.faults().next(), Some(naive.faults));
        assert_eq!(ledger.counts().received, naive.seen.len() as u64);
    }
}

#[test]
fn a_set_counts_each_member_once() {
    let mut seen = Seen::new(65);
    assert!(seen.insert(0) && seen.insert(64) && !seen.insert(64));
    assert!(!seen.insert(65) && !seen.insert(200), "beyond the set");
    assert_eq!(seen.count(), 2);
}
