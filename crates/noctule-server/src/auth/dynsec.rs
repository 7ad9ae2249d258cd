//! Clients of dynamic security: their names are as they are written there, and their passwords are
//! checked by the same threads as those of users.

use super::secret::Secret;
use super::{Applicant, Authenticator, Running, Verifier, Voucher};
use crate::dynsec::{Client, Model};
use noctule_core::ConnId;
use noctule_core::input::AuthAnswer;
use std::sync::Arc;

impl Authenticator {
    /// Another model from here on. Answers whose password is being checked against what does not
    /// hold any more.
    pub(crate) fn heed(&mut self, model: Arc<Model>) -> Vec<ConnId> {
        let before = self.dynsec.replace(Arc::clone(&model));
        let client = |user: &str| before.as_ref().and_then(|before| before.client(user));
        let running = self.running.iter().filter(|(_, running)| match running {
            Running::Password { by: Voucher::Dynsec, user: Some(user), .. } => {
                client(user) != model.client(user)
            }
            Running::Password { .. }
            | Running::Scram { .. }
            | Running::Token { .. }
            | Running::Webhook { .. } => false,
        });
        let mut ended: Vec<ConnId> = running.map(|(conn, _)| *conn).collect();
        ended.sort_unstable();
        ended
    }

    /// Whether it is one of theirs; then, what comes of that.
    pub(super) fn ask_dynsec(
        &mut self,
        conn: ConnId,
        applicant: &Applicant,
    ) -> Option<Option<AuthAnswer>> {
        let model = self.dynsec.clone()?;
        let name = applicant.asked.user_name.as_ref()?;
        // Without a password it may be somebody else's, as with mosquitto.
        applicant.password.as_ref()?;
        let client = model.client(name)?;
        let bound = client.client_id.as_deref().is_none_or(|id| *id == *applicant.asked.client_id);
        let found = client.secret.as_ref().filter(|_| bound && !client.disabled);
        let (user, secret) = match found {
            Some(secret) => (Some(Arc::clone(name)), Secret::clone(secret)),
            // It takes as long as it does for a client that may come in.
            None => (None, self.like_a_client(&model, client, name)),
        };
        Some(self.check_password(conn, (user, secret), applicant, Voucher::Dynsec))
    }

    fn like_a_client(&self, model: &Model, client: &Client, name: &str) -> Secret {
        let salt = self.salt_of_nobody(name);
        let like = client.secret.as_deref().or_else(|| model.typical());
        like.map_or_else(|| Verifier::of_nobody(salt).into(), |like| like.of_nobody(salt))
    }

    /// Whether clients of a chain could be known here.
    pub(super) fn has_dynsec(&self) -> bool {
        self.dynsec.is_some()
    }
}
