//! The brokers of both sides, and what a command line does there.

use crate::case::{Case, Places, Tool, fill, words};
use crate::normal;
use crate::relay::{Mark, Relay};
use crate::ways::Ways;
use noctule_tests::driver::Needs;
use noctule_tests::ports;
use noctule_tests::process::{self, BrokerProcess};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Far beyond what any case needs.
const PATIENCE: Duration = Duration::from_secs(30);
const LOOK_AGAIN: Duration = Duration::from_millis(5);
/// Cases that run at once: most of them wait.
const AT_ONCE: usize = 8;

/// Which broker both sides speak to, each to one of its own.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    Mosquitto,
    Noctule,
}

/// A place where cases run.
struct Stage {
    theirs: Side,
    ours: Side,
    home: Directory,
}

struct Side {
    /// Where the programs `mosquitto_pub` and so on are.
    programs: PathBuf,
    /// Where mosquitto's own are, which do what comes before and during a case.
    helpers: PathBuf,
    /// For files of its brokers.
    home: PathBuf,
    open: Broker,
    locked: Option<Broker>,
    ways: Option<Ways>,
}

enum Broker {
    Noctule(BrokerProcess),
    Mosquitto(Mosquitto),
}

pub(crate) struct Mosquitto {
    child: Child,
    address: SocketAddr,
}

/// A directory that ends with the value.
struct Directory(PathBuf);

/// What could be seen of a run.
#[derive(Debug)]
struct Seen {
    stdout: String,
    stderr: String,
    code: String,
    wire: Vec<String>,
}

/// Runs every case on both sides and says where they differ.
pub(crate) fn compare(kind: Kind, cases: Vec<Case>) {
    let Some(mosquitto) = Needs::MosquittoPeers.program() else { return };
    run(&Stage::start(kind, &mosquitto), &cases);
}

/// The same with brokers that are reached by TLS, WebSocket and Unix sockets.
pub(crate) fn compare_ways(cases: Vec<Case>) {
    let Some(mosquitto) = Needs::MosquittoPeers.program() else { return };
    let mut stage = Stage::start(Kind::Mosquitto, &mosquitto);
    for side in [&mut stage.theirs, &mut stage.ours] {
        side.ways = Some(Ways::start(&mosquitto, &side.home));
    }
    run(&stage, &cases);
}

fn run(stage: &Stage, cases: &[Case]) {
    let next = AtomicUsize::new(0);
    let differences = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let difference = stage.difference(case);
                    differences
                        .lock()
                        .expect("no case panics while it holds this")
                        .extend(difference);
                }
            });
        }
    });
    let differences = differences.into_inner().expect("no case panics while it holds this");
    let count = differences.len();
    assert!(count == 0, "{count} of {} cases differ:\n\n{}", cases.len(), differences.join("\n"));
}

impl Stage {
    fn start(kind: Kind, mosquitto: &Path) -> Stage {
        let home = Directory::fresh();
        let helpers = mosquitto.parent().expect("a program is in a directory").to_owned();
        let links = home.0.join("links");
        std::fs::create_dir_all(&links).expect("a writable directory");
        let binary = process::binary().expect("noctule is built for these tests");
        for tool in [Tool::Pub, Tool::Sub, Tool::Rr] {
            let link = links.join(tool.name());
            std::os::unix::fs::symlink(&binary, link).expect("a writable directory");
        }
        let side = |programs: &Path, name: &str| Side {
            programs: programs.to_owned(),
            helpers: helpers.clone(),
            home: home.0.join(name),
            ways: None,
            open: Broker::start(kind, mosquitto, &home.0.join(format!("{name}.conf")), true),
            locked: (kind == Kind::Mosquitto).then(|| {
                Broker::start(kind, mosquitto, &home.0.join(format!("{name}-locked.conf")), false)
            }),
        };
        Stage { theirs: side(&helpers, "theirs"), ours: side(&links, "ours"), home }
    }

    fn difference(&self, case: &Case) -> Option<String> {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let topic = format!("g{:04}", NUMBER.fetch_add(1, Ordering::Relaxed));
        let directory = self.home.0.join(&topic);
        std::fs::create_dir_all(&directory).expect("a writable directory");
        for (name, text) in &case.files {
            let text = fill(text, &places(&topic, &directory));
            let file = directory.join(name);
            let folder = file.parent().expect("a file is in a directory");
            std::fs::create_dir_all(folder).expect("a writable directory");
            std::fs::write(&file, text).expect("a writable directory");
        }
        let run = |side: &Side| {
            let mut places = places(&topic, &directory);
            places.extend(side.ways.iter().flat_map(Ways::places));
            Run { side, case, places, directory: &directory }.seen()
        };
        let (theirs, ours) = (run(&self.theirs), run(&self.ours));
        let mut differences = String::new();
        let mut compare = |what: &str, theirs: &str, ours: &str| {
            if theirs != ours {
                differences += &format!("  {what}, theirs:\n{theirs}\n  {what}, ours:\n{ours}\n");
            }
        };
        compare("stdout", &theirs.stdout, &ours.stdout);
        compare("stderr", &theirs.stderr, &ours.stderr);
        compare("code", &theirs.code, &ours.code);
        if case.same.wire && theirs.wire != ours.wire {
            let only = |these: &[String], those: &[String]| {
                let lines = these.iter().filter(|line| !those.contains(line));
                lines.cloned().collect::<Vec<_>>().join("\n")
            };
            let count =
                |lines: &[String]| format!("{} packets; not of the other side:\n", lines.len());
            let show = |these, those| count(these) + &only(these, those);
            compare("wire", &show(&theirs.wire, &ours.wire), &show(&ours.wire, &theirs.wire));
        }
        let line = format!("{} {}", case.tool.name(), case.line);
        (!differences.is_empty()).then(|| format!("== {line}\n{differences}"))
    }
}

/// One command line on one side.
struct Run<'a> {
    side: &'a Side,
    case: &'a Case,
    places: Places,
    directory: &'a Path,
}

fn places(topic: &str, directory: &Path) -> Places {
    let directory = directory.to_str().expect("a temporary directory of plain text");
    vec![("{t}".to_owned(), topic.to_owned()), ("{dir}".to_owned(), directory.to_owned())]
}

impl Run<'_> {
    fn seen(&self) -> Seen {
        let case = self.case;
        let broker = match &self.side.locked {
            Some(locked) if case.locked => locked,
            _ => &self.side.open,
        };
        for line in &case.sessions {
            self.help(broker, Tool::Sub, line);
        }
        for line in &case.before {
            self.help(broker, Tool::Pub, line);
        }
        let relay = Relay::start(broker.address(), case.cuts);
        let port = if case.connects { relay.port } else { ports::free() };
        let mut command = Command::new(self.side.programs.join(case.tool.name()));
        let mut child = self.prepare(&mut command, port).spawn().expect("an executable file");
        let pid = child.id();
        feed(&mut child, case.stdin.clone());
        let stdout = Pipe::new(child.stdout.take().expect("the pipe was asked for"));
        let stderr = Pipe::new(child.stderr.take().expect("the pipe was asked for"));
        if !case.during.is_empty() {
            self.take_part(broker, &relay);
        }
        if let Some((name, printed)) = case.signal {
            stdout.await_text(printed);
            process::signal(name, pid).expect("a process of ours");
        }
        let code = end(child);
        let code = match case.same.code {
            true => code,
            false => (code == "exit status: 0").to_string(),
        };
        let same = case.same;
        let prefix = case.line.contains("-I ") || case.line.contains("--id-prefix ");
        let wire = relay.sent().into_iter();
        let wire = wire.filter(|line| same.goodbye || !line.starts_with("Disconnect("));
        let wire = wire.map(|line| if prefix { normal::without_pid(&line, pid) } else { line });
        Seen {
            stdout: normal::output(&stdout.bytes(), same.stdout),
            stderr: normal::output(&stderr.bytes(), same.stderr),
            code,
            wire: normal::wire(wire.collect()),
        }
    }

    fn prepare<'c>(&self, command: &'c mut Command, port: u16) -> &'c mut Command {
        command
            .args(["-p", &port.to_string(), "-h", "127.0.0.1"])
            .args(words(&self.case.line, &self.places))
            .env("HOME", self.directory)
            .env_remove("XDG_CONFIG_HOME")
            .env("TZ", "UTC")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        for (name, value) in &self.case.variables {
            command.env(name, fill(value, &self.places));
        }
        command
    }

    /// Waits until the tool is ready, and does what comes then.
    fn take_part(&self, broker: &Broker, relay: &Relay) {
        let awaited = match self.case.tool {
            Tool::Sub => Mark::Subscribed,
            Tool::Pub | Tool::Rr => Mark::Published,
        };
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match relay.next_mark(left) {
                Some(mark) if mark == awaited => break,
                Some(_) => {}
                None => return,
            }
        }
        for line in &self.case.during {
            self.help(broker, Tool::Pub, line);
        }
    }

    /// Runs one of mosquitto's own tools to its end.
    fn help(&self, broker: &Broker, tool: Tool, line: &str) {
        let status = Command::new(self.side.helpers.join(tool.name()))
            .args(["-h", "127.0.0.1", "-p", &broker.address().port().to_string()])
            .args(words(line, &self.places))
            .stdin(Stdio::null())
            .status()
            .expect("an executable file");
        assert!(status.success(), "{} {line}: {status}", tool.name());
    }
}

fn feed(child: &mut Child, bytes: Vec<u8>) {
    let mut stdin = child.stdin.take().expect("the pipe was asked for");
    // A tool that does not read has closed its end.
    std::thread::spawn(move || stdin.write_all(&bytes));
}

/// What a process prints, read as it comes.
struct Pipe {
    printed: Arc<Mutex<Vec<u8>>>,
    reader: JoinHandle<()>,
}

impl Pipe {
    fn new(mut from: impl Read + Send + 'static) -> Pipe {
        let printed = Arc::new(Mutex::new(Vec::new()));
        let place = Arc::clone(&printed);
        let reader = std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            // What was read until it failed is what there is.
            while let Ok(count @ 1..) = from.read(&mut buffer) {
                place.lock().expect("nobody panics with it").extend_from_slice(&buffer[..count]);
            }
        });
        Pipe { printed, reader }
    }

    fn await_text(&self, text: &str) {
        let deadline = Instant::now() + PATIENCE;
        let holds = |bytes: &[u8]| bytes.windows(text.len()).any(|part| part == text.as_bytes());
        while Instant::now() < deadline && !holds(&self.printed.lock().expect("as above")) {
            std::thread::sleep(LOOK_AGAIN);
        }
    }

    /// All of it, once the process has ended.
    fn bytes(self) -> Vec<u8> {
        self.reader.join().expect("reading does not panic");
        std::mem::take(&mut *self.printed.lock().expect("as above"))
    }
}

/// How the process ended; one that does not end is ended.
fn end(mut child: Child) -> String {
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        if let Some(status) = child.try_wait().expect("a process of ours") {
            return status.to_string();
        }
        std::thread::sleep(LOOK_AGAIN);
    }
    let _ = child.kill();
    let _ = child.wait();
    "does not end".to_owned()
}

impl Broker {
    fn start(kind: Kind, mosquitto: &Path, file: &Path, anonymous: bool) -> Broker {
        match kind {
            Kind::Noctule => Broker::Noctule(BrokerProcess::start().expect("a broker")),
            Kind::Mosquitto => {
                let text = format!("allow_anonymous {anonymous}\n");
                Broker::Mosquitto(Mosquitto::start(mosquitto, file, || text.clone()))
            }
        }
    }

    fn address(&self) -> SocketAddr {
        match self {
            Broker::Noctule(broker) => broker.address(),
            Broker::Mosquitto(broker) => broker.address,
        }
    }
}

impl Mosquitto {
    /// Starts with a listener and the text of a file, made anew for each try.
    pub(crate) fn start(program: &Path, file: &Path, mut text: impl FnMut() -> String) -> Self {
        // Another process may take a port between the look and the use.
        (0..5).find_map(|_| Mosquitto::try_start(program, file, &text())).expect("mosquitto starts")
    }

    fn try_start(program: &Path, file: &Path, text: &str) -> Option<Mosquitto> {
        let address = SocketAddr::from(([127, 0, 0, 1], ports::free()));
        // As root it would become another user, who may not read the keys of a test.
        // The last of its listeners is the one that is waited for.
        let text = format!("user root\n{text}listener {} 127.0.0.1\n", address.port());
        std::fs::write(file, text).expect("a writable directory");
        let mut child = Command::new(program)
            .arg("-c")
            .arg(file)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("an executable file");
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline && child.try_wait().is_ok_and(|ended| ended.is_none()) {
            if TcpStream::connect(address).is_ok() {
                return Some(Mosquitto { child, address });
            }
            std::thread::sleep(LOOK_AGAIN);
        }
        let _ = child.kill();
        let _ = child.wait();
        None
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Directory {
    fn fresh() -> Directory {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("noctule-golden-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).expect("a writable temporary directory");
        Directory(path)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
