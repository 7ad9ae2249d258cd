//! Debian's mosquitto as the other side, one process a test.
#![allow(unreachable_pub, reason = "shared by the test programs of two crates")]

use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A running mosquitto on a free port of loopback; ends with the value.
pub struct Mosquitto {
    process: Child,
    pub port: u16,
    folder: PathBuf,
}

impl Mosquitto {
    /// `None`, and a word about it, if there is none on this machine.
    pub fn start(settings: &str) -> Option<Mosquitto> {
        let Some(binary) = find("mosquitto") else {
            leave_out("tests against mosquitto: no mosquitto (apt-get install mosquitto)");
            return None;
        };
        Some(Mosquitto::start_binary(&binary, settings))
    }

    /// The version that noctule is compared with, where `cargo xtask peers` has brought it.
    #[allow(dead_code, reason = "not every test program needs it")]
    pub fn start_reference(settings: &str) -> Option<Mosquitto> {
        let here = std::env::current_exe().expect("a test runs from a file");
        let mut folders = here.ancestors().map(|folder| folder.join("peers/bin/mosquitto"));
        let Some(binary) = folders.find(|file| file.is_file()) else {
            leave_out("tests against mosquitto 2.1.2: it is not there (cargo xtask peers)");
            return None;
        };
        Some(Mosquitto::start_binary(&binary, settings))
    }

    fn start_binary(binary: &PathBuf, settings: &str) -> Mosquitto {
        // Another process may take the port between the look and the use.
        (0..5)
            .find_map(|_| Mosquitto::try_start(binary, settings))
            .unwrap_or_else(|| panic!("{} does not start", binary.display()))
    }

    fn try_start(binary: &PathBuf, settings: &str) -> Option<Mosquitto> {
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let port = free.local_addr().expect("a bound socket").port();
        drop(free);
        let folder = std::env::temp_dir().join(format!("noctule-mosquitto-{port}"));
        std::fs::create_dir_all(&folder).expect("a writable temporary folder");
        let file = folder.join("mosquitto.conf");
        let settings = format!("listener {port} 127.0.0.1\n{settings}\n");
        std::fs::write(&file, settings).expect("a writable temporary folder");
        let process = Command::new(binary)
            .arg("-c")
            .arg(&file)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("an executable file");
        let mut broker = Mosquitto { process, port, folder };
        broker.comes_up().then_some(broker)
    }

    /// Waits until it answers or has ended.
    fn comes_up(&mut self) -> bool {
        let patience = Instant::now() + Duration::from_secs(10);
        while Instant::now() < patience {
            if TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).is_ok() {
                return true;
            }
            if self.process.try_wait().is_ok_and(|ended| ended.is_some()) {
                return false;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        false
    }

    #[allow(dead_code, reason = "not every test program needs it")]
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// Ends it without a word to its clients.
    #[allow(dead_code, reason = "not every test program needs it")]
    pub fn kill(&mut self) {
        self.process.kill().expect("a process of ours");
        self.process.wait().expect("a process of ours");
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// A program of this name, also where only root looks.
pub fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders =
        std::env::split_paths(&path).chain(["/usr/sbin".into(), "/usr/local/sbin".into()]);
    folders.map(|folder| folder.join(program)).find(|file| file.is_file())
}

/// Says aloud that something is not tested, where the whole run hears it too.
#[allow(clippy::print_stderr, reason = "it is to be seen")]
pub fn leave_out(what: &str) {
    eprintln!("left out: {what}");
    if let Some(file) = std::env::var_os("NOCTULE_LEFT_OUT") {
        let file = std::fs::OpenOptions::new().append(true).create(true).open(file);
        file.and_then(|mut file| writeln!(file, "{what}")).expect("a writable file");
    }
}
