//! Brokers that others wrote, one process a test.
#![allow(unreachable_pub, reason = "shared by the test programs of several crates")]
#![allow(dead_code, reason = "not every test program needs all of it")]

#[path = "../../../noctule-tests/src/ports.rs"]
mod ports;

use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A running mosquitto on a free port of loopback; ends with the value.
pub struct Mosquitto {
    process: Process,
    pub port: u16,
}

/// A running nats-server with its MQTT listener on a free port of loopback; ends with the value.
pub struct Nats(Process);

struct Process {
    child: Child,
    port: u16,
    folder: PathBuf,
}

impl Mosquitto {
    /// `None`, and a word about it, if there is none on this machine.
    pub fn start(settings: &str) -> Option<Mosquitto> {
        let named = named("NOCTULE_MOSQUITTO").or_else(|| peer("mosquitto"));
        let Some(binary) = named.or_else(|| find("mosquitto")) else {
            leave_out("tests against mosquitto: no mosquitto (cargo xtask peers)");
            return None;
        };
        Some(Mosquitto::start_binary(&binary, settings))
    }

    /// The version that noctule is compared with, where `cargo xtask peers` has brought it.
    pub fn start_reference(settings: &str) -> Option<Mosquitto> {
        let Some(binary) = named("NOCTULE_MOSQUITTO").or_else(|| peer("mosquitto")) else {
            leave_out("tests against mosquitto 2.1.2: it is not there (cargo xtask peers)");
            return None;
        };
        Some(Mosquitto::start_binary(&binary, settings))
    }

    fn start_binary(binary: &Path, settings: &str) -> Mosquitto {
        let settings = |port, _: &Path| format!("listener {port} 127.0.0.1\n{settings}\n");
        let process = Process::start(binary, settings);
        Mosquitto { port: process.port, process }
    }

    pub fn address(&self) -> SocketAddr {
        self.process.address()
    }

    /// Ends it without a word to its clients.
    pub fn kill(&mut self) {
        self.process.kill();
    }
}

impl Nats {
    /// `None`, and a word about it, if there is none on this machine. Debian's 2.9 knows no QoS 2.
    pub fn start() -> Option<Nats> {
        let Some(binary) = named("NOCTULE_NATS_SERVER").or_else(|| peer("nats-server")) else {
            leave_out("tests against nats-server: no nats-server (cargo xtask peers)");
            return None;
        };
        let settings = |port, folder: &Path| {
            let store = folder.join("store");
            format!(
                "server_name: test\nlisten: \"127.0.0.1:-1\"\n\
                 jetstream {{ store_dir: {store:?} }}\n\
                 mqtt {{ listen: \"127.0.0.1:{port}\", ack_wait: \"1s\" }}\n"
            )
        };
        Some(Nats(Process::start(&binary, settings)))
    }

    pub fn address(&self) -> SocketAddr {
        self.0.address()
    }

    /// Ends it without a word to its clients.
    pub fn kill(&mut self) {
        self.0.kill();
    }
}

impl Process {
    fn start(binary: &Path, settings: impl Fn(u16, &Path) -> String) -> Process {
        // Another process may take the port between the look and the use.
        let started = (0..5).find_map(|_| Process::try_start(binary, &settings));
        started.unwrap_or_else(|| panic!("{} does not start", binary.display()))
    }

    fn try_start(binary: &Path, settings: impl Fn(u16, &Path) -> String) -> Option<Process> {
        let port = ports::free();
        let folder = std::env::temp_dir().join(format!("noctule-other-broker-{port}"));
        std::fs::create_dir_all(&folder).expect("a writable temporary folder");
        let file = folder.join("broker.conf");
        std::fs::write(&file, settings(port, &folder)).expect("a writable temporary folder");
        let child = Command::new(binary)
            .arg("-c")
            .arg(&file)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("an executable file");
        let mut broker = Process { child, port, folder };
        broker.comes_up().then_some(broker)
    }

    /// Waits until it answers or has ended.
    fn comes_up(&mut self) -> bool {
        let patience = Instant::now() + Duration::from_secs(30);
        while Instant::now() < patience {
            if TcpStream::connect(self.address()).is_ok() {
                return true;
            }
            if self.child.try_wait().is_ok_and(|ended| ended.is_some()) {
                return false;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        false
    }

    fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    fn kill(&mut self) {
        self.child.kill().expect("a process of ours");
        self.child.wait().expect("a process of ours");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// The program that a variable of the environment names.
fn named(variable: &str) -> Option<PathBuf> {
    std::env::var_os(variable).map(PathBuf::from)
}

/// A program that `cargo xtask peers` has brought: of a known version, unlike the machine's own.
pub fn peer(program: &str) -> Option<PathBuf> {
    let here = std::env::current_exe().expect("a test runs from a file");
    let mut files = here.ancestors().map(|folder| folder.join("peers/bin").join(program));
    files.find(|file| file.is_file())
}

/// A program of this machine, also where only root looks.
pub fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders =
        std::env::split_paths(&path).chain(["/usr/sbin".into(), "/usr/local/sbin".into()]);
    folders.map(|folder| folder.join(program)).find(|file| file.is_file())
}

/// Says aloud that something is not tested, where the whole run hears it too; fails where nothing
/// may be left out.
#[allow(clippy::print_stderr, reason = "it is to be seen")]
pub fn leave_out(what: &str) {
    let required = std::env::var_os("NOCTULE_REQUIRE_ALL").is_some_and(|value| value == "1");
    assert!(!required, "nothing may be left out here: {what}");
    eprintln!("left out: {what}");
    if let Some(file) = std::env::var_os("NOCTULE_LEFT_OUT") {
        let file = std::fs::OpenOptions::new().append(true).create(true).open(file);
        file.and_then(|mut file| writeln!(file, "{what}")).expect("a writable file");
    }
}
