//! Connections that may stay until a certain time only, because what proves who their clients are
//! is good no longer. They are few, or none: a connection without such a time has nothing here.

use crate::broker::{Broker, TimerKey, Turn};
use crate::identity::{ConnId, Time};
use crate::timer::Deadline;
use noctule_proto::ReasonCode;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// When each of them ends.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Expiries(BTreeMap<ConnId, Deadline>);

impl Expiries {
    pub(crate) fn iter(&self) -> impl Iterator<Item = (ConnId, Deadline)> {
        self.0.iter().map(|(conn, deadline)| (*conn, *deadline))
    }
}

impl Broker {
    /// A connection may stay until then, whatever held before; `None`: for as long as it likes.
    pub(crate) fn set_expiry(&mut self, conn: ConnId, at: Option<Time>) {
        self.forget_expiry(conn);
        if let Some(at) = at {
            let deadline = self.expiries.0.entry(conn).or_default();
            self.timers.set(TimerKey::Expiry(conn), deadline, at);
        }
    }

    /// It is gone, or has no such time any more.
    pub(crate) fn forget_expiry(&mut self, conn: ConnId) {
        if let Some(mut deadline) = self.expiries.0.remove(&conn) {
            self.timers.cancel(TimerKey::Expiry(conn), &mut deadline);
        }
    }

    /// Its time is over. What a client proves again in time moves it.
    pub(crate) fn expiry_due(&mut self, turn: &mut Turn<'_>, conn: ConnId) {
        self.expiries.0.remove(&conn);
        let why = "what proved who this client is has expired";
        self.end(turn, conn, ReasonCode::MaximumConnectTime, why);
    }
}
