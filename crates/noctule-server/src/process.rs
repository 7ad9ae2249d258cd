//! The broker as a process: configuration file, log, signals.

use crate::beside::{Beside, Bridges};
use crate::config::mosquitto::{Note, Surroundings, Translation};
use crate::config::{
    Config, ConfigError, LogLevel, LogTo, LogTypes, PORT, Protocol, state_directory,
};
use crate::daemon::{PidFile, daemonize, tell_ready};
use crate::import;
use crate::listeners::Running;
use crate::log::{LogOutput, MOSQUITTO, mosquitto_version};
use crate::server::{Handle, Server};
use crate::signals::{Request, SignalThread};
use crate::start_error::StartError;
use std::fmt;
use std::io;
use std::num::NonZeroU16;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};
use tracing::{error, info, warn};

/// How often is looked whether files of TLS and tokens have changed.
const LOOK_AGAIN: Duration = Duration::from_secs(2);

/// What the command line can say.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Options {
    /// Configuration file.
    pub config: ConfigFile,
    /// Ports of the loopback listeners that there are without a configured one.
    pub ports: Vec<u16>,
    /// Log more, whatever the file says: 1 debug, 2 and more trace.
    pub verbose: u8,
    /// Log nothing, whatever the file says.
    pub quiet: bool,
    /// Go into the background.
    pub daemon: bool,
    /// What is kept, and where.
    pub keep: Keep,
    /// Shards, whatever the file says.
    pub shards: Option<NonZeroU16>,
}

/// Where the configuration comes from.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum ConfigFile {
    /// What noctule does without a file.
    #[default]
    None,
    /// A noctule.toml.
    Noctule(PathBuf),
    /// A mosquitto.conf; what mosquitto does without a file, if there is none.
    Mosquitto(Option<PathBuf>),
}

/// What the command line says about what survives a restart.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum Keep {
    /// What the configuration says, in the directory that it names; in the state directory if it
    /// names none.
    #[default]
    AsConfigured,
    /// What the configuration says, in this directory.
    In(PathBuf),
    /// Nothing, whatever the configuration says.
    Nothing,
}

/// Why the process could not do its work.
#[derive(Debug)]
pub enum RunError {
    /// The configuration is wrong.
    Config(ConfigError),
    /// Options of the command line that cannot be followed.
    Options(&'static str),
    /// The broker did not start.
    Start(StartError),
    /// A shard failed while running.
    Failed,
}

impl fmt::Display for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RunError::Config(error) => error.fmt(f),
            RunError::Options(text) => f.write_str(text),
            RunError::Start(error) => error.fmt(f),
            RunError::Failed => f.write_str("the broker failed; the log says why"),
        }
    }
}

impl std::error::Error for RunError {}

impl From<StartError> for RunError {
    fn from(error: StartError) -> RunError {
        RunError::Start(error)
    }
}

impl RunError {
    /// The exit code of a process that ends for it, started with those options: with a
    /// mosquitto.conf that of mosquitto.
    #[must_use]
    pub fn exit_code(&self, options: &Options) -> u8 {
        let of_file = match self {
            RunError::Config(_) | RunError::Options(_) => true,
            // A user that there is not.
            RunError::Start(StartError::System(error)) => error.kind() == io::ErrorKind::NotFound,
            RunError::Start(_) | RunError::Failed => false,
        };
        if of_file && matches!(options.config, ConfigFile::Mosquitto(_)) { 3 } else { 1 }
    }
}

impl ConfigFile {
    /// A file is a mosquitto.conf if its name ends in `.conf`, else a noctule.toml.
    #[must_use]
    pub fn named(path: Option<PathBuf>) -> ConfigFile {
        match path {
            None => ConfigFile::None,
            Some(path) if path.extension().is_some_and(|it| it == "conf") => {
                ConfigFile::Mosquitto(Some(path))
            }
            Some(path) => ConfigFile::Noctule(path),
        }
    }
}

/// What the main thread waits for.
enum Notice {
    Signal(Request),
    ShardEnded,
}

/// Runs a broker until the system asks the process to end.
///
/// # Errors
/// It could not start, or failed while running.
pub fn run(options: &Options, beside: Beside) -> Result<(), RunError> {
    let began = Instant::now();
    let (config, notes) = options.with_notes()?;
    options.check_bridges(&config, beside)?;
    if options.daemon {
        // No thread has been started yet: none of them would be there in the background.
        daemonize().map_err(StartError::from)?;
    }
    // Nobody should have to find out by losing something what is kept, so no level hides it.
    let log = LogOutput::start(&config.log).map_err(StartError::from)?;
    info!(target: MOSQUITTO, "{} starting", mosquitto_version());
    promise(&config);
    log.settle(&config.log);
    for note in &notes {
        info!("{note}");
    }
    if let Some(hint) = options.import_hint(&config) {
        warn!("{hint}");
    }
    let _pid_file = PidFile::write(config.pid_file.as_deref()).map_err(StartError::from)?;
    info!("{}", config.memory_max.told());
    let (tell, notices) = channel();
    let signals = {
        let tell = tell.clone();
        let mut stopping = false;
        let hear = move |request| {
            if request == Request::Stop && std::mem::replace(&mut stopping, true) {
                // Who asks twice does not want to wait for goodbyes.
                std::process::exit(1);
            }
            // The receiver outlives the thread but for the last moment, when nobody needs to be
            // told.
            drop(tell.send(Notice::Signal(request)));
        };
        SignalThread::start(hear).map_err(StartError::from)?
    };
    let handle = Server::start_watched(config, move || drop(tell.send(Notice::ShardEnded)))?;
    if handle.config().log.to.contains(&LogTo::Topic) {
        log.publish_by(handle.log_publisher());
    }
    let mut bridges = Bridges::new(beside);
    bridges.are(&handle.config().bridges, &handle).map_err(StartError::from)?;
    greet(&handle, began);
    info!(target: MOSQUITTO, "{} running", mosquitto_version());
    if let Err(error) = tell_ready() {
        warn!("systemd is not told that the broker is ready: {error}");
    }
    let outcome = serve(handle, &notices, options, (&log, &mut bridges));
    drop(signals);
    outcome
}

impl Options {
    /// The configuration in force: the file, what the command line says, and what was left to be
    /// chosen.
    ///
    /// # Errors
    /// The file is wrong, or says something that the command line cannot be joined with.
    pub fn config(&self) -> Result<Config, RunError> {
        self.with_notes().map(|(config, _)| config)
    }

    /// Whether the bridges of a configuration can be.
    ///
    /// # Errors
    /// One of them cannot.
    pub fn check_bridges(&self, config: &Config, beside: Beside) -> Result<(), RunError> {
        (beside.check)(&config.bridges).map_err(|fault| {
            let file = match &self.config {
                ConfigFile::Noctule(path) | ConfigFile::Mosquitto(Some(path)) => {
                    path.display().to_string()
                }
                ConfigFile::None | ConfigFile::Mosquitto(None) => String::new(),
            };
            RunError::Config(ConfigError { file, faults: vec![fault] })
        })
    }

    /// The same, with what the file says and what has no effect.
    fn with_notes(&self) -> Result<(Config, Vec<Note>), RunError> {
        let (mut config, notes) = self.read()?;
        self.choose(&mut config)?;
        Ok((config, notes))
    }

    /// Where mosquitto kept something, and noctule has nothing yet: how to bring it.
    fn import_hint(&self, config: &Config) -> Option<String> {
        let ConfigFile::Mosquitto(Some(file)) = &self.config else { return None };
        let directory = config.durability.data.as_deref().filter(|_| config.keeps_something())?;
        import::hint(file, directory)
    }

    /// What the file alone says.
    fn read(&self) -> Result<(Config, Vec<Note>), RunError> {
        match &self.config {
            ConfigFile::None => Ok((Config::default(), Vec::new())),
            ConfigFile::Noctule(path) => {
                let config = Config::load(path).map_err(RunError::Config)?;
                Ok((config, Vec::new()))
            }
            ConfigFile::Mosquitto(path) => {
                let translation = self.translation(path.as_deref())?;
                let config = translation.config().map_err(RunError::Config)?;
                Ok((config, translation.notes().to_vec()))
            }
        }
    }

    /// What a mosquitto.conf says, as a noctule.toml says it.
    ///
    /// # Errors
    /// It is wrong, or says something that noctule cannot do.
    pub fn translation(&self, path: Option<&Path>) -> Result<Translation, RunError> {
        let around = Surroundings::of_process().map_err(StartError::from)?;
        let around = Surroundings { ports: self.ports.clone(), ..around };
        Translation::read(path, &around).map_err(RunError::Config)
    }

    /// Changes what the command line says.
    fn choose(&self, config: &mut Config) -> Result<(), RunError> {
        let ours = !matches!(self.config, ConfigFile::Mosquitto(_));
        if !self.ports.is_empty() && ours {
            if config.listeners != Config::default().listeners {
                return Err(RunError::Options(
                    "-p changes the port of the listeners that there are by default, but the \
                     configuration file has its own: change `port` there",
                ));
            }
            let listeners = self.ports.iter().map(|port| Config::on_port(*port).listeners);
            config.listeners = listeners.flatten().collect();
        }
        if self.shards.is_some() {
            config.shards = self.shards;
        }
        match self.verbose {
            0 => {}
            1 => config.log.level = LogLevel::Debug,
            _ => config.log.level = LogLevel::Trace,
        }
        if self.verbose > 0 {
            config.log.types = Some(LogTypes::all());
        }
        if self.quiet {
            config.log.to.clear();
            config.log.file = None;
        }
        self.keep.choose(config)
    }
}

impl Keep {
    /// Settles what is kept, and where.
    fn choose(&self, config: &mut Config) -> Result<(), RunError> {
        match self {
            Keep::Nothing => config.keep_nothing(),
            Keep::In(_) if !config.keeps_something() => {
                return Err(RunError::Options(
                    "--data names a directory, but by the configuration file nothing is kept: \
                     change `durability.class` there, or start without --data",
                ));
            }
            Keep::In(directory) => {
                let absolute = std::path::absolute(directory).map_err(StartError::from)?;
                config.durability.data = Some(absolute);
            }
            Keep::AsConfigured if config.keeps_something() && config.durability.data.is_none() => {
                config.durability.data = Some(state(&config.user)?);
            }
            Keep::AsConfigured => {}
        }
        Ok(())
    }
}

/// The state directory of this process, which is to become a user, unless that is empty: then what
/// root calls its home is not where to keep anything.
fn state(user: &str) -> Result<PathBuf, RunError> {
    let becomes = !user.is_empty() && crate::privileges::is_root();
    let said =
        |name: &str| std::env::var_os(name).filter(|_| !becomes || name == "STATE_DIRECTORY");
    state_directory(said).ok_or(RunError::Options(
        "no directory for what is kept: none of STATE_DIRECTORY, XDG_STATE_HOME and HOME is set. \
         Name one: --data DIR; or keep nothing: --memory",
    ))
}

/// The directory of a store that there is already: the one that is named, else the one of the
/// configuration file, else the state directory. What a broker would keep from now on does not
/// matter.
///
/// # Errors
/// The file is wrong, or nothing names a directory.
pub fn store_directory(config: Option<&Path>, data: Option<&Path>) -> Result<PathBuf, RunError> {
    if let Some(data) = data {
        return Ok(std::path::absolute(data).map_err(StartError::from)?);
    }
    let named = ConfigFile::named(config.map(Path::to_owned));
    let read = Options { config: named, ..Options::default() };
    let (config, _) = read.read()?;
    let (data, user) = (config.durability.data, config.user);
    data.map_or_else(|| state(&user), Ok)
}

/// The directory in which a broker with this configuration keeps what it is given from now on, and
/// the user that it becomes, which is empty if it stays who starts it.
///
/// # Errors
/// The file is wrong, or says that nothing is kept; or nothing names a directory.
pub(crate) fn place_to_keep(
    config: Option<&Path>,
    data: Option<&Path>,
) -> Result<(PathBuf, Box<str>), RunError> {
    let named = ConfigFile::named(config.map(Path::to_owned));
    let keep = data.map_or(Keep::AsConfigured, |data| Keep::In(data.to_owned()));
    let config = Options { config: named, keep, ..Options::default() }.config()?;
    let kept = config.keeps_something();
    match config.durability.data.filter(|_| kept) {
        Some(directory) => Ok((directory, config.user)),
        None => Err(RunError::Options(
            "by the configuration file nothing is kept (`persistence`, `durability.class`), so a \
             broker would not read what is brought: change that first",
        )),
    }
}

/// The first line: what an acknowledgement of this broker is worth.
fn promise(config: &Config) {
    let promise = config.promise();
    if config.keeps_something() {
        info!("{promise}");
    } else {
        warn!("{promise}");
    }
}

/// What mosquitto says of a listener that it opens.
fn listen_socket(running: &Running) -> String {
    let transport = &running.configured.transport;
    let kind = match (running.address, &transport.unix) {
        (None, Some(path)) => return format!("unix listen socket on path {}.", path.display()),
        _ if transport.protocol == Protocol::HttpApi => "http api",
        _ if transport.protocol == Protocol::WebSocket => "websockets",
        (Some(address), _) if address.is_ipv6() => "ipv6",
        (Some(_) | None, _) => "ipv4",
    };
    format!("{kind} listen socket on port {}.", running.address.map_or(0, |it| it.port()))
}

/// Says where the broker is and what to try next.
fn greet(handle: &Handle, began: Instant) {
    for running in handle.listeners() {
        let (address, listener) = (running.place(), &running.configured);
        let who = match (listener.allow_anonymous, handle.knows_anybody(listener)) {
            (true, false) => "everyone may connect",
            (true, true) => "users and anonymous clients may connect",
            (false, true) => "users may connect",
            (false, false) => {
                warn!(
                    "nobody may connect to {address}: add users (noctule passwd NAME), or say \
                     allow_anonymous = true"
                );
                "nobody may connect"
            }
        };
        let how = match (listener.transport.protocol, listener.tls.is_some()) {
            (Protocol::Mqtt, false) => "",
            (Protocol::Mqtt, true) => " (TLS)",
            (Protocol::HttpApi, _) => " (http_api)",
            (Protocol::WebSocket, false) => " (WebSocket)",
            (Protocol::WebSocket, true) => " (WebSocket, TLS)",
        };
        info!(target: MOSQUITTO, "Opening {}", listen_socket(running));
        info!("listening on {address}{how}: {who}");
    }
    if let Some(address) = handle.admin_address() {
        info!("metrics on http://{address}/metrics");
    }
    let mut clients = handle.listeners().filter(|it| it.speaks_mqtt());
    let place = match (handle.addresses().first(), clients.next()) {
        (Some(address), _) if address.port() == PORT => String::new(),
        (Some(address), _) => format!(" -p {}", address.port()),
        (None, Some(running)) => running.place().replacen("unix:", " --unix ", 1),
        (None, None) => String::new(),
    };
    let millis = began.elapsed().as_millis();
    info!("ready after {millis} ms; try: noctule sub{place} -t '#' -v");
}

fn serve(
    mut handle: Handle,
    notices: &Receiver<Notice>,
    options: &Options,
    (log, bridges): (&LogOutput, &mut Bridges),
) -> Result<(), RunError> {
    loop {
        match notices.recv_timeout(LOOK_AGAIN) {
            Err(RecvTimeoutError::Timeout) => handle.refresh_files(),
            Ok(Notice::Signal(Request::Reload)) => reload(&mut handle, options, (log, bridges)),
            Ok(Notice::Signal(Request::ReopenLog)) => {
                log.reopen();
                info!("the log file is opened anew");
            }
            Ok(Notice::Signal(Request::Save)) => {
                info!("nothing to save: what is acknowledged is kept as its class promises");
            }
            Ok(Notice::Signal(Request::Dump)) => {
                info!("subscriptions are not printed: see noctule top");
            }
            Ok(Notice::Signal(Request::Stop)) | Err(_) => {
                info!("stopping");
                bridges.end();
                let well = handle.stop();
                info!("stopped");
                return if well { Ok(()) } else { Err(RunError::Failed) };
            }
            Ok(Notice::ShardEnded) => {
                error!("a shard ended by itself: stopping");
                bridges.end();
                handle.stop();
                return Err(RunError::Failed);
            }
        }
    }
}

fn reload(handle: &mut Handle, options: &Options, (log, bridges): (&LogOutput, &mut Bridges)) {
    log.reopen();
    info!(target: MOSQUITTO, "Reloading config.");
    if matches!(options.config, ConfigFile::None | ConfigFile::Mosquitto(None)) {
        info!("nothing to reload: started without a configuration file");
        return;
    }
    let config = options
        .config()
        .and_then(|config| options.check_bridges(&config, bridges.beside()).map(|()| config));
    match config {
        Ok(config) => {
            log.settle(&config.log);
            let pinned = handle.reload(&config);
            if let Err(error) = bridges.are(&config.bridges, handle) {
                error!("no bridge can be started: {error}");
            }
            if pinned.is_empty() {
                info!("configuration reloaded");
            } else {
                let names = pinned.join(", ");
                warn!("configuration reloaded, except what needs a restart: {names}");
            }
        }
        Err(error) => error!("the configuration stays as it was: {error}"),
    }
}
