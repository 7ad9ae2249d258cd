//! What a command line asks for.

use super::Tool;
use super::format::Format;
use super::property::Properties;
use noctule_client::{QoS, RetainHandling, Version};
use std::time::Duration;

/// Everything that flags and option files can say to one tool.
#[derive(Debug)]
pub(super) struct Settings {
    pub(super) tool: Tool,
    pub(super) connection: Connection,
    pub(super) security: Security,
    pub(super) will: Will,
    pub(super) properties: Properties,
    pub(super) publish: Publish,
    pub(super) receive: Receive,
    pub(super) output: Output,
    pub(super) qos: QoS,
    /// Print what is sent and received.
    pub(super) debug: bool,
    /// Print no errors; those of the command line itself are printed all the same.
    pub(super) quiet: bool,
}

/// Where to connect, and as whom.
#[derive(Debug)]
pub(super) struct Connection {
    /// A host name or address; the path of a socket where `port` is 0.
    pub(super) host: Option<Vec<u8>>,
    /// As it was given: that of a URL may be out of range.
    pub(super) port: Option<i32>,
    pub(super) service_record: bool,
    pub(super) bind_address: Option<Vec<u8>>,
    pub(super) web_socket: bool,
    pub(super) no_delay: bool,
    pub(super) proxy: Option<Proxy>,
    pub(super) client_id: Option<ClientId>,
    pub(super) user_name: Option<Vec<u8>>,
    pub(super) password: Option<Vec<u8>>,
    pub(super) version: Version,
    pub(super) keep_alive_secs: u16,
    pub(super) clean_session: bool,
    /// Seconds; `u32::MAX` is for ever.
    pub(super) session_expiry_secs: Option<u32>,
    pub(super) in_flight_max: u32,
}

/// How the client is called.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum ClientId {
    /// This.
    Whole(Vec<u8>),
    /// This, with the number of the process behind.
    Prefix(Vec<u8>),
}

/// A SOCKS5 proxy, which looks up the broker's name itself.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Proxy {
    pub(super) host: Vec<u8>,
    pub(super) port: u16,
    pub(super) user_name: Option<Vec<u8>>,
    pub(super) password: Option<Vec<u8>>,
}

/// Flags of TLS.
#[derive(Debug, Default)]
pub(super) struct Security {
    pub(super) ca_file: Option<Vec<u8>>,
    pub(super) ca_path: Option<Vec<u8>>,
    pub(super) certificate: Option<Vec<u8>>,
    pub(super) key: Option<Vec<u8>>,
    pub(super) key_form: Option<Vec<u8>>,
    pub(super) ciphers: Option<Vec<u8>>,
    pub(super) version: Option<Vec<u8>>,
    pub(super) alpn: Option<Vec<u8>>,
    pub(super) engine: Option<Vec<u8>>,
    pub(super) engine_password_sha1: Option<Vec<u8>>,
    pub(super) key_log: Option<Vec<u8>>,
    pub(super) shared_key: Option<Vec<u8>>,
    pub(super) shared_key_identity: Option<Vec<u8>>,
    pub(super) system_roots: bool,
    pub(super) insecure: bool,
    pub(super) off: bool,
}

/// The Will.
#[derive(Debug, Default)]
pub(super) struct Will {
    pub(super) topic: Option<String>,
    pub(super) payload: Option<Vec<u8>>,
    pub(super) qos: QoS,
    pub(super) retain: bool,
}

/// What is published, by `pub` and as a request by `rr`.
#[derive(Debug)]
pub(super) struct Publish {
    pub(super) topic: Option<String>,
    pub(super) response_topic: Option<String>,
    pub(super) content: Option<Content>,
    pub(super) retain: bool,
    pub(super) repeat: u32,
    pub(super) repeat_delay: Duration,
}

/// Where payloads come from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Content {
    Text(Vec<u8>),
    File(Vec<u8>),
    Nothing,
    StdinWhole,
    StdinLines,
}

/// What is subscribed to, and what is done with what comes.
#[derive(Debug, Default)]
pub(super) struct Receive {
    pub(super) topics: Vec<String>,
    pub(super) unsubscribe: Vec<String>,
    pub(super) filter_out: Vec<String>,
    pub(super) count: Option<u32>,
    pub(super) timeout_secs: Option<u32>,
    pub(super) exit_after_subscribing: bool,
    pub(super) skip_retained: bool,
    pub(super) retained_only: bool,
    pub(super) remove_retained: bool,
    pub(super) retain_as_published: bool,
    pub(super) retain_handling: RetainHandling,
    pub(super) message_rate: bool,
    pub(super) latency: bool,
}

/// How messages are printed.
#[derive(Debug)]
pub(super) struct Output {
    pub(super) format: Option<Format>,
    pub(super) verbose: bool,
    pub(super) end_of_line: bool,
    pub(super) pretty: bool,
    pub(super) watch: bool,
    /// Of 10,000 messages, how many are printed on average.
    pub(super) chance: u16,
}

impl Settings {
    /// What holds without any flag.
    pub(super) fn new(tool: Tool) -> Settings {
        Settings {
            tool,
            connection: Connection::new(tool),
            security: Security::default(),
            will: Will::default(),
            properties: Properties::default(),
            publish: Publish {
                topic: None,
                response_topic: None,
                content: None,
                retain: false,
                repeat: 1,
                repeat_delay: Duration::ZERO,
            },
            receive: Receive::default(),
            output: Output {
                format: None,
                verbose: false,
                end_of_line: true,
                pretty: false,
                watch: false,
                chance: 10_000,
            },
            qos: QoS::AtMostOnce,
            debug: false,
            quiet: false,
        }
    }
}

impl Connection {
    fn new(tool: Tool) -> Connection {
        Connection {
            host: None,
            port: None,
            service_record: false,
            bind_address: None,
            web_socket: false,
            no_delay: false,
            proxy: None,
            client_id: None,
            user_name: None,
            password: None,
            version: match tool {
                Tool::Pub | Tool::Sub => Version::V311,
                Tool::Rr => Version::V5,
            },
            keep_alive_secs: 60,
            clean_session: true,
            session_expiry_secs: None,
            in_flight_max: 20,
        }
    }
}
