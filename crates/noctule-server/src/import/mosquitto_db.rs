//! The file that mosquitto writes with `persistence true`, in its versions 5 (mosquitto 1.6) and 6.
//!
//! A head, then chunks: kind, length, and what C structs look like in memory, so that some numbers
//! are in network order and others in that of the machine, and padding lies between.

use super::persisted::{
    BaseMessage, Bytes, Client, Content, Delivery, FormatError, Persisted, SECONDS_MAX,
    Subscription,
};

const MAGIC: &[u8] = b"\x00\xB5\x00mosquitto db";

/// Kinds of chunks.
mod kind {
    pub(super) const CONFIG: u32 = 1;
    pub(super) const MESSAGE: u32 = 2;
    pub(super) const DELIVERY: u32 = 3;
    pub(super) const RETAINED: u32 = 4;
    pub(super) const SUBSCRIPTION: u32 = 5;
    pub(super) const CLIENT: u32 = 6;
}

type Parsed<T> = Result<T, FormatError>;

/// Reads the file.
pub(super) fn parse(bytes: &[u8]) -> Parsed<Persisted<'_>> {
    let mut file = Part::new(bytes, 0, "the head of the file");
    if bytes.is_empty() {
        return Err(FormatError::whole("is empty"));
    }
    if bytes.trim_ascii_start().starts_with(b"{") {
        return Err(FormatError::whole(
            "is JSON: a file of dynamic security need not be imported, it is used as it is (\
             `[dynamic_security]` with `file`, or plugin_opt_config_file of a mosquitto.conf)",
        ));
    }
    if file.take(MAGIC.len()).is_ok_and(|magic| magic != MAGIC) || bytes.len() < MAGIC.len() {
        return Err(FormatError::whole(
            "is neither a mosquitto.db nor the SQLite file of mosquitto's persist-sqlite plugin",
        ));
    }
    let _checksum_that_is_always_0 = file.take(4)?;
    let version = file.number(4)?;
    if !(5..=6).contains(&version) {
        let newer = "this is newer than what noctule knows (5 and 6)";
        let older = "start and stop mosquitto 2.x once with it, which rewrites it, and import that";
        let what = if version > 6 { newer } else { older };
        return Err(FormatError::whole(format!("is a mosquitto.db of version {version}: {what}")));
    }
    let mut persisted =
        Persisted { kind: format!("mosquitto.db, version {version}"), ..Persisted::default() };
    while !file.is_empty() {
        let at = file.at;
        file.what = "the head of a chunk";
        let (kind, len) = (file.number(4)?, file.number(4)? as usize);
        let name = name(kind);
        file.what = name;
        let chunk = Part::new(file.take(len)?, at + 8, name);
        persisted.chunk((kind, version), chunk)?;
    }
    persisted.remarks.push(
        "mosquitto keeps no shared subscriptions ($share/…) in this file: their clients have to \
         subscribe again"
            .to_owned(),
    );
    Ok(persisted)
}

fn name(kind: u32) -> &'static str {
    match kind {
        kind::CONFIG => "the chunk of the broker",
        kind::MESSAGE => "a chunk of a message",
        kind::DELIVERY => "a chunk of a client's message",
        kind::RETAINED => "a chunk of a retained message",
        kind::SUBSCRIPTION => "a chunk of a subscription",
        kind::CLIENT => "a chunk of a client",
        _ => "a chunk of an unknown kind",
    }
}

impl<'a> Persisted<'a> {
    fn chunk(&mut self, (kind, version): (u32, u32), chunk: Part<'a>) -> Parsed<()> {
        match kind {
            kind::CONFIG => config(chunk)?,
            kind::MESSAGE => self.messages.push(message(chunk)?),
            kind::DELIVERY => self.deliveries.push(delivery(chunk)?),
            kind::RETAINED => self.retained.push(retained(chunk)?),
            kind::SUBSCRIPTION => self.subscriptions.push(subscription(chunk)?),
            kind::CLIENT => self.clients.push(client(chunk, version)?),
            _ => self.remarks.push(format!("passed over: a chunk of unknown kind {kind}")),
        }
        Ok(())
    }
}

fn config(mut chunk: Part<'_>) -> Parsed<()> {
    let _last_store_id = chunk.take(8)?;
    let _shut_down_well = chunk.byte()?;
    let width = chunk.byte()?;
    if width != 8 {
        return Err(chunk.wrong(format!("names of messages have {width} bytes, not 8")));
    }
    Ok(())
}

fn message(mut chunk: Part<'_>) -> Parsed<BaseMessage<'_>> {
    let store_id = chunk.store_id()?;
    let expires_at_secs = chunk.instant()?;
    let payload_len = chunk.number(4)? as usize;
    let _source_packet_id = chunk.number(2)?;
    let source_len = chunk.number(2)? as usize;
    let user_name_len = chunk.number(2)? as usize;
    let topic_len = chunk.number(2)? as usize;
    let _source_port = chunk.number(2)?;
    let (qos, retain) = (chunk.byte()?, chunk.byte()? != 0);
    let source_id = Bytes::from(chunk.take(source_len)?);
    let _source_user_name = chunk.take(user_name_len)?;
    let topic = Bytes::from(chunk.take(topic_len)?);
    let payload = Bytes::from(chunk.take(payload_len)?);
    let properties = Bytes::from(chunk.properties()?);
    let content = Content { topic, properties, payload, qos, retain };
    Ok(BaseMessage { store_id, source_id, expires_at_secs, content })
}

fn client(mut chunk: Part<'_>, version: u32) -> Parsed<Client<'_>> {
    let len = chunk.bytes.len();
    let expires_at_secs = chunk.instant()?;
    let expiry_interval_secs = chunk.number(4)?;
    let _last_packet_id = chunk.number(2)?;
    let id_len = chunk.number(2)? as usize;
    let mut user_name_len = 0;
    if version >= 6 {
        let _listener_port = chunk.number(2)?;
        user_name_len = chunk.number(2)? as usize;
        // Where C pads the struct to 8 bytes.
        if len == 24 + id_len + user_name_len {
            chunk.take(4)?;
        }
    }
    let id = Bytes::from(chunk.take(id_len)?);
    let has_user_name = !chunk.take(user_name_len)?.is_empty();
    chunk.end()?;
    let (will_at_secs, will_delay_secs) = (None, 0);
    Ok(Client {
        id,
        has_user_name,
        expiry_interval_secs,
        expires_at_secs,
        will_at_secs,
        will_delay_secs,
    })
}

fn delivery(mut chunk: Part<'_>) -> Parsed<Delivery<'_>> {
    let store_id = chunk.store_id()?;
    let packet_id = chunk.number(2)? as u16;
    let id_len = chunk.number(2)? as usize;
    let (qos, state) = (chunk.byte()?, chunk.byte()?);
    let retain = chunk.byte()? >> 4 != 0;
    let outgoing = chunk.byte()? != 0;
    let client_id = Bytes::from(chunk.take(id_len)?);
    let properties = chunk.properties()?;
    // There is no other property here.
    let subscription_id = match properties {
        [] => 0,
        [0x0B, id @ ..] => varint(id).map_or(0, |(id, _)| id),
        _ => return Err(chunk.wrong("a property that is no Subscription Identifier")),
    };
    Ok(Delivery { client_id, store_id, packet_id, qos, retain, outgoing, state, subscription_id })
}

fn retained(mut chunk: Part<'_>) -> Parsed<u64> {
    let id = chunk.store_id()?;
    chunk.end()?;
    Ok(id)
}

fn subscription(mut chunk: Part<'_>) -> Parsed<Subscription<'_>> {
    let identifier = chunk.number(4)?;
    let id_len = chunk.number(2)? as usize;
    let filter_len = chunk.number(2)? as usize;
    let (qos, others) = (chunk.byte()?, chunk.byte()?);
    let _padding = chunk.take(2)?;
    let client_id = Bytes::from(chunk.take(id_len)?);
    let filter = Bytes::from(chunk.take(filter_len)?);
    chunk.end()?;
    Ok(Subscription { client_id, filter, options: qos | others, identifier })
}

/// A Variable Byte Integer, and what follows.
pub(super) fn varint(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let mut value = 0;
    for (at, byte) in bytes.iter().enumerate().take(4) {
        value |= u32::from(byte & 0x7F) << (7 * at);
        if *byte < 0x80 {
            return Some((value, &bytes[at + 1..]));
        }
    }
    None
}

/// A part of the file that is read from its beginning.
struct Part<'a> {
    bytes: &'a [u8],
    /// Where in the file.
    at: usize,
    what: &'static str,
}

impl<'a> Part<'a> {
    fn new(bytes: &'a [u8], at: usize, what: &'static str) -> Part<'a> {
        Part { bytes, at, what }
    }

    fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    fn wrong(&self, what: impl std::fmt::Display) -> FormatError {
        FormatError::at(self.at, format!("{}: {what}", self.what))
    }

    fn take(&mut self, len: usize) -> Parsed<&'a [u8]> {
        let Some((taken, rest)) = self.bytes.split_at_checked(len) else {
            let left = self.bytes.len();
            return Err(self.wrong(format!("needs {len} bytes, and {left} are left")));
        };
        self.bytes = rest;
        self.at += len;
        Ok(taken)
    }

    fn byte(&mut self) -> Parsed<u8> {
        Ok(self.take(1)?[0])
    }

    /// A number in network order, of 4 bytes at most.
    fn number(&mut self, len: usize) -> Parsed<u32> {
        Ok(self.take(len)?.iter().fold(0, |sum, byte| sum << 8 | u32::from(*byte)))
    }

    fn eight(&mut self) -> Parsed<[u8; 8]> {
        let mut eight = [0; 8];
        eight.copy_from_slice(self.take(8)?);
        Ok(eight)
    }

    /// The name of a message: whatever its order is, it is the same everywhere in the file.
    fn store_id(&mut self) -> Parsed<u64> {
        Ok(u64::from_le_bytes(self.eight()?))
    }

    /// An instant in the order of the machine that wrote it, which may have been another one; 0:
    /// none.
    fn instant(&mut self) -> Parsed<Option<u64>> {
        let eight = self.eight()?;
        let orders = [u64::from_le_bytes(eight), u64::from_be_bytes(eight)];
        match orders.into_iter().find(|secs| *secs < SECONDS_MAX) {
            Some(0) => Ok(None),
            Some(secs) => Ok(Some(secs)),
            None => Err(self.wrong("an instant that is none")),
        }
    }

    /// Properties behind their length, up to the end.
    fn properties(&mut self) -> Parsed<&'a [u8]> {
        if self.is_empty() {
            return Ok(&[]);
        }
        match varint(self.bytes) {
            Some((len, rest)) if len as usize == rest.len() => Ok(rest),
            Some(_) | None => Err(self.wrong("properties that are not as long as they say")),
        }
    }

    fn end(&self) -> Parsed<()> {
        if self.is_empty() {
            return Ok(());
        }
        Err(self.wrong(format!("has {} bytes too many", self.bytes.len())))
    }
}

#[cfg(test)]
mod tests;
