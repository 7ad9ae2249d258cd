//! All clients that are active: connected, or gone a little while ago.
//!
//! Two hundred and fifty-six tables with linear probing, each grown by a quarter when it is more
//! than seven eighths full: no growth takes long, and little room is unused. Beyond
//! the bound nobody new is watched until others are forgotten, which is counted.

use super::client::Client;
use super::traffic::{ClientKey, Look};
use super::{Found, LOOK_SECS, Thresholds};
use crate::identity::Time;

/// Tables, chosen by the first byte of the key.
const TABLES: usize = 256;

/// What is known of the clients of a shard.
#[derive(Debug)]
pub struct Clients {
    tables: Box<[Table]>,
    thresholds: Thresholds,
    len: usize,
    len_max: usize,
    unwatched: u64,
    /// The table that is swept next.
    broom: usize,
    began: Time,
}

const _: () = assert!(size_of::<Option<Client>>() <= 32);

#[derive(Clone, Default, Debug)]
struct Table {
    slots: Vec<Option<Client>>,
    used: usize,
}

impl Clients {
    /// Nobody is known yet; at most `clients_max` are ever.
    #[must_use]
    pub fn new(thresholds: Thresholds, clients_max: usize, now: Time) -> Clients {
        let tables = vec![Table::default(); TABLES].into_boxed_slice();
        Clients {
            tables,
            thresholds,
            len: 0,
            len_max: clients_max,
            unwatched: 0,
            broom: 0,
            began: now,
        }
    }

    /// Other thresholds from here on.
    pub fn set_thresholds(&mut self, thresholds: Thresholds) {
        self.thresholds = thresholds;
    }

    /// A client has connected.
    pub fn connected(&mut self, now: Time, key: ClientKey) {
        let now_secs = self.secs(now);
        if let Some(client) = self.entry(now_secs, key) {
            client.connected();
        }
    }

    /// Its connection has ended; `flap`: it was lost, or of no use to the client.
    pub fn ended(&mut self, now: Time, key: ClientKey, flap: bool) -> Option<Found> {
        let (now_secs, thresholds) = (self.secs(now), self.thresholds);
        self.entry(now_secs, key)?.ended(now_secs, flap, &thresholds)
    }

    /// A look at a connection; the last one was so many milliseconds ago.
    pub fn look(&mut self, now: Time, look: &Look, millis: u32) -> Option<Found> {
        let (now_secs, thresholds) = (self.secs(now), self.thresholds);
        let client = self.entry(now_secs, look.client)?;
        client.look(now_secs / LOOK_SECS, &look.traffic, millis, &thresholds)
    }

    /// Forgets who has been gone for long, in a part of the tables; all are swept after 64 calls.
    pub fn sweep(&mut self, now: Time) {
        let now_secs = self.secs(now);
        for _ in 0..TABLES / 64 {
            self.len -= self.tables[self.broom].forget(now_secs);
            self.broom = (self.broom + 1) % TABLES;
        }
    }

    /// Clients that are known.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Nobody is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes that the tables take.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.tables.iter().map(|it| it.slots.capacity() * size_of::<Option<Client>>()).sum()
    }

    /// How often somebody new found no room.
    #[must_use]
    pub fn unwatched(&self) -> u64 {
        self.unwatched
    }

    fn secs(&self, now: Time) -> u32 {
        // 136 years.
        (now.millis_since(self.began) / 1000) as u32
    }

    fn entry(&mut self, now_secs: u32, key: ClientKey) -> Option<&mut Client> {
        let table = &mut self.tables[(key.number() >> 56) as usize];
        let at = match table.find(key) {
            Ok(at) => at,
            Err(_) if self.len >= self.len_max => {
                self.unwatched += 1;
                return None;
            }
            Err(_) => {
                self.len += 1;
                table.insert(Client::new(key, now_secs))
            }
        };
        table.slots[at].as_mut()
    }
}

impl Table {
    fn home(&self, key: ClientKey) -> usize {
        // The product of two numbers below 2^32, its upper half: evenly spread, without a division.
        (((key.number() & 0xFFFF_FFFF) * self.slots.len() as u64) >> 32) as usize
    }

    /// Where it is, or where it would be.
    fn find(&self, key: ClientKey) -> Result<usize, usize> {
        if self.slots.is_empty() {
            return Err(0);
        }
        let mut at = self.home(key);
        loop {
            match &self.slots[at] {
                Some(client) if client.key == key => return Ok(at),
                Some(_) => at = (at + 1) % self.slots.len(),
                None => return Err(at),
            }
        }
    }

    fn insert(&mut self, client: Client) -> usize {
        if (self.used + 1) * 8 > self.slots.len() * 7 {
            self.resize(self.slots.len() + (self.slots.len() / 4).max(4));
        }
        self.used += 1;
        let (Ok(at) | Err(at)) = self.find(client.key);
        self.slots[at] = Some(client);
        at
    }

    fn resize(&mut self, slots: usize) {
        let mut new = Vec::new();
        // Not a slot more than was asked for.
        new.reserve_exact(slots);
        new.resize(slots, None);
        for client in std::mem::replace(&mut self.slots, new).into_iter().flatten() {
            let (Ok(at) | Err(at)) = self.find(client.key);
            self.slots[at] = Some(client);
        }
    }

    /// Forgets who is gone; answers how many.
    fn forget(&mut self, now_secs: u32) -> usize {
        let is_over = |slot: &&mut Option<Client>| slot.is_some_and(|it| it.is_over(now_secs));
        let gone = self.slots.iter_mut().filter(is_over).map(|slot| *slot = None).count();
        if gone > 0 {
            self.used -= gone;
            // Those behind a gap are not found any more: all are placed anew, in a table that fits.
            self.resize(if self.used == 0 { 0 } else { self.used * 4 / 3 + 1 });
        }
        gone
    }
}
