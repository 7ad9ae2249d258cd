//! A broker on a file system that fills up: it refuses what it cannot keep, goes on with the rest,
//! and takes more by itself as soon as there is room.

use super::broker::{Broker, Keeps, Launch};
use super::ledger::Content;
use super::line::Line;
use crate::script::connect::{Connect, connect, resume};
use crate::script::packet::{Packet, kind, puback, publish, subscribe};
use anyhow::{Context, Result, bail, ensure};
use noctule_proto::Version;
use std::path::Path;
use std::time::{Duration, Instant};

/// What comes has to come within so long.
const PATIENCE: Duration = Duration::from_secs(20);
const PAUSE: Duration = Duration::from_millis(1);
/// What is freed later: room for the next segment, each of which is twice the last.
const BALLAST: usize = 40 << 20;
/// Messages that no file system of this test has room for.
const MESSAGES_MAX: usize = 100_000;
const PADDING: usize = 8 << 10;
const QUOTA_EXCEEDED: u8 = 0x97;

/// A client that waits for what it is to hear.
struct Talk {
    line: Line,
    heard: std::collections::VecDeque<Packet>,
}

impl Talk {
    fn begin(launch: &Launch, version: Version, hello: &Connect, present: bool) -> Result<Talk> {
        let line = Line::open(launch.address, version).context("nobody listens")?;
        let mut talk = Talk { line, heard: std::collections::VecDeque::new() };
        talk.line.send_bytes(&hello.encode(version));
        let welcome = talk.expect(kind::CONNACK)?;
        ensure!(welcome.code == 0, "refused: {welcome:?}");
        ensure!((welcome.flags == 1) == present, "session present: {welcome:?}");
        Ok(talk)
    }

    /// The next packet; `None` at the end of the connection.
    fn next(&mut self) -> Result<Option<Packet>> {
        let start = Instant::now();
        loop {
            if let Some(packet) = self.heard.pop_front() {
                return Ok(Some(packet));
            }
            if self.line.has_ended() {
                return Ok(None);
            }
            self.heard.extend(self.line.pump()?);
            if self.heard.is_empty() {
                ensure!(start.elapsed() < PATIENCE, "nothing came for {PATIENCE:?}");
                std::thread::sleep(PAUSE);
            }
        }
    }

    fn expect(&mut self, kind: u8) -> Result<Packet> {
        match self.next()? {
            Some(packet) if packet.kind() == kind => Ok(packet),
            other => bail!("heard {other:?} where type {kind} was due"),
        }
    }

    fn subscribe(&mut self, filter: &str, qos: u8) -> Result<()> {
        self.line.send(&subscribe(1).filter(filter, qos));
        let answer = self.expect(kind::SUBACK)?;
        ensure!(answer.payload == [qos], "heard {answer:?}");
        Ok(())
    }

    /// Publishes the message of this number; answers the reason code.
    fn publish(&mut self, number: usize) -> Result<u8> {
        self.line.send(&message(number));
        Ok(self.expect(kind::PUBACK)?.code)
    }
}

fn message(number: usize) -> Packet {
    let mut payload = Content { stream: 0, number }.payload();
    payload.resize(payload.len() + PADDING, b'.');
    publish("full/topic", payload).qos(1, (number % 60_000) as u16 + 1)
}

/// Fills the file system that `home` lies on, which is to be small and ours, and frees it again.
pub fn full(home: &Path) -> Result<()> {
    let ballast = home.join("ballast");
    std::fs::write(&ballast, vec![1; BALLAST])?;
    let data = home.join("data");
    std::fs::create_dir(&data)?;
    let launch = Launch::new(home)?;
    let mut broker = launch.start(&Keeps::In(&data), 2)?;
    ensure!(broker.listens(launch.address, Instant::now() + PATIENCE)?, "it was killed");
    let outcome = fill_and_free(&launch, &mut broker, &ballast);
    let taken = outcome.with_context(|| format!("its log:\n{}", broker.tail()))?;

    broker.kill()?;
    let mut broker = launch.start(&Keeps::In(&data), 2)?;
    ensure!(broker.listens(launch.address, Instant::now() + PATIENCE)?, "it was killed");
    let outcome = collect(&launch, &taken);
    outcome.with_context(|| format!("after a restart; its log:\n{}", broker.tail()))
}

/// Answers the numbers of the messages that were taken.
fn fill_and_free(launch: &Launch, broker: &mut Broker, ballast: &Path) -> Result<Vec<usize>> {
    Talk::begin(launch, Version::V5, &resume("away"), false)?.subscribe("full/#", 1)?;
    let mut publisher = Talk::begin(launch, Version::V5, &connect("publisher"), false)?;
    let mut taken = Vec::new();
    let mut number = 0;
    loop {
        ensure!(number < MESSAGES_MAX, "{number} messages did not fill the file system");
        match publisher.publish(number)? {
            QUOTA_EXCEEDED => break,
            code if code < 0x80 => taken.push(number),
            code => bail!("message {number} was refused with {code:#04x}"),
        }
        number += 1;
    }
    ensure!(taken.len() > 100, "only {} messages were taken", taken.len());
    others_go_on(launch)?;
    ensure!(broker.lives()?, "it ended");

    std::fs::remove_file(ballast)?;
    let freed = Instant::now();
    loop {
        number += 1;
        match publisher.publish(number)? {
            QUOTA_EXCEEDED => ensure!(freed.elapsed() < PATIENCE, "it does not go on"),
            code if code < 0x80 => break,
            code => bail!("message {number} was refused with {code:#04x}"),
        }
        std::thread::sleep(PAUSE);
    }
    taken.push(number);
    for _ in 0..100 {
        number += 1;
        let code = publisher.publish(number)?;
        ensure!(code < 0x80, "there is room, but message {number} hears {code:#04x}");
        taken.push(number);
    }
    Ok(taken)
}

/// While nothing more can be kept, what is not to be kept passes; and a client of 3.1.1, which can
/// be told no reason, hears no acknowledgement but the end.
fn others_go_on(launch: &Launch) -> Result<()> {
    let mut passing = Talk::begin(launch, Version::V5, &connect("passing"), false)?;
    passing.subscribe("passing", 1)?;
    passing.line.send(&publish("passing", "by"));
    let passed = passing.expect(kind::PUBLISH)?;
    ensure!(passed.payload == b"by", "heard {passed:?}");
    let mut old = Talk::begin(launch, Version::V311, &connect("old"), false)?;
    old.line.send(&message(MESSAGES_MAX));
    let heard = old.next()?;
    ensure!(heard.is_none(), "a client of 3.1.1 heard {heard:?} to what cannot be kept");
    Ok(())
}

/// The session that was away gets what was taken, in order, and nothing else.
fn collect(launch: &Launch, taken: &[usize]) -> Result<()> {
    let mut away = Talk::begin(launch, Version::V5, &resume("away"), true)?;
    for number in taken {
        let packet = away.expect(kind::PUBLISH)?;
        ensure!(packet.payload == message(*number).payload, "{packet:?} where {number} was due");
        away.line.send(&puback(packet.id));
    }
    Ok(())
}
