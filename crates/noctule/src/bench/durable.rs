//! `noctule bench durable`: brokers of its own, that keep what they acknowledge.

use super::{qos, seconds, version};
use clap::{ArgAction, Args, ValueEnum};
use noctule_bench::{
    Durable, DurablePart, Error, MessageShape, Mosquitto, Plan, QoS, Scenario, Target, Version,
};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The plugin that keeps mosquitto's state in SQLite.
const SQLITE: &str = "mosquitto_persist_sqlite.so";

#[derive(Args, Debug)]
pub(super) struct DurableArgs {
    /// Where data directories are made: on the disk that is to be measured.
    #[arg(long, value_name = "DIR", default_value = ".")]
    directory: PathBuf,
    /// What is measured; all but `endure` if nothing is said.
    #[arg(long, value_enum, value_delimiter = ',')]
    part: Vec<PartName>,
    /// What acknowledgements of noctule promise.
    #[arg(long, value_enum, default_value_t = ClassName::Fsync)]
    class: ClassName,
    /// Threads of noctule that serve clients.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    shards: Option<u16>,
    /// Another build of noctule to measure.
    #[arg(long, value_name = "PROGRAM")]
    noctule: Option<PathBuf>,
    /// Publish to this mosquitto too, with its SQLite store at its strictest.
    #[arg(long, value_name = "PROGRAM")]
    mosquitto: Option<PathBuf>,
    /// Its plugin mosquitto_persist_sqlite.so, if it is not where it is looked for.
    #[arg(long, value_name = "FILE", requires = "mosquitto")]
    mosquitto_store: Option<PathBuf>,
    /// QoS of publishing and of subscribing, 1 or 2.
    #[arg(short, long, default_value = "1", value_parser = qos)]
    qos: QoS,
    /// Bytes of payload, 24 at least.
    #[arg(long, default_value_t = 200)]
    size: usize,
    /// Messages that are queued, where many are.
    #[arg(long, default_value_t = 1_000_000)]
    messages: u32,
    /// Sessions that are away, where many are.
    #[arg(short = 'n', long, default_value_t = 100_000)]
    sessions: u32,
    /// Seconds of publishing, where time is the bound.
    #[arg(long, default_value = "10", value_parser = seconds)]
    seconds: Duration,
    /// Protocol version: 31, 311 or 5.
    #[arg(short = 'V', long, default_value = "311", value_parser = version)]
    protocol_version: Version,
    /// Seconds that go by before a measurement begins, and before memory is read.
    #[arg(long, default_value = "1", value_parser = seconds)]
    warmup: Duration,
    /// How often everything is repeated.
    #[arg(long, default_value_t = 1)]
    runs: u32,
    /// Write the results to this file too; - is standard output, without the table.
    #[arg(long, value_name = "FILE")]
    pub(super) json: Option<PathBuf>,
    /// Seconds of silence while something is due after which the run is given up.
    #[arg(long, default_value = "60", value_parser = seconds)]
    patience: Duration,
    /// Print help.
    #[arg(long, action = ArgAction::Help)]
    help: Option<bool>,
}

#[derive(ValueEnum, Clone, Copy, Debug)]
enum PartName {
    /// To one session that is away, beside a bare loop of append and sync.
    Publish,
    /// To a thousand sessions that are away.
    FanOut,
    /// A queue that is filled at one end and emptied at the other.
    Churn,
    /// A start with many messages and sessions.
    Start,
    /// A client that comes back to a long queue.
    Drain,
    /// One session that stays away among many busy ones; for minutes (`--seconds`).
    Endure,
}

#[derive(ValueEnum, Clone, Copy, Debug)]
enum ClassName {
    /// The disk has it.
    Fsync,
    /// The operating system has it.
    Os,
    /// Nothing, for comparison.
    Memory,
}

impl DurableArgs {
    pub(super) fn plan(self) -> Result<Plan, Error> {
        let own = || {
            std::env::current_exe().map_err(|error| {
                Error::Plan(format!("where this program lies is unknown: {error}"))
            })
        };
        let noctule = self.noctule.map_or_else(own, Ok)?;
        let mosquitto = self.mosquitto.map(|program| mosquitto(program, self.mosquitto_store));
        let message =
            MessageShape { qos: self.qos, size: self.size, user_properties: 0, aliases: false };
        let named = |part: &DurablePart| match self.part.is_empty() {
            true => *part != DurablePart::Endure,
            false => self.part.iter().any(|name| name.part() == *part),
        };
        let durable = Durable {
            noctule,
            class: self.class.word().into(),
            shards: self.shards,
            mosquitto: mosquitto.transpose()?,
            directory: self.directory,
            parts: DurablePart::ALL.into_iter().filter(named).collect(),
            message,
            messages: self.messages,
            sessions: self.sessions,
            time: self.seconds,
        };
        Ok(Plan {
            // Each part puts the broker there that it starts.
            target: Target {
                host: "127.0.0.1".into(),
                port: 0,
                version: self.protocol_version,
                user_name: None,
                password: None,
                keep_alive_secs: 0,
                tls: None,
            },
            scenario: Scenario::Durable(durable),
            pid: None,
            warmup: self.warmup,
            quiet: Duration::from_secs(2),
            patience: self.patience,
            runs: self.runs,
            concurrent: 256,
        })
    }
}

impl PartName {
    fn part(self) -> DurablePart {
        match self {
            PartName::Publish => DurablePart::Publish,
            PartName::FanOut => DurablePart::FanOut,
            PartName::Churn => DurablePart::Churn,
            PartName::Start => DurablePart::Start,
            PartName::Drain => DurablePart::Drain,
            PartName::Endure => DurablePart::Endure,
        }
    }
}

impl ClassName {
    fn word(self) -> &'static str {
        match self {
            ClassName::Fsync => "fsync",
            ClassName::Os => "os",
            ClassName::Memory => "memory",
        }
    }
}

/// mosquitto with the plugin that was named, or the one that lies where `cargo xtask peers` or a
/// system puts it.
fn mosquitto(program: PathBuf, store: Option<PathBuf>) -> Result<Mosquitto, Error> {
    let program = std::path::absolute(&program).unwrap_or(program);
    let found = store.or_else(|| {
        let home = program.parent().and_then(Path::parent)?;
        let roots = [home.join("mosquitto/tree/usr/lib"), home.join("lib"), "/usr/lib".into()];
        roots.iter().find_map(|root| search(root, 2))
    });
    match found {
        Some(store) => Ok(Mosquitto { program, store }),
        None => Err(Error::Plan(format!(
            "{SQLITE} is not beside {}: name it with --mosquitto-store",
            program.display()
        ))),
    }
}

/// The plugin in this directory, or at most so many levels below.
fn search(directory: &Path, levels: u32) -> Option<PathBuf> {
    let entries: Vec<PathBuf> =
        std::fs::read_dir(directory).ok()?.flatten().map(|entry| entry.path()).collect();
    let named = entries.iter().find(|path| path.file_name() == Some(OsStr::new(SQLITE)));
    named.cloned().or_else(|| {
        let below = levels.checked_sub(1)?;
        entries.iter().filter(|path| path.is_dir()).find_map(|path| search(path, below))
    })
}
