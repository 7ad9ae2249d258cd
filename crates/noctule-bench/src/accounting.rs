//! What became of each message: exactly, for each stream from a publisher to a subscriber.
//!
//! A stream knows the next number it expects and the gaps below it. A message in order costs a
//! comparison; each run of missing messages costs 16 bytes until it is filled, so nothing is ever
//! guessed: a late message is told from a duplicate however late it is. Finding a late message
//! takes the logarithm of the number of gaps.
//!
//! The members of a share group share their streams: between them, each message is to arrive
//! once. What one member gets of a publisher has to be in order, what the group gets has not.

use crate::payload::{Header, RunId};
use std::ops::Range;

/// What a message that came in turned out to be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Arrival {
    /// It came for the first time.
    Fresh {
        /// What it says about itself.
        header: Header,
        /// The messages of its stream that need not be waited for any more: itself, and what it
        /// has overtaken.
        settled: Range<u64>,
    },
    /// It came for the first time, but after a later one of its stream.
    Late {
        /// What it says about itself.
        header: Header,
        /// As above; empty where it had been given up.
        settled: Range<u64>,
    },
    /// It has come before.
    Duplicate(Header),
    /// A retained copy, of whatever run: it belongs to no stream.
    Retained,
    /// Published by an earlier run: a rest in a queue.
    Earlier,
    /// Nothing that a publisher of this run has sent to this subscriber.
    Foreign,
}

/// How many messages of a run met which fate.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counts {
    /// Messages published.
    pub sent: u64,
    /// Messages that were to arrive: those published, for each of their subscribers.
    pub due: u64,
    /// Messages that arrived, each counted once.
    pub received: u64,
    /// Of `due`, those that did not arrive.
    pub lost: u64,
    /// Arrivals of what had arrived before.
    pub duplicated: u64,
    /// Messages that arrived after a later one of their stream.
    pub reordered: u64,
    /// Retained copies.
    pub retained: u64,
    /// Messages of earlier runs.
    pub earlier: u64,
    /// Messages of nobody here.
    pub foreign: u64,
}

/// Faults of one stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Faults {
    /// Messages that did not arrive, or not yet.
    pub lost: u64,
    /// Arrivals of what had arrived before.
    pub duplicated: u64,
    /// Messages that arrived after a later one.
    pub reordered: u64,
}

/// The accounts of one run.
#[derive(Debug)]
pub struct Ledger {
    run: RunId,
    /// Length of each payload.
    size: usize,
    publishers: Vec<Publisher>,
    sent: u64,
    due: u64,
    readers: Vec<Reader>,
    streams: Vec<Stream>,
    /// Of members of share groups: one above the highest number each has seen of each publisher.
    newest: Vec<u64>,
    received: u64,
    /// Of `due`, those that need not be waited for any more.
    settled: u64,
    retained: u64,
    earlier: u64,
    foreign: u64,
}

#[derive(Clone, Debug, Default)]
struct Publisher {
    /// Messages it has published.
    sent: u64,
    /// Streams that begin here.
    fan_out: u32,
}

/// One subscriber: whom it hears.
#[derive(Debug)]
struct Reader {
    publishers: Range<u32>,
    /// Its stream from the first of them; the others follow.
    stream: usize,
    /// A member of a share group: its first place in `newest`.
    member: Option<usize>,
}

#[derive(Clone, Debug)]
struct Stream {
    publisher: u32,
    /// One above the highest number that has arrived.
    next: u64,
    /// What is missing below `next`, ascending.
    gaps: Vec<Range<u64>>,
    duplicated: u32,
    reordered: u32,
}

impl Ledger {
    /// Accounts of `publishers` publishers, and no subscribers yet.
    pub fn new(run: RunId, size: usize, publishers: u32) -> Ledger {
        Ledger {
            run,
            size,
            publishers: vec![Publisher::default(); publishers as usize],
            sent: 0,
            due: 0,
            readers: Vec::new(),
            streams: Vec::new(),
            newest: Vec::new(),
            received: 0,
            settled: 0,
            retained: 0,
            earlier: 0,
            foreign: 0,
        }
    }

    /// Adds a subscriber who hears these publishers, and answers its number.
    pub fn subscriber(&mut self, publishers: Range<u32>) -> usize {
        let stream = self.open_streams(publishers.clone());
        self.readers.push(Reader { publishers, stream, member: None });
        self.readers.len() - 1
    }

    /// Adds a share group of so many members that hears these publishers; the members follow each
    /// other, and the number of the first is answered.
    pub fn share_group(&mut self, publishers: Range<u32>, members: usize) -> usize {
        let stream = self.open_streams(publishers.clone());
        let first = self.readers.len();
        for _ in 0..members {
            let member = Some(self.newest.len());
            self.newest.resize(self.newest.len() + publishers.len(), 0);
            self.readers.push(Reader { publishers: publishers.clone(), stream, member });
        }
        first
    }

    fn open_streams(&mut self, publishers: Range<u32>) -> usize {
        let first = self.streams.len();
        for publisher in publishers {
            let Publisher { sent, fan_out } = &mut self.publishers[publisher as usize];
            *fan_out += 1;
            self.due += *sent;
            self.streams.push(Stream::new(publisher));
        }
        first
    }

    /// A publisher sends its next message: the number of it.
    #[inline]
    pub fn publish(&mut self, publisher: u32) -> u64 {
        let Publisher { sent, fan_out } = &mut self.publishers[publisher as usize];
        self.sent += 1;
        self.due += u64::from(*fan_out);
        *sent += 1;
        *sent - 1
    }

    /// A message came to a subscriber.
    #[inline(always)]
    pub fn arrive(&mut self, subscriber: usize, payload: &[u8], retain: bool) -> Arrival {
        let header = Header::read(payload).filter(|_| payload.len() == self.size);
        let Some(header) = header else {
            self.foreign += 1;
            return Arrival::Foreign;
        };
        if retain {
            self.retained += 1;
            return Arrival::Retained;
        }
        if header.run != self.run {
            self.earlier += 1;
            return Arrival::Earlier;
        }
        let reader = &self.readers[subscriber];
        let known = reader.publishers.contains(&header.publisher)
            && header.sequence < self.publishers[header.publisher as usize].sent;
        if !known {
            self.foreign += 1;
            return Arrival::Foreign;
        }
        let nth = (header.publisher - reader.publishers.start) as usize;
        let stream = &mut self.streams[reader.stream + nth];
        let arrival = match reader.member {
            None => stream.arrive(header),
            Some(member) => stream.arrive_at_member(header, &mut self.newest[member + nth]),
        };
        if let Arrival::Fresh { settled, .. } | Arrival::Late { settled, .. } = &arrival {
            self.received += 1;
            self.settled += settled.end - settled.start;
        }
        arrival
    }

    /// Messages published.
    pub fn sent(&self) -> u64 {
        self.sent
    }

    /// Messages that are to arrive, or have.
    pub fn due(&self) -> u64 {
        self.due
    }

    /// Messages that have arrived, each counted once.
    pub fn received(&self) -> u64 {
        self.received
    }

    /// Messages that are still waited for: neither they nor a later one of their stream has come.
    pub fn outstanding(&self) -> u64 {
        self.due - self.settled
    }

    /// How it stands. What is on its way counts as lost as long as it has not arrived.
    pub fn counts(&self) -> Counts {
        let mut counts = Counts {
            sent: self.sent,
            due: self.due,
            received: self.received,
            retained: self.retained,
            earlier: self.earlier,
            foreign: self.foreign,
            ..Counts::default()
        };
        for faults in self.faults() {
            counts.lost += faults.lost;
            counts.duplicated += faults.duplicated;
            counts.reordered += faults.reordered;
        }
        counts
    }

    /// The faults of each stream, in the order in which the subscribers were added.
    pub fn faults(&self) -> impl Iterator<Item = Faults> {
        self.streams.iter().map(|stream| {
            let sent = self.publishers[stream.publisher as usize].sent;
            Faults {
                lost: stream.missing() + (sent - stream.next),
                duplicated: stream.duplicated.into(),
                reordered: stream.reordered.into(),
            }
        })
    }
}

impl Stream {
    fn new(publisher: u32) -> Stream {
        Stream { publisher, next: 0, gaps: Vec::new(), duplicated: 0, reordered: 0 }
    }

    #[inline(always)]
    fn arrive(&mut self, header: Header) -> Arrival {
        if header.sequence == self.next {
            self.next += 1;
            return Arrival::Fresh { header, settled: header.sequence..self.next };
        }
        self.arrive_out_of_order(header)
    }

    #[cold]
    fn arrive_out_of_order(&mut self, header: Header) -> Arrival {
        let sequence = header.sequence;
        if sequence > self.next {
            let settled = self.next..sequence + 1;
            self.gaps.push(self.next..sequence);
            self.next = sequence + 1;
            return Arrival::Fresh { header, settled };
        }
        if self.fill(sequence) {
            self.reordered += 1;
            return Arrival::Late { header, settled: sequence..sequence };
        }
        self.duplicated += 1;
        Arrival::Duplicate(header)
    }

    /// The same for one of several members. None of them knows what the others got, so a message
    /// settles itself alone.
    #[inline(never)]
    fn arrive_at_member(&mut self, header: Header, newest: &mut u64) -> Arrival {
        let settled = header.sequence..header.sequence + 1;
        let in_order = settled.start >= *newest;
        *newest = settled.end.max(*newest);
        match self.arrive(header) {
            Arrival::Fresh { .. } => Arrival::Fresh { header, settled },
            // In order for this member, whatever the others had before.
            Arrival::Late { .. } if in_order => {
                self.reordered -= 1;
                Arrival::Fresh { header, settled }
            }
            Arrival::Late { .. } => Arrival::Late { header, settled },
            other => other,
        }
    }

    /// Whether this number was missing; it is not any more.
    fn fill(&mut self, sequence: u64) -> bool {
        let at = self.gaps.partition_point(|gap| gap.end <= sequence);
        let Some(gap) = self.gaps.get_mut(at).filter(|gap| gap.contains(&sequence)) else {
            return false;
        };
        let (below, above) = (gap.start..sequence, sequence + 1..gap.end);
        match (below.is_empty(), above.is_empty()) {
            (true, true) => {
                self.gaps.remove(at);
            }
            (true, false) => *gap = above,
            (false, true) => *gap = below,
            (false, false) => {
                *gap = above;
                self.gaps.insert(at, below);
            }
        }
        true
    }

    fn missing(&self) -> u64 {
        self.gaps.iter().map(|gap| gap.end - gap.start).sum()
    }
}

/// Which of a known set of things have been seen, each once.
#[derive(Debug)]
pub(crate) struct Seen {
    bits: Vec<u64>,
    len: u64,
    count: u64,
}

impl Seen {
    pub(crate) fn new(len: u64) -> Seen {
        Seen { bits: vec![0; len.div_ceil(64) as usize], len, count: 0 }
    }

    /// Whether this number is one of the set.
    pub(crate) fn knows(&self, number: u64) -> bool {
        number < self.len
    }

    /// Whether it had not been seen before. Beyond the set nothing is ever new.
    pub(crate) fn insert(&mut self, number: u64) -> bool {
        if !self.knows(number) {
            return false;
        }
        let Some(word) = self.bits.get_mut((number / 64) as usize) else { return false };
        let bit = 1 << (number % 64);
        let new = *word & bit == 0;
        *word |= bit;
        self.count += u64::from(new);
        new
    }

    pub(crate) fn count(&self) -> u64 {
        self.count
    }
}

#[cfg(test)]
mod tests;
