//! A client's session, told whatever a script of bytes says: commands of its application, packets
//! of a hostile server, time, connections that break, processes that die and come back with what
//! was stored.
//!
//! What must hold is in [`watch`]; besides, no input makes it panic, time never stands still, and
//! what was stored adds up to what the session holds.

mod server;
mod watch;

use crate::script::Script;
use noctule_client::{
    AckToken, Acknowledge, AuthError, Authenticator, Change, Delivery, Error, Event, Goodbye,
    Message, Options, QoS, ReasonCode, Received, Session, Subscribe, Unsubscribe, Version,
};
use noctule_proto::cases::Case;
use noctule_proto::next_frame;
use noctule_proto::packet::{ConnAck, Packet, Role};
use std::collections::BTreeSet;
use std::time::Duration;
use watch::Watch;

/// The first bytes of a script in which everything is as usual.
const USUAL: [u8; 8] = [0; 8];
const OPEN: u8 = 0;
const LET_IN: u8 = 1;
const RAW: u8 = 2;
/// Longer than the script of any seed.
const RAW_MAX: usize = crate::script::RAW_MAX;

/// Plays the script.
pub fn run(bytes: &[u8]) {
    let mut script = Script::new(bytes);
    let mut world = World::new(options(&mut script));
    while !script.is_over() {
        world.step(&mut script);
        world.settle();
    }
    world.check_stored();
}

/// A script in which the bytes of a case come from the server after CONNACK.
pub fn as_script(case: &Case) -> Vec<u8> {
    let mut script = USUAL.to_vec();
    script[0] = match case.version {
        Some(Version::V31) => 2,
        Some(Version::V311) => 1,
        Some(Version::V5) | None => 0,
    };
    script.push(OPEN);
    if !case.first {
        // A session that was not kept, without limits.
        script.extend([LET_IN, 0, 0, 0, 0, 0, 0, 0, 0]);
    }
    for chunk in case.bytes.chunks(RAW_MAX) {
        script.extend([RAW, chunk.len() as u8]);
        script.extend_from_slice(chunk);
    }
    script
}

fn options(script: &mut Script<'_>) -> Options {
    let mut options = Options::new("c");
    options.version = [Version::V5, Version::V311, Version::V31, Version::V5][script.below(4)];
    options.clean_start = !script.flag();
    options.session_expiry_secs = [0, 60][script.below(2)];
    options.receive_maximum = [u16::MAX, 1, 3][script.below(3)];
    options.send_maximum = [None, Some(1), Some(3)][script.below(3)];
    options.topic_alias_maximum = [0, 2][script.below(2)];
    options.acknowledge = [Acknowledge::Automatically, Acknowledge::ByApplication][script.below(2)];
    let rest = script.byte();
    options.maximum_packet_size = (rest & 1 != 0).then_some(40);
    options.request_problem_information = rest & 2 == 0;
    options.keep_alive_secs = [60, 0, 3][usize::from(rest >> 2) % 3];
    options
}

/// Answers every challenge, and is content with some ends.
struct Method;

impl Authenticator for Method {
    fn method(&self) -> &str {
        "m"
    }

    fn start(&mut self) -> Option<Vec<u8>> {
        None
    }

    fn answer(&mut self, challenge: &[u8]) -> Result<Vec<u8>, AuthError> {
        Ok(challenge.to_vec())
    }

    fn finish(&mut self, data: &[u8]) -> Result<(), AuthError> {
        if data.len() > 4 { Err(AuthError("too long".into())) } else { Ok(()) }
    }
}

struct World {
    options: Options,
    session: Session,
    now: Duration,
    /// From the server, not read yet.
    input: Vec<u8>,
    stored: Vec<Change>,
    watch: Watch,
    /// There is a connection, let in or not.
    connected: bool,
    acks: Vec<(AckToken, QoS, u16)>,
    /// Messages of QoS 2 that the session knows from its store.
    accepted: BTreeSet<u16>,
}

impl World {
    fn new(options: Options) -> World {
        let mut session = Session::new(options.clone()).expect("legal options");
        session.keep_changes();
        World {
            options,
            session,
            now: Duration::from_secs(1),
            input: Vec::new(),
            stored: Vec::new(),
            watch: Watch::default(),
            connected: false,
            acks: Vec::new(),
            accepted: BTreeSet::new(),
        }
    }

    fn step(&mut self, script: &mut Script<'_>) {
        match script.below(16) {
            0 => self.open(),
            1 => self.hear(&encoded(&Packet::ConnAck(server::connack(script)), &self.options)),
            2 => self.hear(script.raw()),
            3..=6 => self.hear(&server::speak(script, self.options.version)),
            7 => self.publish(script),
            8 => self.request(script),
            9 | 10 => self.acknowledge(script),
            11 => self.pass([1, 500, 3_000, 60_000][script.below(4)]),
            12 => self.leave(script),
            13 => self.lose(),
            14 => self.restart(script),
            _ => drop(self.session.reauthenticate()),
        }
    }

    fn open(&mut self) {
        self.lose();
        self.watch.open(self.options.version);
        self.session.open(self.now);
        self.connected = true;
    }

    fn publish(&mut self, script: &mut Script<'_>) {
        let topic = ["a", "b", "a/b/c", "a/#"][script.below(4)];
        let qos = [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce][script.below(3)];
        let mut message = Message::new(topic, vec![0; script.below(40)]).qos(qos);
        message.retain = script.flag();
        // What no server may get is refused.
        let _ = if script.flag() {
            self.session.publish_ref(&message)
        } else {
            self.session.publish(message).map(Some)
        };
    }

    fn request(&mut self, script: &mut Script<'_>) {
        let filters = ["a", "+/b", "$share/g/#", "#/a"];
        let one = filters[script.below(4)];
        // Offline, or against the terms of the server: refused.
        if script.flag() {
            let _ = self.session.unsubscribe(&Unsubscribe::from(one));
        } else {
            let mut subscribe = Subscribe::to(one, QoS::AtMostOnce);
            subscribe.id = script.flag().then_some(7);
            let _ = self.session.subscribe(&subscribe);
        }
    }

    fn acknowledge(&mut self, script: &mut Script<'_>) {
        if self.acks.is_empty() {
            return;
        }
        let (token, qos, id) = self.acks.remove(script.below(self.acks.len()));
        if script.byte() % 4 == 3 && self.options.version == Version::V5 {
            self.session.reject(token, ReasonCode::QuotaExceeded);
            self.watch.released(id);
        } else {
            self.session.acknowledge(token);
            if qos == QoS::ExactlyOnce {
                self.accepted.insert(id);
            }
        }
    }

    fn leave(&mut self, script: &mut Script<'_>) {
        let reasons = [ReasonCode::Success, ReasonCode::DisconnectWithWill, ReasonCode::Banned];
        let mut goodbye = Goodbye::because(reasons[script.below(3)]);
        goodbye.session_expiry_secs = script.flag().then_some(9);
        goodbye.reason_string = script.flag().then(|| "bye".repeat(9));
        self.session.disconnect(&goodbye);
    }

    fn lose(&mut self) {
        self.send(usize::MAX);
        self.session.lose(Error::Closed);
        self.input.clear();
        self.settle();
    }

    /// The process dies, and another takes up what it has stored.
    fn restart(&mut self, script: &mut Script<'_>) {
        self.check_stored();
        self.take_up_damaged(script);
        if script.flag() {
            self.stored = self.session.snapshot();
        }
        let changes = self.stored.iter().cloned();
        self.session = Session::restore(self.options.clone(), changes).expect("legal options");
        self.input.clear();
        self.acks.clear();
        if self.options.acknowledge == Acknowledge::ByApplication {
            self.watch.restart(&self.accepted);
        }
        self.watch.open(self.options.version);
        self.connected = false;
        if script.flag() {
            self.session.authenticate_by(Box::new(Method));
        }
    }

    /// A store that lost some of what it was given leads to something, and that is legal.
    fn take_up_damaged(&mut self, script: &mut Script<'_>) {
        let mut changes = self.stored.clone();
        for _ in 0..script.below(3) {
            if !changes.is_empty() {
                let at = script.below(changes.len());
                let change = changes.remove(at);
                if script.flag() {
                    changes.push(change);
                }
            }
        }
        let session = Session::restore(self.options.clone(), changes);
        let mut session = session.expect("legal options");
        session.open(self.now);
        let kept = !self.options.clean_start;
        let connack = Packet::ConnAck(ConnAck::new(kept, ReasonCode::Success));
        let bytes = encoded(&connack, &self.options);
        let mut input = &bytes[..];
        while session.read(self.now, &mut input).is_some() {}
        let mut rest = session.output();
        let mut version = None;
        while let Some(frame) = next_frame(rest, u32::MAX).expect("well formed") {
            Packet::decode(frame, version, Role::Client).expect("a legal packet");
            version = Some(self.options.version);
            rest = &rest[frame.len..];
        }
    }

    fn pass(&mut self, millis: u64) {
        self.now += Duration::from_millis(millis);
        self.session.tick(self.now);
        let next = self.session.next_deadline();
        assert!(next.is_none_or(|at| at > self.now), "time stands still");
    }

    /// Bytes come from the server.
    fn hear(&mut self, bytes: &[u8]) {
        self.input.extend_from_slice(bytes);
        let input = std::mem::take(&mut self.input);
        let mut rest = &input[..];
        loop {
            let before = rest;
            let received = self.session.read(self.now, &mut rest);
            // What comes after the end is not looked at.
            if self.connected {
                self.watch.consumed(&before[..before.len() - rest.len()]);
            }
            match received {
                None => break,
                Some(Received::Event(event)) => self.happened(event),
                Some(Received::Message(delivery)) => {
                    let (qos, id, ack) = (delivery.qos, delivery.packet_id, delivery.ack);
                    check_topic(&delivery);
                    self.watch.handed_over(qos, id, delivery.duplicate);
                    self.accepted.remove(&id);
                    // What was handed over under its identifier before is void.
                    self.acks.retain(|(_, of, other)| (*of, *other) != (QoS::ExactlyOnce, id));
                    self.acks.extend(ack.map(|ack| (ack, qos, id)));
                }
            }
            self.send(usize::MAX);
        }
        self.input = rest.to_vec();
    }

    fn happened(&mut self, event: Event) {
        let connected = match event {
            Event::Connected(connected) => connected,
            Event::Ended(_) => {
                self.connected = false;
                return;
            }
            _ => return,
        };
        let old = self.options.version == Version::V31;
        let kept = connected.session_present || old && !self.options.clean_start;
        if !kept {
            self.accepted.clear();
        }
        self.watch.welcome(&connected, kept, self.options.send_maximum);
    }

    fn settle(&mut self) {
        while let Some(event) = self.session.next_event() {
            self.happened(event);
        }
        self.send(usize::MAX);
    }

    /// The store has what led to it, and the transport takes the output.
    fn send(&mut self, len: usize) {
        self.stored.extend(self.session.take_changes());
        let output = self.session.output();
        let len = len.min(output.len());
        self.watch.sent(&output[..len]);
        self.session.written(self.now, len);
    }

    fn check_stored(&mut self) {
        self.stored.extend(self.session.take_changes());
        let changes = self.stored.iter().cloned();
        let held = self.session.snapshot();
        let again = Session::restore(self.options.clone(), changes).expect("legal options");
        assert_eq!(again.snapshot(), held, "what was stored is not what it holds");
        let again = Session::restore(self.options.clone(), held.clone()).expect("legal options");
        assert_eq!(again.snapshot(), held, "a snapshot is not what it was taken of");
    }
}

fn check_topic(delivery: &Delivery<'_>) {
    assert!(!delivery.topic.is_empty(), "a message has a topic, however it was named");
}

fn encoded(packet: &Packet<'_>, options: &Options) -> Vec<u8> {
    let mut bytes = Vec::new();
    packet.encode(options.version, &mut bytes);
    bytes
}
