//! A client of scripts that are played to both sides: what it sends byte for byte, what it is told
//! as lines of text that can be compared.

use anyhow::{Context, Result, bail, ensure};
use noctule_tests::wire::read_packet;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(10);

/// Who connects, and how.
#[derive(Clone, Copy)]
pub(crate) struct Who<'a> {
    pub(crate) level: u8,
    pub(crate) id: &'a str,
    /// Its session ends with the connection.
    pub(crate) clean: bool,
    pub(crate) user: Option<&'a str>,
    /// Topic of its will.
    pub(crate) will: Option<&'a str>,
}

/// A client of MQTT 5 without a name.
pub(crate) const ANYBODY: Who<'static> =
    Who { level: 5, id: "anybody", clean: true, user: None, will: None };

/// A connection.
pub(crate) struct Talk {
    stream: TcpStream,
    level: u8,
    last_id: u16,
}

impl Who<'_> {
    /// Connects; the client, if it is let in, and what it was answered.
    pub(crate) fn connect(&self, address: SocketAddr) -> Result<(Option<Talk>, String)> {
        let mut body = Vec::new();
        text(&mut body, if self.level == 3 { "MQIsdp" } else { "MQTT" });
        let flags = u8::from(self.clean) << 1
            | if self.user.is_some() { 0b1100_0000 } else { 0 }
            | if self.will.is_some() { 0b0000_1100 } else { 0 };
        body.extend([self.level, flags, 0, 60]);
        match (self.level, self.clean) {
            (5, true) => body.push(0),
            (5, false) => body.extend([5, 0x11, 0, 0, 0xFF, 0xFF]),
            _ => {}
        }
        text(&mut body, self.id);
        if let Some(topic) = self.will {
            body.extend(if self.level == 5 { &[0][..] } else { &[] });
            text(&mut body, topic);
            text(&mut body, "will");
        }
        if let Some(user) = self.user {
            text(&mut body, user);
            text(&mut body, "secret");
        }
        let mut stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        send(&mut stream, 0x10, &body)?;
        let (first, body) = read_packet(&mut stream)?;
        ensure!(first == 0x20, "no CONNACK: {first:#x}");
        let told = format!("connack {} {:#x}", body[0], body[1]);
        let talk = Talk { stream, level: self.level, last_id: 0 };
        Ok(((body[1] == 0).then_some(talk), told))
    }

    /// Connects where it is let in for certain.
    pub(crate) fn enter(&self, address: SocketAddr) -> Result<Talk> {
        let (talk, told) = self.connect(address)?;
        talk.with_context(|| format!("{}: {told}", self.id))
    }
}

impl Talk {
    /// Subscribes; what SUBACK says, and what follows it.
    pub(crate) fn subscribe(&mut self, filter: &str, qos: u8) -> Result<Vec<String>> {
        let mut body = vec![0, 9];
        body.extend(if self.level == 5 { &[0][..] } else { &[] });
        text(&mut body, filter);
        body.push(qos);
        send(&mut self.stream, 0x82, &body)?;
        self.hear()
    }

    /// Publishes with QoS 0, 1 or 2 (and RETAIN: 4 more), and does not wait.
    pub(crate) fn publish(&mut self, topic: &str, payload: &str, flags: u8) -> Result<()> {
        let qos = flags & 3;
        let mut body = Vec::new();
        text(&mut body, topic);
        if qos > 0 {
            self.last_id += 1;
            body.extend(self.last_id.to_be_bytes());
        }
        body.extend(if self.level == 5 { &[0][..] } else { &[] });
        body.extend(payload.as_bytes());
        send(&mut self.stream, 0x30 | qos << 1 | u8::from(flags & 4 > 0), &body)
    }

    /// The same, and waits for the last acknowledgement of QoS 1 or 2: what it says.
    pub(crate) fn deliver(&mut self, topic: &str, payload: &str, flags: u8) -> Result<String> {
        self.publish(topic, payload, flags)?;
        let mut told = String::new();
        if flags & 3 == 0 {
            return Ok(told);
        }
        loop {
            let (first, body) = read_packet(&mut self.stream)?;
            told += &self.one(first, &body)?.unwrap_or_default();
            let refused = body.get(2).is_some_and(|code| *code >= 0x80);
            if matches!(first & 0xF0, 0x40 | 0x70) || refused {
                return Ok(told);
            }
        }
    }

    /// Everything that has come by the answer to a PINGREQ, and what comes for its being
    /// acknowledged: it asks until nothing more comes before the answer. The brokers of these
    /// scripts have one thread for all clients, so what others were acknowledged has been sent.
    pub(crate) fn hear(&mut self) -> Result<Vec<String>> {
        let mut told = Vec::new();
        loop {
            // Who is gone is found out by reading.
            drop(send(&mut self.stream, 0xC0, &[]));
            let mut quiet = true;
            loop {
                let Ok((first, body)) = read_packet(&mut self.stream) else {
                    told.push("closed".into());
                    return Ok(told);
                };
                if first == 0xD0 {
                    break;
                }
                quiet = false;
                told.extend(self.one(first, &body)?);
            }
            if quiet {
                return Ok(told);
            }
        }
    }

    /// The same, until a line has come that begins like this: what is read from a disk takes its
    /// time.
    pub(crate) fn hear_until(&mut self, last: &str) -> Result<Vec<String>> {
        let (mut told, deadline) = (Vec::new(), Instant::now() + PATIENCE);
        loop {
            told.extend(self.hear()?);
            if told.iter().any(|line: &String| line.starts_with(last)) {
                return Ok(told);
            }
            ensure!(Instant::now() < deadline, "no {last} among {told:?}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Takes its leave, and waits until the broker knows.
    pub(crate) fn leave(mut self) -> Result<()> {
        send(&mut self.stream, 0xE0, &[])?;
        self.end()
    }

    /// Ends with a packet that there is not, so that its will is sent, and waits for that.
    pub(crate) fn break_off(mut self) -> Result<()> {
        send(&mut self.stream, 0x00, &[])?;
        self.end()
    }

    fn end(mut self) -> Result<()> {
        match self.stream.read_to_end(&mut Vec::new()) {
            Err(error) if error.kind() != ErrorKind::ConnectionReset => Err(error.into()),
            Ok(_) | Err(_) => Ok(()),
        }
    }

    fn one(&mut self, first: u8, body: &[u8]) -> Result<Option<String>> {
        // Reason codes that are left out are 0.
        let code = |at: usize| body.get(at).copied().unwrap_or(0);
        Ok(match first & 0xF0 {
            0x30 => Some(self.message(first, body)?),
            0x40 => Some(format!("puback {:#x}", code(2))),
            0x50 => {
                if code(2) < 0x80 {
                    send(&mut self.stream, 0x62, &body[..2])?;
                }
                Some(format!("pubrec {:#x}", code(2)))
            }
            0x60 => {
                send(&mut self.stream, 0x70, &body[..2])?;
                None
            }
            0x70 => None,
            0x90 => Some(format!("suback {:02x?}", &body[if self.level == 5 { 3 } else { 2 }..])),
            0xE0 => Some(format!("disconnect {:#x}", code(0))),
            other => bail!("{other:#x}"),
        })
    }

    fn message(&mut self, first: u8, body: &[u8]) -> Result<String> {
        let len = usize::from(u16::from_be_bytes([body[0], body[1]]));
        let (topic, rest) = body[2..].split_at(len);
        let (qos, retain) = (first >> 1 & 3, first & 1);
        let (id, rest) = rest.split_at(if qos > 0 { 2 } else { 0 });
        // Nobody sends properties here.
        let payload = if self.level == 5 { &rest[1 + usize::from(rest[0])..] } else { rest };
        match qos {
            0 => {}
            1 => send(&mut self.stream, 0x40, id)?,
            _ => send(&mut self.stream, 0x50, id)?,
        }
        let [topic, payload] = [topic, payload].map(String::from_utf8_lossy);
        Ok(format!("{topic} {payload} q{qos} r{retain}"))
    }
}

fn send(stream: &mut TcpStream, first: u8, body: &[u8]) -> Result<()> {
    let mut packet = vec![first];
    let mut len = body.len();
    loop {
        let byte = (len & 0x7F) as u8;
        len >>= 7;
        packet.push(if len > 0 { byte | 0x80 } else { byte });
        if len == 0 {
            break;
        }
    }
    packet.extend(body);
    Ok(stream.write_all(&packet)?)
}

fn text(to: &mut Vec<u8>, text: &str) {
    to.extend(u16::try_from(text.len()).expect("short").to_be_bytes());
    to.extend(text.as_bytes());
}
