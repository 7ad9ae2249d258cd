//! A small closed-loop load: what one delivered message costs a broker, in nanoseconds of its CPU
//! time. Works against any broker (3.1.1). `noctule bench` will replace it.
//!
//! `cargo run --release -p noctule-tests --example load -- PORT PID SCENARIO [QOS] [SECONDS]`
//!
//! * `pairs`: 50 publishers to 50 subscribers, 32 messages of 64 bytes in flight each
//! * `fanout`: 1 publisher to 100 subscribers, 16 in flight
//! * `idle`: 19,000 connections with 20-byte client ids; prints memory per connection
//! * `subscriptions`: a million filters of 50 clients; prints memory per subscription
#![allow(clippy::print_stdout, reason = "an example prints")]

use anyhow::{Context, Result, bail};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

const PAYLOAD: usize = 64;

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [port, pid, scenario, rest @ ..] = args.as_slice() else {
        bail!("usage: load PORT PID pairs|fanout|idle|subscriptions [QOS] [SECONDS]");
    };
    let (port, pid): (u16, u32) = (port.parse()?, pid.parse()?);
    let qos: u8 = rest.first().map_or(Ok(0), |text| text.parse())?;
    if qos > 1 {
        bail!("QoS {qos} is not measured here: 0 or 1");
    }
    let secs: u64 = rest.get(1).map_or(Ok(3), |text| text.parse())?;
    match scenario.as_str() {
        "pairs" => pairs(port, pid, qos, secs),
        "fanout" => fanout(port, pid, qos, secs),
        "idle" => idle(port, pid),
        "subscriptions" => subscriptions(port, pid),
        other => bail!("no scenario {other}: pairs, fanout, idle or subscriptions"),
    }
}

/// One client, blocking.
struct Client {
    stream: TcpStream,
    next: u16,
}

impl Client {
    fn connect(port: u16, id: &str) -> Result<Client> {
        let mut stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_nodelay(true)?;
        let mut bytes = vec![0x10, 12 + id.len() as u8, 0, 4];
        bytes.extend_from_slice(b"MQTT\x04\x02\x02\x58\x00");
        bytes.push(id.len() as u8);
        bytes.extend_from_slice(id.as_bytes());
        stream.write_all(&bytes)?;
        let mut answer = [0; 4];
        stream.read_exact(&mut answer).context("no CONNACK")?;
        if answer[3] != 0 {
            bail!("refused with {}", answer[3]);
        }
        Ok(Client { stream, next: 1 })
    }

    fn subscribe(&mut self, filter: &str, qos: u8) -> Result<()> {
        let mut bytes = vec![0x82, 5 + filter.len() as u8, 0, 1, 0, filter.len() as u8];
        bytes.extend_from_slice(filter.as_bytes());
        bytes.push(qos);
        self.stream.write_all(&bytes)?;
        let mut answer = [0; 5];
        self.stream.read_exact(&mut answer).context("no SUBACK")
    }

    /// Subscribes with one packet at QoS 1.
    fn subscribe_all(&mut self, filters: impl Iterator<Item = String>) -> Result<()> {
        let mut body = vec![0, 1];
        let mut count = 0;
        for filter in filters {
            body.extend_from_slice(&(filter.len() as u16).to_be_bytes());
            body.extend_from_slice(filter.as_bytes());
            body.push(1);
            count += 1;
        }
        let mut bytes = vec![0x82];
        bytes.extend(noctule_tests::script::prelude::varint(body.len() as u32));
        bytes.extend(body);
        self.stream.write_all(&bytes)?;
        let mut answer = vec![0; 1 + if count > 125 { 2 } else { 1 } + 2 + count];
        self.stream.read_exact(&mut answer).context("no SUBACK")
    }

    fn publish(&mut self, topic: &str, qos: u8, count: usize, out: &mut Vec<u8>) -> Result<()> {
        out.clear();
        for _ in 0..count {
            out.push(0x30 | (qos << 1));
            out.push((2 + topic.len() + 2 * usize::from(qos > 0) + PAYLOAD) as u8);
            out.extend_from_slice(&(topic.len() as u16).to_be_bytes());
            out.extend_from_slice(topic.as_bytes());
            if qos > 0 {
                out.extend_from_slice(&self.next.to_be_bytes());
                self.next = self.next.checked_add(1).unwrap_or(1);
            }
            out.extend_from_slice(&[b'x'; PAYLOAD]);
        }
        Ok(self.stream.write_all(out)?)
    }

    /// Reads `count` PUBLISH frames of a known length and acknowledges those of QoS 1.
    fn take(&mut self, topic: &str, qos: u8, count: usize, buffer: &mut Vec<u8>) -> Result<()> {
        let frame = 4 + topic.len() + 2 * usize::from(qos > 0) + PAYLOAD;
        buffer.resize(frame * count, 0);
        self.stream.read_exact(buffer)?;
        if qos == 0 {
            return Ok(());
        }
        let at = 4 + topic.len();
        let acks: Vec<u8> = buffer
            .chunks_exact(frame)
            .flat_map(|frame| [0x40, 2, frame[at], frame[at + 1]])
            .collect();
        Ok(self.stream.write_all(&acks)?)
    }

    /// Reads `count` PUBACKs.
    fn acknowledged(&mut self, qos: u8, count: usize, buffer: &mut Vec<u8>) -> Result<()> {
        if qos > 0 {
            buffer.resize(4 * count, 0);
            self.stream.read_exact(buffer)?;
        }
        Ok(())
    }
}

fn pairs(port: u16, pid: u32, qos: u8, secs: u64) -> Result<()> {
    const WINDOW: usize = 32;
    let mut all = Vec::new();
    for pair in 0..50 {
        let topic = format!("bench/pair/{pair:03}/data");
        let mut subscriber = Client::connect(port, &format!("load-sub-{pair}"))?;
        subscriber.subscribe(&topic, qos)?;
        all.push((Client::connect(port, &format!("load-pub-{pair}"))?, subscriber, topic));
    }
    let mut buffer = Vec::new();
    measure(pid, secs, || {
        for (publisher, _, topic) in &mut all {
            publisher.publish(topic, qos, WINDOW, &mut buffer)?;
        }
        for (publisher, subscriber, topic) in &mut all {
            subscriber.take(topic, qos, WINDOW, &mut buffer)?;
            publisher.acknowledged(qos, WINDOW, &mut buffer)?;
        }
        Ok(50 * WINDOW as u64)
    })
}

fn fanout(port: u16, pid: u32, qos: u8, secs: u64) -> Result<()> {
    const WINDOW: usize = 16;
    let topic = "bench/fan/out";
    let mut publisher = Client::connect(port, "load-pub")?;
    let mut subscribers = Vec::new();
    for number in 0..100 {
        let mut subscriber = Client::connect(port, &format!("load-sub-{number}"))?;
        subscriber.subscribe(topic, qos)?;
        subscribers.push(subscriber);
    }
    let mut buffer = Vec::new();
    measure(pid, secs, || {
        publisher.publish(topic, qos, WINDOW, &mut buffer)?;
        for subscriber in &mut subscribers {
            subscriber.take(topic, qos, WINDOW, &mut buffer)?;
        }
        publisher.acknowledged(qos, WINDOW, &mut buffer)?;
        Ok(100 * WINDOW as u64)
    })
}

fn measure(pid: u32, secs: u64, mut round: impl FnMut() -> Result<u64>) -> Result<()> {
    for _ in 0..50 {
        round()?;
    }
    let (cpu, start) = (cpu_nanos(pid)?, Instant::now());
    let mut delivered = 0;
    while start.elapsed() < Duration::from_secs(secs) {
        delivered += round()?;
    }
    let cpu = cpu_nanos(pid)? - cpu;
    let rate = delivered as f64 / start.elapsed().as_secs_f64();
    println!("{:.0} ns of broker CPU per delivery, {rate:.0}/s", cpu as f64 / delivered as f64);
    Ok(())
}

fn idle(port: u16, pid: u32) -> Result<()> {
    const COUNT: usize = 19_000;
    let warm = Client::connect(port, "load-warm")?;
    let before = memory_bytes(pid)?;
    let mut all = vec![warm];
    for number in 0..COUNT {
        all.push(Client::connect(port, &format!("load-client-{number:08}"))?);
    }
    std::thread::sleep(Duration::from_secs(1));
    let after = memory_bytes(pid)?;
    println!("{} bytes per idle connection (PSS)", (after - before) / COUNT as u64);
    Ok(())
}

fn subscriptions(port: u16, pid: u32) -> Result<()> {
    const CLIENTS: usize = 50;
    const PACKETS: usize = 20;
    const FILTERS: usize = 1000;
    let before = memory_bytes(pid)?;
    let mut all = Vec::new();
    for number in 0..CLIENTS {
        let mut client = Client::connect(port, &format!("load-client-{number}"))?;
        for packet in 0..PACKETS {
            let first = packet * FILTERS;
            let filters = (first..first + FILTERS)
                .map(|device| format!("site/{number}/device/{device}/state"));
            client.subscribe_all(filters)?;
        }
        all.push(client);
    }
    std::thread::sleep(Duration::from_secs(1));
    let count = (CLIENTS * PACKETS * FILTERS) as u64;
    println!("{} bytes per subscription (PSS)", (memory_bytes(pid)? - before) / count);
    Ok(())
}

/// User and system time of a process so far, all threads.
fn cpu_nanos(pid: u32) -> Result<u64> {
    let mut total = 0;
    for task in std::fs::read_dir(format!("/proc/{pid}/task"))? {
        let stat = std::fs::read_to_string(task?.path().join("schedstat"))?;
        let on_cpu = stat.split(' ').next().context("schedstat is empty")?;
        total += on_cpu.parse::<u64>()?;
    }
    Ok(total)
}

/// Proportional set size of a process.
fn memory_bytes(pid: u32) -> Result<u64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
    let line = text.lines().find(|line| line.starts_with("Pss:")).context("no Pss")?;
    let kib: u64 = line.split_whitespace().nth(1).context("no number")?.parse()?;
    Ok(kib * 1024)
}
