//! Who is not let in, and until when. The list is a value: shards look into a copy of their own.

use crate::cidr::Cidr;
use noctule_core::{Tenant, Time};
use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;

/// Bans at a time; beyond, the one that ends first gives way to the new one.
const BANS_MAX: usize = 65_536;

/// Who is meant.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub(crate) enum Subject {
    /// Everybody from there.
    Address(Cidr),
    /// A client, by its id.
    Client(Tenant, Box<str>),
    /// Whoever has the user name.
    User(Box<str>),
}

impl Subject {
    /// What kind of thing it is, as the command line and the file call it.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Subject::Address(_) => "address",
            Subject::Client(..) => "client",
            Subject::User(_) => "user",
        }
    }

    /// Which one.
    pub(crate) fn name(&self) -> String {
        match self {
            Subject::Address(network) => network.to_string(),
            Subject::Client(_, name) | Subject::User(name) => name.to_string(),
        }
    }

    /// Namespace, of a client.
    pub(crate) fn tenant(&self) -> Tenant {
        match self {
            Subject::Client(tenant, _) => *tenant,
            Subject::Address(_) | Subject::User(_) => Tenant(0),
        }
    }

    /// From kind and name.
    pub(crate) fn parse(kind: &str, name: &str, tenant: Tenant) -> Result<Subject, String> {
        match kind {
            "address" => name.parse().map(Subject::Address),
            "client" | "user" if name.is_empty() => Err(format!("the {kind} has no name")),
            "client" => Ok(Subject::Client(tenant, name.into())),
            "user" => Ok(Subject::User(name.into())),
            _ => Err(format!("{kind:?}: an address, a client or a user can be banned")),
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind(), self.name())
    }
}

/// How long, and why.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Ban {
    /// `None`: until it is taken back.
    pub(crate) until: Option<Time>,
    /// In plain words.
    pub(crate) why: Box<str>,
    /// Who banned.
    pub(crate) by: Box<str>,
}

impl Ban {
    fn is_over(&self, now: Time) -> bool {
        self.until.is_some_and(|until| until <= now)
    }
}

/// All bans.
#[derive(Clone, Default, Debug)]
pub(crate) struct Bans {
    all: HashMap<Subject, Ban>,
    /// Sizes of networks among them: each costs one look.
    sizes: Vec<(bool, u8)>,
}

impl Bans {
    /// Adds one, or changes what is said of it.
    pub(crate) fn add(&mut self, subject: Subject, ban: Ban) {
        if self.all.len() >= BANS_MAX && !self.all.contains_key(&subject) {
            let first = self.all.iter().min_by_key(|(_, ban)| ban.until.unwrap_or(Time(u64::MAX)));
            if let Some(first) = first.map(|(subject, _)| subject.clone()) {
                self.all.remove(&first);
            }
        }
        if let Subject::Address(network) = subject {
            let size = (network.is_v4(), network.bits());
            if !self.sizes.contains(&size) {
                self.sizes.push(size);
            }
        }
        self.all.insert(subject, ban);
    }

    /// Takes one back.
    pub(crate) fn remove(&mut self, subject: &Subject) -> Option<Ban> {
        self.all.remove(subject)
    }

    /// Forgets those that are over; answers them.
    pub(crate) fn expire(&mut self, now: Time) -> Vec<Subject> {
        let over = self.all.iter().filter(|(_, ban)| ban.is_over(now));
        let over: Vec<Subject> = over.map(|(subject, _)| subject.clone()).collect();
        for subject in &over {
            self.all.remove(subject);
        }
        over
    }

    /// Whether an address is banned.
    pub(crate) fn bans_address(&self, address: IpAddr, now: Time) -> bool {
        let address = address.to_canonical();
        self.sizes
            .iter()
            .filter(|(v4, _)| *v4 == address.is_ipv4())
            .any(|(_, bits)| self.is_banned(&Subject::Address(Cidr::around(address, *bits)), now))
    }

    /// Whether a client, or the user that it says it is, is banned.
    pub(crate) fn bans_client(
        &self,
        (tenant, client_id): (Tenant, &str),
        user: Option<&str>,
        now: Time,
    ) -> bool {
        !self.all.is_empty()
            && (self.is_banned(&Subject::Client(tenant, client_id.into()), now)
                || user.is_some_and(|user| self.bans_user(user, now)))
    }

    /// Whether a user is banned.
    pub(crate) fn bans_user(&self, user: &str, now: Time) -> bool {
        !self.all.is_empty() && self.is_banned(&Subject::User(user.into()), now)
    }

    /// Whether exactly this is banned.
    pub(crate) fn is_banned(&self, subject: &Subject, now: Time) -> bool {
        self.all.get(subject).is_some_and(|ban| !ban.is_over(now))
    }

    /// When the next one is over.
    pub(crate) fn next_end(&self) -> Option<Time> {
        self.all.values().filter_map(|ban| ban.until).min()
    }

    /// All, in order.
    pub(crate) fn sorted(&self) -> Vec<(&Subject, &Ban)> {
        let mut all: Vec<_> = self.all.iter().collect();
        all.sort_by_key(|(subject, _)| *subject);
        all
    }

    pub(crate) fn len(&self) -> usize {
        self.all.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ban(until: Option<u64>) -> Ban {
        Ban { until: until.map(Time), why: "w".into(), by: "b".into() }
    }

    fn subject(kind: &str, name: &str) -> Subject {
        Subject::parse(kind, name, Tenant(0)).unwrap()
    }

    #[test]
    fn a_ban_holds_for_whom_it_means_until_it_is_over() {
        let mut bans = Bans::default();
        bans.add(subject("address", "192.0.2.0/24"), ban(Some(100)));
        bans.add(subject("client", "c"), ban(None));
        bans.add(subject("user", "ann"), ban(Some(50)));
        let at = |text: &str, now| bans.bans_address(text.parse().unwrap(), Time(now));
        assert!(at("192.0.2.9", 99) && at("::ffff:192.0.2.9", 99));
        assert!(!at("192.0.2.9", 100) && !at("192.0.3.9", 99) && !at("::1", 1));
        let client = |id, user, now| bans.bans_client((Tenant(0), id), user, Time(now));
        assert!(client("c", None, u64::MAX) && client("d", Some("ann"), 49));
        assert!(!client("d", Some("ann"), 50) && !client("d", Some("bob"), 1));
        assert!(!bans.bans_client((Tenant(1), "c"), None, Time(1)), "another tenant's");
        assert_eq!(bans.next_end(), Some(Time(50)));
        assert_eq!(bans.clone().expire(Time(70)), [subject("user", "ann")]);
    }

    #[test]
    fn when_there_are_too_many_the_one_that_ends_first_gives_way() {
        let mut bans = Bans::default();
        bans.add(subject("user", "for ever"), ban(None));
        for number in 0..BANS_MAX {
            bans.add(subject("user", &number.to_string()), ban(Some(number as u64 + 1)));
        }
        assert_eq!(bans.len(), BANS_MAX);
        assert!(bans.bans_user("for ever", Time(0)) && !bans.bans_user("0", Time(0)));
        assert!(bans.bans_user("1", Time(0)));
    }
}
