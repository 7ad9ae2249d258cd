//! Stores of every version of the format, kept as text, and what they say.
//!
//! A store that a release wrote must be readable for good. `fixtures/vN` is a small store of
//! version N with every kind of record, each file as hexadecimal digits, and `state.txt`, what it
//! comes to.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use noctule_core::identity::{GroupNumber, MessageId, Tenant};
use noctule_core::index::Receiver;
use noctule_core::limits::Durability;
use noctule_core::message::{Message, Origin, Parts};
use noctule_core::record::{Body, Receipt, Record, StoredWill};
use noctule_core::{Broker, Homes, Limits, SessionNumber, ShardId, Time};
use noctule_proto::packet::{RetainHandling, SubscribeOptions};
use noctule_proto::property::PropertiesBuf;
use noctule_proto::{PacketId, QoS};
use noctule_store::disk::OsDisk;
use noctule_store::log::{Compacted, Log, Options, Owed, Prepared, Wrote};
use noctule_store::{LogStore, Owing, Store};
use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The version that is written.
const VERSION: u16 = 1;
/// Kinds of records.
const KINDS: usize = 18;
/// Bytes in a line of a fixture.
const LINE: usize = 32;
/// A run of lines like the one before is one line.
const SAME: &str = "*";

fn fixtures(version: u16) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/fixtures/v{version}"))
}

/// Bytes as lines of hexadecimal digits; lines that repeat the one before are counted.
fn to_text(bytes: &[u8]) -> String {
    let mut text = String::new();
    let mut lines = bytes.chunks(LINE).peekable();
    while let Some(line) = lines.next() {
        line.iter().for_each(|byte| write!(text, "{byte:02x}").unwrap());
        text.push('\n');
        let mut again = 0;
        while lines.next_if_eq(&line).is_some() {
            again += 1;
        }
        if again > 0 {
            writeln!(text, "{SAME} {again}").unwrap();
        }
    }
    text
}

fn to_bytes(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for line in text.lines() {
        if let Some(again) = line.strip_prefix(SAME) {
            let last = bytes[bytes.len() - LINE..].to_vec();
            (0..again.trim().parse().unwrap()).for_each(|_: u32| bytes.extend_from_slice(&last));
        } else {
            let digits = (0..line.len()).step_by(2).map(|at| &line[at..at + 2]);
            bytes.extend(digits.map(|digits| u8::from_str_radix(digits, 16).unwrap()));
        }
    }
    bytes
}

/// Makes the store of a fixture in a directory; answers the names of its files.
fn unpack(version: u16, to: &Path) -> Vec<String> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(fixtures(version)).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|it| it == "hex") {
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            let bytes = to_bytes(&std::fs::read_to_string(&path).unwrap());
            std::fs::write(to.join(&name), bytes).unwrap();
            names.push(name);
        }
    }
    names.sort();
    names
}

fn options() -> Options {
    let identity = Some(*b"a fixture's name");
    Options { segment_bytes_min: 1024, segment_bytes_max: 2048, identity }
}

fn open(directory: &Path) -> Arc<Log> {
    let disk = Arc::new(OsDisk::new(directory).unwrap());
    Arc::new(Log::open(disk, options(), vec![Box::new(|| ())]).unwrap())
}

/// Writes records as a broker would.
struct Writer {
    log: Arc<Log>,
    store: LogStore,
    time: u64,
}

impl Writer {
    fn frame(&mut self, records: impl Into<Vec<Record>>) {
        self.time += 1000;
        self.store.append_at(Time(self.time), &mut records.into()).unwrap();
        self.store.commit(noctule_store::Class::Fsync).unwrap();
        self.commit();
    }

    fn commit(&self) {
        loop {
            match self.log.write(1 << 20).unwrap() {
                Wrote::Nothing => break,
                Wrote::Some => {}
                Wrote::NoSegment => assert_eq!(self.log.prepare().unwrap(), Prepared::One),
            }
        }
        self.log.sync().unwrap();
    }

    /// A message: with properties if its number is even, to be retained if it is below 10, empty if
    /// it ends with 8.
    fn message(&self, number: u64, qos: QoS) -> Body {
        let mut properties = PropertiesBuf::default();
        let mut encoded = Vec::new();
        if number.is_multiple_of(2) {
            properties.payload_format(true).content_type("text/plain").unwrap();
            properties.correlation_data(&[0, 255]).unwrap().user_property("k", "v").unwrap();
            properties.as_properties().copy_to(&mut encoded);
        }
        let payload = match number % 10 {
            8 => String::new(),
            _ => format!("payload {number} {}", "x".repeat(40)),
        };
        let origin = Origin {
            // Milliseconds of a time, and a number.
            id: MessageId(self.time << 22 | number),
            tenant: Tenant(0),
            publisher: number.is_multiple_of(3).then_some(NEAR),
            routed_at: 0,
            durability: Durability::Fsync,
        };
        let parts = Parts {
            topic: &format!("topic/{number}"),
            properties: &encoded,
            payload: payload.as_bytes(),
            qos,
            retain: number < 10,
            expiry_secs: number.is_multiple_of(7).then_some(600),
        };
        Body::Here(Arc::new(Message::new(Time(self.time), origin, &parts)))
    }
}

const NEAR: SessionNumber = SessionNumber(3);
const FAR: SessionNumber = SessionNumber(5);
const GONE: SessionNumber = SessionNumber(7);
const WORKERS: GroupNumber = GroupNumber(2);
const IDLE: GroupNumber = GroupNumber(3);

fn session(session: SessionNumber, client_id: &str, away_since: Option<Time>) -> Record {
    let (tenant, client_id) = (Tenant(0), client_id.into());
    let (expiry_secs, durability) = (86_400, Durability::Fsync);
    Record::Session { session, tenant, client_id, expiry_secs, durability, away_since }
}

fn group(group: GroupNumber, name: &str) -> Record {
    Record::Group { group, tenant: Tenant(0), name: name.into(), filter: "topic/+".into() }
}

fn subscribed(session: SessionNumber, filter: &str, subscription_id: u32) -> Record {
    let options = SubscribeOptions {
        qos: QoS::ExactlyOnce,
        no_local: subscription_id > 0,
        retain_as_published: true,
        retain_handling: RetainHandling::IfNew,
    };
    Record::Subscribed { session, filter: filter.into(), options, subscription_id }
}

fn to(session: SessionNumber, qos: QoS, subscription_id: u32) -> Receipt {
    let receiver = Receiver::Session(session);
    Receipt { receiver, qos, retain: subscription_id > 0, subscription_id }
}

fn will(session: SessionNumber, topic: &str) -> Record {
    let will = StoredWill {
        topic: topic.into(),
        properties: Box::default(),
        payload: b"farewell"[..].into(),
        qos: QoS::AtLeastOnce,
        retain: true,
        message_expiry_secs: Some(60),
        delay_secs: 30,
    };
    Record::Will { session, will: Some(Box::new(will)) }
}

fn id(number: u16) -> PacketId {
    PacketId::new(number).unwrap()
}

/// What both halves of the story tell: before the checkpoint, and behind it.
fn tell(writer: &mut Writer, first: u64) {
    use QoS::{AtLeastOnce, AtMostOnce, ExactlyOnce};
    let publish = |message: &Body, receivers: Vec<Receipt>| Record::Published {
        message: message.clone(),
        receivers: receivers.into(),
        retained: false,
    };
    let packet = |number: u64| id((first + number) as u16);
    writer.frame([session(GONE, "gone", None), subscribed(GONE, "topic/#", 0), will(GONE, "w")]);
    writer.frame([session(NEAR, "near", None), subscribed(NEAR, "topic/#", 9), will(NEAR, "left")]);
    writer.frame([session(FAR, "far", Some(Time(500))), subscribed(FAR, "other", 0)]);
    writer.frame([subscribed(FAR, "topic/+", 0), will(FAR, "none")]);
    writer.frame([Record::Unsubscribed { session: FAR, filter: "other".into() }]);
    writer.frame([Record::Will { session: FAR, will: None }]);
    writer.frame([group(WORKERS, "workers"), group(IDLE, "idle"), Record::GroupEnded(IDLE)]);
    let message = writer.message(first + 1, AtLeastOnce);
    let retained = Record::Published { message, receivers: Vec::new().into(), retained: true };
    writer.frame([retained]);
    let message = writer.message(first + 8, AtLeastOnce);
    writer.frame([Record::Published { message, receivers: Vec::new().into(), retained: true }]);
    // One to several, each in its way; the group has it too.
    let message = writer.message(first + 2, AtLeastOnce);
    let grouped = Receipt { receiver: Receiver::Group(WORKERS), ..to(FAR, AtLeastOnce, 0) };
    let receivers = vec![to(NEAR, AtLeastOnce, 9), to(FAR, AtMostOnce, 0), grouped];
    writer.frame([publish(&message, receivers)]);
    let (receiver, manner_of_far) = (Receiver::Session(FAR), Some(to(FAR, AtMostOnce, 0).manner()));
    writer.frame([Record::Settled { receiver, message, manner: manner_of_far }]);
    // QoS 2 to a client: on its way, received, over.
    let messages = [3, 4, 5].map(|number| writer.message(first + number, ExactlyOnce));
    for (message, number) in messages.iter().zip(1..) {
        let id = packet(number);
        let sent = Record::Sent {
            session: NEAR,
            message: message.clone(),
            manner: to(NEAR, ExactlyOnce, 9).manner(),
            id,
        };
        writer.frame([publish(message, vec![to(NEAR, ExactlyOnce, 9)]), sent]);
    }
    writer.frame([2, 3].map(|number| Record::Released { session: NEAR, id: packet(number) }));
    writer.frame([Record::Completed { session: NEAR, id: packet(3) }]);
    // QoS 2 from a client: one released and owed, one not.
    let [kept, released] = [6, 7].map(|number| writer.message(first + number, ExactlyOnce));
    let received = |message: &Body, number| Record::Received {
        session: FAR,
        id: packet(number),
        message: message.clone(),
    };
    writer.frame([received(&kept, 6), received(&released, 7)]);
    let over = Record::ReceivedReleased { session: FAR, id: packet(7) };
    writer.frame([publish(&released, vec![to(NEAR, ExactlyOnce, 0)]), over]);
    writer.frame([Record::SessionEnded(GONE)]);
}

/// Writes the store of the present version.
fn record(directory: &Path) {
    let log = open(directory);
    let mut writer = Writer { store: LogStore::stepped(Arc::clone(&log), 0), log, time: 1_000_000 };
    tell(&mut writer, 0);
    // What is soon settled makes the rest worth moving.
    for number in 200..220 {
        let message = writer.message(number, QoS::AtLeastOnce);
        let receivers = vec![to(FAR, QoS::AtLeastOnce, 0)].into();
        let published = Record::Published { message: message.clone(), receivers, retained: false };
        writer.frame([published]);
        let receiver = Receiver::Session(FAR);
        let manner = Some(to(FAR, QoS::AtLeastOnce, 0).manner());
        writer.frame([Record::Settled { receiver, message, manner }]);
    }
    assert!(writer.log.fold().unwrap().to_move > 0);
    assert_eq!(writer.log.compact(u64::MAX).unwrap(), Compacted::Done);
    tell(&mut writer, 20);
    writer.log.beat(Time(writer.time + 1000)).unwrap();
    writer.commit();
}

/// What the broker of a store knows and owes, line by line.
fn state(directory: &Path) -> String {
    let mut text = String::new();
    let mut broker = Broker::new(ShardId(0), Homes::new(1, 0), Limits::default());
    let log = open(directory);
    log.replay(&mut |record| broker.apply(record)).unwrap();
    writeln!(text, "alive {}", log.alive().unwrap().0).unwrap();
    drop(log);
    broker.snapshot(&mut |record| match record {
        Record::Session { session, client_id, expiry_secs, away_since, .. } => writeln!(
            text,
            "session {} {client_id} expires after {expiry_secs}, away since {:?}",
            session.0,
            away_since.map(|since| since.0)
        )
        .unwrap(),
        Record::Subscribed { session, filter, options, subscription_id } => writeln!(
            text,
            "subscribed {} {filter} {} {} {} {} {subscription_id}",
            session.0,
            options.qos as u8,
            options.no_local,
            options.retain_as_published,
            options.retain_handling as u8
        )
        .unwrap(),
        Record::Group { name, filter, .. } => writeln!(text, "group {name} {filter}").unwrap(),
        Record::Released { session, id } => {
            writeln!(text, "released {} {}", session.0, id.value()).unwrap();
        }
        _ => {}
    });
    noctule_store::export(directory, &mut |owing| {
        owed(&mut text, owing);
        Ok(())
    })
    .unwrap();
    let stats = noctule_store::stats(directory, Time(2_000_000), 10).unwrap().unwrap();
    let (sessions, queued) = (stats.sessions, stats.queued);
    writeln!(text, "{} online, {} offline", sessions.online, sessions.offline).unwrap();
    writeln!(text, "{} queued, {} bytes", queued.messages, queued.bytes).unwrap();
    writeln!(text, "{} live, {} retained", stats.live.messages, stats.retained.messages).unwrap();
    let (segments, dead) = (stats.segments, stats.dead);
    writeln!(text, "{segments} segments, {dead} dead, {} cold", stats.cold_files).unwrap();
    text
}

fn owed(text: &mut String, owing: &Owing<'_>) {
    let message = owing.message.unwrap();
    let whose = match owing.owed {
        Owed::Session(client_id) => client_id.to_string(),
        Owed::Group(name, filter) => format!("{name} of {filter}"),
        Owed::Retained => "retained".to_owned(),
        Owed::Unreleased(client_id) => format!("{client_id} unreleased"),
        Owed::Unknown(session) => panic!("session {} is unknown", session.0),
    };
    writeln!(
        text,
        "owed {whose}: {} {} {} {} packet {:?} publisher {:?} expires {:?} will {:?} {:02x?} {}",
        message.topic(),
        owing.qos as u8,
        owing.retain,
        owing.subscription_id,
        owing.packet_id.map(PacketId::value),
        message.publisher.map(|it| it.0),
        message.expires_at.map(|it| it.0),
        owing.will_delay_secs,
        message.properties(),
        String::from_utf8_lossy(message.payload())
    )
    .unwrap();
}

/// The name of a kind of record.
fn kind(record: &Record) -> &'static str {
    match record {
        Record::Session { .. } => "session",
        Record::SessionEnded(_) => "session ended",
        Record::Subscribed { .. } => "subscribed",
        Record::Unsubscribed { .. } => "unsubscribed",
        Record::Group { .. } => "group",
        Record::GroupEnded(_) => "group ended",
        Record::Published { .. } => "published",
        Record::Waiting { .. } => "waiting",
        Record::Sent { .. } => "sent",
        Record::Released { .. } => "released",
        Record::Completed { .. } => "completed",
        Record::Settled { .. } => "settled",
        Record::Received { .. } => "received",
        Record::ReceivedReleased { .. } => "received released",
        Record::Will { will: Some(_), .. } => "will",
        Record::Will { will: None, .. } => "no will",
        Record::Cleared { .. } => "cleared",
        Record::Given { .. } => "given",
    }
}

#[test]
fn stores_of_every_version_say_what_they_said() {
    for version in 1..=VERSION {
        let dir = tempfile::tempdir().unwrap();
        let names = unpack(version, dir.path());
        let expected = std::fs::read_to_string(fixtures(version).join("state.txt")).unwrap();
        let check = noctule_store::check(dir.path()).unwrap().unwrap();
        assert_eq!((check.torn, check.damaged), (None, vec![]));
        assert!(check.cold_files > 0);
        let mut kinds = BTreeSet::new();
        let mut learn = |record: &Record| {
            kinds.insert(kind(record));
        };
        open(dir.path()).replay(&mut learn).unwrap();
        assert_eq!(kinds.len(), KINDS, "{kinds:?}");
        assert_eq!(state(dir.path()), expected, "version {version}");
        // Without the checkpoint the segments say the same.
        let checkpoint = names.iter().find(|name| name.starts_with("ckpt")).unwrap();
        std::fs::remove_file(dir.path().join(checkpoint)).unwrap();
        assert_eq!(state(dir.path()), expected, "version {version} without its checkpoint");
    }
}

#[test]
fn a_store_of_any_version_goes_on() {
    for version in 1..=VERSION {
        let dir = tempfile::tempdir().unwrap();
        unpack(version, dir.path());
        let before = state(dir.path());
        let log = open(dir.path());
        let time = 3_000_000;
        let mut writer = Writer { store: LogStore::stepped(Arc::clone(&log), 0), log, time };
        let message = writer.message(99, QoS::AtLeastOnce);
        let receivers = vec![to(FAR, QoS::AtLeastOnce, 0)];
        writer.frame([Record::Published { message, receivers: receivers.into(), retained: false }]);
        drop(writer);
        let owed = |text: &str| text.lines().filter(|line| line.starts_with("owed")).count();
        let after = state(dir.path());
        assert_eq!(owed(&after), owed(&before) + 1);
        assert!(after.contains("owed far: topic/99 1"), "{after}");
    }
}

/// Whoever changes what is written meets this test: a store that was written by a release could not
/// be read any more.
#[test]
fn what_is_written_changes_only_with_the_version() {
    let dir = tempfile::tempdir().unwrap();
    record(dir.path());
    let written = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("v{VERSION}"));
    std::fs::create_dir_all(&written).unwrap();
    let mut differ = Vec::new();
    for entry in std::fs::read_dir(dir.path()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if !["log-", "cold-", "ckpt-"].iter().any(|prefix| name.starts_with(prefix)) {
            continue;
        }
        let bytes = std::fs::read(dir.path().join(&name)).unwrap();
        assert_eq!(bytes[8..10], VERSION.to_le_bytes(), "the head of {name} has another version");
        let (file, text) = (format!("{name}.hex"), to_text(&bytes));
        std::fs::write(written.join(&file), &text).unwrap();
        let fixture = std::fs::read_to_string(fixtures(VERSION).join(&file)).unwrap_or_default();
        if fixture != text {
            differ.push(file);
        }
    }
    std::fs::write(written.join("state.txt"), state(dir.path())).unwrap();
    differ.sort();
    assert!(
        differ.is_empty(),
        "the bytes that are written are not those of version {VERSION} of the format any more: \
         {differ:?}. If that is meant, give the format a new version (VERSION in format/mod.rs and \
         here), let what reads know both, and keep the store that lies in {} as the new fixture, \
         beside the old ones. If version {VERSION} was never released, it may replace its fixture",
        written.display()
    );
}

#[test]
fn text_and_bytes_are_the_same() {
    let bytes: Vec<u8> = (0..100).chain(std::iter::repeat_n(0, 333)).chain(200..250).collect();
    assert_eq!(to_bytes(&to_text(&bytes)), bytes);
}
