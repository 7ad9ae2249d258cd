//! Delivery over a link that drops: a session, and a server made of the same hand-shakes. Bytes
//! are cut anywhere, connections die at any time, and yet nothing acknowledged is lost, QoS 2
//! arrives exactly once, and order is kept.

use super::*;
use crate::QoS;
use noctule_proto::delivery::{Arrival, PubRecOutcome, Quota, Receiver, Resend, Sender};
use noctule_proto::packet::{Ack, ConnAck, Publish, PublishProperties};
use std::num::NonZeroU16;

const MESSAGES: usize = 40;
const NOW: Duration = Duration::ZERO;
const WINDOW: NonZeroU16 = NonZeroU16::new(5).expect("not 0");

/// A pseudo-random sequence (xorshift), so that a seed tells all.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit as u64) as usize
    }

    fn one_in(&mut self, chances: usize) -> bool {
        self.below(chances) == 0
    }
}

/// The server's end: its part of the session, and the link as it stands.
struct Server {
    version: Version,
    receiver: Receiver<()>,
    sender: Sender<(QoS, usize)>,
    quota: Quota,
    to_send: VecDeque<(QoS, usize)>,
    resend: VecDeque<PacketId>,
    got: Vec<(QoS, String)>,
    input: Vec<u8>,
    output: Vec<u8>,
    online: bool,
    known: bool,
}

impl Server {
    fn new(version: Version) -> Server {
        Server {
            version,
            receiver: Receiver::new(),
            sender: Sender::new(),
            quota: Quota::new(WINDOW),
            to_send: VecDeque::new(),
            resend: VecDeque::new(),
            got: Vec::new(),
            input: Vec::new(),
            output: Vec::new(),
            online: false,
            known: false,
        }
    }

    fn drop_link(&mut self) {
        (self.input, self.output) = (Vec::new(), Vec::new());
        self.online = false;
    }

    fn receive(&mut self, bytes: &[u8]) {
        self.input.extend_from_slice(bytes);
        let input = std::mem::take(&mut self.input);
        let mut at = 0;
        while let Some(frame) = next_frame(&input[at..], u32::MAX).expect("legal bytes") {
            at += frame.len;
            let version = self.online.then_some(self.version);
            let packet = Packet::decode(frame, version, Role::Client).expect("a legal packet");
            self.handle(&packet);
        }
        self.input = input[at..].to_vec();
        self.pump();
    }

    fn handle(&mut self, packet: &Packet<'_>) {
        match packet {
            Packet::Connect(_) => self.connect(),
            Packet::Publish(publish) => self.take(publish),
            Packet::PubRel(ack) => {
                let reason = match self.receiver.release(ack.packet_id) {
                    Some(()) => ReasonCode::Success,
                    None => ReasonCode::PacketIdentifierNotFound,
                };
                self.say(Packet::PubComp(Ack::new(ack.packet_id, reason)));
            }
            Packet::PubAck(ack) => {
                self.sender.puback(ack.packet_id).expect("open");
                self.quota.give();
            }
            Packet::PubRec(ack) => match self.sender.pubrec(ack.packet_id, ack.reason) {
                PubRecOutcome::Release(_) | PubRecOutcome::AlreadyReleased => {
                    self.say(Packet::PubRel(Ack::new(ack.packet_id, ReasonCode::Success)));
                }
                other => panic!("{other:?}"),
            },
            Packet::PubComp(ack) => {
                self.sender.pubcomp(ack.packet_id).expect("open");
                self.quota.give();
            }
            other => panic!("{other:?}"),
        }
    }

    fn connect(&mut self) {
        self.online = true;
        self.say(Packet::ConnAck(ConnAck {
            properties: ConnAckProperties { receive_maximum: Some(WINDOW), ..Default::default() },
            ..ConnAck::new(self.known, ReasonCode::Success)
        }));
        self.known = true;
        self.quota = Quota::new(WINDOW);
        self.resend.clear();
        let mut released = Vec::new();
        for resend in self.sender.iter_resend() {
            match resend {
                Resend::Publish { id, .. } => self.resend.push_back(id),
                Resend::PubRel { id } => released.push(id),
            }
        }
        for id in released {
            self.say(Packet::PubRel(Ack::new(id, ReasonCode::Success)));
        }
    }

    fn take(&mut self, publish: &Publish<'_>) {
        let id = publish.packet_id.expect("QoS above 0 here");
        let text = String::from_utf8_lossy(publish.payload).into_owned();
        if publish.qos == QoS::AtLeastOnce {
            self.got.push((publish.qos, text));
            self.say(Packet::PubAck(Ack::new(id, ReasonCode::Success)));
            return;
        }
        assert!(self.receiver.open() < usize::from(WINDOW.get()) || self.receiver.is_open(id));
        if self.receiver.publish(id, ()) == Arrival::Fresh {
            self.got.push((publish.qos, text));
        }
        self.say(Packet::PubRec(Ack::new(id, ReasonCode::Success)));
    }

    fn pump(&mut self) {
        while self.online && (!self.resend.is_empty() || !self.to_send.is_empty()) {
            if !self.quota.take() {
                return;
            }
            if let Some(id) = self.resend.pop_front() {
                let message = *self.sender.message_mut(id).expect("open");
                self.publish(id, message, true);
            } else if let Some(message) = self.to_send.pop_front() {
                let id = self.sender.start(message.0, message).expect("few are open");
                self.publish(id, message, false);
            }
        }
    }

    fn publish(&mut self, id: PacketId, (qos, number): (QoS, usize), dup: bool) {
        let payload = number.to_string();
        self.say(Packet::Publish(Publish {
            dup,
            qos,
            retain: false,
            topic: TopicName::parse("down").expect("a topic"),
            packet_id: Some(id),
            properties: PublishProperties::default(),
            payload: payload.as_bytes(),
        }));
    }

    fn say(&mut self, packet: Packet<'_>) {
        packet.encode(self.version, &mut self.output);
    }
}

/// Bytes of one direction: some arrive, those behind may be lost with the link.
fn some(dice: &mut Dice, bytes: &[u8]) -> usize {
    if dice.one_in(2) { bytes.len() } else { dice.below(bytes.len() + 1) }
}

struct Run {
    published: Vec<usize>,
    received: Vec<(QoS, String)>,
    server: Server,
}

fn run(version: Version, seed: u64) -> Run {
    let mut dice = Dice(seed * 2 + 1);
    let mut options = Options::new("lossy");
    (options.version, options.session_expiry_secs) = (version, 600);
    options.clean_start = false;
    options.receive_maximum = WINDOW.get();
    // Before 5.0 the server cannot say it.
    options.send_maximum = Some(WINDOW.get());
    let mut session = Session::new(options).expect("legal");
    let mut input = Vec::new();
    let mut server = Server::new(version);
    let (mut published, mut received) = (Vec::new(), Vec::new());
    let (mut asked, mut offered, mut drops) = (0, 0, 0);
    session.open(NOW);
    for _ in 0..100_000 {
        if asked < MESSAGES && dice.one_in(3) {
            let qos = if dice.one_in(2) { QoS::AtLeastOnce } else { QoS::ExactlyOnce };
            let message = Message::new("up", asked.to_string()).qos(qos);
            session.publish(message).expect("legal");
            asked += 1;
        }
        if offered < MESSAGES && dice.one_in(3) {
            let qos = if dice.one_in(2) { QoS::AtLeastOnce } else { QoS::ExactlyOnce };
            server.to_send.push_back((qos, offered));
            server.pump();
            offered += 1;
        }
        let up = some(&mut dice, session.output());
        let bytes = session.output()[..up].to_vec();
        session.written(NOW, up);
        server.receive(&bytes);
        let down = some(&mut dice, &server.output);
        input.extend(server.output.drain(..down));
        let mut rest = &input[..];
        while let Some(event) = session.read(NOW, &mut rest) {
            match event {
                Received::Message(message) => {
                    let text = String::from_utf8_lossy(message.payload).into_owned();
                    received.push((message.qos, text));
                }
                Received::Event(Event::Published { token, result }) => {
                    result.expect("kept");
                    published.push(token.0 as usize - 1);
                }
                Received::Event(Event::Ended(error)) => {
                    assert!(matches!(error, Error::Closed), "{error}");
                }
                Received::Event(_) => {}
            }
        }
        let used = input.len() - rest.len();
        input.drain(..used);
        let all = asked == MESSAGES && published.len() == MESSAGES && offered == MESSAGES;
        if all && server.sender.is_empty() && server.to_send.is_empty() {
            break;
        }
        if drops < 200 && dice.one_in(8) {
            drops += 1;
            session.lose(Error::Closed);
            input.clear();
            server.drop_link();
            session.open(NOW);
        }
    }
    Run { published, received, server }
}

/// First arrivals in order; no repetition of what has QoS 2.
fn check(got: &[(QoS, String)], seed: u64) {
    let mut first = Vec::new();
    for (qos, text) in got {
        let number: usize = text.parse().expect("a number");
        if first.contains(&(*qos, number)) {
            assert_eq!(*qos, QoS::AtLeastOnce, "seed {seed}: QoS 2 came twice");
        } else {
            first.push((*qos, number));
        }
    }
    let mut numbers: Vec<usize> = first.iter().map(|(_, number)| *number).collect();
    for qos in [QoS::AtLeastOnce, QoS::ExactlyOnce] {
        let of_qos = first.iter().filter(|(it, _)| *it == qos).map(|(_, number)| *number);
        assert!(of_qos.is_sorted(), "seed {seed}: order of {qos:?}");
    }
    numbers.sort_unstable();
    assert!(numbers.into_iter().eq(0..MESSAGES), "seed {seed}: all of them");
}

#[test]
fn nothing_is_lost_over_a_link_that_drops() {
    for version in [Version::V31, Version::V311, Version::V5] {
        for seed in 0..300 {
            let run = run(version, seed);
            check(&run.server.got, seed);
            check(&run.received, seed);
            let mut published = run.published;
            published.sort_unstable();
            assert!(published.into_iter().eq(0..MESSAGES), "seed {seed}: each told once");
        }
    }
}
