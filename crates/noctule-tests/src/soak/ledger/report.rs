//! Results, told: what is not done, and what a run amounts to.

use super::Account;
use super::rules::Fate;
use super::state::{Kind, State};
use crate::soak::content::Name;
use noctule_client::QoS;
use std::fmt::Write as _;

impl State {
    /// A message that waits for something, and for what.
    pub(super) fn first_unfinished(&self) -> Option<(Name, String)> {
        for (at, stream) in self.streams.iter().enumerate() {
            for (number, message) in stream.messages.iter().enumerate() {
                let name = Name { stream: at as u16, number: number as u32 };
                if message.fate == Fate::Unheard {
                    return Some((name, "nobody has published it".to_owned()));
                }
                if message.fate == Fate::Asked {
                    return Some((name, "its publisher waits for its end".to_owned()));
                }
                let mut owed = self.receivers.iter().filter(|it| it.kind == stream.kind);
                let missing = owed.find(|receiver| message.due && receiver.has(name) == 0);
                if let Some(receiver) = missing {
                    let who = &self.parties[usize::from(receiver.party)];
                    return Some((name, format!("it has not come to {who}")));
                }
            }
        }
        None
    }

    /// The run in numbers; an error if some stream never got anywhere.
    pub(super) fn account(&self) -> Result<Account, String> {
        let mut text = String::new();
        for stream in &self.streams {
            let kept = stream
                .messages
                .iter()
                .any(|message| matches!(message.fate, Fate::Kept | Fate::Stored));
            if !kept {
                let party = &self.parties[usize::from(stream.party)];
                return Err(format!("{party}, {}: not one promise was kept", stream.name));
            }
        }
        let _ = writeln!(
            text,
            "  {} streams to {} receivers",
            self.streams.len(),
            self.receivers.len()
        );
        for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
            let fates = self.fates(qos, Kind::News);
            let _ = writeln!(text, "  QoS {}: {fates}", qos as u8);
        }
        if self.streams.iter().any(|stream| stream.kind == Kind::Request) {
            let both =
                [QoS::AtLeastOnce, QoS::ExactlyOnce].map(|qos| self.fates(qos, Kind::Request));
            let _ = writeln!(text, "  requests: {}; {}", both[0], both[1]);
        }
        let counts: Vec<String> =
            self.counts.iter().map(|(what, count)| format!("{what} {count}")).collect();
        let _ = write!(text, "  {}", counts.join(", "));
        Ok(Account(text))
    }

    fn fates(&self, qos: QoS, kind: Kind) -> String {
        let streams = self.streams.iter().filter(|it| it.qos == qos && it.kind == kind);
        let messages = || streams.clone().flat_map(|stream| &stream.messages);
        let count = |fate: Fate| messages().filter(|message| message.fate == fate).count();
        let asked = messages().count();
        let owed = messages().filter(|message| message.due).count();
        let arrived: usize = self
            .receivers
            .iter()
            .flat_map(|receiver| receiver.heard.iter().enumerate())
            .filter(|(at, _)| self.streams[*at].qos == qos && self.streams[*at].kind == kind)
            .flat_map(|(_, heard)| &heard.counts)
            .filter(|count| **count > 0)
            .count();
        format!(
            "{asked} published, {} kept, {} in line, {} refused, {} unsure; {owed} owed to each \
             receiver, {arrived} arrivals",
            count(Fate::Kept),
            count(Fate::Stored),
            count(Fate::Refused),
            count(Fate::Unsure),
        )
    }
}
