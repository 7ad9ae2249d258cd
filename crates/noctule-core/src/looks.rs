//! What the broker tells of its connections to whoever watches them, and what it does for him.

use crate::broker::{Broker, Turn};
use crate::defence::{ClientKey, Look};
use crate::grant::Actions;
use crate::identity::{ConnId, Tenant};
use crate::output::Event;
use noctule_proto::PacketId;
use std::net::SocketAddr;

/// What a session holds.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Holdings {
    /// Messages that its client has not taken.
    pub waiting: usize,
    /// What it subscribes to.
    pub filters: Vec<Box<str>>,
    /// QoS 2 messages from its client that wait for their PUBREL.
    pub unreleased: Vec<PacketId>,
}

impl Broker {
    /// What the client of a connection did since the last look; `None`: there is none, or not yet.
    pub fn look(&mut self, conn: ConnId) -> Option<Look> {
        let connection = self.connections.get_mut(conn).filter(|it| it.is_live())?;
        let traffic = connection.traffic.take();
        let session = self.sessions.at(connection.session);
        let client = self.client_key(session.tenant, &session.client_id);
        Some(Look { client, tenant: session.tenant, traffic })
    }

    /// One past the greatest number a connection ever had here.
    #[must_use]
    pub fn connections_end(&self) -> u32 {
        self.connections.end()
    }

    /// By what a client is known to those who watch.
    #[must_use]
    pub fn client_key(&self, tenant: Tenant, client_id: &str) -> ClientKey {
        ClientKey::of(self.homes.seed.of((tenant, client_id)))
    }

    /// Who is behind a connection, and where it comes from.
    #[must_use]
    pub fn client_of(&self, conn: ConnId) -> Option<(Tenant, &str, Option<SocketAddr>)> {
        let connection = self.connections.get(conn).filter(|it| it.session != u32::MAX)?;
        let session = self.sessions.at(connection.session);
        Some((session.tenant, &session.client_id, connection.origin.remote))
    }

    /// What a session holds; `None`: there is none.
    #[must_use]
    pub fn holdings(&self, tenant: Tenant, client_id: &str) -> Option<Holdings> {
        let session = self.sessions.at(self.sessions.find(tenant, client_id)?);
        let ids = session.work.receiver.iter().map(|(id, _)| id);
        Some(Holdings {
            waiting: session.queue.len() + session.work.sender.open(),
            filters: session.subscriptions.iter().map(|held| held.filter.clone()).collect(),
            unreleased: ids.collect(),
        })
    }

    /// The user name that it was let in with, while there are rules.
    #[must_use]
    pub fn user_of(&self, conn: ConnId) -> Option<&str> {
        let connection = self.connections.get(conn).filter(|it| it.session != u32::MAX)?;
        let permit = self.sessions.at(connection.session).permit.as_ref()?;
        permit.principal.user_name.as_deref()
    }

    pub(crate) fn quarantine(&mut self, conn: ConnId, on: bool) {
        if let Some(connection) = self.connections.get_mut(conn) {
            connection.quarantined = on;
        }
    }

    /// Counts what a client may not do, and tells of it now and then.
    pub(crate) fn denied(
        &mut self,
        turn: &mut Turn<'_>,
        conn: ConnId,
        action: Actions,
        topic: &str,
    ) {
        let Some(connection) = self.connections.get_mut(conn) else { return };
        let traffic = &mut connection.traffic;
        let told = traffic.denials > 0;
        traffic.denials = traffic.denials.saturating_add(1);
        if told {
            return;
        }
        let (slot, remote) = (connection.session, connection.origin.remote);
        let (user_name, rule) = self.why_denied(slot, action, topic);
        let client_id = self.sessions.at(slot).client_id.clone();
        let topic = topic.into();
        turn.out.events.push(Event::Denied { client_id, user_name, remote, action, topic, rule });
    }
}
