//! A client of bytes: what it sends and gets is seen to the last flag.

use anyhow::{Context, Result, ensure};
use noctule_tests::wire::read_packet;
use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// What no test waits longer for.
const PATIENCE: Duration = Duration::from_secs(20);

/// A connection.
pub(crate) struct Client {
    stream: TcpStream,
    level: u8,
    pub(crate) session_present: bool,
}

/// A PUBLISH that came.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Message {
    pub(crate) flags: u8,
    pub(crate) id: u16,
    pub(crate) topic: String,
    pub(crate) properties: Vec<u8>,
    pub(crate) payload: Vec<u8>,
}

/// What is published.
#[derive(Clone, Copy)]
pub(crate) struct Out<'a> {
    pub(crate) topic: &'a str,
    pub(crate) payload: &'a [u8],
    pub(crate) qos: u8,
    pub(crate) retain: bool,
    pub(crate) id: u16,
    pub(crate) properties: &'a [u8],
}

pub(crate) fn text(text: impl AsRef<[u8]>) -> Vec<u8> {
    let text = text.as_ref();
    [&(text.len() as u16).to_be_bytes(), text].concat()
}

pub(crate) fn varint(mut number: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let more = number > 0x7F;
        bytes.push(number as u8 & 0x7F | u8::from(more) << 7);
        number >>= 7;
        if !more {
            return bytes;
        }
    }
}

fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    [&[first], &*varint(body.len()), body].concat()
}

impl Client {
    /// Connects to a session that is to stay; `level`: 4 or 5, `expiry_secs` for 5.
    pub(crate) fn connect(at: SocketAddr, id: &str, (level, expiry): (u8, u32)) -> Result<Client> {
        Client::connect_with(at, id, (level, expiry), None)
    }

    /// The same with a Will of QoS 1 that has a topic and a delay.
    pub(crate) fn connect_with(
        at: SocketAddr,
        id: &str,
        (level, expiry): (u8, u32),
        will: Option<(&str, u32)>,
    ) -> Result<Client> {
        let stream = TcpStream::connect(at)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut client = Client { stream, level, session_present: false };
        let mut body = [&text("MQTT")[..], &[level]].concat();
        body.extend([if will.is_some() { 0x0C } else { 0 }, 0, 60]);
        if level == 5 {
            body.extend([5, 0x11]);
            body.extend(expiry.to_be_bytes());
        }
        body.extend(text(id));
        if let Some((topic, delay)) = will {
            body.extend([5, 0x18]);
            body.extend(delay.to_be_bytes());
            body.extend([text(topic), text("the will")].concat());
        }
        client.send(0x10, &body)?;
        let (first, body) = client.next()?;
        ensure!(first == 0x20 && body[1] == 0, "{id}: {first:x} {body:x?}");
        client.session_present = body[0] == 1;
        Ok(client)
    }

    pub(crate) fn send(&mut self, first: u8, body: &[u8]) -> Result<()> {
        Ok(self.stream.write_all(&packet(first, body))?)
    }

    pub(crate) fn next(&mut self) -> Result<(u8, Vec<u8>)> {
        read_packet(&mut self.stream)
    }

    /// Sends an acknowledgement.
    pub(crate) fn ack(&mut self, first: u8, id: u16) -> Result<()> {
        self.send(first, &id.to_be_bytes())
    }

    /// The next packet is this acknowledgement.
    pub(crate) fn expect_ack(&mut self, first: u8, id: u16) -> Result<()> {
        let (found, body) = self.next()?;
        let fits = found == first && body.starts_with(&id.to_be_bytes());
        // MQTT 5 says more if something was not well, or nobody was there.
        ensure!(fits && matches!(body.get(2), None | Some(0 | 0x10)), "{found:x} {body:x?}");
        Ok(())
    }

    pub(crate) fn subscribe(&mut self, filter: &str, options: u8, identifier: u32) -> Result<()> {
        let mut body = vec![0, 9];
        if self.level == 5 {
            let id = [&[0x0B], &*varint(identifier as usize)].concat();
            let properties = if identifier == 0 { &[][..] } else { &id };
            body.extend([&varint(properties.len()), properties].concat());
        }
        body.extend(text(filter));
        body.push(options);
        self.send(0x82, &body)?;
        let (first, body) = self.next()?;
        ensure!(first == 0x90 && body.last() == Some(&(options & 3)), "{filter}: {body:x?}");
        Ok(())
    }

    /// Publishes and sees it acknowledged; with QoS 2 up to PUBREC.
    pub(crate) fn publish(&mut self, out: &Out<'_>) -> Result<()> {
        let Out { topic, payload, qos, retain, id, properties } = *out;
        let mut body = text(topic);
        if qos > 0 {
            body.extend(id.to_be_bytes());
        }
        if self.level == 5 {
            body.extend([&varint(properties.len()), properties].concat());
        }
        body.extend(payload);
        self.send(0x30 | qos << 1 | u8::from(retain), &body)?;
        match qos {
            0 => Ok(()),
            1 => self.expect_ack(0x40, id),
            _ => self.expect_ack(0x50, id),
        }
    }

    /// The same, and with QoS 2 to its end.
    pub(crate) fn publish_whole(&mut self, out: &Out<'_>) -> Result<()> {
        self.publish(out)?;
        if out.qos < 2 {
            return Ok(());
        }
        self.ack(0x62, out.id)?;
        self.expect_ack(0x70, out.id)
    }

    /// The next packet, which is a PUBLISH.
    pub(crate) fn message(&mut self) -> Result<Message> {
        let (first, body) = self.next()?;
        ensure!(first >> 4 == 3, "no PUBLISH: {first:x} {body:x?}");
        message(first, &body, self.level).with_context(|| format!("{first:x} {body:x?}"))
    }

    /// The next messages, acknowledged if they are of QoS 1.
    pub(crate) fn messages(&mut self, count: usize) -> Result<Vec<Message>> {
        let mut messages = Vec::new();
        for _ in 0..count {
            let message = self.message()?;
            if message.flags & 6 == 2 {
                self.ack(0x40, message.id)?;
            }
            messages.push(message);
        }
        Ok(messages)
    }

    /// Nothing else waits: a PINGREQ is answered next.
    pub(crate) fn expect_no_more(&mut self) -> Result<()> {
        self.send(0xC0, &[])?;
        let (first, body) = self.next()?;
        ensure!(first == 0xD0, "{first:x} {body:x?}");
        Ok(())
    }

    /// Goes, with DISCONNECT; `with_will`: as MQTT 5 has it.
    pub(crate) fn leave(mut self, with_will: bool) -> Result<()> {
        let body: &[u8] = if with_will { &[4] } else { &[] };
        self.send(0xE0, body)?;
        // Until the other side has seen it.
        let mut rest = Vec::new();
        drop(std::io::Read::read_to_end(&mut self.stream, &mut rest));
        Ok(())
    }
}

fn message(first: u8, body: &[u8], level: u8) -> Option<Message> {
    let (len, rest) = body.split_at_checked(2)?;
    let (topic, mut rest) =
        rest.split_at_checked(usize::from(len[0]) << 8 | usize::from(len[1]))?;
    let mut id = 0;
    if first & 6 != 0 {
        id = u16::from_be_bytes([*rest.first()?, *rest.get(1)?]);
        rest = &rest[2..];
    }
    let mut properties = &[][..];
    if level == 5 {
        // No test has more of them than one byte tells.
        (properties, rest) = rest.get(1..)?.split_at_checked(usize::from(rest[0]))?;
    }
    Some(Message {
        flags: first & 0xF,
        id,
        topic: String::from_utf8(topic.to_vec()).ok()?,
        properties: properties.to_vec(),
        payload: rest.to_vec(),
    })
}
