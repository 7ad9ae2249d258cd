//! A real broker, looked at from the outside: started on a free loopback port, measured, ended.
//!
//! The binary is the one named by `NOCTULE_BIN`, else `noctule` of the newest build in the target
//! directory. With `NOCTULE_TEST_BROKER=host:port` no process is started and the tests speak to the
//! broker there (add `NOCTULE_TEST_BROKER_PID` and its memory is measured too); with it the tests
//! are proven against other brokers. `NOCTULE_TEST_SHARDS` is handed on as `--shards`.

use std::ffi::OsString;
use std::fs::File;
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use crate::ports;
use anyhow::{Context, Result, bail, ensure};

/// How long a broker may take until it listens, and until it has ended.
const PATIENCE: Duration = Duration::from_secs(30);
/// Between two looks at something that is awaited.
const LOOK_AGAIN: Duration = Duration::from_millis(10);
/// Another program may take the free port first.
const PORTS_TRIED: usize = 5;

/// A broker that runs until this value is dropped.
#[derive(Debug)]
pub struct BrokerProcess {
    address: SocketAddr,
    running: Running,
}

#[derive(Debug)]
enum Running {
    /// Started here: its process, and the directory that holds its configuration and its log.
    Here(Child, PathBuf),
    /// Started by somebody else.
    Elsewhere(Option<u32>),
}

/// What a broker is started with.
#[derive(Debug, Default)]
struct Setting<'a> {
    /// The text of a `noctule.toml`.
    config: Option<&'a str>,
    open_files_max: Option<u32>,
    /// Where it listens, if not on a free port.
    address: Option<SocketAddr>,
    /// Where it keeps what it acknowledges, if anywhere.
    data: Option<&'a Path>,
}

/// Resident memory of a process in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resident {
    /// At this moment.
    pub now: u64,
    /// At the most so far.
    pub peak: u64,
}

impl BrokerProcess {
    /// Starts a broker with no configuration at all, or joins the one the environment names.
    pub fn start() -> Result<Self> {
        match std::env::var("NOCTULE_TEST_BROKER") {
            Ok(address) => Self::join(&address),
            Err(_) => Self::start_here(&Setting::default()),
        }
    }

    /// Starts a broker of ours with the text of a `noctule.toml`, whatever the environment says.
    pub fn start_with(config: &str) -> Result<Self> {
        Self::start_here(&Setting { config: Some(config), ..Setting::default() })
    }

    /// Starts a broker of ours that may have no more than so many files and sockets open.
    pub fn start_with_open_files_max(count: u32) -> Result<Self> {
        Self::start_here(&Setting { open_files_max: Some(count), ..Setting::default() })
    }

    /// Starts a broker of ours at this address, with the text of a `noctule.toml`: one that is to
    /// take the place of another.
    pub fn start_at(address: SocketAddr, config: &str) -> Result<Self> {
        let (config, address) = (Some(config), Some(address));
        Self::start_here(&Setting { config, address, ..Setting::default() })
    }

    /// The same for one that keeps what it acknowledges in this directory.
    pub fn start_keeping(address: SocketAddr, config: &str, data: &Path) -> Result<Self> {
        let (config, address, data) = (Some(config), Some(address), Some(data));
        Self::start_here(&Setting { config, address, data, ..Setting::default() })
    }

    /// Puts another text into its `noctule.toml` and has it read that.
    pub fn reload(&self, config: &str) -> Result<()> {
        let Running::Here(child, home) = &self.running else { bail!("not ours to reload") };
        std::fs::write(home.join("noctule.toml"), whole(config, self.address))?;
        signal("HUP", child.id())
    }

    fn join(address: &str) -> Result<Self> {
        let address = address
            .to_socket_addrs()
            .with_context(|| format!("NOCTULE_TEST_BROKER={address} is no host:port"))?
            .next()
            .context("NOCTULE_TEST_BROKER names no address")?;
        TcpStream::connect(address).with_context(|| format!("no broker listens on {address}"))?;
        let pid = std::env::var("NOCTULE_TEST_BROKER_PID").ok().and_then(|pid| pid.parse().ok());
        Ok(Self { address, running: Running::Elsewhere(pid) })
    }

    fn start_here(setting: &Setting<'_>) -> Result<Self> {
        let binary = binary()?;
        let mut failures = String::new();
        for _ in 0..PORTS_TRIED {
            let home = fresh_directory()?;
            let (child, address) = spawn(&binary, &home, setting)?;
            let mut broker = Self { address, running: Running::Here(child, home) };
            match broker.await_listening() {
                Ok(()) => return Ok(broker),
                Err(why) => failures = format!("{why:#}; its log:\n{}", broker.log()),
            }
        }
        bail!("{} does not come up: {failures}", binary.display());
    }

    fn await_listening(&mut self) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let Running::Here(child, _) = &mut self.running else { return Ok(()) };
            if let Some(status) = child.try_wait()? {
                bail!("ended at once with {status}");
            }
            if TcpStream::connect(self.address).is_ok() {
                return Ok(());
            }
            ensure!(Instant::now() < deadline, "does not listen on {}", self.address);
            std::thread::sleep(LOOK_AGAIN);
        }
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Whether it was started here, so that it may be ended and its log read.
    #[must_use]
    pub fn is_ours(&self) -> bool {
        matches!(self.running, Running::Here(..))
    }

    /// The process id, where it is known.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        match &self.running {
            Running::Here(child, _) => Some(child.id()),
            Running::Elsewhere(pid) => *pid,
        }
    }

    /// Its resident memory, where the platform says so.
    #[must_use]
    pub fn resident(&self) -> Option<Resident> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid()?)).ok()?;
        Some(Resident { now: kibibytes(&status, "VmRSS:")?, peak: kibibytes(&status, "VmHWM:")? })
    }

    /// What it logged so far.
    #[must_use]
    pub fn log(&self) -> String {
        match &self.running {
            Running::Here(_, home) => {
                let bytes = std::fs::read(log_path(home)).unwrap_or_default();
                String::from_utf8_lossy(&bytes).into_owned()
            }
            Running::Elsewhere(_) => String::from("(the log of another's broker)"),
        }
    }

    /// Waits until its log has this text, so often.
    ///
    /// # Errors
    /// It never comes; the log is in the error.
    pub fn await_log(&self, text: &str, times: usize) -> Result<()> {
        let deadline = Instant::now() + Duration::from_secs(20);
        while self.log().matches(text).count() < times {
            ensure!(Instant::now() < deadline, "no {text:?} in:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// Adds the end of its log to what went wrong.
    pub fn explain<T>(&self, outcome: Result<T>) -> Result<T> {
        outcome.with_context(|| format!("log of the broker:\n{}", tail(&self.log())))
    }

    /// Asks it to end (SIGTERM) and waits until it has.
    pub fn stop(mut self) -> Result<ExitStatus> {
        let Running::Here(child, _) = &mut self.running else { bail!("not ours to end") };
        signal("TERM", child.id())?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = child.try_wait()? {
                return Ok(status);
            }
            ensure!(Instant::now() < deadline, "SIGTERM did not end it");
            std::thread::sleep(LOOK_AGAIN);
        }
    }

    /// Ends it as a power failure does (SIGKILL).
    pub fn kill(mut self) -> Result<()> {
        let Running::Here(child, _) = &mut self.running else { bail!("not ours to end") };
        child.kill()?;
        child.wait()?;
        Ok(())
    }
}

impl Drop for BrokerProcess {
    #[expect(clippy::print_stderr, reason = "the harness shows it beneath the test that failed")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("log of the broker on {}:\n{}", self.address, tail(&self.log()));
        }
        if let Running::Here(child, home) = &mut self.running {
            // Either may have happened already, and nobody is left to be told.
            let _ = child.kill();
            let _ = child.wait();
            let _ = std::fs::remove_dir_all(home);
        }
    }
}

/// Sends a signal by name.
pub fn signal(name: &str, pid: u32) -> Result<()> {
    let status = Command::new("sh").arg("-c").arg(format!("kill -{name} {pid}")).status()?;
    ensure!(status.success(), "cannot send SIG{name} to {pid}");
    Ok(())
}

/// The directory that cargo builds into.
#[must_use]
pub fn target_directory() -> PathBuf {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    match std::env::var_os("CARGO_TARGET_DIR") {
        Some(target) => workspace.join(target),
        None => workspace.join("target"),
    }
}

/// The binary to test.
pub fn binary() -> Result<PathBuf> {
    if let Some(path) = std::env::var_os("NOCTULE_BIN") {
        let path = PathBuf::from(path);
        ensure!(path.is_file(), "NOCTULE_BIN={} is not there", path.display());
        return Ok(path);
    }
    let name = format!("noctule{}", std::env::consts::EXE_SUFFIX);
    let builds = ["release", "test-fast", "debug"]
        .map(|profile| target_directory().join(profile).join(&name));
    let newest = builds
        .into_iter()
        .filter_map(|path| Some((path.metadata().ok()?.modified().ok()?, path)))
        .max_by_key(|(built, _)| *built);
    let Some((_, path)) = newest else {
        bail!("there is no broker to test: run `cargo build -p noctule` first, or set NOCTULE_BIN");
    };
    Ok(path)
}

fn spawn(binary: &Path, home: &Path, setting: &Setting<'_>) -> Result<(Child, SocketAddr)> {
    // The port is free at this moment; whoever takes it before the broker does costs one more try.
    let free = || SocketAddr::from(([127, 0, 0, 1], ports::free()));
    let address = setting.address.unwrap_or_else(free);
    // Whoever runs the tests may have a broker whose state is not for tests.
    let mut arguments = vec![OsString::from("serve")];
    match setting.data {
        Some(data) => arguments.extend(["--data".into(), data.into()]),
        None => arguments.push("--memory".into()),
    }
    if !setting.config.is_some_and(has_listeners) {
        arguments.extend(["-p".into(), address.port().to_string().into()]);
    }
    if let Some(config) = setting.config {
        let path = home.join("noctule.toml");
        std::fs::write(&path, whole(config, address))?;
        arguments.extend([OsString::from("-c"), path.into_os_string()]);
    }
    if let Some(shards) = std::env::var_os("NOCTULE_TEST_SHARDS") {
        arguments.extend([OsString::from("--shards"), shards]);
    }
    let log = File::create(log_path(home))?;
    let mut command = match setting.open_files_max {
        None => Command::new(binary),
        Some(count) => {
            let mut shell = Command::new("sh");
            shell.arg("-c").arg(format!("ulimit -n {count} && exec \"$0\" \"$@\"")).arg(binary);
            shell
        }
    };
    let child = command
        .args(arguments)
        .current_dir(home)
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()
        .with_context(|| format!("cannot start {}", binary.display()))?;
    Ok((child, address))
}

fn has_listeners(config: &str) -> bool {
    config.contains("[[listener]]")
}

/// The text of a `noctule.toml`; where that has listeners, ours is one of them.
fn whole(config: &str, address: SocketAddr) -> String {
    let ours = format!("\n[[listener]]\nport = {}\n", address.port());
    format!("{config}{}", if has_listeners(config) { &ours } else { "" })
}

/// A directory of its own for something that a test starts.
pub(crate) fn fresh_directory() -> Result<PathBuf> {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let name = format!("noctule-{}-{number}", std::process::id());
    let path = std::env::temp_dir().join(name);
    std::fs::create_dir_all(&path)?;
    Ok(path)
}

fn log_path(home: &Path) -> PathBuf {
    home.join("log")
}

/// The last lines, which say why something failed.
pub(crate) fn tail(text: &str) -> &str {
    const LINES: usize = 40;
    match text.rmatch_indices('\n').nth(LINES) {
        Some((at, _)) => &text[at + 1..],
        None => text,
    }
}

/// The bytes that a line such as `VmRSS:     1234 kB` tells.
fn kibibytes(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    let number: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(number * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_from_the_lines_of_the_kernel() {
        let status = "Name:\tnoctule\nVmHWM:\t    2048 kB\nVmRSS:\t    1024 kB\n";
        assert_eq!(kibibytes(status, "VmRSS:"), Some(1024 * 1024));
        assert_eq!(kibibytes(status, "VmHWM:"), Some(2048 * 1024));
        assert_eq!(kibibytes(status, "VmSwap:"), None);
    }

    #[test]
    fn the_tail_of_a_log_is_its_last_lines() {
        assert_eq!(tail("one\ntwo\n"), "one\ntwo\n");
        let long: String = (0..100).map(|n| format!("line {n}\n")).collect();
        assert!(tail(&long).starts_with("line 60\n"), "{}", tail(&long));
    }
}
