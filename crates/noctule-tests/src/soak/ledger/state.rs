//! All that is known of a run: who takes part, what was published, who has what, and the story.

use super::rules::Fate;
use super::step::Step;
use crate::soak::content::Name;
use noctule_client::QoS;
use std::collections::{BTreeMap, VecDeque};

/// Lines of the story that are kept.
const LOG_MAX: usize = 4_000_000;

/// All that is known of a run.
#[derive(Debug, Default)]
pub(super) struct State {
    /// Who takes part: clients, and the broker.
    pub(super) parties: Vec<String>,
    pub(super) streams: Vec<Stream>,
    pub(super) receivers: Vec<Receiver>,
    /// The story so far, or the end of it.
    pub(super) log: VecDeque<Entry>,
    /// Lines about messages.
    pub(super) moves: u64,
    pub(super) counts: BTreeMap<&'static str, u64>,
    /// Messages without an end.
    pub(super) open: u64,
    /// Arrivals that are due.
    pub(super) missing: u64,
    /// Whether what is promised now has to arrive.
    pub(super) owing: bool,
    /// When the server died last.
    pub(super) death_ms: Option<u32>,
}

/// Messages of one publisher and one QoS, in order.
#[derive(Debug)]
pub(crate) struct Stream {
    /// Whose it is.
    pub(crate) party: u16,
    pub(crate) name: String,
    pub(crate) qos: QoS,
    pub(crate) kind: Kind,
    /// What may happen to its messages besides what was promised.
    pub(crate) lenience: Lenience,
    pub(super) messages: Vec<Message>,
}

/// Which receivers a stream is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    /// All that listen to the news.
    News,
    /// Those who answer; the promise is kept when the answer is there.
    Request,
}

/// Which ends of a message are none of the client's faults.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Lenience {
    /// The server keeps the session: no excuse.
    None,
    /// The session ends with each connection: `SessionLost` at QoS 2.
    Forgetful,
    /// The server forgets everything at times: the same, and no answers to requests.
    Amnesia,
    /// The server keeps everything but QoS 2 messages that are on their way when it dies.
    Mortal,
    /// No excuse either; but it is another process that publishes, so its words come later.
    Elsewhere,
}

#[derive(Debug)]
pub(super) struct Message {
    pub(super) asked_ms: u32,
    pub(super) fate: Fate,
    /// The server ought to refuse it.
    pub(super) unwelcome: bool,
    /// Asked when promises meant an arrival.
    pub(super) owed: bool,
    /// Counted among what is missing.
    pub(super) due: bool,
}

/// Who receives, be it a client or a group that shares a subscription.
#[derive(Debug)]
pub(crate) struct Receiver {
    pub(crate) party: u16,
    pub(crate) kind: Kind,
    /// The QoS of the subscription.
    pub(crate) qos: QoS,
    pub(crate) care: Care,
    pub(super) heard: Vec<Heard>,
    /// When the newest message that has come was asked.
    pub(super) newest_ms: u32,
}

/// What a receiver has of one stream.
#[derive(Debug, Default)]
pub(super) struct Heard {
    /// How often each message has come.
    pub(super) counts: Vec<u8>,
    /// The latest of those that come in order.
    pub(super) latest: Option<u32>,
}

/// How a receiver gets the messages of a stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Care {
    /// In their order, and once if that was promised.
    Strict,
    /// Once, but order is lost between the members of a group.
    Shared,
    /// For certain; but again, or late, if the server has died meanwhile.
    Repeated,
}

/// A line of the story.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) at_ms: u32,
    pub(super) what: What,
}

#[derive(Debug)]
pub(super) enum What {
    Asked(Name),
    InLine(Name),
    /// With the reason, if it ended otherwise than well.
    Settled(Name, Option<Box<str>>),
    Arrived(Name, u16),
    Acknowledged(Name, u16),
    Packet {
        party: u16,
        step: Step,
        id: u16,
        name: Option<Name>,
    },
    Party(u16, Box<str>),
}

impl State {
    /// Who has heard of nothing that was asked at or after this time.
    pub(super) fn deaf_since(&self, at_ms: u32) -> Option<u16> {
        let deaf = self.receivers.iter().find(|receiver| receiver.newest_ms < at_ms);
        let unanswered = self.streams.iter().find(|stream| {
            let answered = stream.since(at_ms).any(|message| message.fate == Fate::Kept);
            stream.kind == Kind::Request && !answered
        });
        deaf.map(|it| it.party).or(unanswered.map(|it| it.party))
    }

    pub(super) fn asked_since(&self, at_ms: u32) -> usize {
        self.streams.iter().map(|stream| stream.since(at_ms).count()).sum()
    }

    pub(super) fn push(&mut self, stream: u16, asked_ms: u32, fate: Fate, unwelcome: bool) -> Name {
        let owed = self.owing;
        let messages = &mut self.streams[usize::from(stream)].messages;
        let name = Name { stream, number: messages.len() as u32 };
        messages.push(Message { asked_ms, fate, unwelcome, owed, due: false });
        self.open += 1;
        name
    }

    pub(super) fn write(&mut self, at_ms: u32, what: What) {
        self.moves += u64::from(what.name().is_some());
        if self.log.len() == LOG_MAX {
            self.log.pop_front();
        }
        self.log.push_back(Entry { at_ms, what });
    }
}

impl Stream {
    /// What was asked at or after this time.
    fn since(&self, at_ms: u32) -> impl Iterator<Item = &Message> {
        self.messages.iter().rev().take_while(move |message| message.asked_ms >= at_ms)
    }
}

impl What {
    pub(super) fn name(&self) -> Option<Name> {
        match self {
            What::Asked(name)
            | What::InLine(name)
            | What::Settled(name, _)
            | What::Arrived(name, _)
            | What::Acknowledged(name, _) => Some(*name),
            What::Packet { .. } | What::Party(..) => None,
        }
    }
}
