//! What has to survive the process, as a list of changes.
//!
//! The owner stores the changes of a step before it sends the output of that step; then whatever
//! the server knows of us, we know after a crash, wherever the list breaks off. Messages of QoS 0
//! promise nothing and are not kept.

use super::Session;
use super::event::{Event, Token};
use crate::error::Invalid;
use crate::message::Message;
use crate::options::Options;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use noctule_proto::{PacketId, QoS, TopicError, TopicName};

/// One change of what has to survive.
#[derive(Clone, PartialEq, Debug)]
pub enum Change {
    /// The client identifier that names the session.
    Identity(String),
    /// A message of QoS 1 or 2 was taken in line.
    Queued {
        /// Its token.
        token: Token,
        /// All of it.
        message: Message,
    },
    /// It was sent for the first time.
    Sent {
        /// Its token.
        token: Token,
        /// Its packet identifier from now on.
        id: PacketId,
    },
    /// The server has taken it over by PUBREC; only its identifier lives on.
    Released {
        /// Its token.
        token: Token,
        /// Its packet identifier.
        id: PacketId,
    },
    /// It is done with, well or not.
    Settled {
        /// Its token.
        token: Token,
    },
    /// A message of QoS 2 came in and is not handed over again.
    Received {
        /// Its packet identifier.
        id: PacketId,
        /// It may be of a session that the server has forgotten: a first sending under its
        /// identifier is another message.
        doubtful: bool,
    },
    /// The server may have begun the session anew: all that was received is doubtful.
    Doubted,
    /// The server has released it.
    Completed(PacketId),
    /// The server has forgotten the session: all that was received is void, what was sent with
    /// QoS 1 is back in line before what was not, and what was sent with QoS 2 is done with.
    Forgotten,
}

impl Token {
    /// The number behind it, for storage.
    pub fn number(self) -> u64 {
        self.0
    }

    /// A token from storage.
    pub fn from_number(number: u64) -> Token {
        Token(number)
    }
}

/// Where a message stands on its way; what was sent has its place in the order of the first
/// sending.
#[derive(Clone, Debug)]
enum Stage {
    Waiting(Message),
    Sent(Message, PacketId, u64),
    Released(PacketId, u64),
}

/// What changes add up to.
#[derive(Default)]
struct Replay {
    identity: Option<String>,
    /// In the order in which they were taken in line.
    stages: BTreeMap<Token, Stage>,
    /// What is doubtful among it.
    received: BTreeMap<PacketId, bool>,
    /// How many were sent.
    sent: u64,
    newest: Token,
}

impl Replay {
    fn apply(&mut self, change: Change) {
        match change {
            Change::Identity(client_id) => self.identity = Some(client_id),
            Change::Queued { token, message } => {
                self.newest = self.newest.max(token);
                self.stages.insert(token, Stage::Waiting(message));
            }
            Change::Sent { token, id } => {
                self.sent += 1;
                let place = self.sent;
                self.step(token, |stage| match stage {
                    Stage::Waiting(message) => Some(Stage::Sent(message, id, place)),
                    Stage::Sent(..) | Stage::Released(..) => Some(stage),
                });
            }
            Change::Released { token, id } => {
                self.newest = self.newest.max(token);
                self.sent += 1;
                let place = match self.stages.get(&token) {
                    Some(Stage::Sent(.., place) | Stage::Released(_, place)) => *place,
                    Some(Stage::Waiting(_)) | None => self.sent,
                };
                self.stages.insert(token, Stage::Released(id, place));
            }
            Change::Settled { token } => self.step(token, |_| None),
            Change::Received { id, doubtful } => drop(self.received.insert(id, doubtful)),
            Change::Doubted => self.received.values_mut().for_each(|doubtful| *doubtful = true),
            Change::Completed(id) => drop(self.received.remove(&id)),
            Change::Forgotten => self.forget(),
        }
    }

    fn step(&mut self, token: Token, next: impl FnOnce(Stage) -> Option<Stage>) {
        if let Some(stage) = self.stages.remove(&token).and_then(next) {
            self.stages.insert(token, stage);
        }
    }

    fn forget(&mut self) {
        self.received.clear();
        let stages = core::mem::take(&mut self.stages).into_iter();
        self.stages =
            stages.filter_map(|(token, stage)| Some((token, stage.forgotten()?))).collect();
    }

    /// What was sent, in the order of the first sending, and then what was not.
    fn messages(self) -> Vec<(Token, Stage)> {
        let mut messages: Vec<_> = self.stages.into_iter().collect();
        messages.sort_by_key(|(_, stage)| stage.place());
        messages
    }
}

impl Stage {
    /// Where it stands once the server has forgotten the session. `None`: it is done with.
    fn forgotten(self) -> Option<Stage> {
        match self {
            Stage::Sent(message, ..) if message.qos != QoS::ExactlyOnce => {
                Some(Stage::Waiting(message))
            }
            Stage::Waiting(_) => Some(self),
            Stage::Sent(..) | Stage::Released(..) => None,
        }
    }

    fn topic_error(&self) -> Option<TopicError> {
        match self {
            Stage::Waiting(message) | Stage::Sent(message, ..) => {
                TopicName::parse(&message.topic).err()
            }
            Stage::Released(..) => None,
        }
    }

    fn place(&self) -> u64 {
        match self {
            Stage::Waiting(_) => u64::MAX,
            Stage::Sent(.., place) | Stage::Released(_, place) => *place,
        }
    }
}

impl Session {
    /// A session that an earlier process left behind as these changes, oldest first; changes are
    /// kept from now on. [`Event::Published`](crate::Event) tells the end of its messages too.
    ///
    /// Under another client identifier than before nothing of the old session can be taken up
    /// `[MQTT-3.1.3-2 v5]` `[MQTT-3.1.3-2 v3.1.1]`; the
    /// messages are dealt with as if the server had lost it.
    pub fn restore(
        options: Options,
        changes: impl IntoIterator<Item = Change>,
    ) -> Result<Session, Invalid> {
        let mut session = Session::new(options)?;
        let mut replay = Replay::default();
        changes.into_iter().for_each(|change| replay.apply(change));
        let named = &session.options.client_id;
        let renamed = replay.identity.as_ref().is_some_and(|id| !named.is_empty() && named != id);
        session.identity = replay.identity.take().filter(|_| !renamed);
        session.resumed = session.identity.is_some();
        session.tokens = replay.newest.0;
        for (id, doubtful) in core::mem::take(&mut replay.received) {
            session.incoming.place(id, doubtful);
        }
        for (token, stage) in replay.messages() {
            // A damaged store may say anything.
            if let Some(error) = stage.topic_error() {
                let result = Err(Invalid::TopicName(error).into());
                session.events.push_back(Event::Published { token, result });
                continue;
            }
            match stage {
                Stage::Sent(message, id, _) => session.outgoing.place(id, token, Some(message)),
                Stage::Released(id, _) => session.outgoing.place(id, token, None),
                Stage::Waiting(message) => session.outgoing.queue(token, message),
            }
        }
        session.keep_changes();
        if renamed {
            session.forget();
        }
        Ok(session)
    }

    /// From now on [`take_changes`](Self::take_changes) tells what has to survive.
    pub fn keep_changes(&mut self) {
        self.changes.get_or_insert_default();
    }

    /// What has changed since it was asked last. To be stored before the output is sent.
    pub fn take_changes(&mut self) -> Vec<Change> {
        self.changes.as_mut().map(core::mem::take).unwrap_or_default()
    }

    /// All that has to survive, in as few changes as can be. What
    /// [`take_changes`](Self::take_changes) has not told yet is in it.
    pub fn snapshot(&self) -> Vec<Change> {
        let mut changes = Vec::new();
        changes.extend(self.identity.clone().map(Change::Identity));
        self.outgoing.snapshot(&mut changes);
        let received = self.incoming.received();
        changes.extend(received.map(|(id, doubtful)| Change::Received { id, doubtful }));
        changes
    }
}
