//! Starts brokers on directories of their own, ends them, and starts them again.

use super::disk::{self, Footprint};
use crate::error::Error;
use crate::observer::Observer;
use crate::plan::{Durable, Mosquitto};
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{Read, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How often is looked whether a broker answers.
const LOOK_AGAIN: Duration = Duration::from_millis(1);

/// CONNECT of MQTT 3.1.1 with an empty client id and a clean session.
const CONNECT: &[u8] = b"\x10\x0c\0\x04MQTT\x04\x02\0\x0a\0\0";

/// Which program, and what it is told.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind<'a> {
    Noctule(&'a Durable),
    Mosquitto(&'a Mosquitto),
}

/// How a broker ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Ending {
    /// At once, by force.
    Kill,
    /// When it has been asked to, and wants to.
    Stop,
}

/// A directory that goes with the value.
#[derive(Debug)]
pub(super) struct Home(PathBuf);

impl Home {
    /// In this directory.
    pub(super) fn new(directory: &Path, name: &str) -> Result<Home, Error> {
        let path = directory.join(format!("noctule-bench-{}-{name}", std::process::id()));
        let made = fs::create_dir_all(path.join("data")).and_then(|()| std::path::absolute(&path));
        Ok(Home(made.map_err(Error::io(format!("cannot make {}", path.display())))?))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    fn data(&self) -> PathBuf {
        self.0.join("data")
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        // What is left is named after the bench, so that somebody can take it away.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A running broker; ends with the value.
#[derive(Debug)]
pub(super) struct Broker {
    child: Child,
    pub(super) port: u16,
    home: Home,
    command: (PathBuf, Vec<PathBuf>),
    /// From the start of the process until it answered a CONNECT.
    pub(super) took: Duration,
}

impl Broker {
    /// Starts one with nothing in its store, and waits until clients can connect.
    pub(super) fn start(
        kind: Kind<'_>,
        durable: &Durable,
        (name, patience): (&str, Duration),
    ) -> Result<Broker, Error> {
        let home = Home::new(&durable.directory, name)?;
        let port = free_port()?;
        let config = home.path().join("config");
        let (program, arguments, text) = match kind {
            Kind::Noctule(durable) => {
                let arguments = vec!["serve".into(), "-c".into(), config.clone()];
                (&durable.noctule, arguments, noctule(durable, &home, port))
            }
            Kind::Mosquitto(mosquitto) => {
                let arguments = vec!["-c".into(), config.clone()];
                (&mosquitto.program, arguments, strict(mosquitto, &home, port))
            }
        };
        fs::write(&config, text).map_err(Error::io("cannot write a configuration"))?;
        let command = (program.clone(), arguments);
        let (child, took) = launch(&command, &home, (port, patience))?;
        Ok(Broker { child, port, home, command, took })
    }

    /// Ends it, and starts it again on what it left.
    pub(super) fn restart(&mut self, ending: Ending, patience: Duration) -> Result<(), Error> {
        end(&mut self.child, ending)?;
        let (child, took) = launch(&self.command, &self.home, (self.port, patience))?;
        (self.child, self.took) = (child, took);
        Ok(())
    }

    pub(super) fn observer(&self) -> Result<Observer, Error> {
        Observer::new(Some(self.child.id()))
    }

    /// Where its data lie.
    pub(super) fn data(&self) -> PathBuf {
        self.home.data()
    }

    /// What its store holds.
    pub(super) fn footprint(&self) -> Result<Footprint, Error> {
        disk::footprint(&self.home.data())
    }

    /// Bytes it has had written; if possible, all that was written to its disk.
    pub(super) fn written(&self) -> Option<u64> {
        disk::written_to(self.home.path()).or_else(|| disk::written(self.child.id()))
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// noctule's configuration: no bound that a part could meet.
fn noctule(durable: &Durable, home: &Home, port: u16) -> String {
    let mut text = String::new();
    if let Some(shards) = durable.shards {
        let _ = writeln!(text, "shards = {shards}");
    }
    let _ = write!(
        text,
        "sys_interval_secs = 0\n[[listener]]\nport = {port}\n[admin]\nenabled = false\n\
         [durability]\nclass = \"{}\"\ndata = {:?}\n\
         [limits]\nqueue_messages_max = {}\nqueue_bytes_max = \"1024 GiB\"\n",
        durable.class,
        home.data(),
        u32::MAX
    );
    text
}

/// mosquitto's configuration: its SQLite store at its strictest, and no bound either. Where root
/// starts it, it stays root, because the directory is the bench's.
fn strict(mosquitto: &Mosquitto, home: &Home, port: u16) -> String {
    format!(
        "user root\nlistener {port} 127.0.0.1\nallow_anonymous true\nmax_queued_messages 0\n\
         max_queued_bytes 0\nmax_inflight_messages 0\nlog_type error\nlog_type warning\n\
         plugin {}\nplugin_opt_db_file {}\nplugin_opt_sync extra\nplugin_opt_flush_period 0\n",
        mosquitto.store.display(),
        home.data().join("mosquitto.sqlite3").display()
    )
}

/// A port that is free at this moment.
fn free_port() -> Result<u16, Error> {
    let listener = TcpListener::bind(("127.0.0.1", 0));
    let address = listener.and_then(|it| it.local_addr()).map_err(Error::io("no free port"))?;
    Ok(address.port())
}

fn launch(
    (program, arguments): &(PathBuf, Vec<PathBuf>),
    home: &Home,
    (port, patience): (u16, Duration),
) -> Result<(Child, Duration), Error> {
    let words = || format!("cannot start {}", program.display());
    let path = home.path().join("log");
    let log = File::create(&path).map_err(Error::io(words()))?;
    let start = Instant::now();
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .map_err(Error::io(words()))?;
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    while !answers(address, patience) {
        let ended = child.try_wait().map_err(Error::io(words()))?;
        if ended.is_none() && start.elapsed() < patience {
            std::thread::sleep(LOOK_AGAIN);
            continue;
        }
        let _ = child.kill();
        let _ = child.wait();
        let said = fs::read_to_string(&path).unwrap_or_default();
        let said = said.trim_end();
        let last = said.get(said.len().saturating_sub(1000)..).unwrap_or(said);
        let name = program.display();
        return Err(Error::Broker(format!("{name} does not come up; it said:\n{last}")));
    }
    Ok((child, start.elapsed()))
}

/// Whether a client can connect.
fn answers(address: SocketAddr, patience: Duration) -> bool {
    let ask = || -> std::io::Result<bool> {
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(patience))?;
        stream.write_all(CONNECT)?;
        let mut answer = [0; 4];
        stream.read_exact(&mut answer)?;
        stream.write_all(b"\xe0\0")?;
        Ok(answer == [0x20, 2, 0, 0])
    };
    ask().unwrap_or(false)
}

fn end(child: &mut Child, ending: Ending) -> Result<(), Error> {
    let ended = match ending {
        Ending::Kill => child.kill(),
        Ending::Stop => ask_to_end(child),
    };
    ended.and_then(|()| child.wait()).map(drop).map_err(Error::io("cannot end a broker"))
}

#[cfg(unix)]
fn ask_to_end(child: &Child) -> std::io::Result<()> {
    use nix::sys::signal::{Signal, kill};
    use nix::unistd::Pid;
    let pid = i32::try_from(child.id()).map_err(std::io::Error::other)?;
    kill(Pid::from_raw(pid), Signal::SIGTERM).map_err(std::io::Error::from)
}

/// There is no way to ask here.
#[cfg(not(unix))]
fn ask_to_end(child: &mut Child) -> std::io::Result<()> {
    child.kill()
}
