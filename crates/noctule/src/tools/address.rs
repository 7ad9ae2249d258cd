//! Flags whose value is a URL: `-L` and `--proxy`.

use super::flags::{Misuse, Outcome};
use super::number::atoi;
use super::settings::{Proxy, Settings};
use super::topic;

const SCHEMES: [Scheme; 4] = [
    Scheme { name: b"mqtt://", tls: false, web_socket: false },
    Scheme { name: b"mqtts://", tls: true, web_socket: false },
    Scheme { name: b"ws://", tls: false, web_socket: true },
    Scheme { name: b"wss://", tls: true, web_socket: true },
];

const PROXY_SCHEME: &[u8] = b"socks5h://";
const PROXY_PORT: u16 = 1080;

struct Scheme {
    name: &'static [u8],
    tls: bool,
    web_socket: bool,
}

/// `-L`: scheme, user, password, host, port and topic in one.
pub(super) fn url(settings: &mut Settings, value: &[u8]) -> Outcome {
    let scheme = SCHEMES.iter().find(|scheme| {
        value.get(..scheme.name.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme.name))
    });
    let scheme = scheme.ok_or_else(|| Misuse::paragraph("Unsupported URL scheme."))?;
    settings.connection.port = Some(if scheme.tls { 8883 } else { 1883 });
    settings.security.system_roots |= scheme.tls;
    settings.connection.web_socket |= scheme.web_socket;
    let rest = &value[scheme.name.len()..];
    let Some((server, topic)) = split(rest, b'/') else {
        return Err(Misuse::line("Invalid URL for -L argument specified - topic missing."));
    };
    topic::add(settings, topic, "-L topic")?;
    let server = match split(server, b'@') {
        Some((user, server)) => {
            match split(user, b':') {
                Some((user, password)) => {
                    settings.connection.user_name = Some(user.to_vec());
                    settings.connection.password = Some(password.to_vec());
                }
                None => settings.connection.user_name = Some(user.to_vec()),
            }
            server
        }
        None => server,
    };
    let (host, port) = host_and_port(server);
    settings.connection.host = Some(host.to_vec());
    if let Some(port) = port {
        settings.connection.port = Some(atoi(port));
    }
    Ok(())
}

/// `--proxy`.
pub(super) fn proxy(settings: &mut Settings, value: &[u8]) -> Outcome {
    let quiet = settings.quiet;
    let wrong = |words: &[u8]| {
        if quiet { Misuse(Vec::new()) } else { Misuse::line(words) }
    };
    let Some(rest) = value.strip_prefix(PROXY_SCHEME) else {
        return Err(wrong(&[b"Unsupported proxy protocol: ", value].concat()));
    };
    let (user, server) = match split(rest, b'@') {
        Some((user, server)) => (Some(user), server),
        None => (None, rest),
    };
    let (user_name, password) = match user.map(|user| (user, split(user, b':'))) {
        None => (None, None),
        Some((user, None)) => (Some(user), None),
        // An empty name is refused without a word, as mosquitto's tools do.
        Some((_, Some((b"", _)))) => return Err(Misuse(Vec::new())),
        Some((_, Some((_, password)))) if password.contains(&b':') => {
            return Err(wrong(b"Username cannot contain ':'."));
        }
        Some((_, Some((user, password)))) => (Some(user), Some(password)),
    };
    let (host, port) = host_and_port(server);
    if host.is_empty() {
        return Err(wrong(b"Invalid proxy."));
    }
    let port = match port.map(atoi) {
        None => PROXY_PORT,
        Some(port) => match u16::try_from(port) {
            Ok(port @ 1..) => port,
            _ => return Err(wrong(format!("Invalid proxy port {port}").as_bytes())),
        },
    };
    let decode = |text: Option<&[u8]>| text.map(decode).transpose();
    settings.connection.proxy = Some(Proxy {
        host: host.to_vec(),
        port,
        user_name: decode(user_name)?,
        password: decode(password)?,
    });
    Ok(())
}

/// What stands before and behind the first such byte.
fn split(text: &[u8], at: u8) -> Option<(&[u8], &[u8])> {
    let place = text.iter().position(|byte| *byte == at)?;
    Some((&text[..place], &text[place + 1..]))
}

/// `host`, `host:port`, `[address]` or `[address]:port`.
fn host_and_port(server: &[u8]) -> (&[u8], Option<&[u8]>) {
    if let Some((address, behind)) = server.strip_prefix(b"[").and_then(|rest| split(rest, b']')) {
        return (address, behind.strip_prefix(b":").filter(|port| !port.is_empty()));
    }
    match split(server, b':') {
        Some((host, port)) => (host, Some(port).filter(|port| !port.is_empty())),
        None => (server, None),
    }
}

/// Undoes percent-encoding.
fn decode(text: &[u8]) -> Result<Vec<u8>, Misuse> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.iter();
    while let Some(byte) = rest.next() {
        if *byte != b'%' {
            decoded.push(*byte);
            continue;
        }
        let mut digit = || rest.next().and_then(|digit| char::from(*digit).to_digit(16));
        match (digit(), digit()) {
            (Some(high), Some(low)) => decoded.push((high * 16 + low) as u8),
            _ => return Err(Misuse(Vec::new())),
        }
    }
    Ok(decoded)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tools::Tool;

    fn settings() -> Settings {
        Settings::new(Tool::Pub)
    }

    #[test]
    fn a_url_says_where_and_as_whom() {
        for (text, host, port, user, topic) in [
            ("mqtt://h/t", "h", 1883, None, "t"),
            ("MQTT://h:99/a/b", "h", 99, None, "a/b"),
            ("mqtts://u:p@h/t", "h", 8883, Some(("u", Some("p"))), "t"),
            ("ws://u@h:70000/t", "h", 70000, Some(("u", None)), "t"),
            ("wss://[::1]:9001/t", "::1", 9001, None, "t"),
        ] {
            let mut settings = settings();
            assert_eq!(url(&mut settings, text.as_bytes()), Ok(()), "{text}");
            let connection = &settings.connection;
            assert_eq!(connection.host.as_deref(), Some(host.as_bytes()), "{text}");
            assert_eq!(connection.port, Some(port), "{text}");
            assert_eq!(settings.publish.topic.as_deref(), Some(topic), "{text}");
            let (name, password) = user.unzip();
            assert_eq!(connection.user_name.as_deref(), name.map(str::as_bytes), "{text}");
            assert_eq!(
                connection.password.as_deref(),
                password.flatten().map(str::as_bytes),
                "{text}"
            );
            assert_eq!(connection.web_socket, text.starts_with("ws"), "{text}");
            assert_eq!(settings.security.system_roots, text.contains("s://") && port != 70000);
        }
    }

    #[test]
    fn a_proxy_may_ask_for_a_user() {
        for (text, host, port, user, password) in [
            ("socks5h://h", "h", 1080, None, None),
            ("socks5h://h:9", "h", 9, None, None),
            ("socks5h://u@h", "h", 1080, Some("u"), None),
            ("socks5h://u%3a:p%40%25@[::1]:9", "::1", 9, Some("u:"), Some("p@%")),
        ] {
            let mut settings = settings();
            assert_eq!(proxy(&mut settings, text.as_bytes()), Ok(()), "{text}");
            let expected = Proxy {
                host: host.into(),
                port,
                user_name: user.map(Into::into),
                password: password.map(Into::into),
            };
            assert_eq!(settings.connection.proxy, Some(expected), "{text}");
        }
        for text in ["http://h", "socks5h://", "socks5h://a:b:c@h", "socks5h://a%4@h"] {
            assert!(proxy(&mut settings(), text.as_bytes()).is_err(), "{text}");
        }
    }
}
