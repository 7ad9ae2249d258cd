//! The ledger: what was asked and promised, what arrived, and where the two disagree.
//!
//! ```text
//! ask ─▶ in_line ─▶ settle (kept | refused | unsure)        arrive (a receiver has it)
//!   └──────────────── rules: what may follow what ────────────────┘
//!                     the first fault ends the run: `broken`
//! ```

mod report;
mod rules;
mod state;
mod step;
mod story;
#[cfg(test)]
mod tests;

use super::content::Name;
use noctule_client::{Error, QoS, ReasonCode, Tapped, Version};
use rules::Fate;
pub(crate) use state::{Care, Kind, Lenience};
use state::{Receiver, State, Stream, What};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Instant;
use step::Step;
use tokio::sync::watch;

/// Who has heard of none of so many messages will hear of none.
const UNHEARD_MAX: usize = 5000;

/// What is told of a run, and what is made of it.
#[derive(Debug)]
pub(crate) struct Ledger {
    start: Instant,
    state: Mutex<State>,
    fault: watch::Sender<Option<Arc<str>>>,
}

/// What a receiver has received.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrival<'a> {
    pub(crate) topic: &'a str,
    pub(crate) payload: &'a [u8],
    pub(crate) qos: QoS,
}

impl Ledger {
    /// An empty one; promises mean arrivals.
    pub(crate) fn new() -> Arc<Ledger> {
        let state = State { owing: true, ..State::default() };
        let (fault, _) = watch::channel(None);
        Arc::new(Ledger { start: Instant::now(), state: Mutex::new(state), fault })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nobody panics with it")
    }

    /// Milliseconds since the beginning.
    pub(crate) fn now_ms(&self) -> u32 {
        self.start.elapsed().as_millis() as u32
    }

    /// Somebody who takes part.
    pub(crate) fn party(&self, name: &str) -> u16 {
        let mut state = self.state();
        state.parties.push(name.to_owned());
        (state.parties.len() - 1) as u16
    }

    /// A stream that `party` publishes.
    pub(crate) fn stream(&self, party: u16, name: &str, qos: QoS, lenience: Lenience) -> u16 {
        let name = name.to_owned();
        let (kind, messages) = (Kind::News, Vec::new());
        self.add_stream(Stream { party, name, qos, kind, lenience, messages })
    }

    /// A stream of requests.
    pub(crate) fn requests(&self, party: u16, name: &str, qos: QoS, lenience: Lenience) -> u16 {
        let name = name.to_owned();
        let (kind, messages) = (Kind::Request, Vec::new());
        self.add_stream(Stream { party, name, qos, kind, lenience, messages })
    }

    fn add_stream(&self, stream: Stream) -> u16 {
        let mut state = self.state();
        state.streams.push(stream);
        (state.streams.len() - 1) as u16
    }

    /// Somebody who receives, from the beginning on.
    pub(crate) fn receiver(&self, party: u16, kind: Kind, qos: QoS, care: Care) -> u16 {
        let mut state = self.state();
        let (heard, newest_ms) = (Vec::new(), 0);
        state.receivers.push(Receiver { party, kind, qos, care, heard, newest_ms });
        (state.receivers.len() - 1) as u16
    }

    /// The next message of a stream is about to be published.
    pub(crate) fn ask(&self, stream: u16, unwelcome: bool) -> Name {
        let asked_ms = self.now_ms();
        let mut state = self.state();
        let name = state.push(stream, asked_ms, Fate::Asked, unwelcome);
        state.write(asked_ms, What::Asked(name));
        name
    }

    /// The same, told by another process: the message may have come before the word of it.
    pub(crate) fn ask_elsewhere(&self, name: Name) {
        let asked_ms = self.now_ms();
        self.step(What::Asked(name), |state| state.ask_elsewhere(name, asked_ms));
    }

    /// The client has said that the message is stored.
    pub(crate) fn in_line(&self, name: Name) {
        self.step(What::InLine(name), |state| state.fate(name, Fate::Stored));
    }

    /// The client has said how it ended.
    pub(crate) fn settle(&self, name: Name, result: &Result<ReasonCode, Error>) {
        let why = result.as_ref().err().map(|error| error.to_string().into_boxed_str());
        self.step(What::Settled(name, why), |state| state.settle(name, result));
    }

    /// The name that the next message of a stream will have.
    pub(crate) fn next(&self, stream: u16) -> Name {
        let number = self.state().streams[usize::from(stream)].messages.len() as u32;
        Name { stream, number }
    }

    /// The client has said that it failed, in these words.
    pub(crate) fn lose(&self, name: Name, why: &str) {
        self.step(What::Settled(name, Some(why.into())), |state| state.lose(name, why));
    }

    /// Whoever asked for these messages is gone: what was not in line may come or not.
    pub(crate) fn abandon(&self, stream: u16) {
        let mut state = self.state();
        let messages = &mut state.streams[usize::from(stream)].messages;
        // What was in line before them is in the file.
        let asked = messages.iter_mut().rev().take_while(|message| message.fate == Fate::Asked);
        let count = asked.map(|message| message.fate = Fate::Unsure).count();
        state.open -= count as u64;
    }

    /// A receiver has got a message. Answers which.
    pub(crate) fn arrive(&self, receiver: u16, arrival: &Arrival<'_>) -> Option<Name> {
        let Some(name) = super::content::name_of(arrival.payload) else {
            let party = self.state().receivers[usize::from(receiver)].party;
            let len = arrival.payload.len();
            self.fail(&format!("{len} bytes on {} are no message of ours", arrival.topic), party);
            return None;
        };
        let what = What::Arrived(name, receiver);
        let at_ms = self.now_ms();
        self.step(what, |state| state.arrive(receiver, name, arrival, at_ms));
        Some(name)
    }

    /// A receiver has acknowledged a message.
    pub(crate) fn acknowledged(&self, receiver: u16, name: Name) {
        self.step(What::Acknowledged(name, receiver), |_| Ok(()));
    }

    /// Something else happened that may explain what follows.
    pub(crate) fn note(&self, party: u16, what: impl Into<Box<str>>) {
        let at_ms = self.now_ms();
        self.state().write(at_ms, What::Party(party, what.into()));
    }

    /// A packet passed between `party` and the server.
    pub(crate) fn packet(&self, party: u16, version: Version, packet: Tapped<'_>) {
        let Some((step, id, name)) = Step::of(packet, version) else { return };
        let at_ms = self.now_ms();
        self.state().write(at_ms, What::Packet { party, step, id, name });
    }

    /// The server was killed.
    pub(crate) fn death(&self) {
        let at_ms = self.now_ms();
        self.state().death_ms = Some(at_ms);
    }

    /// Counts something for the account at the end.
    pub(crate) fn count(&self, what: &'static str) {
        *self.state().counts.entry(what).or_default() += 1;
    }

    /// Writes a line, and applies the rules to it.
    fn step(&self, what: What, rule: impl FnOnce(&mut State) -> Result<(), String>) {
        let at_ms = self.now_ms();
        let mut state = self.state();
        let name = what.name();
        state.write(at_ms, what);
        if let Err(fault) = rule(&mut state) {
            let report = state.report(&fault, name, at_ms);
            drop(state);
            self.break_off(report);
        }
    }

    /// Something went wrong that no message stands for.
    pub(crate) fn fail(&self, fault: &str, party: u16) {
        let report = self.state().report_party(fault, party, self.now_ms());
        self.break_off(report);
    }

    fn break_off(&self, report: String) {
        self.fault.send_if_modified(|fault| {
            let first = fault.is_none();
            fault.get_or_insert_with(|| report.into());
            first
        });
    }

    /// Waits for the first fault.
    pub(crate) async fn broken(&self) -> Arc<str> {
        let mut faults = self.fault.subscribe();
        let fault = faults.wait_for(Option::is_some).await;
        fault.ok().and_then(|fault| fault.clone()).expect("the ledger outlives who waits for it")
    }

    /// Messages and arrivals that are not done.
    pub(crate) fn backlog(&self) -> u64 {
        let state = self.state();
        state.open + state.missing
    }

    /// Grows while messages move.
    pub(crate) fn moves(&self) -> u64 {
        self.state().moves
    }

    /// From now on promises mean arrivals.
    pub(crate) fn owe(&self) {
        self.state().owing = true;
    }

    /// Whether a promise of this message means an arrival.
    pub(crate) fn owes(&self, name: Name) -> bool {
        let state = self.state();
        let messages = &state.streams[usize::from(name.stream)].messages;
        messages.get(name.number as usize).is_some_and(|message| message.owed)
    }

    /// If everything promised is there, promises mean nothing any more from now on.
    pub(crate) fn forgive(&self) -> bool {
        let mut state = self.state();
        let even = state.open + state.missing == 0;
        state.owing &= !even;
        even
    }

    /// Whether everybody has received something, and every requester an answer to something, that
    /// was asked at or after this time. It is a fault if so much was asked that they should have.
    pub(crate) fn all_have_heard_since(&self, at_ms: u32) -> bool {
        let (deaf, asked) = {
            let state = self.state();
            (state.deaf_since(at_ms), state.asked_since(at_ms))
        };
        if let (Some(party), true) = (deaf, asked > UNHEARD_MAX) {
            self.fail(&format!("has heard nothing of {asked} messages since {at_ms} ms"), party);
        }
        deaf.is_none()
    }

    /// Nothing has moved for too long.
    pub(crate) fn stuck(&self) {
        let at_ms = self.now_ms();
        let state = self.state();
        let report = match state.first_unfinished() {
            Some((name, what)) => {
                state.report(&format!("nothing moves, and {what}"), Some(name), at_ms)
            }
            None => state.report_party("nothing moves, and nothing is open", 0, at_ms),
        };
        drop(state);
        self.break_off(report);
    }

    /// What the run amounts to. It is an error if a part of it never came about.
    pub(crate) fn account(&self) -> Result<Account, String> {
        self.state().account()
    }
}

/// A run in numbers.
#[derive(Debug)]
pub(crate) struct Account(String);

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
