//! What carries the bytes of a listener's clients.

use crate::net::ProxyVersion;

use super::value::{Value, integer};
use std::path::PathBuf;
use toml::de::DeValue;

/// The largest `websocket_header_max`.
pub(super) const HEADER_MAX_MOST: u64 = 32 * 1024;

/// How the bytes of MQTT come to a listener.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Transport {
    /// What is spoken.
    pub protocol: Protocol,
    /// Bytes of the request for a WebSocket, at most.
    pub websocket_header_max: u32,
    /// Origins of the pages that may connect; empty: any.
    pub websocket_origins: Vec<Box<str>>,
    /// The file of a Unix socket, instead of address and port.
    pub unix: Option<PathBuf>,
    /// The rights of that file.
    pub unix_mode: u32,
    /// The version of the PROXY protocol that all connections begin with; `None`: none.
    pub proxy_protocol: Option<ProxyVersion>,
    /// Clients have to speak TLS with the proxy.
    pub proxy_protocol_require_tls: bool,
    /// What the certificate says of a client that it has shown the proxy.
    pub proxy_protocol_user_name: ProxiedName,
}

/// What the certificate says of a client that it has shown a proxy.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ProxiedName {
    /// Nothing: it logs in as others do.
    Nothing,
    /// Its common name is the user name, and proof enough.
    CommonName,
}

/// What is spoken, within TLS or without.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Protocol {
    /// MQTT.
    Mqtt,
    /// MQTT over WebSocket.
    WebSocket,
    /// No MQTT: counts, listeners and version over HTTP, as mosquitto's `http_api` tells them.
    HttpApi,
}

impl Default for Transport {
    fn default() -> Transport {
        Transport {
            protocol: Protocol::Mqtt,
            websocket_header_max: 4096,
            websocket_origins: Vec::new(),
            unix: None,
            unix_mode: 0o660,
            proxy_protocol: None,
            proxy_protocol_require_tls: false,
            proxy_protocol_user_name: ProxiedName::Nothing,
        }
    }
}

impl Transport {
    /// Which option is of no use beside the others, and why.
    pub(super) fn fault(&self) -> Option<(&'static str, &'static str)> {
        let usual = Transport::default();
        if self.unix.is_none() && self.unix_mode != usual.unix_mode {
            return Some(("unix_mode", "is for a Unix socket: name its file (`unix`) too"));
        }
        if self.unix.is_some() && !cfg!(unix) {
            return Some(("unix", "is for Unix systems alone: say `bind` and `port`"));
        }
        let only = "is for proxy_protocol = \"v2\": say that too, or leave this out";
        if self.proxy_protocol != Some(ProxyVersion::V2) {
            if self.proxy_protocol_require_tls {
                return Some(("proxy_protocol_require_tls", only));
            }
            if self.proxy_protocol_user_name != ProxiedName::Nothing {
                return Some(("proxy_protocol_user_name", only));
            }
        }
        if self.protocol == Protocol::HttpApi {
            let what = "is not for protocol = \"http_api\": leave one of them out";
            for (option, said) in
                [("unix", self.unix.is_some()), ("proxy_protocol", self.proxy_protocol.is_some())]
            {
                if said {
                    return Some((option, what));
                }
            }
        }
        let why = "is for protocol = \"websocket\": say that too, or leave this out";
        if self.protocol == Protocol::WebSocket {
            return None;
        }
        if self.websocket_header_max != usual.websocket_header_max {
            return Some(("websocket_header_max", why));
        }
        (!self.websocket_origins.is_empty()).then_some(("websocket_origins", why))
    }
}

/// The rights of a file, in octal digits.
pub(super) fn mode(slot: &mut u32) -> Box<dyn Value + '_> {
    struct Mode<'a>(&'a mut u32);
    impl Value for Mode<'_> {
        fn show(&self) -> Option<String> {
            Some(format!("\"{:04o}\"", self.0))
        }
        fn set(&mut self, value: &DeValue<'_>) -> Result<(), String> {
            let of_text = |text: &str| u32::from_str_radix(text, 8).ok();
            // A decimal number would look like what it is not.
            let octal = value.as_integer().is_some_and(|it| it.radix() == 8);
            let of_number = || integer(value).filter(|_| octal)?.try_into().ok();
            let mode = value.as_str().map_or_else(of_number, of_text);
            let wanted = "the rights of a file in octal digits expected, like \"0660\"";
            *self.0 = mode.filter(|mode| *mode <= 0o777).ok_or(wanted)?;
            Ok(())
        }
    }
    Box::new(Mode(slot))
}

/// Whether text is the origin of a page.
pub(super) fn check_origin(text: &str) -> Result<(), String> {
    let wanted = "the origin of a page expected, like \"https://example.com\": scheme and host, \
                  and the port if it is not the usual one";
    if text == "null" {
        return Ok(());
    }
    let (scheme, host) = text.split_once("://").ok_or(wanted)?;
    let host = host.strip_suffix('/').unwrap_or(host);
    let clean = |text: &str| {
        !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic() && !b"/?#@\"\\".contains(&b))
    };
    if clean(scheme) && clean(host) { Ok(()) } else { Err(wanted.into()) }
}

#[cfg(test)]
mod tests {
    use crate::config::{Config, Protocol, show};

    #[test]
    fn a_listener_of_websocket_says_what_it_asks_of_requests() {
        let text = "[[listener]]\nprotocol = \"websocket\"\nwebsocket_header_max = \"8 KiB\"\n\
                    websocket_origins = [\"https://example.com\", \"null\"]\ndurability = \"fsync\"\n\
                    proxy_protocol = \"v2\"\nproxy_protocol_require_tls = true\n\
                    proxy_protocol_user_name = \"common_name\"\n";
        let config = Config::parse("f", text).unwrap();
        let transport = &config.listeners[0].transport;
        assert_eq!(transport.protocol, Protocol::WebSocket);
        assert_eq!(transport.websocket_header_max, 8192);
        assert_eq!(transport.websocket_origins, ["https://example.com".into(), "null".into()]);
        let mut again = Config::parse("shown", &show(&config)).unwrap();
        again.durability.data.clone_from(&config.durability.data);
        assert_eq!(again, config);
    }

    #[test]
    #[cfg(unix)]
    fn a_unix_socket_is_a_file_with_rights_and_has_no_port() {
        for (mode, value) in
            [("", 0o660), ("unix_mode = \"0600\"", 0o600), ("unix_mode = 0o777", 0o777)]
        {
            let text =
                format!("[[listener]]\nunix = \"/run/n.sock\"\ndurability = \"fsync\"\n{mode}\n");
            let config = Config::parse("f", &text).unwrap();
            let listener = &config.listeners[0];
            assert_eq!(listener.transport.unix.as_deref(), Some("/run/n.sock".as_ref()));
            assert_eq!(listener.transport.unix_mode, value);
            assert!(listener.allow_anonymous && listener.address.port() == 0);
            assert_eq!(listener.place(), "unix:/run/n.sock");
            let mut again = Config::parse("shown", &show(&config)).unwrap();
            again.durability.data.clone_from(&config.durability.data);
            assert_eq!(again, config);
        }
        for (text, wrong) in [
            ("unix_mode = \"0600\"", "is for a Unix socket"),
            ("unix = \"/a\"\nunix_mode = 660", "octal digits"),
            ("unix = \"/a\"\nunix_mode = \"1777\"", "octal digits"),
            ("unix = \"/a\"\nport = 1884", "listener.port: is of no use beside `unix`"),
            ("unix = \"/a\"\nbind = \"::1\"", "listener.bind: is of no use beside `unix`"),
            ("unix = \"/a\"\n[[listener]]\nunix = \"/a\"", "another listener is at unix:/a"),
        ] {
            let text = format!("[[listener]]\n{text}\n");
            let error = Config::parse("f", &text).unwrap_err().to_string();
            assert!(error.contains(wrong), "{text}: {error}");
        }
    }

    #[test]
    fn options_of_another_protocol_and_origins_that_are_none_are_wrong() {
        for (text, wrong) in [
            ("proxy_protocol = \"v3\"", "must be \"v1\" or \"v2\""),
            (
                "proxy_protocol = \"v1\"\nproxy_protocol_require_tls = true",
                "is for proxy_protocol = \"v2\"",
            ),
            (
                "proxy_protocol_user_name = \"common_name\"",
                "proxy_protocol_user_name: is for proxy_protocol = \"v2\"",
            ),
            ("protocol = \"http\"", "must be \"mqtt\", \"websocket\" or \"http_api\""),
            ("protocol = \"http_api\"\nunix = \"/a\"", "is not for protocol = \"http_api\""),
            ("protocol = \"http_api\"\nproxy_protocol = \"v1\"", "listener.proxy_protocol: is not"),
            (
                "protocol = \"http_api\"\n[listener.tls]\ncertificate = \"c\"\nkey = \"k\"",
                "listener.tls: is not for protocol = \"http_api\"",
            ),
            ("websocket_header_max = 5000", "is for protocol = \"websocket\""),
            ("websocket_origins = [\"http://a\"]", "is for protocol = \"websocket\""),
            ("websocket_header_max = 100", "must lie between 256 and 32768"),
            ("websocket_origins = [\"example.com\"]", "the origin of a page expected"),
            ("websocket_origins = [\"http://a/page\"]", "the origin of a page expected"),
        ] {
            let text = format!("[[listener]]\n{text}\n");
            let error = Config::parse("f", &text).unwrap_err().to_string();
            assert!(error.contains(wrong), "{text}: {error}");
        }
    }
}
