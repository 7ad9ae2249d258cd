//! What clients send, and what they are answered, byte for byte.

use anyhow::{Context, Result, ensure};
use noctule_tests::wire::read_packet;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(10);

/// A CONNECT.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Connect {
    pub(crate) level: u8,
    pub(crate) clean: bool,
    pub(crate) keep_alive: u16,
    pub(crate) id: &'static str,
    pub(crate) login: Option<(&'static str, &'static str)>,
}

/// One that most listeners take.
pub(crate) const PLAIN: Connect =
    Connect { level: 5, clean: true, keep_alive: 60, id: "abc", login: None };

/// What clients are tried.
pub(crate) fn all() -> Vec<Connect> {
    let good = Some(("ann", "secret"));
    let mut all = Vec::new();
    for level in [3, 4, 5] {
        let one = Connect { level, ..PLAIN };
        all.extend([
            one,
            Connect { id: "", ..one },
            Connect { login: good, ..one },
            Connect { login: Some(("ann", "wrong")), ..one },
            Connect { login: Some(("nobody", "secret")), ..one },
            Connect { id: "", login: good, ..one },
            Connect { keep_alive: 0, login: good, ..one },
            Connect { keep_alive: 1000, login: good, ..one },
            Connect { keep_alive: 600, ..one },
            Connect { clean: false, id: "kept", login: good, ..one },
            Connect { clean: false, id: "", login: good, ..one },
        ]);
    }
    all
}

impl Connect {
    fn bytes(&self) -> Vec<u8> {
        let mut body = Vec::new();
        text(&mut body, if self.level == 3 { "MQIsdp" } else { "MQTT" });
        let login = if self.login.is_some() { 0b1100_0000 } else { 0 };
        body.extend([self.level, u8::from(self.clean) << 1 | login]);
        body.extend(self.keep_alive.to_be_bytes());
        if self.level == 5 {
            body.push(0);
        }
        text(&mut body, self.id);
        if let Some((name, password)) = self.login {
            text(&mut body, name);
            text(&mut body, password);
        }
        let mut packet = vec![0x10, u8::try_from(body.len()).expect("short")];
        packet.extend(body);
        packet
    }

    /// What it is answered: CONNACK, and `closed` if the connection ends then.
    pub(crate) fn answer(&self, address: SocketAddr) -> Result<String> {
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(&self.bytes())?;
        let mut head = [0; 2];
        match stream.read_exact(&mut head) {
            Ok(()) => {}
            Err(_) => return Ok("closed".into()),
        }
        let mut body = vec![0; usize::from(head[1])];
        stream.read_exact(&mut body).context("a whole CONNACK")?;
        let accepted = body[1] == 0;
        let told = masked(&[&head[..], &body].concat());
        if !accepted {
            ensure!(matches!(stream.read(&mut head), Ok(0) | Err(_)), "{told}: goes on");
            return Ok(format!("{told} closed"));
        }
        // DISCONNECT, and all of what comes until the end.
        stream.write_all(if self.level == 5 { &[0xE0, 1, 0] } else { &[0xE0, 0] })?;
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest)?;
        Ok(format!("{told} {rest:02x?}"))
    }
}

/// Reads the log from its topics.
pub(crate) struct LogReader(TcpStream);

impl LogReader {
    /// Subscribes to them; what comes until the SUBACK is passed over.
    pub(crate) fn begin(address: SocketAddr) -> Result<LogReader> {
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(&Connect { level: 4, id: "reader", ..PLAIN }.bytes())?;
        let mut packet = vec![0x82, 0, 0, 1];
        text(&mut packet, "$SYS/broker/log/#");
        packet.push(0);
        packet[1] = u8::try_from(packet.len() - 2).expect("short");
        stream.write_all(&packet)?;
        let mut reader = LogReader(stream);
        while read_packet(&mut reader.0)?.0 != 0x90 {}
        Ok(reader)
    }

    /// The first line that holds `what`, behind its topic.
    pub(crate) fn until(mut self, what: &str) -> Result<String> {
        loop {
            let (first, body) = read_packet(&mut self.0)?;
            let (Some(len), 0x30) = (body.first_chunk::<2>(), first & 0xF1) else { continue };
            let (topic, line) = body[2..].split_at(usize::from(u16::from_be_bytes(*len)));
            let line = String::from_utf8_lossy(line);
            if line.contains(what) {
                return Ok(format!("{} {line}", String::from_utf8_lossy(topic)));
            }
        }
    }
}

fn text(to: &mut Vec<u8>, text: &str) {
    to.extend(u16::try_from(text.len()).expect("short").to_be_bytes());
    to.extend(text.as_bytes());
}

/// Bytes, without those of a client id that was made up.
fn masked(bytes: &[u8]) -> String {
    // Its property, and a length: what follows ends with 36 bytes of a UUID.
    let at = bytes.windows(2).position(|two| two == [0x12, 0]);
    let mut bytes = bytes.to_vec();
    if let Some(at) = at.filter(|at| bytes.len() > at + 3 + 36) {
        let len = usize::from(bytes[at + 2]);
        let end = at + 3 + len;
        bytes[end - 36..end].fill(b'?');
    }
    format!("{bytes:02x?}")
}
