//! A relay that is at fault on purpose, and keeps count of it: real sockets, the protocol from
//! `noctule-proto`. A thread a connection; what they share is behind one lock.
#![allow(dead_code, reason = "each test binary uses a part of it")]

use noctule_bench::payload::{Header, LEN, RunId};
use noctule_proto::packet::{Ack, ConnAck, Publish, PublishProperties, SubAck};
use noctule_proto::{
    Packet, PacketId, QoS, ReasonCode, Role, TopicFilter, TopicName, Version, matches, next_frame,
};
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Which message of a stream meets which fault; 0 is none. The first that fits is taken.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Faults {
    /// Every so manyth is not forwarded.
    pub(crate) drop: u64,
    /// Every so manyth is forwarded twice.
    pub(crate) duplicate: u64,
    /// Every so manyth is forwarded after the next of its stream.
    pub(crate) swap: u64,
    /// After every so manyth comes a message that nobody has published.
    pub(crate) forge: u64,
    /// After every so manyth comes a copy that says it is of an earlier run.
    pub(crate) earlier: u64,
    /// After every so manyth comes a copy that says it was retained.
    pub(crate) retained: u64,
    /// Publishers get no acknowledgement.
    pub(crate) unacknowledged: bool,
    /// Before this message that is to be forwarded, of all streams together, nothing is done for
    /// so long.
    pub(crate) stall: Option<(u64, Duration)>,
}

/// What was done.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) published: u64,
    pub(crate) due: u64,
    pub(crate) dropped: u64,
    pub(crate) duplicated: u64,
    pub(crate) reordered: u64,
    pub(crate) forged: u64,
    pub(crate) earlier: u64,
    pub(crate) retained: u64,
    /// How long nothing was done.
    pub(crate) stalled: Duration,
}

/// The relay, as the test sees it.
pub(crate) struct Relay {
    pub(crate) port: u16,
    hub: Arc<Mutex<Hub>>,
    stopped: Arc<AtomicBool>,
    listener: Option<JoinHandle<()>>,
}

impl Relay {
    pub(crate) fn start(faults: Faults) -> Relay {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has ports");
        let port = listener.local_addr().expect("it is bound").port();
        let hub = Arc::new(Mutex::new(Hub { faults, ..Hub::default() }));
        let stopped = Arc::new(AtomicBool::new(false));
        let (shared, flag) = (Arc::clone(&hub), Arc::clone(&stopped));
        let listener = std::thread::spawn(move || {
            let mut threads = Vec::new();
            for stream in listener.incoming() {
                if flag.load(Ordering::SeqCst) {
                    break;
                }
                let (stream, hub) = (stream.expect("a connection"), Arc::clone(&shared));
                threads.push(std::thread::spawn(move || serve(stream, &hub)));
            }
            for thread in threads {
                thread.join().expect("a connection's thread does not panic");
            }
        });
        Relay { port, hub, stopped, listener: Some(listener) }
    }

    /// What was done, with what is held back and will not be forwarded any more as dropped.
    pub(crate) fn tally(&self) -> Tally {
        let hub = locked(&self.hub);
        let held = hub.clients.values().flat_map(|client| client.streams.values());
        let held = held.filter(|stream| stream.held.is_some()).count() as u64;
        Tally { dropped: hub.tally.dropped + held, ..hub.tally }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::SeqCst);
        // Wakes the listener.
        drop(TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)));
        if let Some(listener) = self.listener.take()
            && !std::thread::panicking()
        {
            listener.join().expect("the relay does not panic");
        }
    }
}

fn locked(hub: &Mutex<Hub>) -> MutexGuard<'_, Hub> {
    hub.lock().expect("no thread panics")
}

#[derive(Default)]
struct Hub {
    faults: Faults,
    tally: Tally,
    clients: BTreeMap<u64, Client>,
    next_client: u64,
    /// Messages that were to be forwarded.
    forwarded: u64,
}

struct Client {
    socket: TcpStream,
    version: Version,
    filters: Vec<(String, QoS)>,
    next_id: u16,
    /// By publisher.
    streams: BTreeMap<u32, Stream>,
}

#[derive(Default)]
struct Stream {
    count: u64,
    held: Option<Letter>,
}

/// A message on its way.
#[derive(Clone)]
struct Letter {
    topic: String,
    payload: Vec<u8>,
    qos: QoS,
    retain: bool,
}

/// Reads one connection to its end.
fn serve(mut socket: TcpStream, hub: &Mutex<Hub>) {
    socket.set_nodelay(true).expect("a TCP socket");
    let (mut client, mut version) = (None, None);
    let mut bytes = Vec::new();
    let mut buffer = [0; 65_536];
    loop {
        match socket.read(&mut buffer) {
            Ok(0) | Err(_) => break,
            Ok(count) => bytes.extend_from_slice(&buffer[..count]),
        }
        let mut used = 0;
        while let Some(frame) = next_frame(&bytes[used..], u32::MAX).expect("legal packets") {
            used += frame.len;
            let packet = Packet::decode(frame, version, Role::Client).expect("legal packets");
            let mut hub = locked(hub);
            match (&packet, client) {
                (Packet::Connect(connect), None) => {
                    version = Some(connect.version);
                    client = Some(hub.enter(&socket, connect.version));
                }
                (packet, Some(client)) => hub.handle(client, packet),
                (_, None) => panic!("CONNECT comes first"),
            }
        }
        bytes.drain(..used);
    }
    if let Some(client) = client {
        locked(hub).clients.get_mut(&client).expect("it entered").filters.clear();
    }
}

impl Hub {
    fn enter(&mut self, socket: &TcpStream, version: Version) -> u64 {
        let socket = socket.try_clone().expect("a second handle");
        let mut client =
            Client { socket, version, filters: Vec::new(), next_id: 0, streams: BTreeMap::new() };
        client.send(&Packet::ConnAck(ConnAck::new(false, ReasonCode::Success)));
        self.next_client += 1;
        self.clients.insert(self.next_client, client);
        self.next_client
    }

    fn handle(&mut self, client: u64, packet: &Packet<'_>) {
        let from = self.clients.get_mut(&client).expect("it entered");
        match packet {
            Packet::Publish(publish) => {
                let ack = |id| Ack::new(id, ReasonCode::Success);
                match (publish.qos, publish.packet_id) {
                    _ if self.faults.unacknowledged => {}
                    (QoS::AtLeastOnce, Some(id)) => from.send(&Packet::PubAck(ack(id))),
                    (QoS::ExactlyOnce, Some(id)) => from.send(&Packet::PubRec(ack(id))),
                    _ => {}
                }
                self.forward(publish);
            }
            Packet::PubRel(ack) => from.send(&Packet::PubComp(ack.clone())),
            Packet::PubRec(ack) => from.send(&Packet::PubRel(ack.clone())),
            Packet::Subscribe(subscribe) => {
                let wanted = subscribe.filters.into_iter();
                let wanted: Vec<_> =
                    wanted.map(|(filter, options)| (filter.as_str().into(), options.qos)).collect();
                let codes: Vec<u8> = wanted.iter().map(|(_, qos)| *qos as u8).collect();
                from.filters.extend(wanted);
                from.send(&Packet::SubAck(SubAck::new(subscribe.packet_id, &codes)));
            }
            Packet::Unsubscribe(unsubscribe) => {
                let codes: Vec<u8> = unsubscribe.filters.into_iter().map(|_| 0).collect();
                from.filters.clear();
                from.send(&Packet::UnsubAck(SubAck::new(unsubscribe.packet_id, &codes)));
            }
            Packet::PingReq => from.send(&Packet::PingResp),
            Packet::PubAck(_) | Packet::PubComp(_) | Packet::Disconnect(_) => {}
            other => panic!("a bench does not send {}", other.packet_type()),
        }
    }

    fn forward(&mut self, publish: &Publish<'_>) {
        self.tally.published += 1;
        let header = Header::read(publish.payload).expect("a message of the bench");
        for client in self.clients.values_mut() {
            let topic = publish.topic.as_str();
            let Some((_, granted)) = client.filters.iter().find(|(filter, _)| {
                matches(TopicFilter::parse(filter).expect("it was parsed").plain(), topic)
            }) else {
                continue;
            };
            let letter = Letter {
                topic: topic.into(),
                payload: publish.payload.into(),
                qos: publish.qos.min(*granted),
                retain: false,
            };
            self.forwarded += 1;
            if let Some((at, time)) = self.faults.stall
                && at == self.forwarded
            {
                let since = Instant::now();
                std::thread::sleep(time);
                self.tally.stalled = since.elapsed();
            }
            client.take(letter, header, &self.faults, &mut self.tally);
        }
    }
}

impl Client {
    fn send(&mut self, packet: &Packet<'_>) {
        let mut bytes = Vec::new();
        packet.encode(self.version, &mut bytes);
        // A bench that is gone hears nothing; its accounts show it.
        let _ = self.socket.write_all(&bytes);
    }

    /// Forwards a message of this publisher, or does not.
    fn take(&mut self, letter: Letter, header: Header, faults: &Faults, tally: &mut Tally) {
        let stream = self.streams.entry(header.publisher).or_default();
        stream.count += 1;
        let count = stream.count;
        let is_due = |every: u64| every > 0 && count.is_multiple_of(every);
        tally.due += 1;
        if is_due(faults.drop) {
            tally.dropped += 1;
            return;
        }
        if is_due(faults.swap) && stream.held.is_none() {
            stream.held = Some(letter);
            return;
        }
        let held = stream.held.take();
        self.send_letter(&letter);
        if is_due(faults.duplicate) {
            tally.duplicated += 1;
            self.send_letter(&letter);
        }
        if is_due(faults.forge) {
            tally.forged += 1;
            self.send_letter(&Letter { payload: b"not of the bench".into(), ..letter.clone() });
        }
        if is_due(faults.earlier) {
            tally.earlier += 1;
            let run = RunId(header.run.0.wrapping_sub(1));
            self.send_letter(&letter.rewritten(Header { run, ..header }));
        }
        if is_due(faults.retained) {
            tally.retained += 1;
            self.send_letter(&Letter { retain: true, ..letter });
        }
        if let Some(held) = held {
            tally.reordered += 1;
            self.send_letter(&held);
        }
    }

    fn send_letter(&mut self, letter: &Letter) {
        let packet_id = (letter.qos != QoS::AtMostOnce).then(|| {
            self.next_id = self.next_id.checked_add(1).unwrap_or(1);
            PacketId::new(self.next_id).expect("not 0")
        });
        self.send(&Packet::Publish(Publish {
            dup: false,
            qos: letter.qos,
            retain: letter.retain,
            topic: TopicName::parse(&letter.topic).expect("it was parsed"),
            packet_id,
            properties: PublishProperties::default(),
            payload: &letter.payload,
        }));
    }
}

impl Letter {
    fn rewritten(&self, header: Header) -> Letter {
        let mut letter = self.clone();
        let start = letter.payload.first_chunk_mut::<LEN>().expect("a whole header");
        header.write(start);
        letter
    }
}
