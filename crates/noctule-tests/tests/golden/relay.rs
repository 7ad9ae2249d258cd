//! Stands between a tool and its broker: passes everything on, notes what the client sent, and
//! tells when it is subscribed.

use noctule_proto::packet::Connect;
use noctule_proto::{Packet, PacketType, Role, Version, next_frame};
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

const PACKET_MAX: u32 = 268_435_460;

/// A relay to one broker.
#[derive(Debug)]
pub(crate) struct Relay {
    pub(crate) port: u16,
    sent: Arc<Mutex<Vec<String>>>,
    marks: Receiver<Mark>,
    closing: Arc<AtomicBool>,
    acceptor: JoinHandle<()>,
}

/// What happened on a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Mark {
    /// The broker has answered SUBSCRIBE or UNSUBSCRIBE, or has taken up a session.
    Subscribed,
    /// The client has sent a message.
    Published,
}

#[derive(Clone)]
struct Notes {
    sent: Arc<Mutex<Vec<String>>>,
    marks: Sender<Mark>,
    version: Arc<Mutex<Option<Version>>>,
    /// It is not the first connection.
    again: bool,
}

impl Relay {
    /// Listens on a port of its own. The first `cuts` connections are cut when the broker has
    /// answered their SUBSCRIBE.
    pub(crate) fn start(broker: SocketAddr, cuts: usize) -> Relay {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("a bound socket").port();
        let sent = Arc::new(Mutex::new(Vec::new()));
        let (sender, marks) = channel();
        let all = Arc::clone(&sent);
        let closing = Arc::new(AtomicBool::new(false));
        let end = Arc::clone(&closing);
        let acceptor = std::thread::spawn(move || {
            let mut readers = Vec::new();
            for (at, client) in listener.incoming().flatten().enumerate() {
                if end.load(Ordering::SeqCst) {
                    break;
                }
                let notes = Notes {
                    sent: Arc::clone(&all),
                    marks: sender.clone(),
                    version: Arc::default(),
                    again: at > 0,
                };
                if let Ok(server) = TcpStream::connect(broker) {
                    readers.extend(relay(&client, &server, &notes, at < cuts));
                }
            }
            for reader in readers {
                let _ = reader.join();
            }
        });
        Relay { port, sent, marks, closing, acceptor }
    }

    /// The next thing that happened.
    pub(crate) fn next_mark(&self, patience: std::time::Duration) -> Option<Mark> {
        self.marks.recv_timeout(patience).ok()
    }

    /// What the client, which has ended, has sent: a line for each packet.
    pub(crate) fn sent(self) -> Vec<String> {
        self.closing.store(true, Ordering::SeqCst);
        // It comes behind every connection of the client.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
        let _ = self.acceptor.join();
        self.sent.lock().expect("no thread of a relay panics").clone()
    }
}

/// Answers the thread that reads what the client sends.
fn relay(
    client: &TcpStream,
    server: &TcpStream,
    notes: &Notes,
    cut: bool,
) -> Option<JoinHandle<()>> {
    let copies = || Some((client.try_clone().ok()?, server.try_clone().ok()?));
    let ((from, to), (back, answers)) = (copies()?, copies()?);
    let heard = notes.clone();
    let reader = std::thread::spawn(move || pass(from, to, |bytes| heard.client(bytes)));
    let heard = notes.clone();
    std::thread::spawn(move || pass(answers, back, |bytes| heard.server(bytes, cut)));
    Some(reader)
}

/// Passes whole packets on as long as `look` finds them good.
fn pass(mut from: TcpStream, mut to: TcpStream, mut look: impl FnMut(&[u8]) -> bool) {
    let mut waiting = Vec::new();
    let mut buffer = vec![0; 1 << 16];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        waiting.extend_from_slice(&buffer[..count]);
        loop {
            let len = match next_frame(&waiting, PACKET_MAX) {
                Ok(None) => break,
                Ok(Some(frame)) => frame.len,
                // No MQTT: it goes its way unread.
                Err(_) => waiting.len(),
            };
            let packet: Vec<u8> = waiting.drain(..len).collect();
            let good = look(&packet);
            if to.write_all(&packet).is_err() || !good {
                let _ = from.shutdown(Shutdown::Both);
                let _ = to.shutdown(Shutdown::Both);
                return;
            }
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}

impl Notes {
    fn client(&self, packet: &[u8]) -> bool {
        let mut version = self.version.lock().expect("no thread of a relay panics");
        let Ok(Some(frame)) = next_frame(packet, PACKET_MAX) else { return true };
        let text = match Packet::decode(frame, *version, Role::Client) {
            Ok(Packet::Connect(connect)) => {
                *version = Some(connect.version);
                describe_connect(&connect)
            }
            Ok(Packet::Publish(mut publish)) => {
                let _ = self.marks.send(Mark::Published);
                publish.packet_id = None;
                // Whether a topic goes by name or by alias is a matter of taste.
                publish.properties.topic_alias = None;
                format!("{publish:?}")
            }
            Ok(Packet::PubAck(_) | Packet::PubRec(_) | Packet::PubRel(_) | Packet::PubComp(_)) => {
                return true;
            }
            Ok(packet) => without_id(&format!("{packet:?}")),
            Err(error) => format!("{error:?}: {packet:?}"),
        };
        self.sent.lock().expect("no thread of a relay panics").push(text);
        true
    }

    fn server(&self, packet: &[u8], cut: bool) -> bool {
        let kind = packet[0] >> 4;
        let answered = kind == PacketType::SubAck as u8 || kind == PacketType::UnsubAck as u8;
        let resumed = self.again && kind == PacketType::ConnAck as u8 && packet[2] & 1 == 1;
        if (answered || resumed) && !cut {
            let _ = self.marks.send(Mark::Subscribed);
        }
        !(answered && cut)
    }
}

/// MQTT 3.1 wants an identifier, which is drawn if none was given.
fn describe_connect(connect: &Connect<'_>) -> String {
    let mut connect = connect.clone();
    if connect.client_id.starts_with("mosq-") {
        connect.client_id = "mosq-...";
    }
    format!("{connect:?}")
}

/// Packet identifiers are chosen freely.
fn without_id(text: &str) -> String {
    match text.split_once("packet_id: PacketId(") {
        Some((before, behind)) => {
            let rest = behind.split_once(')').map_or("", |(_, rest)| rest);
            format!("{before}packet_id: _{rest}")
        }
        None => text.to_owned(),
    }
}
