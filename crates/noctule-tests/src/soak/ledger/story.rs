//! A fault, with the story of its message.

use super::state::{Entry, State, What};
use crate::soak::content::Name;
use std::collections::BTreeSet;

/// What happened around a message this long before it was asked is told too.
const BEFORE_MS: u32 = 300;
const LINES_MAX: usize = 300;

impl State {
    /// A fault, with the story of its message and of the connections it went through.
    pub(super) fn report(&self, fault: &str, name: Option<Name>, at_ms: u32) -> String {
        let Some(name) = name else { return self.report_party(fault, 0, at_ms) };
        let about = |entry: &&Entry| entry.what.name() == Some(name);
        let from_ms = self.log.iter().find(about).map_or(at_ms, |entry| entry.at_ms);
        let publisher = self.streams.get(usize::from(name.stream)).map(|stream| stream.party);
        let named = |party: u16| {
            let who = self.parties[usize::from(party)].as_str();
            party == self.broker()
                || Some(party) == publisher
                || fault.contains(who)
                || who.starts_with("member") && fault.contains("group")
        };
        let lines = self.story(from_ms.saturating_sub(BEFORE_MS), Some(name), named);
        format!("{}: {fault}\n{lines}", self.title(name))
    }

    /// A fault of somebody, with the last things that happened to it.
    pub(super) fn report_party(&self, fault: &str, party: u16, at_ms: u32) -> String {
        let who = self.parties.get(usize::from(party)).map_or("somebody", String::as_str);
        let named = |other: u16| other == party || other == self.broker();
        let lines = self.story(at_ms.saturating_sub(20 * BEFORE_MS), None, named);
        format!("{who}: {fault}\n{lines}")
    }

    /// The first of the parties.
    fn broker(&self) -> u16 {
        0
    }

    fn title(&self, name: Name) -> String {
        let Some(stream) = self.streams.get(usize::from(name.stream)) else {
            return format!("message {} of unknown stream {}", name.number, name.stream);
        };
        let party = &self.parties[usize::from(stream.party)];
        format!("message {} of {party}, {} ({:?})", name.number, stream.name, stream.qos)
    }

    /// What happened to a message, and to these parties.
    fn story(&self, from_ms: u32, name: Option<Name>, named: impl Fn(u16) -> bool) -> String {
        // Hand-shakes of the message: the client, whether it sends the message, and the identifier.
        let mut shaking: BTreeSet<(u16, bool, u16)> = BTreeSet::new();
        let mut told = |what: &What| match what {
            What::Party(party, _) => named(*party),
            What::Packet { party, step, id, name: of } => {
                let hands = (*party, step.of_sender(), *id);
                if step.is_publish() {
                    shaking.remove(&hands);
                    if of.is_some() && *of == name {
                        shaking.insert(hands);
                    }
                }
                shaking.contains(&hands)
            }
            other => other.name().is_some() && other.name() == name,
        };
        let entries = self.log.iter().filter(|entry| entry.at_ms >= from_ms);
        let mut lines: Vec<String> =
            entries.filter(|entry| told(&entry.what)).map(|entry| self.line(entry)).collect();
        if let Some(left_out @ 1..) = lines.len().checked_sub(LINES_MAX) {
            // Both ends tell most.
            let half = LINES_MAX / 2;
            lines.splice(half..half + left_out, [format!("  ... {left_out} lines ...")]);
        }
        lines.join("\n")
    }

    fn line(&self, entry: &Entry) -> String {
        let party = |at: u16| self.parties[usize::from(at)].as_str();
        let publisher = |name: &Name| {
            let stream = self.streams.get(usize::from(name.stream));
            stream.map_or("nobody", |stream| party(stream.party))
        };
        let receiver = |at: &u16| party(self.receivers[usize::from(*at)].party);
        let (who, what) = match &entry.what {
            What::Asked(name) => (publisher(name), "publishes it".to_owned()),
            What::InLine(name) => (publisher(name), "has it in line".to_owned()),
            What::Settled(name, None) => (publisher(name), "is told that it is there".to_owned()),
            What::Settled(name, Some(why)) => (publisher(name), format!("is told: {why}")),
            What::Arrived(_, at) => (receiver(at), "has it".to_owned()),
            What::Acknowledged(_, at) => (receiver(at), "acknowledges it".to_owned()),
            What::Packet { party: at, step, id, .. } => (party(*at), format!("{step} #{id}")),
            What::Party(at, what) => (party(*at), what.to_string()),
        };
        let seconds = f64::from(entry.at_ms) / 1000.0;
        format!("  {seconds:>9.3} s  {who:<16} {what}")
    }
}
