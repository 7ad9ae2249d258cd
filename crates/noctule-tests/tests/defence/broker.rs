//! A broker process with a directory that outlives it, and clients in raw bytes from any loopback
//! address.

use anyhow::{Context, Result, bail, ensure};
use noctule_proto::packet::{Connect, Publish, PublishProperties};
use noctule_proto::{Packet, QoS, TopicName, Version};
use noctule_server::auth::Verifier;
use noctule_tests::process;
use noctule_tests::wire::read_packet;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(30);

/// A directory with a configuration, a log, and what the broker keeps.
pub(crate) struct Home(PathBuf);

impl Home {
    pub(crate) fn new(name: &str, config: &str) -> Result<Home> {
        let path = std::env::temp_dir().join(format!("noctule-{name}-{}", std::process::id()));
        fs::create_dir_all(&path)?;
        let verifier = Verifier::from_password("right", 4096, b"a salt of its own");
        let config = format!(
            "{config}\n[[listener]]\nport = 0\n[[users]]\nname = \"ann\"\n\
             verifier = \"{verifier}\"\n[admin]\nbind = \"127.0.0.1:0\"\n"
        );
        fs::write(path.join("noctule.toml"), config)?;
        Ok(Home(path))
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        // Nobody is left to be told.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The broker of a home.
pub(crate) struct Broker {
    child: Child,
    log: PathBuf,
    pub(crate) address: SocketAddr,
    pub(crate) admin: SocketAddr,
}

impl Broker {
    pub(crate) fn start(home: &Home) -> Result<Broker> {
        let log = home.path("log");
        let output = File::create(&log)?;
        let child = Command::new(process::binary()?)
            .args(["serve", "--data", "data", "-c", "noctule.toml"])
            .current_dir(&home.0)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(output)
            .spawn()?;
        let nowhere = SocketAddr::from(([0, 0, 0, 0], 0));
        let mut broker = Broker { child, log, address: nowhere, admin: nowhere };
        broker.await_log("ready after")?;
        let text = broker.log();
        let after = |mark: &str, end: char| -> Option<SocketAddr> {
            text.split_once(mark)?.1.split(end).next()?.trim_end_matches(':').parse().ok()
        };
        broker.address = after("listening on ", ' ').context("it says where it listens")?;
        broker.admin = after("metrics on http://", '/').context("it says where metrics are")?;
        Ok(broker)
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Waits until a line of the log has this; answers the line.
    pub(crate) fn await_log(&self, text: &str) -> Result<String> {
        await_line(&self.log, text)
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, name: &str) -> Result<()> {
        process::signal(name, self.child.id())
    }

    pub(crate) fn stop(mut self) -> Result<()> {
        self.signal("TERM")?;
        let deadline = Instant::now() + PATIENCE;
        while self.child.try_wait()?.is_none() {
            ensure!(Instant::now() < deadline, "SIGTERM did not end it");
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// `noctule bans`, spoken to this broker.
    pub(crate) fn bans(&self, words: &[&str]) -> Result<String> {
        let admin = self.admin.to_string();
        let mut command = Command::new(process::binary()?);
        let output = command.arg("bans").args(words).args(["--admin", &admin]).output()?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        ensure!(output.status.success(), "{said}");
        Ok(String::from_utf8(output.stdout)?)
    }

    /// An answer of the admin listener, head and all.
    pub(crate) fn http(&self, head: &str) -> Result<String> {
        let mut stream = TcpStream::connect(self.admin)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(head.as_bytes())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    }
}

impl Drop for Broker {
    #[expect(clippy::print_stderr, reason = "the harness shows it beneath the test that failed")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("log of the broker:\n{}", self.log());
        }
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits until a line of a file has this; answers the line.
pub(crate) fn await_line(file: &Path, text: &str) -> Result<String> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let all = fs::read_to_string(file).unwrap_or_default();
        if let Some(line) = all.lines().find(|line| line.contains(text)) {
            return Ok(line.into());
        }
        if Instant::now() > deadline {
            bail!("no {text:?} in {}:\n{all}", file.display());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Who connects.
#[derive(Clone, Copy)]
pub(crate) struct Visitor<'a> {
    pub(crate) from: [u8; 4],
    pub(crate) version: Version,
    pub(crate) client_id: &'a str,
    pub(crate) user: &'a str,
    pub(crate) password: &'a str,
}

impl<'a> Visitor<'a> {
    /// Knows the password.
    pub(crate) fn ann(client_id: &'a str) -> Visitor<'a> {
        let (from, version) = ([127, 0, 0, 1], Version::V5);
        Visitor { from, version, client_id, user: "ann", password: "right" }
    }

    /// The code of the CONNACK, and the connection; `None`: closed without one.
    pub(crate) fn connect(self, to: SocketAddr) -> Result<Option<(u8, TcpStream)>> {
        let mut stream = connect_from(self.from.into(), to)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        // A broker that closes at once may be faster than the packet.
        let _ = stream.write_all(&encode(&Packet::Connect(self.packet()), self.version));
        let mut head = [0; 4];
        if stream.read_exact(&mut head).is_err() {
            return Ok(None);
        }
        ensure!(head[0] == 0x20 && head[1] < 0x80, "no CONNACK: {head:?}");
        let mut rest = vec![0; usize::from(head[1]) - 2];
        stream.read_exact(&mut rest)?;
        Ok(Some((head[3], stream)))
    }

    /// A connection whose session goes on when it is over.
    pub(crate) fn keeping_session(self, to: SocketAddr) -> Result<TcpStream> {
        let mut stream = connect_from(self.from.into(), to)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let connect = Connect { clean_start: false, ..self.packet() };
        stream.write_all(&encode(&Packet::Connect(connect), self.version))?;
        let (first, _) = read_packet(&mut stream)?;
        ensure!(first == 0x20, "no CONNACK: {first}");
        Ok(stream)
    }

    fn packet(&self) -> Connect<'a> {
        let mut connect = Connect::new(self.version, self.client_id);
        connect.user_name = Some(self.user);
        connect.password = Some(self.password.as_bytes());
        connect
    }

    /// The code alone.
    pub(crate) fn code(self, to: SocketAddr) -> Result<Option<u8>> {
        Ok(self.connect(to)?.map(|(code, _)| code))
    }
}

fn encode(packet: &Packet<'_>, version: Version) -> Vec<u8> {
    let mut bytes = Vec::new();
    packet.encode(version, &mut bytes);
    bytes
}

/// A QoS 0 message.
pub(crate) fn publish(topic: &str, payload: &[u8]) -> Result<Vec<u8>> {
    let topic = TopicName::parse(topic).map_err(|error| anyhow::anyhow!("{error:?}"))?;
    let publish = Publish {
        dup: false,
        qos: QoS::AtMostOnce,
        retain: false,
        topic,
        packet_id: None,
        properties: PublishProperties::default(),
        payload,
    };
    Ok(encode(&Packet::Publish(publish), Version::V5))
}

fn connect_from(from: IpAddr, to: SocketAddr) -> Result<TcpStream> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let stream = runtime.block_on(async {
        let socket = tokio::net::TcpSocket::new_v4()?;
        socket.bind(SocketAddr::new(from, 0))?;
        socket.connect(to).await
    })?;
    let stream = stream.into_std()?;
    stream.set_nonblocking(false)?;
    Ok(stream)
}
