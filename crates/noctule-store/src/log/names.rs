//! Who is owed something, by the names that people know.

use noctule_core::SessionNumber;
use noctule_core::identity::GroupNumber;
use noctule_core::index::Receiver;
use noctule_core::record::Record;
use std::collections::HashMap;

/// Who was owed a message.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Owed {
    /// A client's session.
    Session(Box<str>),
    /// A session of which no record is left.
    Unknown(SessionNumber),
    /// A share group, by share name and filter.
    Group(Box<str>, Box<str>),
    /// Future subscribers: it was retained.
    Retained,
    /// Others, as soon as this client's session had released it (QoS 2).
    Unreleased(Box<str>),
}

impl Owed {
    /// What the session sent itself and has not released.
    pub(crate) fn unreleased(self) -> Owed {
        match self {
            Owed::Session(client_id) => Owed::Unreleased(client_id),
            other => other,
        }
    }
}

/// Who is who in a snapshot.
#[derive(Default)]
pub(crate) struct Names {
    sessions: HashMap<SessionNumber, Box<str>>,
    groups: HashMap<GroupNumber, (Box<str>, Box<str>)>,
}

impl Names {
    /// Hears a record.
    pub(crate) fn learn(&mut self, record: &Record) {
        if let Record::Session { session, client_id, .. } = record {
            self.sessions.insert(*session, client_id.clone());
        } else if let Record::Group { group, name, filter, .. } = record {
            self.groups.insert(*group, (name.clone(), filter.clone()));
        }
    }

    /// Who a receiver is.
    pub(crate) fn of(&self, receiver: Receiver) -> Owed {
        match receiver {
            Receiver::Session(number) => {
                let known = self.sessions.get(&number).cloned();
                known.map_or(Owed::Unknown(number), Owed::Session)
            }
            Receiver::Group(number) => {
                let known = self.groups.get(&number).cloned();
                let (name, filter) = known.expect("a group is told of before its queue");
                Owed::Group(name, filter)
            }
        }
    }
}
