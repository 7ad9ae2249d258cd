//! Connections whose CONNECT is awaited, in the order in which they came.

use noctule_core::{ConnId, Time};
use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, SocketAddr};

/// Seconds after which one counts as come for nothing though it may still say something: who opens
/// many and is silent is found before the first of them has run out of time.
const LATE_SECS: u64 = 5;

/// All of a shard.
#[derive(Default)]
pub(super) struct Strangers {
    of: HashMap<ConnId, Stranger>,
    /// Some of them are gone.
    order: VecDeque<(Time, ConnId, u32)>,
    /// So many at the front of `order` are late.
    late: usize,
    last: u32,
}

struct Stranger {
    remote: SocketAddr,
    /// Connections are numbered again when they are gone.
    number: u32,
    late: bool,
}

impl Strangers {
    /// One has come.
    pub(super) fn come(&mut self, now: Time, conn: ConnId, remote: SocketAddr) {
        while let Some(&(_, first, number)) = self.order.front()
            && !self.is_there(first, number)
        {
            self.drop_first();
        }
        self.last = self.last.wrapping_add(1);
        self.of.insert(conn, Stranger { remote, number: self.last, late: false });
        self.order.push_back((now, conn, self.last));
    }

    fn is_there(&self, conn: ConnId, number: u32) -> bool {
        self.of.get(&conn).is_some_and(|it| it.number == number)
    }

    fn drop_first(&mut self) -> Option<(ConnId, u32)> {
        let (_, conn, number) = self.order.pop_front()?;
        self.late = self.late.saturating_sub(1);
        Some((conn, number))
    }

    /// Where one comes from.
    pub(super) fn remote(&self, conn: ConnId) -> Option<SocketAddr> {
        self.of.get(&conn).map(|it| it.remote)
    }

    /// One comes from elsewhere than it seemed, which has not been counted yet.
    pub(super) fn relocate(&mut self, conn: ConnId, remote: SocketAddr) {
        if let Some(stranger) = self.of.get_mut(&conn) {
            (stranger.remote, stranger.late) = (remote, false);
        }
    }

    /// One has said who it is.
    pub(super) fn introduced(&mut self, conn: ConnId) -> Option<SocketAddr> {
        self.of.remove(&conn).map(|it| it.remote)
    }

    /// One is gone. Answers where it came from, unless it was counted already.
    pub(super) fn gone(&mut self, conn: ConnId) -> Option<IpAddr> {
        self.of.remove(&conn).filter(|it| !it.late).map(|it| it.remote.ip())
    }

    /// Who waits longest, if more than so many do.
    pub(super) fn beyond(&mut self, max: usize) -> Option<ConnId> {
        if self.of.len() <= max {
            return None;
        }
        while let Some((conn, number)) = self.drop_first() {
            if self.is_there(conn, number) {
                return Some(conn);
            }
        }
        None
    }

    /// Where those come from who have become late since the last time.
    pub(super) fn become_late(&mut self, now: Time, mut each: impl FnMut(ConnId, IpAddr)) {
        while let Some(&(came, conn, number)) = self.order.get(self.late)
            && now >= came.plus_secs(LATE_SECS)
        {
            self.late += 1;
            if let Some(stranger) = self.of.get_mut(&conn).filter(|it| it.number == number) {
                stranger.late = true;
                each(conn, stranger.remote.ip());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn remote(last: u8) -> SocketAddr {
        SocketAddr::from(([10, 0, 0, last], 1))
    }

    fn at(secs: u64) -> Time {
        Time(0).plus_secs(secs)
    }

    fn late(strangers: &mut Strangers, secs: u64) -> Vec<IpAddr> {
        let mut found = Vec::new();
        strangers.become_late(at(secs), |_, address| found.push(address));
        found
    }

    #[test]
    fn each_is_counted_once_late_or_gone() {
        let mut all = Strangers::default();
        for (secs, conn) in [(0, 1), (0, 2), (1, 3), (2, 4)] {
            all.come(at(secs), ConnId(conn), remote(conn as u8));
        }
        assert_eq!(all.introduced(ConnId(1)), Some(remote(1)));
        assert_eq!(all.gone(ConnId(3)), Some(remote(3).ip()));
        assert!(late(&mut all, 4).is_empty());
        assert_eq!(late(&mut all, 6), [remote(2).ip()]);
        assert!(late(&mut all, 6).is_empty());
        assert_eq!(all.gone(ConnId(2)), None, "it was counted when it became late");
        // A number that is given again is another connection, and what lies before it goes.
        all.come(at(6), ConnId(2), remote(9));
        assert_eq!(late(&mut all, 7), [remote(4).ip()]);
        assert_eq!(late(&mut all, 11), [remote(9).ip()]);
        assert_eq!(all.remote(ConnId(2)), Some(remote(9)));
        // What was held against a proxy was not held against its client.
        all.relocate(ConnId(2), remote(7));
        assert_eq!(all.gone(ConnId(2)), Some(remote(7).ip()));
    }

    #[test]
    fn who_waits_longest_goes_first() {
        let mut all = Strangers::default();
        for conn in 1..=4 {
            all.come(at(0), ConnId(conn), remote(conn as u8));
        }
        all.introduced(ConnId(1));
        assert_eq!(late(&mut all, 5).len(), 3);
        assert_eq!(all.beyond(3), None);
        assert_eq!(all.beyond(2), Some(ConnId(2)));
        assert_eq!(all.gone(ConnId(2)), None);
        assert_eq!(all.beyond(2), None);
        all.come(at(5), ConnId(5), remote(5));
        assert_eq!(all.beyond(2), Some(ConnId(3)));
        assert!(late(&mut all, 9).is_empty());
        assert_eq!(late(&mut all, 10), [remote(5).ip()]);
    }
}
