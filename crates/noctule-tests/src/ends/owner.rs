//! One client: its process as long as it lives, its disk, and its link to the broker.

use super::any_shard;
use super::disk::{App, Disk, Fact, Record};
use crate::node::{LineId, Node};
use crate::sim::Chance;
use noctule_client::{AckToken, Error, Event, Message, Options, QoS, Received, Session, Subscribe};
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// More records than this are put together.
const RECORDS_MAX: usize = 120;

pub(super) struct Owner {
    options: Options,
    /// Whom it publishes to.
    other: &'static str,
    /// Of each message that it publishes.
    pub(super) qos: Vec<QoS>,
    pub(super) disk: Disk,
    process: Process,
    link: Option<Link>,
    /// How many it has had.
    links: u64,
    /// Links that the broker does not know to be dead.
    old_links: Vec<LineId>,
    /// What the application was handed, whether it lived to deal with it or not.
    pub(super) handed_over: Vec<usize>,
    pub(super) counts: BTreeMap<&'static str, u64>,
}

/// What dies in a crash.
struct Process {
    session: Session,
    /// The disk as it will be.
    app: App,
    unstored: VecDeque<Record>,
    input: Vec<u8>,
    /// Messages that wait for the application to deal with them.
    held: Vec<Held>,
    /// The session is without a connection.
    ended: bool,
    name: String,
}

/// A message that the application holds.
struct Held {
    ack: AckToken,
    number: usize,
    /// The connection that it came on.
    link: u64,
}

struct Link {
    line: LineId,
    /// Bytes on their way from the broker.
    down: Vec<u8>,
}

impl Process {
    fn start(options: &Options, disk: &Disk) -> Process {
        let session = Session::restore(options.clone(), disk.changes.iter().cloned());
        let session = session.expect("legal options");
        Process {
            session,
            app: disk.app.clone(),
            unstored: VecDeque::new(),
            input: Vec::new(),
            held: Vec::new(),
            ended: false,
            name: options.client_id.clone(),
        }
    }

    fn note(&mut self, fact: Option<Fact>) {
        if let Some(fact) = fact {
            self.app.learn(fact);
        }
        self.unstored.extend(Record::of(self.session.take_changes(), fact));
    }
}

/// What an owner does; what came of it, if anything.
impl Owner {
    pub(super) fn new(options: Options, other: &'static str, qos: Vec<QoS>) -> Owner {
        let disk = Disk::default();
        Owner {
            process: Process::start(&options, &disk),
            options,
            other,
            qos,
            disk,
            link: None,
            links: 0,
            old_links: Vec::new(),
            handed_over: Vec::new(),
            counts: BTreeMap::new(),
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.options.client_id
    }

    pub(super) fn connect(
        &mut self,
        now: Duration,
        node: &mut Node,
        chance: &mut Chance,
    ) -> Option<&'static str> {
        if self.link.as_ref().is_some_and(|link| node.is_open(link.line)) {
            return None;
        }
        self.lose_link(node, true);
        let line = node.open(any_shard(node, chance));
        self.link = Some(Link { line, down: Vec::new() });
        self.links += 1;
        self.process.session.open(now);
        Some("connects")
    }

    pub(super) fn publish(&mut self) -> Option<&'static str> {
        let number = self.process.app.asked;
        let qos = *self.qos.get(number)?;
        let topic = format!("to/{}/{}", self.other, number % 3);
        let message = Message::new(topic, number.to_string()).qos(qos);
        let token = self.process.session.publish(message).expect("legal");
        self.process.note(Some(Fact::Asked { token, number }));
        Some("publishes")
    }

    /// The application deals with any of the messages that it holds.
    pub(super) fn acknowledge_one(&mut self, chance: &mut Chance) -> Option<&'static str> {
        let process = &mut self.process;
        if process.held.is_empty() {
            return None;
        }
        let held = process.held.swap_remove(chance.below(process.held.len()));
        process.session.acknowledge(held.ack);
        process.note(Some(Fact::Handled { number: held.number }));
        let late = held.link != self.links;
        Some(if late { "late acknowledgements" } else { "acknowledgements by the application" })
    }

    /// So many records reach the disk.
    pub(super) fn store(&mut self, records: usize) -> Option<&'static str> {
        let process = &mut self.process;
        let records = records.min(process.unstored.len());
        process.unstored.drain(..records).for_each(|record| self.disk.store(record));
        if process.unstored.is_empty() && self.disk.changes.len() > RECORDS_MAX {
            self.disk.changes = process.session.snapshot();
            return Some("journals put together");
        }
        None
    }

    /// The transport takes some of the output, which waits until the disk has what led to it.
    pub(super) fn send(
        &mut self,
        now: Duration,
        node: &mut Node,
        chance: &mut Chance,
    ) -> Option<&'static str> {
        let len = self.process.session.output().len();
        let some = if chance.percent(60) { len } else { chance.below(len + 1) };
        self.send_bytes(now, node, some)
    }

    pub(super) fn send_bytes(
        &mut self,
        now: Duration,
        node: &mut Node,
        len: usize,
    ) -> Option<&'static str> {
        let Process { session, unstored, .. } = &mut self.process;
        let link = self.link.as_ref().filter(|_| unstored.is_empty())?;
        let len = len.min(session.output().len());
        node.write(link.line, &session.output()[..len]);
        session.written(now, len);
        None
    }

    /// Some of what the broker has sent arrives.
    pub(super) fn hear(
        &mut self,
        now: Duration,
        node: &mut Node,
        chance: &mut Chance,
    ) -> Option<&'static str> {
        let link = self.link.as_mut()?;
        link.down.extend(node.read(link.line));
        let len = link.down.len();
        let some = if chance.percent(60) { len } else { chance.below(len + 1) };
        self.hear_bytes(now, node, some)
    }

    pub(super) fn hear_bytes(
        &mut self,
        now: Duration,
        node: &mut Node,
        len: usize,
    ) -> Option<&'static str> {
        let link = self.link.as_mut()?;
        link.down.extend(node.read(link.line));
        let len = len.min(link.down.len());
        self.process.input.extend(link.down.drain(..len));
        let closed = link.down.is_empty() && !node.is_open(link.line);
        let input = std::mem::take(&mut self.process.input);
        let mut rest = &input[..];
        while let Some(received) = self.process.session.read(now, &mut rest) {
            let fact = match received {
                Received::Event(event) => self.process.happened(event),
                Received::Message(message) => {
                    let number = number_of(message.payload);
                    let (ack, again) = (message.ack, message.duplicate);
                    self.handed_over.push(number);
                    self.process.held.extend(ack.map(|ack| Held { ack, number, link: self.links }));
                    *self.counts.entry("messages sent again").or_default() += u64::from(again);
                    ack.is_none().then_some(Fact::Handled { number })
                }
            };
            self.process.note(fact);
        }
        self.process.input = rest.to_vec();
        self.process.note(None);
        if closed { self.lose_link(node, true) } else { None }
    }

    pub(super) fn tick(&mut self, now: Duration, node: &mut Node) -> Option<&'static str> {
        self.process.session.tick(now);
        self.process.take_events();
        if self.process.ended { self.lose_link(node, true) } else { None }
    }

    /// The connection breaks. The broker is told, or finds out when the client comes back.
    pub(super) fn lose_link(&mut self, node: &mut Node, told: bool) -> Option<&'static str> {
        self.drop_link(node, told)?;
        self.process.session.lose(Error::Closed);
        self.process.take_events();
        (self.process.input, self.process.ended) = (Vec::new(), false);
        Some("connections that break")
    }

    fn drop_link(&mut self, node: &mut Node, told: bool) -> Option<()> {
        let link = self.link.take()?;
        if told {
            node.hang_up(link.line);
        } else {
            self.old_links.push(link.line);
        }
        Some(())
    }

    /// The process dies once so many records more have reached the disk, and starts again.
    pub(super) fn crash(
        &mut self,
        node: &mut Node,
        told: bool,
        records: usize,
    ) -> Option<&'static str> {
        self.drop_link(node, told);
        let lost = self.process.unstored.len() > records;
        self.process.unstored.drain(..).take(records).for_each(|record| self.disk.store(record));
        self.process = Process::start(&self.options, &self.disk);
        Some(if lost { "crashes that lose records" } else { "crashes" })
    }

    pub(super) fn forget_old_links(&mut self, node: &mut Node) {
        self.old_links.drain(..).for_each(|line| node.hang_up(line));
    }

    /// Whether it has published all, knows the end of it, and has dealt with all of `other`'s.
    pub(super) fn is_done(&self, other: &Owner) -> bool {
        let promised = |qos: &[QoS]| {
            let numbers = qos.iter().enumerate().filter(|(_, qos)| **qos != QoS::AtMostOnce);
            numbers.map(|(number, _)| number).collect::<Vec<usize>>()
        };
        let app = &self.disk.app;
        app.asked == self.qos.len()
            && promised(&self.qos).iter().all(|number| app.done.contains(number))
            && promised(&other.qos).iter().all(|number| app.handled.contains(number))
    }

    pub(super) fn describe(&self) -> String {
        let Process { session, app, unstored, held, .. } = &self.process;
        let online = if session.is_online() { "online" } else { "offline" };
        let (name, version) = (self.name(), self.options.version);
        let (asked, handled) = (app.asked, app.handled.len());
        let (held, unstored) = (held.len(), unstored.len());
        let promised = |number: &usize| self.qos[*number] != QoS::AtMostOnce;
        let open: Vec<usize> = app.waiting.values().copied().filter(promised).collect();
        format!(
            "{name} {version:?} {online}: asked {asked}, waits for the end of {open:?}, handled \
             {handled}, holds {held}, {unstored} records unstored"
        )
    }
}

impl Process {
    fn take_events(&mut self) {
        while let Some(event) = self.session.next_event() {
            let fact = self.happened(event);
            self.note(fact);
        }
        self.note(None);
    }

    fn happened(&mut self, event: Event) -> Option<Fact> {
        match event {
            Event::Connected(connected) => {
                if !(connected.session_present && self.app.subscribed) {
                    let all = Subscribe::to(format!("to/{}/+", self.name), QoS::ExactlyOnce);
                    self.session.subscribe(&all).expect("online");
                }
                None
            }
            Event::Published { token, result } => {
                result.expect("the broker takes every message");
                Some(Fact::Done { token })
            }
            Event::Subscribed { result, .. } => {
                let granted = result.ok()?;
                assert!(granted.iter().all(|code| !code.is_error()), "{granted:?}");
                Some(Fact::Subscribed)
            }
            Event::Ended(error) => {
                assert!(!matches!(error, Error::Protocol(_)), "{error}");
                self.ended = true;
                None
            }
            other => panic!("nobody asked for {other:?}"),
        }
    }
}

fn number_of(payload: &[u8]) -> usize {
    let text = std::str::from_utf8(payload).expect("text");
    text.parse().expect("a number")
}
