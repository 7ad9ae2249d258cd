//! The PROXY protocol, versions 1 and 2: what a proxy says of a client before the client's first
//! byte. [The PROXY protocol, 2.1, 2.2]
//!
//! It is looked at where the system keeps it, and taken once it is whole: what follows belongs to
//! another layer.

use super::tcp::{self, Layer, Received};
use mio::net::TcpStream;
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

/// What version 2 begins with.
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// The longest header of version 1.
const LINE_MAX: usize = 107;
/// The longest header of version 2 that is taken. The standard knows of none longer than 536 bytes.
const HEADER_MAX: usize = 4096;
/// What stands before the addresses of version 2.
const FIXED: usize = 16;

/// What a proxy says of the TLS of its client.
const TLV_TLS: u8 = 0x20;
const TLV_TLS_COMMON_NAME: u8 = 0x22;
const CLIENT_TLS: u8 = 1;
/// It has shown a certificate, on this connection or one that it resumes.
const CLIENT_CERTIFICATE: u8 = 2 | 4;

/// What a listener wants of proxies.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct ProxyRules {
    pub(crate) version: ProxyVersion,
    /// Clients have to speak TLS with the proxy.
    pub(crate) require_tls: bool,
}

/// A version of the protocol.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ProxyVersion {
    /// A line of text.
    V1,
    /// Bytes, which tell of TLS too.
    V2,
}

/// What a proxy has said.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Told {
    /// Where the client comes from; `None`: it is the proxy itself, or the proxy does not know.
    pub(super) remote: Option<SocketAddr>,
    /// The proxy speaks for itself, to see whether we are there.
    own: bool,
    /// The client speaks TLS with the proxy.
    tls: bool,
    /// It has shown the proxy a certificate: the common name in it, if the proxy believes it.
    pub(super) shown: Option<Option<Arc<str>>>,
}

/// The header of a connection.
pub(super) enum Proxy {
    Awaited(ProxyRules),
    Told(Told),
}

impl Proxy {
    /// Looks whether the header is there; `None`: it was, long ago.
    pub(super) fn receive(&mut self, stream: &TcpStream, buffer: &mut [u8]) -> Option<Received> {
        let Proxy::Awaited(rules) = self else { return None };
        let rules = *rules;
        let room = buffer.len().min(HEADER_MAX);
        let count = loop {
            match stream.peek(&mut buffer[..room]) {
                Ok(0) => return Some(Received::End),
                Ok(count) => break count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    return Some(Received::Nothing);
                }
                Err(_) => return Some(Received::End),
            }
        };
        let failed = |why: &str| Some(Received::Failed(Layer::Proxy, why.into()));
        match parse(&buffer[..count], rules.version) {
            Ok(None) if count == room => failed("its header is too long"),
            Ok(None) => Some(Received::Nothing),
            Err(why) => failed(why),
            Ok(Some((told, len))) => {
                // What was just looked at is there.
                let taken = tcp::read(stream, &mut buffer[..len]);
                if !matches!(taken, Received::Last(taken) | Received::More(taken) if taken == len) {
                    return Some(Received::End);
                }
                if rules.require_tls && !told.own && !told.tls {
                    return failed("the client speaks no TLS with the proxy");
                }
                let remote = told.remote;
                *self = Proxy::Told(told);
                Some(Received::Told(remote))
            }
        }
    }

    /// What the proxy has said.
    pub(super) fn told(&self) -> Option<&Told> {
        match self {
            Proxy::Awaited(_) => None,
            Proxy::Told(told) => Some(told),
        }
    }
}

/// The header that these bytes begin with, and its length; `None` while it is not whole.
pub(super) fn parse(
    bytes: &[u8],
    version: ProxyVersion,
) -> Result<Option<(Told, usize)>, &'static str> {
    match version {
        ProxyVersion::V1 => parse_v1(bytes),
        ProxyVersion::V2 => parse_v2(bytes),
    }
}

fn begins(bytes: &[u8], with: &[u8]) -> bool {
    bytes.iter().zip(with).all(|(one, other)| one == other)
}

fn parse_v1(bytes: &[u8]) -> Result<Option<(Told, usize)>, &'static str> {
    if !begins(bytes, b"PROXY ") {
        return Err(if begins(bytes, SIGNATURE) {
            "its header is of version 2, and version 1 is configured"
        } else {
            "there is no header of version 1: is this the proxy?"
        });
    }
    let line = &bytes[..bytes.len().min(LINE_MAX)];
    let Some(end) = line.windows(2).position(|it| it == b"\r\n") else {
        return if line.len() < LINE_MAX { Ok(None) } else { Err("its header has no end") };
    };
    let wrong = "its header cannot be understood";
    let text = std::str::from_utf8(&line[..end]).map_err(|_| wrong)?;
    let words: Vec<&str> = text.split(' ').collect();
    let remote = match words[..] {
        ["PROXY", "UNKNOWN", ..] => None,
        ["PROXY", family @ ("TCP4" | "TCP6"), from, to, from_port, to_port] => {
            let address = |text: &str| match family {
                "TCP4" => text.parse::<Ipv4Addr>().ok().map(IpAddr::from),
                _ => text.parse::<Ipv6Addr>().ok().map(IpAddr::from),
            };
            let port = |text: &str| {
                let digits = text.bytes().all(|byte| byte.is_ascii_digit());
                text.parse::<u16>().ok().filter(|_| digits)
            };
            let all = (address(from), address(to), port(from_port), port(to_port));
            let (Some(from), Some(_), Some(port), Some(_)) = all else { return Err(wrong) };
            Some(SocketAddr::new(from, port))
        }
        _ => return Err(wrong),
    };
    Ok(Some((Told { remote, ..Told::default() }, end + 2)))
}

fn parse_v2(bytes: &[u8]) -> Result<Option<(Told, usize)>, &'static str> {
    if !begins(bytes, SIGNATURE) {
        return Err(if begins(bytes, b"PROXY ") && bytes.len() > 1 {
            "its header is of version 1, and version 2 is configured"
        } else {
            "there is no header of version 2: is this the proxy?"
        });
    }
    let Some(fixed) = bytes.first_chunk::<FIXED>() else { return Ok(None) };
    let len = FIXED + usize::from(u16::from_be_bytes([fixed[14], fixed[15]]));
    if len > HEADER_MAX {
        return Err("its header is too long");
    }
    let own = match fixed[12] {
        0x20 => true,
        0x21 => false,
        _ => return Err("its header has another version or command"),
    };
    let Some(rest) = bytes.get(FIXED..len) else { return Ok(None) };
    if own {
        return Ok(Some((Told { own, ..Told::default() }, len)));
    }
    let short = "its header has less than the addresses";
    let (remote, more) = match fixed[13] {
        // Not known.
        0x00 => (None, rest),
        0x11 => {
            let (it, more) = rest.split_first_chunk::<12>().ok_or(short)?;
            let address = Ipv4Addr::new(it[0], it[1], it[2], it[3]);
            let port = u16::from_be_bytes([it[8], it[9]]);
            (Some(SocketAddr::new(address.into(), port)), more)
        }
        0x21 => {
            let (it, more) = rest.split_first_chunk::<36>().ok_or(short)?;
            let address = it.first_chunk::<16>().map(|it| Ipv6Addr::from(*it)).ok_or(short)?;
            let port = u16::from_be_bytes([it[32], it[33]]);
            (Some(SocketAddr::new(address.into(), port)), more)
        }
        // A Unix socket of the proxy: it has no address.
        0x31 => (None, rest.get(216..).ok_or(short)?),
        _ => return Err("its header has no addresses of TCP"),
    };
    let mut told = Told { remote, ..Told::default() };
    for_each_value(more, |kind, value| match kind {
        TLV_TLS => of_tls(value, &mut told),
        _ => Ok(()),
    })?;
    Ok(Some((told, len)))
}

/// What the proxy says of TLS.
fn of_tls(value: &[u8], told: &mut Told) -> Result<(), &'static str> {
    let Some(([client, verify @ ..], more)) = value.split_first_chunk::<5>() else {
        return Err("its header has half a value");
    };
    told.tls = client & CLIENT_TLS != 0;
    let mut name = None;
    for_each_value(more, |kind, value| {
        if kind == TLV_TLS_COMMON_NAME {
            let text = std::str::from_utf8(value).map_err(|_| "the common name is not UTF-8")?;
            name = Some(text).filter(|text| !text.is_empty()).map(Arc::from);
        }
        Ok(())
    })?;
    let verified = *verify == [0; 4];
    told.shown =
        (client & CLIENT_CERTIFICATE != 0).then_some(name).map(|it| it.filter(|_| verified));
    Ok(())
}

/// Takes values with their types and lengths apart.
fn for_each_value(
    mut bytes: &[u8],
    mut take: impl FnMut(u8, &[u8]) -> Result<(), &'static str>,
) -> Result<(), &'static str> {
    while let Some(([kind, len @ ..], rest)) = bytes.split_first_chunk::<3>() {
        let len = usize::from(u16::from_be_bytes(*len));
        let value = rest.get(..len).ok_or("its header has half a value")?;
        take(*kind, value)?;
        bytes = &rest[len..];
    }
    if bytes.is_empty() { Ok(()) } else { Err("its header has half a value") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn remote(text: &str) -> Told {
        Told { remote: Some(text.parse().unwrap()), ..Told::default() }
    }

    #[test]
    fn lines_of_version_1_are_understood_once_they_are_whole() {
        let longest = format!("PROXY UNKNOWN {}\r\n", "f".repeat(LINE_MAX - 16));
        for (line, told) in [
            ("PROXY TCP4 192.0.2.1 10.0.0.1 56324 1883\r\n", remote("192.0.2.1:56324")),
            ("PROXY TCP6 2001:db8::1 ::1 1 65535\r\n", remote("[2001:db8::1]:1")),
            ("PROXY UNKNOWN\r\n", Told::default()),
            (&longest, Told::default()),
        ] {
            let mut bytes = line.as_bytes().to_vec();
            for part in 0..bytes.len() {
                assert_eq!(parse(&bytes[..part], ProxyVersion::V1), Ok(None), "{line:?} {part}");
            }
            bytes.extend_from_slice(b"\x10\x0c");
            assert_eq!(parse(&bytes, ProxyVersion::V1), Ok(Some((told, line.len()))));
        }
        for line in [
            "PROXY TCP4 192.0.2.1 10.0.0.1 56324\r\n",
            "PROXY TCP4 ::1 ::1 1 1\r\n",
            "PROXY TCP6 1.2.3.4 1.2.3.4 1 1\r\n",
            "PROXY TCP4 1.2.3.4 1.2.3.4 +1 1\r\n",
            "PROXY TCP4 1.2.3.4 1.2.3.4 65536 1\r\n",
            "PROXY UDP4 1.2.3.4 1.2.3.4 1 1\r\n",
            "PROXY  TCP4 1.2.3.4 1.2.3.4 1 1\r\n",
            "PROXY \r\n",
            "proxy",
            "\x10\x0c\0\x04MQTT",
            "\r\n\r\n\0\r\nQUIT\n",
            &format!("PROXY UNKNOWN {}", "f".repeat(LINE_MAX)),
        ] {
            assert!(parse(line.as_bytes(), ProxyVersion::V1).is_err(), "{line:?}");
        }
    }

    fn v2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let mut bytes = SIGNATURE.to_vec();
        bytes.extend_from_slice(&[command, family]);
        bytes.extend_from_slice(&(rest.len() as u16).to_be_bytes());
        bytes.extend_from_slice(rest);
        bytes
    }

    fn value(kind: u8, bytes: &[u8]) -> Vec<u8> {
        [&[kind][..], &(bytes.len() as u16).to_be_bytes(), bytes].concat()
    }

    const V4: [u8; 12] = [192, 0, 2, 1, 10, 0, 0, 1, 0xdc, 0x04, 7, 0x5b];

    #[test]
    fn headers_of_version_2_are_understood_once_they_are_whole() {
        let mut v6 = [0; 36];
        v6[..4].copy_from_slice(&[0x20, 1, 0xd, 0xb8]);
        v6[33] = 9;
        let tls = |client, verify, name: &[u8]| {
            let inner = [&[client, 0, 0, 0, verify][..], &value(0x21, b"TLSv1.3"), name].concat();
            [&V4[..], &value(4, b"noop"), &value(TLV_TLS, &inner)].concat()
        };
        let ann = value(TLV_TLS_COMMON_NAME, b"ann");
        let base = || Told { tls: true, ..remote("192.0.2.1:56324") };
        for (bytes, told) in [
            (v2(0x21, 0x11, &V4), remote("192.0.2.1:56324")),
            (v2(0x21, 0x21, &v6), remote("[2001:db8::]:9")),
            (v2(0x21, 0x31, &[0; 216]), Told::default()),
            (v2(0x21, 0x00, b""), Told::default()),
            (v2(0x20, 0x00, b""), Told { own: true, ..Told::default() }),
            (v2(0x20, 0x11, &V4), Told { own: true, ..Told::default() }),
            (v2(0x21, 0x11, &tls(1, 0, b"")), base()),
            (v2(0x21, 0x11, &tls(3, 0, &ann)), Told { shown: Some(Some("ann".into())), ..base() }),
            (v2(0x21, 0x11, &tls(5, 0, &ann)), Told { shown: Some(Some("ann".into())), ..base() }),
            // Not believed, or without a name.
            (v2(0x21, 0x11, &tls(3, 1, &ann)), Told { shown: Some(None), ..base() }),
            (v2(0x21, 0x11, &tls(3, 0, b"")), Told { shown: Some(None), ..base() }),
        ] {
            for part in 0..bytes.len() {
                assert_eq!(parse(&bytes[..part], ProxyVersion::V2), Ok(None), "{bytes:?} {part}");
            }
            let len = bytes.len();
            let bytes = [&bytes[..], b"\x10\x0c"].concat();
            assert_eq!(parse(&bytes, ProxyVersion::V2), Ok(Some((told, len))));
        }
        for bytes in [
            v2(0x11, 0x11, &V4),
            v2(0x22, 0x11, &V4),
            v2(0x21, 0x12, &V4),
            v2(0x21, 0x11, &V4[..11]),
            v2(0x21, 0x21, &V4),
            v2(0x21, 0x11, &[&V4[..], &[4, 0]].concat()),
            v2(0x21, 0x11, &[&V4[..], &[4, 0, 2, 1]].concat()),
            v2(0x21, 0x11, &[&V4[..], &value(TLV_TLS, &[1, 0, 0])].concat()),
            v2(0x21, 0x11, &[&V4[..], &value(TLV_TLS, &[1, 0, 0, 0, 0, 0x22, 0, 9])].concat()),
            v2(0x21, 0x11, &[0; 4081]),
            b"PROXY TCP4".to_vec(),
            b"\x10\x0c".to_vec(),
        ] {
            assert!(parse(&bytes, ProxyVersion::V2).is_err(), "{bytes:?}");
        }
    }

    #[test]
    fn any_bytes_are_borne() {
        let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
        let mut chance = move |end: u64| {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            seed % end
        };
        let mut whole = 0;
        for _ in 0..100_000 {
            let rest: Vec<u8> = (0..chance(60)).map(|_| chance(8) as u8).collect();
            let mut bytes = v2(0x21, [0x11, 0x21, 0][chance(3) as usize], &rest);
            if chance(3) == 0 {
                let at = chance(bytes.len() as u64) as usize;
                bytes[at] = chance(256) as u8;
            }
            whole += usize::from(matches!(parse(&bytes, ProxyVersion::V2), Ok(Some(_))));
            let mut line = b"PROXY TCP4 1.2.3.4 1.2.3.4 1 1\r\n".to_vec();
            let at = chance(line.len() as u64) as usize;
            line[at] = chance(256) as u8;
            drop(parse(&line, ProxyVersion::V1));
        }
        assert!(whole > 1000, "{whole}");
    }
}
