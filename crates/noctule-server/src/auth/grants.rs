//! What the webhook says that clients may do whom others have let in: asked when they are, and
//! again while they are connected.

use super::identity::{Asked, Identity, Verdict, rules};
use super::webhook::{About, Hook};
use super::{Applicant, Authenticator, Known, Outcome, Shown, Voucher, too_many};
use noctule_core::grant::{List, Principal};
use noctule_core::input::AuthAnswer;
use noctule_core::{ConnId, ListenerId, Time};
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

/// Asked about again in one go; and the pause until the next.
const AGAIN_MAX: usize = 64;
const PAUSE_MILLIS: u64 = 50;

/// Authentication Data for the client's CONNACK, if there is any.
type Data = Option<Box<[u8]>>;

/// Those who were asked about, or are to be.
#[derive(Default)]
pub(super) struct Grants {
    of: HashMap<ConnId, Grant>,
    /// When who is asked about again, the next first; void with another ticket than the grant's.
    due: VecDeque<(Time, ConnId, u64)>,
    /// Nobody is before.
    not_before: Time,
}

struct Grant {
    applicant: Arc<Applicant>,
    /// Who it is without what the webhook says.
    base: Principal,
    /// Of the last question: an answer to another one is void.
    ticket: u64,
    /// It is not let in before the answer; and what it is told then.
    waits: Option<Data>,
}

impl Grants {
    /// Somebody says who it is.
    pub(super) fn begin(&mut self, conn: ConnId, client_id: &str, shown: &Shown) {
        let asked = Asked { client_id: client_id.into(), user_name: None };
        let applicant = Arc::new(Applicant { asked, password: None, shown: shown.clone() });
        let base = Principal::default();
        self.of.insert(conn, Grant { applicant, base, ticket: 0, waits: None });
    }

    /// It has proved it, and waits for the answer to a question with this ticket. `None`: it came
    /// before anybody was to be asked.
    pub(super) fn proved(
        &mut self,
        conn: ConnId,
        (base, data): (&Principal, &Data),
        ticket: u64,
    ) -> Option<Arc<Applicant>> {
        let grant = self.of.get_mut(&conn)?;
        grant.name(base);
        grant.ticket = ticket;
        grant.waits = Some(data.clone());
        Some(Arc::clone(&grant.applicant))
    }

    /// The webhook itself has let it in, and has had its say.
    pub(super) fn by_webhook(&mut self, conn: ConnId, principal: &Principal, ticket: u64) {
        if let Some(grant) = self.of.get_mut(&conn) {
            let (roles, rules) = (Arc::default(), None);
            grant.name(&Principal { roles, rules, ..principal.clone() });
            grant.ticket = ticket;
        }
    }

    /// Where it came in; of a connection that nobody was asked about, nowhere in particular.
    fn listener_of(&self, conn: ConnId) -> ListenerId {
        self.of.get(&conn).map_or(ListenerId(0), |grant| grant.applicant.shown.place.0)
    }

    /// Whether that is the answer to the last question about it.
    pub(super) fn asked(&self, conn: ConnId, ticket: u64) -> bool {
        self.of.get(&conn).is_some_and(|grant| grant.ticket == ticket)
    }

    /// Who a client is with what the webhook says (`None`: nothing; `expires` is when that ends),
    /// and what it is told, if it waits.
    pub(super) fn answered(
        &mut self,
        conn: ConnId,
        said: Option<(Identity, Option<Time>)>,
    ) -> Option<(Principal, Option<Data>)> {
        let grant = self.of.get_mut(&conn)?;
        let waits = grant.waits.take();
        let base = &grant.base;
        let principal = match said {
            None => base.clone(),
            Some((identity, expires)) => Principal {
                user_name: base.user_name.clone(),
                roles: base.roles.iter().chain(&*identity.roles).cloned().collect(),
                rules: both(base.rules.as_ref(), identity.permissions.as_deref().map(rules)),
                expires: [base.expires, expires].into_iter().flatten().min(),
            },
        };
        Some((principal, waits))
    }

    /// Whether it is still to be let in.
    pub(super) fn waits(&self, conn: ConnId) -> bool {
        self.of.get(&conn).is_some_and(|grant| grant.waits.is_some())
    }

    /// It is asked about again then.
    pub(super) fn schedule(&mut self, conn: ConnId, at: Time) {
        if let Some(grant) = self.of.get(&conn) {
            self.due.push_back((at, conn, grant.ticket));
        }
    }

    /// When somebody is asked about again.
    pub(super) fn next_deadline(&self) -> Option<Time> {
        self.due.front().map(|(at, ..)| (*at).max(self.not_before))
    }

    /// Who is asked about now; each gets a ticket of `tickets`.
    pub(super) fn due(
        &mut self,
        now: Time,
        tickets: &mut u64,
    ) -> Vec<(ConnId, u64, Arc<Applicant>)> {
        let mut due = Vec::new();
        if self.next_deadline().is_none_or(|at| at > now) {
            return due;
        }
        self.not_before = now.plus_millis(PAUSE_MILLIS);
        while due.len() < AGAIN_MAX
            && let Some((_, conn, ticket)) = self.due.pop_front_if(|(at, ..)| *at <= now)
        {
            let grant = self.of.get_mut(&conn);
            if let Some(grant) = grant.filter(|it| it.ticket == ticket && it.waits.is_none()) {
                *tickets += 1;
                grant.ticket = *tickets;
                due.push((conn, grant.ticket, Arc::clone(&grant.applicant)));
            }
        }
        due
    }

    /// The connection is gone.
    pub(super) fn forget(&mut self, conn: ConnId) {
        if !self.of.is_empty() {
            self.of.remove(&conn);
        }
    }
}

impl Grant {
    fn name(&mut self, base: &Principal) {
        let before = &self.applicant;
        let client_id = before.asked.client_id.clone();
        let asked = Asked { client_id, user_name: base.user_name.clone() };
        let shown = before.shown.clone();
        self.applicant = Arc::new(Applicant { asked, password: None, shown });
        self.base = base.clone();
    }
}

impl Authenticator {
    /// How often the webhook is asked what connected clients may do, if it is asked at all.
    pub(super) fn permissions_secs(&self) -> Option<u32> {
        self.trust.hook.as_ref().and_then(Hook::permissions_secs)
    }

    /// What a client that somebody has let in is told, unless the webhook is to be asked first.
    pub(super) fn permitted(&mut self, conn: ConnId, answer: AuthAnswer) -> Option<AuthAnswer> {
        let AuthAnswer::Allow { principal, data } = &answer else { return Some(answer) };
        let hook = self.trust.hook.as_ref().filter(|hook| hook.permissions_secs().is_some());
        let Some(hook) = hook else { return Some(answer) };
        self.last_ticket += 1;
        let ticket = self.last_ticket;
        let Some(applicant) = self.grants.proved(conn, (principal, data), ticket) else {
            return Some(answer);
        };
        let asked =
            hook.ask((conn, ticket), (About::Permissions, &applicant), &self.checks.answers);
        (!asked).then(too_many)
    }

    /// The webhook has said what a client may do.
    pub(super) fn granted(&mut self, conn: ConnId, verdict: Verdict) -> Option<Outcome> {
        let said = match verdict {
            Verdict::Deny { reason, why } => {
                let waited = self.grants.waits(conn);
                self.grants.forget(conn);
                return Some(match waited {
                    true => Outcome::Answer(AuthAnswer::Deny { reason, why }),
                    false => Outcome::Lost(reason, why),
                });
            }
            Verdict::Allow(identity) => {
                let expires = self.expires(&identity);
                Some((*identity, expires))
            }
            Verdict::NotMine => None,
        };
        let (principal, waits) = self.grants.answered(conn, said)?;
        let at = self.grants.listener_of(conn);
        let known = self.known.entry(conn);
        let known = known
            .or_insert_with(|| Known { principal: Principal::default(), by: Voucher::Own(at) });
        let before = std::mem::replace(&mut known.principal, principal.clone());
        match waits {
            Some(data) => {
                self.schedule(conn);
                Some(Outcome::Answer(AuthAnswer::Allow { principal, data }))
            }
            None => (before != principal).then_some(Outcome::Changed(principal)),
        }
    }

    /// The webhook is asked again about a client that was let in.
    pub(super) fn schedule(&mut self, conn: ConnId) {
        let secs = self.permissions_secs().unwrap_or(0);
        if secs > 0 {
            self.grants.schedule(conn, self.clock.now().plus_secs(secs.into()));
        }
    }

    /// Asks again what clients may do, where it is time.
    pub(crate) fn ask_again(&mut self, now: Time) {
        for (conn, ticket, applicant) in self.grants.due(now, &mut self.last_ticket) {
            // A reload may have taken it away, or ask it no more.
            let hook = self.trust.hook.as_ref();
            let Some(hook) = hook.filter(|hook| hook.permissions_secs().is_some()) else { return };
            // If too many wait, it has its turn next time.
            hook.ask((conn, ticket), (About::PermissionsAgain, &applicant), &self.checks.answers);
            self.schedule(conn);
        }
    }

    /// When somebody is to be asked about again.
    pub(crate) fn next_deadline(&self) -> Option<Time> {
        self.grants.next_deadline()
    }
}

/// Rules of two, who both have a say: what one of them denies is denied.
fn both(one: Option<&Arc<List>>, other: Option<List>) -> Option<Arc<List>> {
    let Some(mut list) = other else { return one.cloned() };
    if let Some(one) = one {
        list.deny.extend_from_slice(&one.deny);
        list.allow.extend_from_slice(&one.allow);
    }
    Some(Arc::new(list))
}
