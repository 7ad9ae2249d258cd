//! Addresses as people write them: `host:port`, or a URL.

use super::endpoint::Endpoint;
use super::failure::Missing;
use super::tls::Tls;
use super::websocket::WebSocket;
use std::fmt;
use std::net::Ipv6Addr;
use std::str::FromStr;

/// The port of MQTT over TCP.
const MQTT_PORT: u16 = 1883;
/// The port of MQTT over TLS.
const MQTTS_PORT: u16 = 8883;
/// The port of HTTP.
const WS_PORT: u16 = 80;
/// The port of HTTPS.
const WSS_PORT: u16 = 443;

/// What an address says.
#[derive(Clone)]
pub struct Address {
    /// The server and the way to it.
    pub endpoint: Endpoint,
    /// The user name, if there is one.
    pub user_name: Option<String>,
    /// The password, if there is one.
    pub password: Option<Vec<u8>>,
    /// What follows the host of an `mqtt` or `mqtts` URL: a topic name or filter.
    pub topic: Option<String>,
}

/// What is wrong with an address.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum AddressError {
    /// A part of it cannot be understood.
    Part {
        /// Which part.
        part: AddressPart,
        /// What is wrong with it.
        why: &'static str,
    },
    /// It needs what this build is without.
    Missing(Missing),
}

/// A part of an address.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs, reason = "the names say all")]
pub enum AddressPart {
    Scheme,
    UserName,
    Password,
    Host,
    Port,
    Path,
    Topic,
}

/// What a percent sign means.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Percent {
    /// It begins the two digits of a byte, as in every URL.
    Escape,
    /// Itself.
    Verbatim,
}

impl Address {
    /// Parses `host`, `host:port`, `[address]:port`, or a URL:
    ///
    /// | URL | default port |
    /// |---|---|
    /// | `mqtt://[user[:password]@]host[:port][/topic]` | 1883 |
    /// | `mqtts://` in the same form: over TLS, with the system's roots | 8883 |
    /// | `ws://[user[:password]@]host[:port][/path]`, the path is `/mqtt` if absent | 80 |
    /// | `wss://` in the same form: over TLS, with the system's roots | 443 |
    /// | `unix:///path` | |
    ///
    /// User name, password, topic and the path of a socket may hold `%41` for any byte. A topic
    /// is all that follows the slash, `?` and `#` too.
    ///
    /// ```
    /// use noctule_client::net::Address;
    ///
    /// let address = Address::parse("mqtt://kitchen:s%40lt@localhost/home/#")?;
    /// assert_eq!(address.endpoint.to_string(), "mqtt://localhost:1883");
    /// assert_eq!(address.password.as_deref(), Some(&b"s@lt"[..]));
    /// assert_eq!(address.topic.as_deref(), Some("home/#"));
    /// # Ok::<(), noctule_client::net::AddressError>(())
    /// ```
    pub fn parse(text: &str) -> Result<Address, AddressError> {
        Address::parse_as(text, Percent::Escape)
    }

    /// As [`parse`](Self::parse), but a percent sign stands for itself, as in what mosquitto's
    /// tools take with `-L`.
    pub fn parse_verbatim(text: &str) -> Result<Address, AddressError> {
        Address::parse_as(text, Percent::Verbatim)
    }

    fn parse_as(text: &str, percent: Percent) -> Result<Address, AddressError> {
        let Some((scheme, rest)) = text.split_once("://") else {
            let (name, port) = host_and_port(text)?;
            return Ok(Address::of(Endpoint::tcp(name, port.unwrap_or(MQTT_PORT))));
        };
        match scheme.to_ascii_lowercase().as_str() {
            "mqtt" => Address::of_mqtt(rest, MQTT_PORT, percent),
            "mqtts" => {
                let mut address = Address::of_mqtt(rest, MQTTS_PORT, percent)?;
                address.endpoint.tls = Some(Tls::by_scheme()?);
                Ok(address)
            }
            "ws" => Address::of_websocket(rest, WS_PORT, percent),
            "wss" => {
                let mut address = Address::of_websocket(rest, WSS_PORT, percent)?;
                address.endpoint.tls = Some(Tls::by_scheme()?);
                Ok(address)
            }
            "unix" => Address::of_unix(rest, percent),
            _ => Err(wrong(AddressPart::Scheme, "is none of mqtt, mqtts, ws, wss, unix")),
        }
    }

    fn of(endpoint: Endpoint) -> Address {
        Address { endpoint, user_name: None, password: None, topic: None }
    }

    fn of_mqtt(rest: &str, default_port: u16, percent: Percent) -> Result<Address, AddressError> {
        let (authority, topic) = match rest.split_once('/') {
            Some((authority, topic)) => (authority, Some(topic)),
            None => (rest, None),
        };
        let mut address = Address::of_authority(authority, default_port, percent)?;
        address.topic = match topic {
            None | Some("") => None,
            Some(topic) => Some(text_of(topic, AddressPart::Topic, percent)?),
        };
        Ok(address)
    }

    fn of_websocket(
        rest: &str,
        default_port: u16,
        percent: Percent,
    ) -> Result<Address, AddressError> {
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        let mut address = Address::of_authority(authority, default_port, percent)?;
        // The server sees the path as it is written, but never what follows a `#`.
        let path = path.split('#').next().unwrap_or_default();
        if !path.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(wrong(AddressPart::Path, "holds a character that needs a % escape"));
        }
        let path = match path.as_bytes().first() {
            None => "/mqtt".to_owned(),
            Some(b'/') => path.to_owned(),
            Some(_) => format!("/mqtt{path}"),
        };
        address.endpoint.websocket = Some(WebSocket::by_scheme(&path)?);
        Ok(address)
    }

    fn of_unix(rest: &str, percent: Percent) -> Result<Address, AddressError> {
        if !rest.starts_with('/') {
            let why = "names a machine, but a socket is on this one: write unix:///path";
            return Err(wrong(AddressPart::Host, why));
        }
        let path = text_of(rest, AddressPart::Path, percent)?;
        if path.contains('\0') || path == "/" {
            return Err(wrong(AddressPart::Path, "is not the path of a socket"));
        }
        Ok(Address::of(Endpoint::unix(path)))
    }

    /// The part between the scheme and the first slash.
    fn of_authority(text: &str, default: u16, percent: Percent) -> Result<Address, AddressError> {
        let (user, host) = match text.rsplit_once('@') {
            Some((user, host)) => (Some(user), host),
            None => (None, text),
        };
        let (name, port) = host_and_port(host)?;
        let mut address = Address::of(Endpoint::tcp(name, port.unwrap_or(default)));
        if let Some(user) = user {
            let (user, password) = match user.split_once(':') {
                Some((user, password)) => (user, Some(password)),
                None => (user, None),
            };
            address.user_name = Some(text_of(user, AddressPart::UserName, percent)?);
            address.password = password
                .map(|password| bytes_of(password, AddressPart::Password, percent))
                .transpose()?;
        }
        Ok(address)
    }
}

/// Splits `host`, `host:port`, `[address]`, `[address]:port` and a bare IPv6 address.
pub(super) fn host_and_port(text: &str) -> Result<(String, Option<u16>), AddressError> {
    if text.parse::<Ipv6Addr>().is_ok() {
        return Ok((text.to_owned(), None));
    }
    let (host, port) = if let Some(rest) = text.strip_prefix('[') {
        let unclosed = wrong(AddressPart::Host, "opens a bracket that is not closed");
        let (host, rest) = rest.split_once(']').ok_or(unclosed)?;
        // A zone (fe80::1%eth0) is none of the address's business, and `%25` in a URL [RFC 6874].
        let (address, zone) = host.split_once('%').unwrap_or((host, ""));
        if address.parse::<Ipv6Addr>().is_err() {
            return Err(wrong(AddressPart::Host, "is no IPv6 address between its brackets"));
        }
        let zone = zone.strip_prefix("25").unwrap_or(zone);
        let host = if zone.is_empty() { address.into() } else { format!("{address}%{zone}") };
        match rest.strip_prefix(':') {
            Some(port) => (host, Some(port)),
            None if rest.is_empty() => (host, None),
            None => return Err(wrong(AddressPart::Host, "is followed by more than a port")),
        }
    } else {
        match text.split_once(':') {
            Some((host, port)) => (host.to_owned(), Some(port)),
            None => (text.to_owned(), None),
        }
    };
    if host.is_empty() {
        return Err(wrong(AddressPart::Host, "is empty"));
    }
    if host.chars().any(|c| c.is_whitespace() || c.is_control() || "/?#@\\[]<>\"".contains(c)) {
        return Err(wrong(AddressPart::Host, "holds a character that no host name has"));
    }
    Ok((host, port.map(port_of).transpose()?))
}

fn port_of(text: &str) -> Result<u16, AddressError> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let port = if digits { text.parse().ok().filter(|port| *port > 0) } else { None };
    port.ok_or(wrong(AddressPart::Port, "is no number from 1 to 65535"))
}

fn text_of(text: &str, part: AddressPart, percent: Percent) -> Result<String, AddressError> {
    let bytes = bytes_of(text, part, percent)?;
    String::from_utf8(bytes).map_err(|_| wrong(part, "is no UTF-8 once its escapes are undone"))
}

fn bytes_of(text: &str, part: AddressPart, percent: Percent) -> Result<Vec<u8>, AddressError> {
    if percent == Percent::Verbatim {
        return Ok(text.as_bytes().to_vec());
    }
    unescape(text).ok_or(wrong(part, "has a % without two hexadecimal digits (write %25 for %)"))
}

/// Undoes percent-encoding [RFC 3986, 2.1]; `None` where a `%` begins no byte.
pub(super) fn unescape(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let mut bytes = text.bytes();
    let mut plain = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let (high, low) = (digit(bytes.next()?)?, digit(bytes.next()?)?);
            plain.push(high << 4 | low);
        } else {
            plain.push(byte);
        }
    }
    Some(plain)
}

fn wrong(part: AddressPart, why: &'static str) -> AddressError {
    AddressError::Part { part, why }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Address, AddressError> {
        Address::parse(text)
    }
}

/// Without the password.
impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Address")
            .field("endpoint", &self.endpoint)
            .field("user_name", &self.user_name)
            .field("password", &self.password.as_ref().map(|_| "..."))
            .field("topic", &self.topic)
            .finish()
    }
}

/// Without the address: it may hold a password.
impl fmt::Display for AddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AddressError::Part { part, why } => write!(f, "{part} of the address {why}"),
            AddressError::Missing(missing) => missing.fmt(f),
        }
    }
}

impl fmt::Display for AddressPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            AddressPart::Scheme => "the scheme",
            AddressPart::UserName => "the user name",
            AddressPart::Password => "the password",
            AddressPart::Host => "the host",
            AddressPart::Port => "the port",
            AddressPart::Path => "the path",
            AddressPart::Topic => "the topic",
        })
    }
}

impl std::error::Error for AddressError {}

impl From<Missing> for AddressError {
    fn from(missing: Missing) -> AddressError {
        AddressError::Missing(missing)
    }
}

#[cfg(test)]
mod tests {
    use super::super::endpoint::Host;
    use super::*;

    fn tcp(text: &str) -> (String, u16) {
        let address = Address::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        let Host::Tcp { name, port } = address.endpoint.host else { panic!("{text}: not TCP") };
        (name, port)
    }

    fn part(text: &str) -> AddressPart {
        match Address::parse(text) {
            Err(AddressError::Part { part, .. }) => part,
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn hosts_and_ports_come_in_several_forms() {
        for (text, name, port) in [
            ("localhost", "localhost", 1883),
            ("localhost:1", "localhost", 1),
            ("10.0.0.1:65535", "10.0.0.1", 65535),
            ("::1", "::1", 1883),
            ("[::1]", "::1", 1883),
            ("[::1]:1884", "::1", 1884),
            ("[fe80::1%25eth0]:1884", "fe80::1%eth0", 1884),
            ("[fe80::1%eth0]", "fe80::1%eth0", 1883),
            ("mqtt://h", "h", 1883),
            ("MQTT://h/", "h", 1883),
            ("mqtt://[::1]:7/t", "::1", 7),
            ("mqtt://u:p@h:9/t", "h", 9),
        ] {
            assert_eq!(tcp(text), (name.to_owned(), port), "{text}");
        }
    }

    #[cfg(feature = "tls")]
    #[test]
    fn schemes_choose_layers_and_default_ports() {
        for (text, shown) in [
            ("mqtts://h", "mqtts://h:8883"),
            ("mqtts://h:1", "mqtts://h:1"),
            ("unix:///run/m%20q.sock", "unix:///run/m q.sock"),
        ] {
            assert_eq!(Endpoint::parse(text).expect("good").to_string(), shown);
        }
    }

    #[cfg(all(feature = "tls", feature = "websocket"))]
    #[test]
    fn the_path_of_a_websocket_stays_as_it_is_written() {
        for (text, shown, path) in [
            ("ws://h", "ws://h:80", "/mqtt"),
            ("ws://h/", "ws://h:80", "/"),
            ("wss://u:p@h/a/b%20c?d=e#f", "wss://h:443", "/a/b%20c?d=e"),
            ("wss://h:1?token=x", "wss://h:1", "/mqtt?token=x"),
        ] {
            let endpoint = Endpoint::parse(text).expect("good");
            assert_eq!(endpoint.to_string(), shown);
            assert_eq!(endpoint.websocket.expect("frames").path(), path);
        }
        assert_eq!(part("ws://h/a b"), AddressPart::Path);
        assert_eq!(part("ws://h/a\r\nHost: x"), AddressPart::Path);
    }

    #[test]
    fn user_names_passwords_and_topics_are_unescaped_unless_asked_otherwise() {
        let text = "mqtt://a%40b:c%00:@%64@h/home/%23?x#y";
        let address = Address::parse(text).expect("good");
        assert_eq!(address.user_name.as_deref(), Some("a@b"));
        assert_eq!(address.password.as_deref(), Some(&b"c\0:@d"[..]));
        assert_eq!(address.topic.as_deref(), Some("home/#?x#y"));
        let address = Address::parse_verbatim(text).expect("good");
        assert_eq!(address.user_name.as_deref(), Some("a%40b"));
        assert_eq!(address.password.as_deref(), Some(&b"c%00:@%64"[..]));
        assert_eq!(address.topic.as_deref(), Some("home/%23?x#y"));
        let bare = Address::parse("mqtt://:@h").expect("good");
        assert_eq!((bare.user_name.as_deref(), bare.password), (Some(""), Some(Vec::new())));
        assert!(bare.topic.is_none());
        assert!(Address::parse("mqtt://user@h").expect("good").password.is_none());
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, wrong) in [
            ("http://h", AddressPart::Scheme),
            ("://h", AddressPart::Scheme),
            ("", AddressPart::Host),
            ("mqtt://", AddressPart::Host),
            ("mqtt://:1883", AddressPart::Host),
            ("[::1", AddressPart::Host),
            ("[::1]x", AddressPart::Host),
            ("[localhost]:1", AddressPart::Host),
            ("a b", AddressPart::Host),
            ("unix://host/path", AddressPart::Host),
            ("unix:///", AddressPart::Path),
            ("unix:///%00", AddressPart::Path),
            ("h:", AddressPart::Port),
            ("h:0", AddressPart::Port),
            ("h:+1", AddressPart::Port),
            ("h:65536", AddressPart::Port),
            ("h:1:2", AddressPart::Port),
            ("mqtt://%@h", AddressPart::UserName),
            ("mqtt://%ff@h", AddressPart::UserName),
            ("mqtt://u:%4@h", AddressPart::Password),
            ("mqtt://u:%g0@h", AddressPart::Password),
            ("mqtt://h/%", AddressPart::Topic),
        ] {
            assert_eq!(part(text), wrong, "{text}");
        }
    }

    #[test]
    fn no_password_is_shown() {
        let address = Address::parse("mqtt://user:secret@h").expect("good");
        assert!(!format!("{address:?} {}", address.endpoint).contains("secret"));
        let error = Address::parse("mqtt://user:secret%@h").expect_err("a bad escape");
        assert!(!format!("{error:?} {error}").contains("secret"));
    }
}
