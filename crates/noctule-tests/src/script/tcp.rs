//! A server behind TCP, in this process; its clients speak TLS or WebSocket if they are told to.

use super::connect::connect;
use super::line::{self, Line};
use super::transport::{Arrival, Patience, Transport};
use crate::node::Node;
use noctule_core::grant::Policies;
use noctule_core::limits::ListenerLimits;
use noctule_core::{Limits, ShardId, Tenant};
use noctule_proto::Version;
use noctule_server::auth::Verifier;
use noctule_server::config::{Listener, Protocol};
use noctule_server::{Config, Handle, Server};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::num::NonZeroU16;
use std::time::Duration;

/// How long a script waits for what has to come.
const LONG: Duration = Duration::from_secs(10);

/// Turns of all shards after which everything has had its effect: a packet moves its connection
/// home, is routed to a share group, by it to a member, and comes back as an acknowledgement.
const ROUNDS: usize = 5;

/// How the clients of a script talk to their server.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Security {
    /// In plain bytes.
    Plain,
    /// Over TLS.
    Tls,
    /// In plain bytes, in frames of WebSocket.
    WebSocket,
}

/// A server and connections to it.
#[derive(Debug)]
pub struct Tcp {
    lines: Vec<Option<Line>>,
    /// Who wrote last: nobody else does anything until that has had its effect.
    writer: Option<usize>,
    /// One connection at home on each shard, which asks that shard for a turn.
    probes: Vec<TcpStream>,
    /// Where the lines go, by listener.
    addresses: Vec<SocketAddr>,
    security: Security,
    server: Handle,
}

impl Tcp {
    /// A server of so many shards, on a port the system chooses. With `accounts`, only they may
    /// come in.
    #[must_use]
    pub fn new(
        shards: u16,
        (limits, policies): (&Limits, &Policies),
        accounts: &[(String, String)],
        security: Security,
    ) -> Tcp {
        let mut config = Config::for_tests();
        config.shards = NonZeroU16::new(shards);
        config.sys_interval_secs = 0;
        config.admin.enabled = false;
        config.limits = limits.clone();
        config.policies = policies.clone();
        config.listeners[0].allow_anonymous = accounts.is_empty();
        for (user_name, password) in accounts {
            let verifier = Verifier::from_password(password, 4096, b"of the sea");
            config.users.insert(user_name.as_str().into(), verifier);
        }
        // The first is for the probes, the others are those of the script.
        let plain = config.listeners[0].clone();
        let tls = (security == Security::Tls).then(line::server_options);
        let own = match limits.listeners.as_slice() {
            [] => &[ListenerLimits::default()],
            own => own,
        };
        for own in own {
            let mut listener = Listener { limits: own.clone(), tls: tls.clone(), ..plain.clone() };
            if security == Security::WebSocket {
                listener.transport.protocol = Protocol::WebSocket;
            }
            config.listeners.push(listener);
        }
        let server = Server::start(config).expect("a loopback port can be had");
        let addresses = server.addresses()[1..].to_vec();
        let (lines, probes) = (Vec::new(), Vec::new());
        let mut tcp = Tcp { lines, writer: None, probes, addresses, security, server };
        tcp.probes = (0..shards).map(|shard| tcp.probe(ShardId(shard), accounts.first())).collect();
        tcp
    }

    fn connect(&self, address: SocketAddr) -> TcpStream {
        let stream = TcpStream::connect(address).expect("the server listens");
        stream.set_nodelay(true).expect("a TCP option");
        stream.set_read_timeout(Some(LONG)).expect("a TCP option");
        stream
    }

    /// A client whose home is this shard: were a shard without one, nobody would wait for it.
    fn probe(&self, shard: ShardId, account: Option<&(String, String)>) -> TcpStream {
        let mut stream = self.connect(self.server.addresses()[0]);
        let at_home = |id: &String| self.server.home_of(Tenant(0), id) == shard;
        let id = (0u32..).map(|number| format!("probe-{number}")).find(at_home);
        let mut hello = connect(&id.expect("every shard is home to somebody"));
        if let Some((user_name, password)) = account {
            hello = hello.user_name(user_name.as_bytes()).password(password.as_bytes());
        }
        stream.write_all(&hello.encode(Version::V311)).expect("the server reads");
        let mut answer = [0; 4];
        stream.read_exact(&mut answer).expect("the server accepts a probe");
        assert_eq!(answer, [0x20, 2, 0, 0], "a probe is accepted");
        stream
    }

    /// Another line than the last writer acts: what was written before comes first.
    fn turn_of(&mut self, line: usize) {
        if self.writer.is_some_and(|writer| writer != line) {
            self.settle();
        }
        self.writer = Some(line);
    }
}

impl Transport for Tcp {
    fn open(&mut self, listener: u16) -> usize {
        let line = self.lines.len();
        self.turn_of(line);
        let stream = self.connect(self.addresses[usize::from(listener)]);
        let opened = match self.security {
            Security::Tls => Line::secure(stream).expect("the server speaks TLS"),
            Security::WebSocket => Line::web_socket(stream).expect("the server speaks WebSocket"),
            Security::Plain => Line::Plain(stream),
        };
        self.lines.push(Some(opened));
        line
    }

    fn write(&mut self, line: usize, bytes: &[u8]) {
        self.turn_of(line);
        if let Some(stream) = &mut self.lines[line] {
            // The server may have closed it: then what is sent is lost, as it should be.
            let _ = stream.write_all(bytes).and_then(|()| stream.flush());
        }
    }

    fn receive(&mut self, line: usize, into: &mut Vec<u8>, patience: Patience) -> Arrival {
        let Some(stream) = &mut self.lines[line] else { return Arrival::Closed };
        stream.stream().set_nonblocking(patience == Patience::Short).expect("a TCP option");
        let mut bytes = [0; 16 * 1024];
        let read = stream.read(&mut bytes);
        stream.stream().set_nonblocking(false).expect("a TCP option");
        match read {
            Ok(0) => Arrival::Closed,
            Ok(len) => {
                into.extend_from_slice(&bytes[..len]);
                Arrival::Bytes
            }
            Err(error) => match error.kind() {
                ErrorKind::WouldBlock | ErrorKind::TimedOut => Arrival::Nothing,
                ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => Arrival::Closed,
                // Without a farewell of TLS.
                ErrorKind::UnexpectedEof => Arrival::Closed,
                kind => panic!("line {line}: {kind}"),
            },
        }
    }

    fn hang_up(&mut self, line: usize) {
        self.turn_of(line);
        self.lines[line] = None;
        self.settle();
    }

    fn settle(&mut self) {
        self.writer = None;
        for _ in 0..ROUNDS {
            for probe in &mut self.probes {
                probe.write_all(&[0xC0, 0]).expect("the server reads");
            }
            for probe in &mut self.probes {
                let mut answer = [0; 2];
                probe.read_exact(&mut answer).expect("the server answers a probe");
            }
        }
    }

    fn advance(&mut self, millis: u64) {
        self.settle();
        std::thread::sleep(Duration::from_millis(millis));
        self.settle();
    }

    fn node(&mut self) -> Option<&mut Node> {
        None
    }
}
