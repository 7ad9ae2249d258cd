//! A client's request for a WebSocket, and its answer [RFC 6455, 4.2].

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use noctule_proto::websocket::PROOF;
use ring::digest::{Context, SHA1_FOR_LEGACY_USE_ONLY};
use std::fmt::Write as _;

/// Lines of a request, at most.
const HEADERS_MAX: usize = 64;

/// The sub-protocols that stand for MQTT, the better one first. Clients of MQTT 3.1 have always
/// named the second.
const PROTOCOLS: [&str; 2] = ["mqtt", "mqttv3.1"];

/// What a listener asks of requests.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Rules {
    /// Bytes of a request, at most.
    pub(crate) header_max: usize,
    /// Pages of these origins alone may connect; those of any, if it is empty.
    pub(crate) origins: Vec<Box<str>>,
}

/// What comes of the bytes of a request.
pub(super) enum Answer {
    /// It is not whole.
    More,
    /// A WebSocket: what is to be answered, and where the request ends.
    Welcome(Vec<u8>, usize),
    /// None: what is to be answered, and why, for the log.
    Refused(Vec<u8>, String),
}

/// Why a request is refused: the status, more lines of the answer, and in words.
struct Refusal(&'static str, &'static str, String);

/// Looks at what has come of a request.
pub(super) fn answer(bytes: &[u8], rules: &Rules) -> Answer {
    if let Some(stranger) = stranger(bytes) {
        return Answer::Refused(Vec::new(), stranger.into());
    }
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut request = httparse::Request::new(&mut headers);
    // No further than a request may go, so that the answer is the same however it is cut.
    let parsed = request.parse(&bytes[..bytes.len().min(rules.header_max)]);
    let too_large = match parsed {
        Ok(httparse::Status::Partial) => bytes.len() > rules.header_max,
        Ok(httparse::Status::Complete(_)) => false,
        Err(error) => error == httparse::Error::TooManyHeaders,
    };
    let outcome = match parsed {
        _ if too_large => {
            Err(refuse("431 Request Header Fields Too Large", "the request is too long"))
        }
        Ok(httparse::Status::Partial) => return Answer::More,
        Ok(httparse::Status::Complete(len)) => check(&request, rules).map(|it| (it, len)),
        Err(error) => Err(refuse("400 Bad Request", &format!("this is no HTTP: {error}"))),
    };
    match outcome {
        Ok((welcome, len)) => Answer::Welcome(welcome, len),
        Err(Refusal(status, more, why)) => {
            let body = format!("{why}\n");
            let head = format!(
                "HTTP/1.1 {status}\r\n{more}Connection: close\r\nContent-Type: text/plain\r\n\
                 Content-Length: {}\r\n\r\n",
                body.len()
            );
            Answer::Refused((head + &body).into_bytes(), why)
        }
    }
}

/// What it is that does not speak HTTP, by its first byte, if that can be told.
fn stranger(bytes: &[u8]) -> Option<&'static str> {
    match bytes.first()? {
        0x10 => Some("the client speaks MQTT without WebSocket"),
        0x16 => Some("the client speaks TLS, and this listener does not"),
        _ => None,
    }
}

fn refuse(status: &'static str, why: &str) -> Refusal {
    Refusal(status, "", why.into())
}

fn bad(why: &str) -> Refusal {
    refuse("400 Bad Request", why)
}

/// The answer to a good request.
fn check(request: &httparse::Request<'_, '_>, rules: &Rules) -> Result<Vec<u8>, Refusal> {
    let headers = &*request.headers;
    if request.method != Some("GET") {
        let why = "GET expected".into();
        return Err(Refusal("405 Method Not Allowed", "Allow: GET\r\n", why));
    }
    if request.version != Some(1) {
        return Err(refuse("505 HTTP Version Not Supported", "HTTP/1.1 expected"));
    }
    one(headers, "host")?;
    if !has_token(headers, "upgrade", "websocket") || !has_token(headers, "connection", "upgrade") {
        let why = "this is MQTT over WebSocket, and no page".into();
        return Err(Refusal("426 Upgrade Required", "Upgrade: websocket\r\n", why));
    }
    if one(headers, "sec-websocket-version")? != b"13" {
        let more = "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n";
        let why = "version 13 of WebSocket expected".into();
        return Err(Refusal("426 Upgrade Required", more, why));
    }
    let key = one(headers, "sec-websocket-key")?;
    if !STANDARD.decode(key).is_ok_and(|nonce| nonce.len() == 16) {
        return Err(bad("Sec-WebSocket-Key is not 16 bytes in base64"));
    }
    if let Some(origin) = values(headers, "origin").next()
        && !is_allowed(origin, &rules.origins)
    {
        let origin = String::from_utf8_lossy(origin);
        let why = format!("pages of {} may not connect here", origin.escape_debug());
        return Err(refuse("403 Forbidden", &why));
    }
    // [MQTT-6.0.0-4 v5] [MQTT-6.0.0-4 v3.1.1]
    let offered = |name: &&&str| has_token(headers, "sec-websocket-protocol", name);
    let Some(protocol) = PROTOCOLS.iter().find(offered) else {
        return Err(bad("the sub-protocol mqtt is not offered (Sec-WebSocket-Protocol)"));
    };
    let mut hash = Context::new(&SHA1_FOR_LEGACY_USE_ONLY);
    hash.update(key);
    hash.update(PROOF);
    let proof = STANDARD.encode(hash.finish());
    // Extensions are offers: what is not answered is not used.
    let mut welcome = String::from("HTTP/1.1 101 Switching Protocols\r\n");
    write!(
        welcome,
        "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {proof}\r\n\
         Sec-WebSocket-Protocol: {protocol}\r\n\r\n"
    )
    .expect("writing to a String cannot fail");
    Ok(welcome.into_bytes())
}

/// Whether pages of an origin may connect.
fn is_allowed(origin: &[u8], origins: &[Box<str>]) -> bool {
    let same = |one: &str, other: &str| plain_origin(one).eq_ignore_ascii_case(plain_origin(other));
    let text = std::str::from_utf8(origin).unwrap_or_default();
    origins.is_empty() || origins.iter().any(|allowed| same(allowed, text))
}

/// An origin without the port that its scheme has anyway, and without what may end it.
fn plain_origin(origin: &str) -> &str {
    let origin = origin.strip_suffix('/').unwrap_or(origin);
    let port = match origin.split_once(':').map(|(scheme, _)| scheme) {
        Some(scheme) if scheme.eq_ignore_ascii_case("http") => ":80",
        Some(scheme) if scheme.eq_ignore_ascii_case("https") => ":443",
        Some(_) | None => return origin,
    };
    origin.strip_suffix(port).unwrap_or(origin)
}

/// The values of all lines of a name.
fn values<'h>(headers: &'h [httparse::Header<'h>], name: &str) -> impl Iterator<Item = &'h [u8]> {
    let named = headers.iter().filter(move |header| header.name.eq_ignore_ascii_case(name));
    named.map(|header| header.value.trim_ascii())
}

/// The value of a line that has to be there once.
fn one<'h>(headers: &'h [httparse::Header<'h>], name: &str) -> Result<&'h [u8], Refusal> {
    let mut values = values(headers, name);
    match (values.next(), values.next()) {
        (Some(value), None) if !value.is_empty() => Ok(value),
        (Some(_), None) => Err(bad(&format!("{name} is empty"))),
        (Some(_), Some(_)) => Err(bad(&format!("{name} stands there twice"))),
        (None, _) => Err(bad(&format!("{name} is missing"))),
    }
}

/// Whether a list has a word, in any line of this name and in any case of letters.
fn has_token(headers: &[httparse::Header<'_>], name: &str, token: &str) -> bool {
    values(headers, name)
        .flat_map(|list| list.split(|byte| *byte == b','))
        .any(|word| word.trim_ascii().eq_ignore_ascii_case(token.as_bytes()))
}
