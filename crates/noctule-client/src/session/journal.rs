//! What has to survive the process, as a list of changes.
//!
//! The owner stores the changes of a step before it sends the output of that step; then whatever
//! the server knows of us, we know after a crash. Messages of QoS 0 promise nothing and are not
//! kept.

use super::Session;
use super::event::Token;
use crate::error::Invalid;
use crate::message::Message;
use crate::options::Options;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use noctule_proto::PacketId;

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
    /// It is back in line, before those that were never sent.
    Unsent {
        /// Its token.
        token: Token,
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
    /// A message of QoS 2 came in and is acknowledged.
    Received(PacketId),
    /// The server has released it.
    Completed(PacketId),
    /// The server has forgotten the session: all that was received is void.
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

/// Where a message stands on its way.
#[derive(Clone, Debug)]
pub(super) enum Stage {
    Waiting(Message),
    Sent(Message, PacketId),
    Released(PacketId),
}

/// What changes add up to.
#[derive(Default)]
struct Replay {
    identity: Option<String>,
    stages: BTreeMap<Token, Stage>,
    /// In the order of the first sending.
    sent: Vec<Token>,
    received: Vec<PacketId>,
}

impl Replay {
    fn apply(&mut self, change: Change) {
        match change {
            Change::Identity(client_id) => self.identity = Some(client_id),
            Change::Queued { token, message } => {
                self.stages.insert(token, Stage::Waiting(message));
            }
            Change::Sent { token, id } => {
                self.step(token, |stage| match stage {
                    Stage::Waiting(message) => Stage::Sent(message, id),
                    Stage::Sent(..) | Stage::Released(_) => stage,
                });
                self.sent.push(token);
            }
            Change::Unsent { token } => {
                self.step(token, |stage| match stage {
                    Stage::Sent(message, _) => Stage::Waiting(message),
                    Stage::Waiting(_) | Stage::Released(_) => stage,
                });
                self.sent.retain(|sent| *sent != token);
            }
            Change::Released { token, id } => {
                if !matches!(self.stages.get(&token), Some(Stage::Sent(..))) {
                    self.sent.push(token);
                }
                self.stages.insert(token, Stage::Released(id));
            }
            Change::Settled { token } => {
                self.stages.remove(&token);
                self.sent.retain(|sent| *sent != token);
            }
            Change::Received(id) => self.received.push(id),
            Change::Completed(id) => self.received.retain(|received| *received != id),
            Change::Forgotten => self.received.clear(),
        }
    }

    fn step(&mut self, token: Token, next: impl FnOnce(Stage) -> Stage) {
        if let Some(stage) = self.stages.remove(&token) {
            self.stages.insert(token, next(stage));
        }
    }
}

impl Session {
    /// A session that an earlier process left behind as these changes, oldest first.
    /// [`Event::Published`](crate::Event) tells the end of its messages too.
    pub fn restore(
        options: Options,
        changes: impl IntoIterator<Item = Change>,
    ) -> Result<Session, Invalid> {
        let mut session = Session::new(options)?;
        let mut replay = Replay::default();
        changes.into_iter().for_each(|change| replay.apply(change));
        session.resumed = replay.identity.is_some();
        // A name that the application has changed names another session.
        let named = &session.options.client_id;
        session.identity = replay.identity.filter(|identity| named.is_empty() || named == identity);
        let newest = replay.stages.keys().next_back().map_or(0, |token| token.0);
        session.tokens = newest;
        for token in replay.sent {
            match replay.stages.remove(&token) {
                Some(Stage::Sent(message, id)) => session.outgoing.place(id, token, Some(message)),
                Some(Stage::Released(id)) => session.outgoing.place(id, token, None),
                Some(Stage::Waiting(_)) | None => {}
            }
        }
        for (token, stage) in replay.stages {
            if let Stage::Waiting(message) = stage {
                session.outgoing.queue(token, message);
            }
        }
        replay.received.into_iter().for_each(|id| session.incoming.place(id));
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

    /// All that has to survive, in as few changes as can be.
    pub fn snapshot(&self) -> Vec<Change> {
        let mut changes = Vec::new();
        changes.extend(self.identity.clone().map(Change::Identity));
        self.outgoing.snapshot(&mut changes);
        changes.extend(self.incoming.received().map(Change::Received));
        changes
    }
}
