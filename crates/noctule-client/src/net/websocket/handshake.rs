//! The request for a WebSocket and its answer [RFC 6455, 4].

use super::{Stream, WebSocket, WebSocketError};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use noctule_proto::websocket::PROOF;
use sha1::{Digest, Sha1};
use std::io::{self, ErrorKind};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// The longest answer that is read, in bytes.
const ANSWER_MAX: usize = 16 * 1024;
const HEADERS_MAX: usize = 64;
/// Headers that make the request what it is.
const OURS: [&str; 6] = [
    "host",
    "upgrade",
    "connection",
    "sec-websocket-key",
    "sec-websocket-version",
    "sec-websocket-protocol",
];

/// Sends the request and reads the answer; answers what has already come behind it.
pub(super) async fn shake(
    ask: &WebSocket,
    stream: &mut Stream,
    authority: &str,
) -> Result<Vec<u8>, WebSocketError> {
    let mut nonce = [0; 16];
    getrandom::fill(&mut nonce).map_err(|error| WebSocketError::Io(io::Error::other(error)))?;
    let key = STANDARD.encode(nonce);
    let request = request(ask, authority, &key)?;
    stream.write_all(request.as_bytes()).await.map_err(WebSocketError::Io)?;
    stream.flush().await.map_err(WebSocketError::Io)?;
    let mut answer = Vec::new();
    loop {
        let mut chunk = [0; 2048];
        let len = stream.read(&mut chunk).await.map_err(WebSocketError::Io)?;
        if len == 0 {
            return Err(WebSocketError::Io(ErrorKind::UnexpectedEof.into()));
        }
        answer.extend_from_slice(&chunk[..len]);
        if let Some(end) = check(&answer, &key)? {
            return Ok(answer.split_off(end));
        }
        if answer.len() > ANSWER_MAX {
            return Err(WebSocketError::NotHttp);
        }
    }
}

fn request(ask: &WebSocket, authority: &str, key: &str) -> Result<String, WebSocketError> {
    let bad = |what: String| Err(WebSocketError::BadRequest(what));
    let path = &ask.path;
    if !path.starts_with('/') || !path.bytes().all(|byte| byte.is_ascii_graphic()) {
        return bad(format!("the path {path:?}"));
    }
    if !authority.bytes().all(|byte| byte.is_ascii_graphic()) {
        return bad(format!("the host {authority:?}"));
    }
    // A server may refuse a client that does not offer `mqtt` [MQTT-6.0.0-3 v5]
    // [MQTT-6.0.0-3 v3.1.1].
    let mut request = format!(
        "GET {path} HTTP/1.1\r\nHost: {authority}\r\nUpgrade: websocket\r\n\
         Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Protocol: mqtt\r\n"
    );
    for (name, value) in &ask.headers {
        let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        if name.is_empty() || !name.bytes().all(token) {
            return bad(format!("the header name {name:?}"));
        }
        if OURS.iter().any(|ours| name.eq_ignore_ascii_case(ours)) {
            return bad(format!("another header {name}"));
        }
        if value.chars().any(char::is_control) {
            return bad(format!("a control character in the header {name}"));
        }
        request.extend([name, ": ", value, "\r\n"]);
    }
    request.push_str("\r\n");
    Ok(request)
}

/// The end of the answer, once it is whole and good.
fn check(answer: &[u8], key: &str) -> Result<Option<usize>, WebSocketError> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut head = httparse::Response::new(&mut headers);
    let end = match head.parse(answer) {
        Ok(httparse::Status::Complete(end)) => end,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(_) => return Err(WebSocketError::NotHttp),
    };
    let code = head.code.unwrap_or_default();
    if code != 101 {
        let reason = head.reason.unwrap_or_default().to_owned();
        return Err(WebSocketError::Status { code, reason });
    }
    if !has_token(head.headers, "upgrade", "websocket") {
        return Err(WebSocketError::BadAnswer("Upgrade"));
    }
    if !has_token(head.headers, "connection", "upgrade") {
        return Err(WebSocketError::BadAnswer("Connection"));
    }
    let proof = STANDARD.encode(Sha1::new().chain_update(key).chain_update(PROOF).finalize());
    if value_of(head.headers, "sec-websocket-accept") != Some(proof.as_bytes()) {
        return Err(WebSocketError::BadAnswer("Sec-WebSocket-Accept"));
    }
    // We have asked for none, so it must not speak any.
    if value_of(head.headers, "sec-websocket-extensions").is_some_and(|value| !value.is_empty()) {
        return Err(WebSocketError::BadAnswer("Sec-WebSocket-Extensions"));
    }
    match value_of(head.headers, "sec-websocket-protocol") {
        Some(b"mqtt") => Ok(Some(end)),
        other => {
            let chosen = other.map(|name| String::from_utf8_lossy(name).into_owned());
            Err(WebSocketError::NoSubprotocol(chosen))
        }
    }
}

/// The value of the first header of this name.
fn value_of<'a>(headers: &[httparse::Header<'a>], name: &str) -> Option<&'a [u8]> {
    let header = headers.iter().find(|header| header.name.eq_ignore_ascii_case(name))?;
    Some(header.value.trim_ascii())
}

/// Whether a list holds the token, in any header of this name and in any case of letters.
fn has_token(headers: &[httparse::Header<'_>], name: &str, token: &str) -> bool {
    let lists = headers.iter().filter(|header| header.name.eq_ignore_ascii_case(name));
    lists
        .flat_map(|header| header.value.split(|byte| *byte == b','))
        .any(|word| word.trim_ascii().eq_ignore_ascii_case(token.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The key and its proof in RFC 6455, 1.3.
    const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

    fn answer(change: impl Fn(&str) -> String) -> Result<Option<usize>, WebSocketError> {
        let good = "HTTP/1.1 101 Switching Protocols\r\nUPGRADE: WebSocket\r\n\
                    Connection: keep-alive, Upgrade\r\n\
                    Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\
                    Sec-WebSocket-Protocol: mqtt\r\n\r\n";
        check(change(good).as_bytes(), KEY)
    }

    #[test]
    fn an_answer_must_be_whole_and_prove_that_it_is_ours() {
        let end = answer(str::to_owned).expect("good").expect("whole");
        let also = answer(|good| format!("{good}\u{2}xx")).expect("good").expect("whole");
        assert_eq!(end, also);
        assert!(answer(|good| good[..good.len() - 1].to_owned()).expect("good").is_none());
        for (from, to, header) in [
            ("s3pP", "s3pQ", "Sec-WebSocket-Accept"),
            ("Sec-WebSocket-Accept", "X", "Sec-WebSocket-Accept"),
            ("UPGRADE", "X", "Upgrade"),
            ("WebSocket\r\n", "h2c\r\n", "Upgrade"),
            ("keep-alive, Upgrade", "keep-alive", "Connection"),
            ("Sec-WebSocket-P", "Sec-WebSocket-Extensions: x\r\nSec-WebSocket-P", "Extensions"),
        ] {
            match answer(|good| good.replace(from, to)) {
                Err(WebSocketError::BadAnswer(wrong)) => assert!(wrong.ends_with(header)),
                other => panic!("{from}: {other:?}"),
            }
        }
    }

    #[test]
    fn what_is_no_grant_is_told_by_status_and_subprotocol() {
        let status = answer(|good| good.replace("101 Switching Protocols", "404 Not Found"));
        let text = status.expect_err("a refusal").to_string();
        assert_eq!(text, "the server grants no WebSocket: HTTP status 404 Not Found");
        let other = answer(|good| good.replace("l: mqtt", "l: mqttv3.1"));
        assert!(matches!(other, Err(WebSocketError::NoSubprotocol(Some(name)))
            if name == "mqttv3.1"));
        let none = answer(|good| good.replace("Sec-WebSocket-Protocol", "X"));
        assert!(matches!(none, Err(WebSocketError::NoSubprotocol(None))));
        assert!(matches!(check(b"\x20\x02\0\0", KEY), Err(WebSocketError::NotHttp)));
    }

    /// `[MQTT-6.0.0-3 v5]` `[MQTT-6.0.0-3 v3.1.1]`
    #[test]
    fn a_request_cannot_be_made_to_say_more_than_one_header() {
        let ask = WebSocket::new("/mqtt?a=b").header("X-Token", "ä b");
        let text = request(&ask, "h:80", KEY).expect("good");
        assert!(text.starts_with("GET /mqtt?a=b HTTP/1.1\r\nHost: h:80\r\n"));
        assert!(text.contains("\r\nSec-WebSocket-Protocol: mqtt\r\n"));
        assert!(text.ends_with("\r\nX-Token: ä b\r\n\r\n"));
        assert!(!format!("{ask:?}").contains("ä b"));
        for bad in [
            WebSocket::new("mqtt"),
            WebSocket::new("/ HTTP/1.1\r\nX: y"),
            WebSocket::new("/").header("X: y\r\nZ", "v"),
            WebSocket::new("/").header("", "v"),
            WebSocket::new("/").header("X", "v\r\nZ: w"),
            WebSocket::new("/").header("HOST", "other"),
        ] {
            let refused = request(&bad, "h:80", KEY);
            assert!(matches!(refused, Err(WebSocketError::BadRequest(_))), "{bad:?}");
        }
        assert!(request(&WebSocket::new("/"), "h x", KEY).is_err());
    }
}
