//! How much there is of what.

use super::replayed;
use crate::StoreError;
use crate::format::Position;
use crate::log::{Log, Names, Owed};
use noctule_core::index::Receiver;
use noctule_core::message::MESSAGE_OVERHEAD;
use noctule_core::record::{Body, Record};
use noctule_core::{SessionNumber, Time};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;

/// Messages and their bytes: topics, properties and payloads.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct Amount {
    /// Bytes of them.
    pub bytes: u64,
    /// Messages.
    pub messages: u64,
}

/// Sessions by what they were when the broker ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Sessions {
    /// Their clients were connected.
    pub online: u64,
    /// Their clients were away.
    pub offline: u64,
    /// They were away and have expired since: a start ends them.
    pub expired: u64,
}

/// What a store holds.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Stats {
    /// Segments of the log, those that are prepared included.
    pub segments: u64,
    /// Of these, segments of which no message is owed.
    pub dead: u64,
    /// Files of messages that were moved out of segments.
    pub cold_files: u64,
    /// Bytes that all these take on the disk.
    pub disk_bytes: u64,
    /// Messages that somebody is owed, each counted once.
    pub live: Amount,
    /// When the store was last known to be in use.
    pub alive: Option<Time>,
    /// Sessions.
    pub sessions: Sessions,
    /// Subscriptions.
    pub subscriptions: u64,
    /// Messages that sessions and share groups are owed, counted for each of them.
    pub queued: Amount,
    /// Retained messages.
    pub retained: Amount,
    /// Wills of clients that are away: they wait for their delay, or for the end of the session.
    pub wills_delayed: u64,
    /// Queues, the biggest first.
    pub queues: Vec<(Owed, Amount)>,
}

/// Counts what the store in a directory holds. `queues`: so many of the biggest queues. `None`:
/// there is no store.
///
/// # Errors
/// A broker would not start from it, or has it open; the disk fails.
pub fn stats(directory: &Path, now: Time, queues: usize) -> Result<Option<Stats>, StoreError> {
    let Some((log, broker)) = replayed(directory)? else { return Ok(None) };
    let mut count = Count { now, ..Count::default() };
    broker.snapshot(&mut |record| count.record(&record));
    count.end(&log, queues).map(Some)
}

#[derive(Default)]
struct Count {
    now: Time,
    stats: Stats,
    names: Names,
    /// Clients that are away.
    away: BTreeSet<SessionNumber>,
    queues: BTreeMap<Owed, Amount>,
    /// Where messages lie, and their bytes.
    places: HashMap<u64, u64>,
}

impl Count {
    fn record(&mut self, record: &Record) {
        self.names.learn(record);
        match record {
            Record::Session { session, expiry_secs, away_since, .. } => {
                let sessions = &mut self.stats.sessions;
                let ends = |since: &Time| since.plus_secs(u64::from(*expiry_secs));
                let expired = |since| *expiry_secs != u32::MAX && ends(since) <= self.now;
                match away_since {
                    None => sessions.online += 1,
                    Some(since) if expired(since) => sessions.expired += 1,
                    Some(_) => sessions.offline += 1,
                }
                if away_since.is_some() {
                    self.away.insert(*session);
                }
            }
            Record::Subscribed { .. } => self.stats.subscriptions += 1,
            Record::Published { message, receivers, retained } => {
                let amount = self.amount(message);
                if *retained {
                    add(&mut self.stats.retained, amount);
                }
                for receipt in receivers {
                    self.owe(receipt.receiver, amount);
                }
            }
            Record::Received { message, .. } => {
                self.amount(message);
            }
            Record::Waiting { receiver, messages } => {
                for waiting in messages {
                    let amount = self.amount(&waiting.message);
                    self.owe(*receiver, amount);
                }
            }
            Record::Will { session, will: Some(_) } => {
                self.stats.wills_delayed += u64::from(self.away.contains(session));
            }
            Record::Will { .. }
            | Record::SessionEnded(_)
            | Record::Unsubscribed { .. }
            | Record::Group { .. }
            | Record::GroupEnded(_)
            | Record::Sent { .. }
            | Record::Released { .. }
            | Record::Completed { .. }
            | Record::Settled { .. }
            | Record::ReceivedReleased { .. }
            | Record::Cleared { .. }
            | Record::Given { .. } => {}
        }
    }

    /// A message, seen once more.
    fn amount(&mut self, message: &Body) -> Amount {
        let bytes = message.cost().saturating_sub(MESSAGE_OVERHEAD as u64);
        if let Some(place) = message.place() {
            self.places.insert(place.0.get(), bytes);
        }
        Amount { bytes, messages: 1 }
    }

    fn owe(&mut self, receiver: Receiver, amount: Amount) {
        add(&mut self.stats.queued, amount);
        add(self.queues.entry(self.names.of(receiver)).or_default(), amount);
    }

    fn end(self, log: &Log, queues: usize) -> Result<Stats, StoreError> {
        let Count { mut stats, places, queues: counted, .. } = self;
        let live = log.segments_of(places.keys().filter_map(|at| Position(*at).place()));
        let segments = log.segment_numbers();
        let is_dead = |number: &&u32| **number < log.end().segment() && !live.contains(number);
        stats.segments = segments.len() as u64;
        stats.dead = segments.iter().filter(is_dead).count() as u64;
        stats.cold_files = log.cold_files();
        stats.disk_bytes = log.disk_bytes()?;
        stats.live = Amount { bytes: places.values().sum(), messages: places.len() as u64 };
        stats.alive = log.alive();
        stats.queues = counted.into_iter().collect();
        stats.queues.sort_by_key(|(owed, amount)| (std::cmp::Reverse(*amount), owed.clone()));
        stats.queues.truncate(queues);
        Ok(stats)
    }
}

fn add(sum: &mut Amount, amount: Amount) {
    sum.bytes += amount.bytes;
    sum.messages += amount.messages;
}
