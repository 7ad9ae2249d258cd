//! TLS between the bytes of a socket and those of MQTT, by rustls; nothing outside of this folder
//! knows that.
//!
//! * `acceptor`  files to what new connections begin with; read again while the broker runs
//! * `clients`   whose certificates clients may show
//!
//! A connection that is quiet owns no buffer: whole records are decrypted at once, and what is
//! encrypted is sent at once. What lies in between (part of a record, a full socket) is kept.

mod acceptor;
mod clients;

pub(crate) use acceptor::Acceptor;

use super::tcp::{Layer, Received, read, write};
use mio::net::TcpStream;
use noctule_tls::Certificate;
use noctule_tls::rustls::server::{ServerConnectionData, UnbufferedServerConnection};
use noctule_tls::rustls::unbuffered::{
    ConnectionState, EncodeError, UnbufferedStatus, WriteTraffic,
};
use noctule_tls::rustls::{AlertDescription, CertificateError, Error, InvalidMessage};
use std::io::{self, ErrorKind};

/// Bytes received at once.
const RECEIVE: usize = 64 * 1024;

/// Bytes encrypted at once: what a full socket leaves of them is kept.
const SEND: usize = 32 * 1024;

/// Bytes of a handshake that may wait for the rest of it.
const HANDSHAKE_MAX: usize = 32 * 1024;

/// What encrypting a piece adds at most, beside [`RECORD_OVERHEAD`] for each record: a key update.
const OVERHEAD: usize = 128;
const RECORD: usize = 16 * 1024;
/// Header, kind and tag of a record; explicit nonces of TLS 1.2.
const RECORD_OVERHEAD: usize = 64;

/// Buffers that all connections of a shard share.
#[derive(Default)]
pub(crate) struct Scratch {
    cipher: Vec<u8>,
    out: Vec<u8>,
    /// What is to be encrypted as one piece.
    pub(super) gathered: Vec<u8>,
}

/// TLS of one connection.
pub(crate) struct Tls {
    session: UnbufferedServerConnection,
    /// Received, and not yet a whole record.
    incoming: Vec<u8>,
    /// Decrypted, and not yet taken.
    plain: Vec<u8>,
    /// Encrypted, and not yet sent.
    outgoing: Vec<u8>,
    progress: Progress,
}

/// How far a connection is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Progress {
    /// Nothing came yet.
    Fresh,
    Running,
    /// The other side sends no more.
    Ended,
    /// There was an error: the session is not to be asked anything any more.
    Failed,
}

impl Tls {
    fn new(session: UnbufferedServerConnection) -> Tls {
        Tls {
            session,
            incoming: Vec::new(),
            plain: Vec::new(),
            outgoing: Vec::new(),
            progress: Progress::Fresh,
        }
    }

    /// Memory of parts of records.
    pub(crate) fn memory(&self) -> usize {
        self.incoming.capacity() + self.plain.capacity()
    }

    /// Whether the handshake is still under way.
    pub(crate) fn is_handshaking(&self) -> bool {
        self.session.is_handshaking()
    }

    /// Whether something encrypted waits for the socket.
    pub(crate) fn waits(&self) -> bool {
        !self.outgoing.is_empty()
    }

    /// The certificate that the client has shown, and proved to have the key of.
    pub(crate) fn certificate(&self) -> Option<Certificate<'_>> {
        Certificate::parse(self.session.peer_certificates()?.first()?)
    }

    /// Receives once; `buffer` gets what was meant for it.
    pub(crate) fn receive(
        &mut self,
        stream: &TcpStream,
        buffer: &mut [u8],
        scratch: &mut Scratch,
    ) -> Received {
        if !self.plain.is_empty() {
            let count = self.plain.len().min(buffer.len());
            buffer[..count].copy_from_slice(&self.plain[..count]);
            self.plain.drain(..count);
            if self.plain.is_empty() {
                self.plain = Vec::new();
            }
            return Received::More(count);
        }
        if matches!(self.progress, Progress::Ended | Progress::Failed) {
            return Received::End;
        }
        let cipher = &mut scratch.cipher;
        cipher.clear();
        cipher.append(&mut self.incoming);
        let kept = cipher.len();
        cipher.resize(kept + RECEIVE.min(buffer.len()), 0);
        let received = read(stream, &mut cipher[kept..]);
        let count = match received {
            Received::Last(count) | Received::More(count) => count,
            Received::Nothing | Received::End | Received::Told(_) | Received::Failed(..) => 0,
        };
        cipher.truncate(kept + count);
        if count == 0 {
            self.incoming = cipher.clone();
            return received;
        }
        if self.progress == Progress::Fresh {
            self.progress = Progress::Running;
            if let Some(stranger) = stranger(cipher) {
                return Received::Failed(Layer::Tls, stranger.into());
            }
        }
        let (taken, outcome) = self.process(buffer, scratch);
        self.send_rest(stream, scratch);
        match outcome {
            Err(error) => Received::Failed(Layer::Tls, in_words(&error)),
            Ok(()) if self.incoming.len() > HANDSHAKE_MAX && self.is_handshaking() => {
                Received::Failed(Layer::Tls, "the handshake is too long".into())
            }
            Ok(()) => match received {
                Received::Last(_) if self.plain.is_empty() && self.progress != Progress::Ended => {
                    Received::Last(taken)
                }
                _ => Received::More(taken),
            },
        }
    }

    /// Takes apart what was received; what has to be answered lies in `scratch.out` then. Answers
    /// how many bytes the buffer got.
    fn process(&mut self, buffer: &mut [u8], scratch: &mut Scratch) -> (usize, Result<(), Error>) {
        let Scratch { cipher, out, .. } = scratch;
        let (mut used, mut taken) = (0, 0);
        out.clear();
        if self.progress == Progress::Failed {
            return (0, Err(Error::General("it has failed before".into())));
        }
        let outcome = loop {
            let UnbufferedStatus { discard, state } =
                self.session.process_tls_records(&mut cipher[used..]);
            used += discard;
            match state {
                Ok(ConnectionState::ReadTraffic(mut traffic)) => {
                    while let Some(Ok(record)) = traffic.next_record() {
                        used += record.discard;
                        let here = record.payload.len().min(buffer.len() - taken);
                        buffer[taken..taken + here].copy_from_slice(&record.payload[..here]);
                        self.plain.extend_from_slice(&record.payload[here..]);
                        taken += here;
                    }
                }
                // None is ever offered.
                Ok(ConnectionState::ReadEarlyData(mut early)) => {
                    while early.next_record().is_some() {}
                }
                Ok(ConnectionState::EncodeTlsData(mut data)) => put(out, |room| data.encode(room)),
                Ok(ConnectionState::TransmitTlsData(data)) => data.done(),
                Ok(ConnectionState::PeerClosed) => self.progress = Progress::Ended,
                Ok(ConnectionState::Closed) => {
                    self.progress = Progress::Ended;
                    break Ok(());
                }
                Ok(ConnectionState::BlockedHandshake | ConnectionState::WriteTraffic(_) | _) => {
                    break Ok(());
                }
                Err(error) => {
                    self.progress = Progress::Failed;
                    self.alert(&mut cipher[used..], out);
                    // Nothing of it is looked at any more.
                    used = cipher.len();
                    break Err(error);
                }
            }
        };
        self.incoming = cipher[used..].to_vec();
        (taken, outcome)
    }

    /// After an error: what the other side is to be told of it. `rest`: what rustls has not let go
    /// of. It keeps places in that, so it has to see the same bytes each time; and it is asked for
    /// no more than there is, because it would go on with them.
    fn alert(&mut self, rest: &mut [u8], out: &mut Vec<u8>) {
        let mut used = 0;
        while self.session.wants_write() {
            let status = self.session.process_tls_records(&mut rest[used..]);
            used += status.discard;
            match status.state {
                Ok(ConnectionState::EncodeTlsData(mut data)) => put(out, |room| data.encode(room)),
                Ok(ConnectionState::ReadTraffic(mut traffic)) => {
                    while traffic.next_record().is_some() {}
                }
                Ok(_) | Err(_) => return,
            }
        }
    }

    /// Sends the handshake's part of `scratch.out`; whether that could be done is found out by who
    /// reads.
    fn send_rest(&mut self, stream: &TcpStream, scratch: &Scratch) {
        self.outgoing.extend_from_slice(&scratch.out);
        drop(self.flush(stream));
    }

    /// Encrypts and sends; answers how many bytes need not be given again, 0 if the socket is full.
    pub(crate) fn send(
        &mut self,
        stream: &TcpStream,
        bytes: &[u8],
        scratch: &mut Scratch,
    ) -> io::Result<usize> {
        if !self.flush(stream)? {
            return Ok(0);
        }
        let piece = &bytes[..bytes.len().min(SEND)];
        scratch.out.clear();
        self.encrypt(piece, &mut scratch.out)?;
        let sent = write(stream, &scratch.out)?;
        self.outgoing.extend_from_slice(&scratch.out[sent..]);
        Ok(piece.len())
    }

    fn encrypt(&mut self, piece: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
        self.when_writable(out, |traffic, out| {
            let records = piece.len().div_ceil(RECORD);
            let at = out.len();
            out.resize(at + piece.len() + records * RECORD_OVERHEAD + OVERHEAD, 0);
            let written = traffic.encrypt(piece, &mut out[at..]);
            let written = written.map_err(|error| io::Error::other(error.to_string()))?;
            out.truncate(at + written);
            Ok(())
        })
    }

    /// Brings the session to where it takes something to be sent. What it wants to send itself
    /// comes before.
    fn when_writable(
        &mut self,
        out: &mut Vec<u8>,
        write: impl FnOnce(&mut Writable<'_>, &mut Vec<u8>) -> io::Result<()>,
    ) -> io::Result<()> {
        if self.progress == Progress::Failed {
            return Err(ErrorKind::NotConnected.into());
        }
        // It has seen these bytes, and keeps places in them.
        let mut incoming = std::mem::take(&mut self.incoming);
        let mut used = 0;
        let outcome = loop {
            let status = self.session.process_tls_records(&mut incoming[used..]);
            used += status.discard;
            match status.state {
                Ok(ConnectionState::WriteTraffic(mut traffic)) => break write(&mut traffic, out),
                Ok(ConnectionState::EncodeTlsData(mut data)) => put(out, |room| data.encode(room)),
                Ok(ConnectionState::TransmitTlsData(data)) => data.done(),
                Ok(ConnectionState::PeerClosed) => self.progress = Progress::Ended,
                Err(_) => {
                    self.progress = Progress::Failed;
                    break Err(ErrorKind::NotConnected.into());
                }
                // Amid a handshake; or something came that would have been heard before.
                Ok(_) => break Err(ErrorKind::NotConnected.into()),
            }
        };
        incoming.drain(..used);
        self.incoming = incoming;
        outcome
    }

    /// Sends what was encrypted; `false` if the socket is full.
    pub(crate) fn flush(&mut self, stream: &TcpStream) -> io::Result<bool> {
        while !self.outgoing.is_empty() {
            match write(stream, &self.outgoing)? {
                0 => return Ok(false),
                sent if sent == self.outgoing.len() => self.outgoing = Vec::new(),
                sent => drop(self.outgoing.drain(..sent)),
            }
        }
        Ok(true)
    }

    /// Tells the other side that no more comes.
    pub(crate) fn finish(&mut self, stream: &TcpStream) -> io::Result<()> {
        let mut out = std::mem::take(&mut self.outgoing);
        let said = self.when_writable(&mut out, |traffic, out| {
            let at = out.len();
            out.resize(at + OVERHEAD, 0);
            let written = traffic.queue_close_notify(&mut out[at..]).unwrap_or(0);
            out.truncate(at + written);
            Ok(())
        });
        self.outgoing = out;
        // Amid a handshake there is nothing to be said.
        drop(said);
        self.flush(stream).map(drop)
    }
}

/// A session that takes something to be sent.
type Writable<'a> = WriteTraffic<'a, ServerConnectionData>;

/// Appends what is encoded, whatever room that takes.
fn put(out: &mut Vec<u8>, mut encode: impl FnMut(&mut [u8]) -> Result<usize, EncodeError>) {
    let (at, mut room) = (out.len(), 4096);
    loop {
        out.resize(at + room, 0);
        match encode(&mut out[at..]) {
            Ok(written) => return out.truncate(at + written),
            Err(EncodeError::InsufficientSize(needed)) if needed.required_size > room => {
                room = needed.required_size;
            }
            Err(EncodeError::InsufficientSize(_) | EncodeError::AlreadyEncoded) => {
                return out.truncate(at);
            }
        }
    }
}

/// Whether these bytes begin a handshake of TLS.
pub(crate) fn is_hello(bytes: &[u8]) -> bool {
    matches!(bytes, [0x16, 3, 0..=4, ..])
}

/// What it is that does not speak TLS, by its first bytes, if that can be told.
fn stranger(bytes: &[u8]) -> Option<&'static str> {
    const CONNECT: u8 = 0x10;
    match bytes {
        [CONNECT, ..] => Some("the client speaks MQTT without TLS"),
        [b'G', b'E', b'T', b' ', ..] | [b'P', b'O', b'S', b'T', ..] => {
            Some("the client speaks HTTP without TLS")
        }
        _ => None,
    }
}

/// Why a handshake failed, in words for who runs the broker.
fn in_words(error: &Error) -> String {
    let text = match error {
        Error::InvalidMessage(InvalidMessage::InvalidContentType) => "the client speaks no TLS",
        Error::NoCertificatesPresented => "the client shows no certificate",
        Error::PeerIncompatible(_) => {
            return format!("client and broker have nothing in common: {error}");
        }
        Error::InvalidCertificate(error) => {
            return format!("the client's certificate is no good: {}", of_certificate(error));
        }
        Error::AlertReceived(
            AlertDescription::UnknownCA
            | AlertDescription::BadCertificate
            | AlertDescription::CertificateUnknown
            | AlertDescription::CertificateExpired,
        ) => return format!("the client does not believe our certificate: {error}"),
        Error::NoApplicationProtocol => "the client asks for another protocol than mqtt by ALPN",
        _ => return error.to_string(),
    };
    text.into()
}

#[allow(deprecated, reason = "rustls may still use them")]
fn of_certificate(error: &CertificateError) -> String {
    use CertificateError as C;
    if let Some(refusal) = noctule_tls::Refusal::inside(error) {
        return refusal.to_string();
    }
    match error {
        C::Expired | C::ExpiredContext { .. } => "it has expired".into(),
        C::NotValidYet | C::NotValidYetContext { .. } => "it is not valid yet".into(),
        C::Revoked => "it is revoked".into(),
        C::UnknownIssuer => "nobody whom we trust has issued it".into(),
        C::BadSignature => "its signature is wrong, or its key too short".into(),
        C::InvalidPurpose | C::InvalidPurposeContext { .. } => "it is not for clients".into(),
        C::BadEncoding => "it cannot be understood".into(),
        C::ExpiredRevocationList | C::ExpiredRevocationListContext { .. } => {
            "the revocation list has expired".into()
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests;
