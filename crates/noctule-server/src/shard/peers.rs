//! Channels between shards: one ring for each ordered pair, of batches, without locks.
//!
//! What a turn says to a peer is collected and pushed at its end, when the records of the turn are
//! appended: what the peer appends about a message comes after the message. The peer is woken if it
//! sleeps. If its ring is full, batches wait here, in order, and core is told to read nobody who
//! adds to them: nothing is dropped, and nobody blocks.

use super::addresses::Admitted;
use super::mailbox::Wake;
use crate::net::Moved;
use noctule_core::ShardId;
use noctule_core::input::{Level, Origin};
use noctule_core::peer::PeerMessage;
use rtrb::{Consumer, Producer, RingBuffer};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Batches a ring holds.
const RING_BATCHES: usize = 64;

/// Messages of a batch, at most.
const BATCH_MESSAGES: usize = 512;

/// Bytes of messages in a ring above which it counts as full, however few batches they are.
const RING_BYTES: usize = 64 * 1024 * 1024;

/// Bytes of messages that end a batch.
const BATCH_BYTES: usize = 1024 * 1024;

/// Batches taken from one peer in one turn.
const TAKEN_MAX: usize = 8;

/// A connection on its way to its home shard.
pub(crate) struct Arrival {
    pub(crate) socket: Moved,
    pub(crate) from: Origin,
    /// How it counts for its address.
    pub(crate) admitted: Option<Admitted>,
    /// What was received, from its CONNECT on.
    pub(crate) bytes: Vec<u8>,
}

/// What one shard tells another in one turn.
#[derive(Default)]
pub(crate) struct Batch {
    pub(crate) messages: Vec<PeerMessage>,
    pub(crate) arrivals: Vec<Arrival>,
    /// Bytes of the messages.
    bytes: usize,
}

impl Batch {
    fn is_empty(&self) -> bool {
        self.messages.is_empty() && self.arrivals.is_empty()
    }
}

/// One shard's ends of all its channels.
pub(crate) struct Peers {
    links: Vec<Option<Link>>,
}

/// The channels to and from one peer.
struct Link {
    out: Producer<Batch>,
    inbox: Consumer<Batch>,
    /// Bytes in either ring: whoever pushes adds, whoever pops subtracts.
    out_bytes: Arc<AtomicUsize>,
    inbox_bytes: Arc<AtomicUsize>,
    wake: Arc<Wake>,
    open: Batch,
    waiting: VecDeque<Batch>,
    level: Level,
}

impl Peers {
    /// The ends for every shard of a node, given what wakes each.
    pub(crate) fn connect(wakes: &[Arc<Wake>]) -> Vec<Peers> {
        let count = wakes.len();
        let mut rings: Vec<Vec<_>> = Vec::with_capacity(count);
        for from in 0..count {
            let ring = |to| (from != to).then(|| RingBuffer::new(RING_BATCHES));
            rings.push((0..count).map(ring).collect());
        }
        let mut producers: Vec<Vec<Option<Producer<Batch>>>> = Vec::with_capacity(count);
        let mut consumers: Vec<Vec<Option<Consumer<Batch>>>> =
            (0..count).map(|_| Vec::with_capacity(count)).collect();
        for row in rings {
            let (outs, ins): (Vec<_>, Vec<_>) = row.into_iter().map(Option::unzip).unzip();
            producers.push(outs);
            for (to, inbox) in ins.into_iter().enumerate() {
                consumers[to].push(inbox);
            }
        }
        let bytes: Vec<Arc<AtomicUsize>> = (0..count * count).map(|_| Arc::default()).collect();
        let ends = producers.into_iter().zip(consumers);
        ends.enumerate()
            .map(|(me, (outs, ins))| {
                let ends = outs.into_iter().zip(ins).zip(wakes);
                let links = ends.enumerate().map(|(peer, ((out, inbox), wake))| {
                    Some(Link {
                        out: out?,
                        inbox: inbox?,
                        out_bytes: Arc::clone(&bytes[me * count + peer]),
                        inbox_bytes: Arc::clone(&bytes[peer * count + me]),
                        wake: Arc::clone(wake),
                        open: Batch::default(),
                        waiting: VecDeque::new(),
                        level: Level::Low,
                    })
                });
                Peers { links: links.collect() }
            })
            .collect()
    }

    /// Adds a message to what `to` is told this turn.
    #[inline]
    pub(crate) fn tell(&mut self, to: ShardId, message: PeerMessage) {
        let Some(Some(link)) = self.links.get_mut(usize::from(to.0)) else {
            debug_assert!(false, "core speaks to itself, or to a shard that does not exist");
            return;
        };
        link.open.bytes += size(&message);
        link.open.messages.push(message);
        if link.open.messages.len() == BATCH_MESSAGES || link.open.bytes >= BATCH_BYTES {
            link.waiting.push_back(std::mem::take(&mut link.open));
        }
    }

    /// Sends a connection home.
    pub(crate) fn send_home(&mut self, to: ShardId, arrival: Arrival) {
        if let Some(Some(link)) = self.links.get_mut(usize::from(to.0)) {
            link.open.arrivals.push(arrival);
        }
    }

    /// Pushes what was collected and wakes those who sleep. `crossed` hears of channels that began
    /// or ceased to be full.
    pub(crate) fn flush(&mut self, mut crossed: impl FnMut(ShardId, Level)) {
        for (to, link) in self.links.iter_mut().enumerate() {
            let Some(link) = link else { continue };
            if !link.open.is_empty() || !link.waiting.is_empty() {
                link.push();
            }
            let level = if link.waiting.is_empty() { Level::Low } else { Level::High };
            if level != link.level {
                link.level = level;
                crossed(ShardId(to as u16), level);
            }
        }
    }

    /// The next batch of a peer, at most [`TAKEN_MAX`] from each in a turn: call it with the same
    /// `taken`, first 0, until it answers `None`.
    pub(crate) fn next(&mut self, from: ShardId, taken: &mut usize) -> Option<Batch> {
        if *taken == TAKEN_MAX {
            return None;
        }
        *taken += 1;
        let link = self.links[usize::from(from.0)].as_mut()?;
        let batch = link.inbox.pop().ok()?;
        link.inbox_bytes.fetch_sub(batch.bytes, Ordering::Relaxed);
        Some(batch)
    }

    /// Shards of the node.
    pub(crate) fn count(&self) -> u16 {
        self.links.len() as u16
    }

    /// Somebody has said something.
    pub(crate) fn has_news(&self) -> bool {
        self.links.iter().flatten().any(|link| !link.inbox.is_empty())
    }

    /// Something waits for a full channel.
    pub(crate) fn has_waiting(&self) -> bool {
        self.links.iter().flatten().any(|link| !link.waiting.is_empty())
    }
}

impl Link {
    fn push(&mut self) {
        let open = std::mem::take(&mut self.open);
        if !open.is_empty() {
            self.waiting.push_back(open);
        }
        let mut pushed = false;
        while let Some(batch) = self.waiting.pop_front() {
            let bytes = batch.bytes;
            // Added first, so that the other side never subtracts what is not there yet.
            let before = self.out_bytes.fetch_add(bytes, Ordering::Relaxed);
            let full = bytes > 0 && before > 0 && before + bytes > RING_BYTES;
            let outcome = match full {
                true => Err(rtrb::PushError::Full(batch)),
                false => self.out.push(batch),
            };
            match outcome {
                Ok(()) => pushed = true,
                Err(rtrb::PushError::Full(batch)) => {
                    self.out_bytes.fetch_sub(bytes, Ordering::Relaxed);
                    self.waiting.push_front(batch);
                    break;
                }
            }
        }
        if pushed {
            self.wake.if_asleep();
        }
    }
}

/// Bytes that a message keeps in memory, as far as clients choose how many.
#[inline]
fn size(message: &PeerMessage) -> usize {
    match message {
        PeerMessage::Deliver(delivery) => delivery.message.cost(),
        PeerMessage::Retain(message) => message.cost(),
        PeerMessage::RetainedAnswer(answer) => answer.messages.iter().map(|it| it.cost()).sum(),
        PeerMessage::RetainedAsk(_)
        | PeerMessage::RetainedFence { .. }
        | PeerMessage::RetainedPassed { .. }
        | PeerMessage::ShareJoin(_)
        | PeerMessage::ShareJoined { .. }
        | PeerMessage::ShareLeave { .. }
        | PeerMessage::SharePresence { .. }
        | PeerMessage::ShareSettled { .. }
        | PeerMessage::Fence { .. }
        | PeerMessage::Passed { .. }
        | PeerMessage::Hold { .. }
        | PeerMessage::HoldBack { .. }
        | PeerMessage::Release { .. } => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use noctule_core::message::{Origin, Parts};
    use noctule_core::{Message, SessionNumber, Time};
    use noctule_proto::QoS;

    fn pair() -> (Peers, Peers) {
        let wake = || super::super::mailbox::for_tests().0.wake;
        let mut ends = Peers::connect(&[wake(), wake()]);
        let second = ends.pop().expect("one end for each shard");
        (ends.pop().expect("one end for each shard"), second)
    }

    fn number(n: u64) -> PeerMessage {
        PeerMessage::Hold { publisher: SessionNumber(n), receiver: SessionNumber(n) }
    }

    fn drain(peers: &mut Peers) -> Vec<PeerMessage> {
        let mut all = Vec::new();
        while peers.has_news() {
            let mut taken = 0;
            while let Some(batch) = peers.next(ShardId(0), &mut taken) {
                all.extend(batch.messages);
            }
        }
        all
    }

    #[test]
    fn messages_arrive_in_order_after_the_flush() {
        let (mut one, mut two) = pair();
        let all: Vec<_> = (0..2 * BATCH_MESSAGES as u64).map(number).collect();
        all.iter().for_each(|message| one.tell(ShardId(1), message.clone()));
        assert!(!two.has_news(), "its records are not appended yet");
        one.flush(|_, _| panic!("the channel is not full"));
        assert_eq!(drain(&mut two), all);
        assert!(!one.has_news());
    }

    #[test]
    fn a_full_channel_is_told_of_once_and_loses_nothing() {
        let (mut one, mut two) = pair();
        let count = (RING_BATCHES * BATCH_MESSAGES) as u64 + 5000;
        let mut crossed = Vec::new();
        for n in 0..count {
            one.tell(ShardId(1), number(n));
        }
        one.flush(|to, level| crossed.push((to, level)));
        one.flush(|to, level| crossed.push((to, level)));
        assert!(one.has_waiting());
        let mut all = drain(&mut two);
        one.flush(|to, level| crossed.push((to, level)));
        assert!(!one.has_waiting());
        all.extend(drain(&mut two));
        assert_eq!(all, (0..count).map(number).collect::<Vec<_>>());
        assert_eq!(crossed, [(ShardId(1), Level::High), (ShardId(1), Level::Low)]);
    }

    /// A message of so many bytes to keep.
    fn large(bytes: usize) -> PeerMessage {
        let parts = Parts {
            topic: "t",
            properties: &[],
            payload: &vec![0; bytes],
            qos: QoS::AtMostOnce,
            retain: true,
            expiry_secs: None,
        };
        PeerMessage::Retain(Arc::new(Message::new(Time(0), Origin::default(), &parts)))
    }

    #[test]
    fn a_few_large_messages_fill_a_channel_as_well() {
        let (mut one, mut two) = pair();
        let mut crossed = Vec::new();
        for _ in 0..6 {
            one.tell(ShardId(1), large(RING_BYTES / 4));
        }
        one.flush(|to, level| crossed.push((to, level)));
        assert!(one.has_waiting());
        let mut all = drain(&mut two);
        assert!(all.len() < 6, "six at once are more than the channel takes");
        one.flush(|to, level| crossed.push((to, level)));
        all.extend(drain(&mut two));
        assert_eq!(all.len(), 6);
        assert_eq!(crossed, [(ShardId(1), Level::High), (ShardId(1), Level::Low)]);
        // What is larger than a channel passes when nothing else is in it.
        one.tell(ShardId(1), large(RING_BYTES + 1));
        one.flush(|_, _| panic!("the channel is not full"));
        assert_eq!(drain(&mut two).len(), 1);
    }
}
