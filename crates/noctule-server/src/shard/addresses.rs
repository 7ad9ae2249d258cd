//! What source addresses have open, and how often they came lately.
//!
//! One table for all shards of a node, asked as a connection comes and told as it goes, and only
//! while there is a bound: the way of a message does not touch it.

use crate::cidr::Cidr;
use crate::config::AddressLimits;
use noctule_core::Time;
use noctule_core::crowd::{Crowd, Known, Place};
use noctule_core::rate::Bucket;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Addresses that are known by themselves, beside those that have a connection.
const ADDRESSES_MAX: usize = 65_536;

/// The table.
#[derive(Clone)]
pub(crate) struct Addresses {
    table: Arc<Mutex<Crowd<Address>>>,
    hash: RandomState,
}

/// What is known of one.
#[derive(Debug, Default)]
struct Address {
    open: u32,
    half_open: u32,
    connects: Bucket,
}

impl Known for Address {
    fn is_idle(&self, now: Time) -> bool {
        self.open == 0 && self.half_open == 0 && self.connects.is_full(now)
    }
}

/// A connection that counts, until it is dropped.
pub(crate) struct Admitted {
    table: Arc<Mutex<Crowd<Address>>>,
    place: Place,
    half_open: bool,
}

/// Why an address may not connect.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum TooMany {
    /// It has as many connections as it may.
    Open,
    /// It has as many without a CONNECT as it may.
    HalfOpen,
    /// It came too often lately.
    Often,
}

impl TooMany {
    /// In words for the log.
    pub(crate) fn why(self) -> &'static str {
        match self {
            TooMany::Open => "it has as many connections as an address may",
            TooMany::HalfOpen => "it has as many connections without a CONNECT as an address may",
            TooMany::Often => "it connects more often than an address may",
        }
    }
}

impl Addresses {
    pub(crate) fn new() -> Addresses {
        let table = Arc::new(Mutex::new(Crowd::new(ADDRESSES_MAX)));
        Addresses { table, hash: RandomState::new() }
    }

    /// Counts a connection of an address, if it may have another one.
    pub(crate) fn admit(
        &self,
        limits: &AddressLimits,
        address: IpAddr,
        now: Time,
    ) -> Result<Admitted, TooMany> {
        let number = self.hash.hash_one(Cidr::of_client(address));
        let mut table = lock(&self.table);
        let place = table.place(number, now);
        let known = table.at(place);
        if known.open >= limits.connections_max {
            return Err(TooMany::Open);
        }
        if known.half_open >= limits.half_open_max {
            return Err(TooMany::HalfOpen);
        }
        if limits.rate().is_some_and(|rate| known.connects.take(now, rate, 1).is_err()) {
            return Err(TooMany::Often);
        }
        known.open += 1;
        known.half_open += 1;
        drop(table);
        Ok(Admitted { table: Arc::clone(&self.table), place, half_open: true })
    }
}

impl Admitted {
    /// Its CONNECT has come.
    pub(crate) fn has_connected(&mut self) {
        if std::mem::take(&mut self.half_open) {
            lock(&self.table).at(self.place).half_open -= 1;
        }
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        let mut table = lock(&self.table);
        let known = table.at(self.place);
        known.open -= 1;
        known.half_open -= u32::from(self.half_open);
    }
}

fn lock(table: &Mutex<Crowd<Address>>) -> MutexGuard<'_, Crowd<Address>> {
    table.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: AddressLimits = AddressLimits {
        connections_max: 3,
        half_open_max: 2,
        connects_per_min: 60,
        connects_burst: 10,
    };

    fn admit(addresses: &Addresses, address: &str, now: u64) -> Result<Admitted, TooMany> {
        addresses.admit(&LIMITS, address.parse().unwrap(), Time(now))
    }

    #[test]
    fn each_bound_is_the_address_s_own() {
        let addresses = Addresses::new();
        let mut one = admit(&addresses, "10.0.0.1", 0).ok().unwrap();
        let two = admit(&addresses, "10.0.0.1", 0).ok().unwrap();
        assert_eq!(admit(&addresses, "10.0.0.1", 0).err(), Some(TooMany::HalfOpen));
        one.has_connected();
        one.has_connected();
        let mut three = admit(&addresses, "::ffff:10.0.0.1", 0).ok().unwrap();
        three.has_connected();
        assert_eq!(admit(&addresses, "10.0.0.1", 0).err(), Some(TooMany::Open));
        assert!(admit(&addresses, "10.0.0.2", 0).is_ok());
        drop(two);
        assert!(admit(&addresses, "10.0.0.1", 0).is_ok());
        // What it opened counts however short it was; a second gives one more.
        let came = (0..20).filter(|_| admit(&addresses, "10.0.0.1", 0).is_ok()).count();
        assert_eq!(came, 6);
        assert_eq!(admit(&addresses, "10.0.0.1", 999).err(), Some(TooMany::Often));
        assert!(admit(&addresses, "10.0.0.1", 1000).is_ok());
        drop((one, three));
        assert!(admit(&addresses, "10.0.0.9", 600_000).is_ok());
    }

    #[test]
    fn addresses_of_one_site_count_together() {
        let addresses = Addresses::new();
        let held: Vec<_> =
            ["2001:db8::1", "2001:db8::2:0:0:1"].map(|it| admit(&addresses, it, 0).ok()).into();
        assert!(held.iter().all(Option::is_some));
        assert_eq!(admit(&addresses, "2001:db8:0:0:ffff::", 0).err(), Some(TooMany::HalfOpen));
        assert!(admit(&addresses, "2001:db8:0:1::1", 0).is_ok());
    }
}
