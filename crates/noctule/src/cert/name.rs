//! Names in certificates: of servers, and of clients, which are names of files too.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// Letters of a host name, as DNS has it.
const HOST_LENGTH_MAX: usize = 253;
const LABEL_LENGTH_MAX: usize = 63;
/// Characters of a common name, as X.509 has it.
pub(super) const COMMON_NAME_LENGTH_MAX: usize = 64;
/// Bytes that file systems leave for a name, without its ending.
const FILE_STEM_BYTES_MAX: usize = 250;
/// Stems of files that are not a client's.
const TAKEN: [&str; 2] = [super::authority::STEM, super::leaf::SERVER_STEM];

/// A name by which clients reach a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ServerName {
    /// A host name in small letters; its first label may be `*`.
    Host(String),
    /// An address.
    Address(IpAddr),
}

impl FromStr for ServerName {
    type Err = String;

    fn from_str(text: &str) -> Result<ServerName, String> {
        let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
        if let Ok(address) = bare.parse() {
            return Ok(ServerName::Address(address));
        }
        let host = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
        check_host(&host)?;
        Ok(ServerName::Host(host))
    }
}

impl fmt::Display for ServerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ServerName::Host(host) => f.write_str(host),
            ServerName::Address(address) => address.fmt(f),
        }
    }
}

fn check_host(host: &str) -> Result<(), String> {
    let refuse = |why: &str| Err(format!("not a host name or an IP address: {why}"));
    if !host.is_ascii() {
        return refuse("write a name beyond ASCII as DNS has it, like xn--bcher-kva.example");
    }
    if host.contains([':', '/']) {
        return refuse("leave out mqtts://, port, zone and path");
    }
    if host.len() > HOST_LENGTH_MAX {
        return refuse("it is longer than 253 letters");
    }
    let wild = host.strip_prefix("*.");
    let labels: Vec<&str> = wild.unwrap_or(host).split('.').collect();
    for label in &labels {
        if label.is_empty() || label.len() > LABEL_LENGTH_MAX {
            return refuse("between dots stand 1 to 63 letters");
        }
        if label.contains('*') {
            return refuse("a * stands alone before the first dot, as in *.example.org");
        }
        let known = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        if !label.chars().all(known) || label.starts_with('-') || label.ends_with('-') {
            return refuse("it is made of letters, digits, dots, and hyphens between them");
        }
    }
    if wild.is_some() && labels.len() < 2 {
        return refuse("clients accept a * only before two names, as in *.example.org");
    }
    // Every client would take it for an address.
    if labels.last().is_some_and(|last| last.bytes().all(|byte| byte.is_ascii_digit())) {
        return refuse("an address of IPv4 has four numbers up to 255");
    }
    Ok(())
}

/// Names that hold for the machine that this runs on.
pub(super) fn of_this_machine() -> Vec<ServerName> {
    let mut names = vec![ServerName::Host("localhost".to_owned())];
    // Whatever else the machine calls itself, nobody reaches it by that.
    names.extend(machine().and_then(|name| name.parse().ok()));
    names.push(ServerName::Address(Ipv4Addr::LOCALHOST.into()));
    names.push(ServerName::Address(Ipv6Addr::LOCALHOST.into()));
    without_repetitions(&names)
}

#[cfg(unix)]
fn machine() -> Option<String> {
    rustix::system::uname().nodename().to_str().ok().map(str::to_owned)
}

#[cfg(not(unix))]
fn machine() -> Option<String> {
    std::env::var("COMPUTERNAME").ok()
}

/// The names in their order, each once.
pub(super) fn without_repetitions(names: &[ServerName]) -> Vec<ServerName> {
    let mut once: Vec<ServerName> = Vec::new();
    for name in names {
        if !once.contains(name) {
            once.push(name.clone());
        }
    }
    once
}

/// The name of a client: common name of its certificate, and stem of its files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ClientName(String);

impl ClientName {
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether some file system has one file for both.
    pub(super) fn same_file(&self, other: &ClientName) -> bool {
        self.0.to_lowercase() == other.0.to_lowercase()
    }
}

impl FromStr for ClientName {
    type Err = String;

    fn from_str(text: &str) -> Result<ClientName, String> {
        let refuse = |why: &str| Err(format!("not a name of files: {why}"));
        if text.is_empty() {
            return refuse("it is empty");
        }
        if text.contains(['/', '\\']) {
            return refuse("leave out / and \\; --dir says where the files go");
        }
        if text.starts_with('.') {
            return refuse("it starts with a dot");
        }
        if text.contains(char::is_control) {
            return refuse("it holds control characters");
        }
        if cfg!(windows) && text.contains(['<', '>', ':', '"', '|', '?', '*']) {
            return refuse("Windows allows no < > : \" | ? * in it");
        }
        if text.chars().count() > COMMON_NAME_LENGTH_MAX || text.len() > FILE_STEM_BYTES_MAX {
            return refuse("a certificate has room for 64 characters");
        }
        if TAKEN.iter().any(|taken| taken.eq_ignore_ascii_case(text)) {
            return refuse("these files are the CA's or the server's; choose another name");
        }
        Ok(ClientName(text.to_owned()))
    }
}

impl fmt::Display for ClientName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(text: &str) -> ServerName {
        ServerName::Host(text.to_owned())
    }

    #[test]
    fn hosts_wildcards_and_addresses_are_names_of_servers() {
        let long = ["a"; 32].join(".");
        for name in ["localhost", "a-1.example.org", "*.example.org", "my_box", long.as_str()] {
            assert_eq!(name.parse(), Ok(host(name)));
        }
        assert_eq!("Box.Example.ORG.".parse(), Ok(host("box.example.org")));
        let address = |text: &str| Ok(ServerName::Address(text.parse().unwrap()));
        assert_eq!("192.0.2.7".parse(), address("192.0.2.7"));
        assert_eq!("2001:DB8::1".parse(), address("2001:db8::1"));
        assert_eq!("[::1]".parse(), address("::1"));
    }

    #[test]
    fn what_no_client_would_accept_is_no_name_of_a_server() {
        let (long, longer) = ("a".repeat(64), ["ab"; 85].join("."));
        let refused = [
            ("", "between dots"),
            (".", "between dots"),
            ("a..b", "between dots"),
            (&long, "between dots"),
            (&longer, "253"),
            ("*", "alone before the first dot"),
            ("*.local", "before two names"),
            ("a*.example.org", "alone before the first dot"),
            ("a.*.example.org", "alone before the first dot"),
            ("-a.org", "hyphens"),
            ("a-.org", "hyphens"),
            ("a b", "hyphens"),
            ("a\u{7}", "hyphens"),
            ("bücher.example", "xn--"),
            ("localhost:8883", "port"),
            ("mqtts://localhost", "mqtts://"),
            ("fe80::1%eth0", "zone"),
            ("192.0.2.256", "four numbers"),
            ("192.0.2", "four numbers"),
        ];
        for (name, why) in refused {
            let error = name.parse::<ServerName>().unwrap_err();
            assert!(error.contains(why), "{name}: {error}");
        }
    }

    #[test]
    fn a_machine_has_its_loopback_names_once() {
        let names = of_this_machine();
        for name in ["localhost", "127.0.0.1", "::1"] {
            let name = name.parse().unwrap();
            assert_eq!(names.iter().filter(|other| **other == name).count(), 1, "{name}");
        }
    }

    #[test]
    fn clients_are_called_what_a_file_can_be_called() {
        for name in ["alice", "Sensor 7", "a.b", "-", "ärger", "ca2", &"é".repeat(64)] {
            assert_eq!(name.parse::<ClientName>().map(|name| name.0).as_deref(), Ok(name));
        }
        let long = "a".repeat(65);
        let wide = "\u{1F987}".repeat(63);
        for name in ["", ".", "..", ".a", "a/b", "/", "a\\b", "a\0", "a\nb", "CA", "ca", "Server"] {
            assert!(name.parse::<ClientName>().is_err(), "{name:?}");
        }
        assert!(long.parse::<ClientName>().is_err() && wide.parse::<ClientName>().is_err());
    }
}
