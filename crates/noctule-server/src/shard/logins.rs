//! Who clients are, asked of the authenticators.

use super::Shard;
use super::lines::News;
use crate::auth::{Outcome, Seen, Shown, Verdict};
use crate::config::UserNameFrom;
use crate::net::{HERE, Socket};
use noctule_core::input::AuthAnswer;
use noctule_core::output::AuthRequest;
use noctule_core::{ConnId, Index, Input, Tenant};
use noctule_proto::ReasonCode;

impl Shard {
    /// Finds out who a client is, or has it found out.
    pub(super) fn authenticate(&mut self, conn: ConnId, request: AuthRequest) {
        let Some(entry) = self.lines.connections.get_mut(conn) else { return };
        let at = usize::from(entry.listener.0);
        let is_unix = self.unix[at].is_some();
        let remote = entry.socket.as_ref().and_then(Socket::remote);
        let remote = remote.or(is_unix.then_some(HERE));
        let certificate = || entry.socket.as_ref().and_then(Socket::certificate);
        let shown = Shown {
            anonymous: self.anonymous[at],
            user_name: match self.named_by[at].from {
                UserNameFrom::Nothing if self.named_by[at].proxied => {
                    entry.socket.as_ref().and_then(Socket::proxied_name)
                }
                UserNameFrom::Nothing => None,
                UserNameFrom::CommonName => certificate().map(|it| it.common_name()),
                UserNameFrom::Subject => certificate().map(|it| it.subject()),
                UserNameFrom::AlternativeName => certificate().map(|it| it.alternative_name()),
            },
            bound: self.named_by[at].bound,
            place: (entry.listener, entry.tenant),
            seen: match self.auth.wants_to_see() {
                false => Seen { remote, ..Seen::default() },
                true => Seen {
                    remote,
                    listener: self.addresses.get(at).copied().filter(|_| !is_unix),
                    version: entry.version,
                    common_name: certificate().and_then(|it| it.common_name()),
                },
            },
        };
        let tenant = entry.tenant;
        let user = shown.user_name.clone().flatten();
        let answer = self
            .reserved(conn, &request)
            .or_else(|| self.ban_of(tenant, &request, user.as_deref()))
            .or_else(|| self.auth.step(conn, shown, request));
        if let Some(answer) = answer {
            let answer = self.unless_banned(conn, answer);
            self.lines.news.push_back(News::Authenticated(conn, answer));
        }
    }

    /// The answer to who wants to be a bridge's session, and comes from outside.
    fn reserved(&mut self, conn: ConnId, request: &AuthRequest) -> Option<AuthAnswer> {
        let AuthRequest::Connect { client_id, .. } = request else { return None };
        let entry = self.lines.connections.get_mut(conn)?;
        if entry.tenant != Tenant(0) || !self.reserved.contains(client_id) || self.is_inside(conn) {
            return None;
        }
        let (reason, why) = (ReasonCode::ClientIdentifierNotValid, "the client id is a bridge's");
        Some(AuthAnswer::Deny { reason, why: why.into() })
    }

    /// Somebody else has found out who a client is, or what it may do.
    pub(super) fn identified(
        &mut self,
        index: &Index,
        (conn, ticket): (ConnId, u64),
        verdict: Verdict,
    ) {
        match self.auth.identified(conn, ticket, verdict) {
            None => {}
            Some(Outcome::Answer(answer)) => {
                let answer = self.unless_banned(conn, answer);
                self.lines.news.push_back(News::Authenticated(conn, answer));
            }
            Some(Outcome::Changed(principal)) => {
                let input = Input::Identified { conn, principal };
                self.broker.handle(self.now, index, input, &mut self.outbox);
            }
            Some(Outcome::Lost(reason, why)) => {
                let input = Input::Revoked { conn, reason, why: &why };
                self.broker.handle(self.now, index, input, &mut self.outbox);
            }
        }
    }
}
