//! Plain passwords: what one is checked against, and by whom.

use super::secret::Secret;
use super::{Applicant, Authenticator, Running, Users, Voucher, too_many, verifier};
use crate::cidr::Cidr;
use noctule_core::input::AuthAnswer;
use noctule_core::{ConnId, ListenerId};
use std::sync::Arc;

impl Authenticator {
    pub(super) fn ask_for_password(
        &mut self,
        conn: ConnId,
        user_name: &str,
        applicant: &Applicant,
    ) -> Option<AuthAnswer> {
        let (at, _) = applicant.shown.place;
        let user = self.user(at, user_name);
        self.check_password(conn, user, applicant, Voucher::Own(at))
    }

    pub(super) fn check_password(
        &mut self,
        conn: ConnId,
        (user, secret): (Option<Arc<str>>, Secret),
        applicant: &Applicant,
        by: Voucher,
    ) -> Option<AuthAnswer> {
        let password = applicant.password.clone().unwrap_or_default();
        if let Some(user) = &user
            && self.checks.passwords.knows(&secret, &password)
        {
            // Those who were here a moment ago do not wait behind those who guess.
            return Some(self.admit_user(conn, (Arc::clone(user), by), None));
        }
        self.last_ticket += 1;
        let ticket = self.last_ticket;
        let from = applicant.shown.seen.remote.map(|remote| Cidr::of_client(remote.ip()));
        if !self.checks.passwords.ask((conn, ticket), from, secret, password) {
            return Some(too_many());
        }
        self.running.insert(conn, Running::Password { ticket, by, user });
        None
    }

    /// A user and what to check against; for a name that is none, something no password fits.
    pub(super) fn user(&self, at: ListenerId, name: &str) -> (Option<Arc<str>>, Secret) {
        let users = &self.trust.at(at).users;
        match users.entry(name) {
            Some((user, secret)) => (Some(Arc::clone(user)), secret.clone()),
            None => (None, self.nobody(users, name)),
        }
    }

    pub(super) fn salt_of_nobody(&self, user_name: &str) -> [u8; 16] {
        let hash = verifier::hmac(&self.secret, user_name.as_bytes());
        hash.first_chunk().copied().expect("32 bytes begin with 16 bytes")
    }

    /// What no password fits: it takes as long as where there is something.
    fn nobody(&self, users: &Users, name: &str) -> Secret {
        let salt = self.salt_of_nobody(name);
        let typical = self.dynsec.as_ref().and_then(|model| model.typical());
        match typical.filter(|_| users.is_empty()) {
            Some(typical) => typical.of_nobody(salt),
            None => users.nobody(salt),
        }
    }
}
