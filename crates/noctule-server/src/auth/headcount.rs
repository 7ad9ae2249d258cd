//! How many connections each user has, where a role bounds that (`connections_max`).
//!
//! One table for all shards, asked once for each CONNECT, and only while there is such a role. A
//! connection that takes over the session of another one of its user takes its place here too.

use super::Authenticator;
use noctule_core::grant::Principal;
use noctule_core::input::AuthAnswer;
use noctule_core::{ConnId, ListenerId, Tenant};
use noctule_proto::ReasonCode;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Connections of each user, by their client ids.
type Table = HashMap<(Tenant, Arc<str>), HashMap<Box<str>, u32>>;

/// The table of all shards.
#[derive(Clone, Default)]
pub(crate) struct Headcount(Arc<Mutex<Table>>);

/// A connection that counts, until it is dropped.
pub(super) struct Counted {
    table: Headcount,
    user: (Tenant, Arc<str>),
    client_id: Box<str>,
}

/// A client that has said who it is.
pub(super) struct Applying {
    pub(super) listener: ListenerId,
    pub(super) tenant: Tenant,
    pub(super) client_id: Box<str>,
}

impl Headcount {
    /// Counts a connection of a user, if it may have another one.
    fn admit(&self, user: (Tenant, Arc<str>), client_id: Box<str>, max: u32) -> Option<Counted> {
        let mut table = self.lock();
        let open = table.entry(user.clone()).or_default();
        if open.len() >= max as usize && !open.contains_key(&client_id) {
            return None;
        }
        *open.entry(client_id.clone()).or_default() += 1;
        drop(table);
        Some(Counted { table: self.clone(), user, client_id })
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let mut table = self.table.lock();
        let Some(open) = table.get_mut(&self.user) else { return };
        if let Some(count) = open.get_mut(&self.client_id) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.client_id);
            }
        }
        if open.is_empty() {
            table.remove(&self.user);
        }
    }
}

impl Authenticator {
    /// What a client is told that is let in: no, if its user has as many connections as it may.
    pub(crate) fn counted(&mut self, conn: ConnId, answer: AuthAnswer) -> AuthAnswer {
        let applying = match &answer {
            AuthAnswer::Continue { .. } => None,
            AuthAnswer::Allow { .. } | AuthAnswer::Deny { .. } => self.applying.remove(&conn),
        };
        let (AuthAnswer::Allow { principal, .. }, Some(applying)) = (&answer, applying) else {
            return answer;
        };
        match self.admission(principal, applying) {
            Ok(counted) => {
                self.counted.extend(counted.map(|counted| (conn, counted)));
                answer
            }
            Err(why) => AuthAnswer::Deny { reason: ReasonCode::QuotaExceeded, why: why.into() },
        }
    }

    fn admission(
        &self,
        principal: &Principal,
        Applying { listener, tenant, client_id }: Applying,
    ) -> Result<Option<Counted>, &'static str> {
        let max = self.trust.policies.of(listener).bounds_of(principal).connections_max;
        let Some(user) = principal.user_name.clone().filter(|_| max > 0) else { return Ok(None) };
        let counted = self.checks.headcount.admit((tenant, user), client_id, max);
        counted.map(Some).ok_or("this user has as many connections as it may")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_user_has_its_own_and_who_takes_over_takes_a_place() {
        let all = Headcount::default();
        let admit = |tenant, user: &str, client_id: &str| {
            all.admit((Tenant(tenant), user.into()), client_id.into(), 2)
        };
        let one = admit(0, "ann", "a");
        let two = admit(0, "ann", "b");
        assert!(one.is_some() && two.is_some() && admit(0, "ann", "c").is_none());
        assert!(admit(0, "bob", "c").is_some() && admit(1, "ann", "c").is_some());
        let again = admit(0, "ann", "a");
        assert!(again.is_some());
        drop(one);
        assert!(admit(0, "ann", "c").is_none(), "its successor is there");
        drop(again);
        assert!(admit(0, "ann", "c").is_some());
        drop(two);
        assert!(all.lock().is_empty());
    }
}
