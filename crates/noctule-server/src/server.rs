//! Starts the threads of a broker, and joins them.

use crate::admin::{AdminServer, HttpApis};
use crate::auth::{Authenticator, Believed, Checks, Headcount, PasswordPool, TokenPool, Trust};
use crate::config::{
    Admission, AuthenticatorKind, Config, Listener, Log, LogLevel, Presence, TlsOptions,
};
use crate::defence::{Alarm, Allowed, BanFile, Bans, Defence, Posts, Reloaded, Report, Reports};
use crate::dynsec::{self, Book, BrokerApi, DeskThread, Opening};
use crate::files;
use crate::http::HttpThread;
use crate::inside::{self, Inside};
use crate::listeners::{Opened, Running, acceptor, door, listen, make_files, named_by};
use crate::log::Publisher;
use crate::net::Acceptor;
use crate::privileges::Privileges;
use crate::secrets;
use crate::shard::{
    self, Addresses, Clock, Command, IndexCell, Mailbox, Parts, Peers, Reconfiguration, Shard,
    Shared, Snapshot, Snapshots, Wake, WatchParts,
};
use crate::start_error::StartError;
use crate::stores;
use crate::sys::SysTopics;
use mio::{Poll, Waker};
use noctule_core::limits::ListenerLimits;
use noctule_core::{Broker, Homes, Index, Limits, ShardId, Tenant};
use noctule_store::{Replayed, Store};
use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicU16, AtomicU32};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Barrier};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Threads that check passwords: few, so that logins cannot starve the shards.
const PASSWORD_THREADS: usize = 2;

/// Threads that check tokens. They have much less to do, but ES384 takes milliseconds.
const TOKEN_THREADS: usize = 2;

/// How long the end waits at least for password checks that were begun.
const PASSWORD_PATIENCE: Duration = Duration::from_millis(100);

/// Starts brokers.
#[derive(Debug)]
pub struct Server;

/// A running broker. Dropping it cuts all connections; [`Handle::stop`] ends it with manners.
pub struct Handle {
    listeners: Vec<Running>,
    mailboxes: Vec<Mailbox>,
    shards: Vec<JoinHandle<bool>>,
    passwords: Option<PasswordPool>,
    token_checks: Option<TokenPool>,
    believed: Believed,
    http: Option<HttpThread>,
    admin: Option<AdminServer>,
    http_apis: HttpApis,
    defence: Option<Defence>,
    dynsec: Option<DeskThread>,
    homes: Homes,
    shared: Arc<Shared>,
    config: Config,
}

/// Brings the brokers of all shards to where an earlier run was.
fn replay(config: &Config, parts: &mut [Parts]) -> Result<(), StartError> {
    let shards = parts.iter_mut().map(|part| (&mut part.broker, &mut part.store)).collect();
    let replayed = stores::replay(shards).map_err(|error| StartError::Store {
        directory: config.durability.data.clone().unwrap_or_default(),
        error,
    })?;
    for (part, replayed) in parts.iter_mut().zip(replayed) {
        part.replayed = replayed;
    }
    Ok(())
}

/// Runs when a shard's thread ends, however it ends.
struct Ended(Option<Box<dyn FnOnce() + Send>>);

impl Drop for Ended {
    fn drop(&mut self) {
        if let Some(tell) = self.0.take() {
            tell();
        }
    }
}

/// What every shard is made from.
struct Plan<'a> {
    config: &'a Config,
    homes: Homes,
    shared: &'a Arc<Shared>,
    trust: &'a Arc<Trust>,
    passwords: &'a PasswordPool,
    tokens: &'a TokenPool,
    bans: &'a Arc<Bans>,
    headcount: Headcount,
    dynsec: Option<&'a Opening>,
    reports: Reports,
}

impl Server {
    /// Starts a broker: when this returns, clients can connect.
    ///
    /// # Errors
    /// An address it must have cannot be had, or the system refuses.
    pub fn start(config: Config) -> Result<Handle, StartError> {
        Server::start_watched(config, || ())
    }

    /// The same; `ended` is called whenever a shard's thread ends.
    pub(crate) fn start_watched(
        config: Config,
        ended: impl Fn() + Clone + Send + 'static,
    ) -> Result<Handle, StartError> {
        files::raise_limit();
        secrets::warn_of_readers(&config);
        let believed = Believed::load(&config, None)?;
        let http = believed.http()?;
        // As that user: it is to write the file later.
        let (privileges, opening) = (as_user(&config)?, opening(&config)?);
        let count = config.shard_count();
        let polls = (0..count).map(|_| poll()).collect::<io::Result<Vec<_>>>()?;
        let wakes: Vec<Arc<Wake>> = polls.iter().map(|(_, wake)| Arc::clone(wake)).collect();
        // A broker that cannot keep what it promises takes no connection.
        let stores = stores::open(&config, &wakes)?;
        let seed = random()?;
        let shared = Arc::new(shared(&config, count, config.listeners.len() + 1)?);
        let passwords = PasswordPool::start(PASSWORD_THREADS)?;
        let token_checks = TokenPool::start(TOKEN_THREADS)?;
        let trust = Arc::new(believed.trust(&config, http.as_ref()));
        let posts = Posts::new();
        let ban_file = ban_file(&config);
        let bans = Arc::new(ban_file.as_ref().map(BanFile::load).unwrap_or_default());
        let plan = Plan {
            bans: &bans,
            headcount: Headcount::default(),
            dynsec: opening.as_ref(),
            reports: posts.reports(),
            config: &config,
            homes: Homes::new(count, seed),
            shared: &shared,
            trust: &trust,
            passwords: &passwords,
            tokens: &token_checks,
        };
        let (mut mailboxes, mut parts) = (Vec::new(), Vec::new());
        let ways = polls.into_iter().zip(Peers::connect(&wakes)).zip(stores);
        for (at, (((poll, wake), peers), store)) in ways.enumerate() {
            let (commands, inbox) = channel();
            let mailbox = Mailbox { commands, wake };
            let id = ShardId(u16::try_from(at).expect("shards are counted in 16 bits"));
            let joints = Joints { poll, peers, store, commands: inbox };
            parts.push(plan.parts(id, joints, mailbox.clone())?);
            mailboxes.push(mailbox);
        }
        let Plan { homes, .. } = plan;
        replay(&config, &mut parts)?;
        let dynsec = opening.map(|it| it.start(&mailboxes)).transpose()?;
        // Not before: those who waited while a store is read would give up and come again, and
        // their two connections would be heard in any order.
        let (mut bound, admin_socket) = take_ports(&config, count, privileges)?;
        hand_out(&config, &mut bound, &mut parts);
        let kept = (ban_file, Bans::clone(&bans));
        let defence = Defence::start(posts, &config, kept, mailboxes.clone(), shared.clock)?;
        let desk = defence.reports().clone();
        let mut handle = Handle {
            listeners: bound.into_iter().map(|it| it.running).collect(),
            mailboxes,
            shards: Vec::new(),
            passwords: Some(passwords),
            token_checks: Some(token_checks),
            believed,
            http,
            admin: None,
            http_apis: HttpApis::default(),
            defence: Some(defence),
            dynsec,
            homes,
            shared,
            config,
        };
        handle.run(parts, ended)?;
        handle.begin_fetching();
        handle.serve_admin(admin_socket, desk)?;
        Ok(handle)
    }

    /// Reads the files that a configuration names, as a start would.
    ///
    /// # Errors
    /// One of them is of no use.
    pub fn check_files(config: &Config) -> Result<(), StartError> {
        config.listeners.iter().try_for_each(|listener| acceptor(listener).map(drop))?;
        Believed::load(config, None)?;
        Alarm::check(&config.defence)?;
        config.dynamic_security.as_ref().map(dynsec::check).transpose()?;
        Ok(())
    }
}

/// Where bans survive a restart, if anything does.
fn ban_file(config: &Config) -> Option<BanFile> {
    let directory = config.durability.data.as_ref().filter(|_| config.keeps_something());
    directory.map(|directory| BanFile::in_directory(directory))
}

/// Dynamic security, with its file.
fn opening(config: &Config) -> Result<Option<Opening>, StartError> {
    let book = config.dynamic_security.as_ref().map(Book::open).transpose()?;
    Ok(book.map(Opening::new))
}

/// Opens what is kept as the user that is configured, from here on.
fn as_user(config: &Config) -> io::Result<Privileges> {
    let privileges = Privileges::of(Some(&*config.user).filter(|name| !name.is_empty()))?;
    if let Some(data) = config.durability.data.as_ref().filter(|_| config.keeps_something()) {
        privileges.make_directory(data)?;
    }
    privileges.lower()?;
    Ok(privileges)
}

/// Takes all ports, as root if that is what it was started as, and is the user for good then.
fn take_ports(
    config: &Config,
    shards: u16,
    privileges: Privileges,
) -> Result<(Vec<Opened>, Option<TcpListener>), StartError> {
    privileges.raise()?;
    let (mut listeners, admin) = (listen(config, shards)?, admin_socket(config)?);
    privileges.give_up()?;
    make_files(&mut listeners)?;
    Ok((listeners, admin))
}

/// Gives every shard its parts of the listeners.
fn hand_out(config: &Config, bound: &mut [Opened], parts: &mut [Parts]) {
    let api = Arc::new(BrokerApi::new(config, bound));
    for part in parts {
        part.api = Arc::clone(&api);
        part.listeners = bound.iter_mut().map(Opened::part).collect();
        part.listeners.push(inside::listener());
    }
}

/// A shard's thread; `false` if it failed.
fn shard_thread(parts: Parts) -> bool {
    let _cache = noctule_alloc::cache_here();
    let id = parts.id.0;
    match Shard::run(parts) {
        Ok(()) => true,
        Err(error) => {
            tracing::error!("shard {id} ended: {error}");
            false
        }
    }
}

/// What joins one shard to the world.
struct Joints {
    poll: Poll,
    peers: Peers,
    store: Box<dyn Store>,
    commands: Receiver<Command>,
}

/// What all shards share.
fn shared(config: &Config, count: u16, listeners: usize) -> io::Result<Shared> {
    Ok(Shared {
        index: IndexCell::new(Index::new(random()?)),
        snapshots: Snapshots::new(count),
        open: (0..listeners).map(|_| AtomicU32::new(0)).collect(),
        addresses: Addresses::new(),
        running: AtomicU16::new(count),
        clock: Clock::start(),
        durability: config.durability.class.into(),
        ready: Barrier::new(usize::from(count)),
    })
}

/// The limits of a broker's core, which has the classes among them.
fn limits(config: &Config) -> Limits {
    let topics = config.durability.topics.iter();
    Limits {
        durability: config.durability.class.into(),
        control_api: config.control_api,
        durability_of_topics: topics.map(|it| (it.filter().into(), it.class().into())).collect(),
        listeners: config.listeners.iter().map(|it| it.limits.clone()).collect(),
        ..config.limits.clone()
    }
}

impl Plan<'_> {
    fn parts(&self, id: ShardId, joints: Joints, mailbox: Mailbox) -> Result<Parts, StartError> {
        let wake = Arc::clone(&mailbox.wake);
        let checks = Checks {
            passwords: self.passwords.asker(mailbox.clone()),
            tokens: self.tokens.asker(mailbox.clone()),
            headcount: self.headcount.clone(),
            answers: mailbox,
        };
        let auth = Authenticator::new(Arc::clone(self.trust), checks, self.shared.clock)
            .map_err(io::Error::from)?;
        let interval = self.config.sys_interval_secs;
        let sys = || SysTopics::new(self.config.tenants(), interval, self.shared.clock.now());
        Ok(Parts {
            id,
            poll: joints.poll,
            broker: Broker::new(id, self.homes.clone(), limits(self.config)),
            limits: limits(self.config),
            policies: inside::policies(self.config),
            address_limits: self.config.address_limits,
            store: joints.store,
            replayed: Replayed::default(),
            listeners: Vec::new(),
            peers: joints.peers,
            commands: joints.commands,
            wake,
            auth,
            api: Arc::default(),
            dynsec: self.dynsec.map(Opening::parts),
            sys: (id.0 == 0).then(sys),
            watch: WatchParts {
                thresholds: self.config.defence.thresholds,
                allowed: Arc::new(Allowed::new(&self.config.defence)),
                bans: Arc::clone(self.bans),
                reports: self.reports.clone(),
            },
            shared: Arc::clone(self.shared),
        })
    }
}

/// Whether listeners differ in nothing but what can be changed while they run.
fn alike(old: &[Listener], new: &[Listener]) -> bool {
    let fixed = |listener: &Listener| Listener {
        allow_anonymous: false,
        connections_max: 0,
        admission: Admission::default(),
        limits: ListenerLimits {
            // Topics that are kept begin with it.
            mount_point: listener.limits.mount_point.clone(),
            ..ListenerLimits::default()
        },
        tls: None,
        acl_file: None,
        roles_file: None,
        authenticators: None,
        password_file: None,
        users: None,
        ..listener.clone()
    };
    let fixed = |listener: &Listener| (fixed(listener), named_by(listener));
    old.iter().map(fixed).eq(new.iter().map(fixed))
}

/// What differs and needs a restart; `alike`: the listeners are where they were.
fn pinned(old: &Config, new: &Config, alike: bool) -> Vec<&'static str> {
    let fixed = |log: &Log| Log { level: LogLevel::Info, types: None, ..log.clone() };
    let all = [
        ("shards", old.shards != new.shards),
        ("user", old.user != new.user),
        ("pid_file", old.pid_file != new.pid_file),
        ("listener", !alike),
        ("admin", old.admin != new.admin),
        ("durability", old.durability != new.durability),
        ("dynamic_security", old.dynamic_security != new.dynamic_security),
        ("log", fixed(&old.log) != fixed(&new.log)),
    ];
    those(&all)
}

fn those(all: &[(&'static str, bool)]) -> Vec<&'static str> {
    all.iter().filter(|(_, differs)| *differs).map(|(name, _)| *name).collect()
}

/// Which tables and options differ, for the audit log.
fn changed(old: &Config, new: &Config) -> Vec<&'static str> {
    let all = [
        ("shards", old.shards != new.shards),
        ("user", old.user != new.user),
        ("sys_interval_secs", old.sys_interval_secs != new.sys_interval_secs),
        ("control_api", old.control_api != new.control_api),
        ("shutdown_grace_secs", old.shutdown_grace_secs != new.shutdown_grace_secs),
        ("listener", old.listeners != new.listeners),
        ("durability", old.durability != new.durability),
        ("limits", old.limits != new.limits || old.memory_max != new.memory_max),
        ("log", old.log != new.log),
        ("admin", old.admin != new.admin),
        ("defence", old.defence != new.defence),
        ("audit", old.audit != new.audit),
        ("users", old.users != new.users),
        ("password_file", old.password_file != new.password_file),
        ("rules", old.policies != new.policies),
        ("authenticators", old.authenticators != new.authenticators),
        ("jwt", old.jwt != new.jwt),
        ("webhook", old.webhook != new.webhook),
        ("dynamic_security", old.dynamic_security != new.dynamic_security),
        ("bridge", old.bridges != new.bridges),
    ];
    those(&all)
}

/// The bounds that a reload brings.
fn adopt_limits(old: &mut Config, new: &Config) {
    old.address_limits = new.address_limits;
    old.memory_max = new.memory_max;
    old.limits.clone_from(&new.limits);
}

fn reload_tls(acceptor: &Acceptor, tls: &TlsOptions, address: SocketAddr) {
    match acceptor.reload(tls) {
        Ok(()) => tracing::info!("TLS on {address} has its files anew"),
        Err(error) => {
            tracing::error!("TLS on {address} stays as it was: {error}");
        }
    }
}

fn admin_socket(config: &Config) -> Result<Option<TcpListener>, StartError> {
    if !config.admin.enabled {
        return Ok(None);
    }
    let address = config.admin.address;
    match TcpListener::bind(address) {
        Ok(socket) => Ok(Some(socket)),
        Err(error) => {
            let error = StartError::Admin { address, error };
            match config.admin.presence {
                Presence::Required => Err(error),
                Presence::IfPossible => {
                    tracing::warn!("going on without /metrics: {error}");
                    Ok(None)
                }
            }
        }
    }
}

fn poll() -> io::Result<(Poll, Arc<Wake>)> {
    let poll = Poll::new()?;
    let waker = Waker::new(poll.registry(), shard::waker_token())?;
    Ok((poll, Arc::new(Wake::new(waker))))
}

fn random() -> io::Result<u64> {
    getrandom::u64().map_err(io::Error::from)
}

impl Handle {
    /// Addresses clients can connect to, with the ports the system chose, in order of the
    /// configuration; those that could not be had are left out.
    #[must_use]
    pub fn addresses(&self) -> Vec<SocketAddr> {
        let clients = self.listeners.iter().filter(|it| it.speaks_mqtt());
        clients.filter_map(|it| it.address).collect()
    }

    /// Where clients can connect, Unix sockets among them.
    pub(crate) fn listeners(&self) -> impl Iterator<Item = &Running> {
        self.listeners.iter().filter(|it| it.is_up())
    }

    /// What it was started with, and what reloads have changed of it.
    pub(crate) fn config(&self) -> &Config {
        &self.config
    }

    /// A way in for parts of this process.
    #[must_use]
    pub fn inside(&self) -> Inside {
        let packet_size_max = self.config.limits.packet_size_max;
        Inside::new(self.mailboxes.clone(), self.homes.clone(), packet_size_max)
    }

    /// Publishes lines of the log, to everybody who may read them.
    pub(crate) fn log_publisher(&self) -> Publisher {
        let tenants = self.config.tenants();
        let first = self.mailboxes.first().cloned();
        Box::new(move |topic, line| {
            if let Some(first) = &first {
                let (tenants, topic) = (tenants.clone(), topic.to_owned());
                let payload = line.to_owned();
                first.post(Command::Publish { tenants, topic, payload, retain: false });
            }
        })
    }

    /// Whether anybody can prove to a listener who it is.
    pub(crate) fn knows_anybody(&self, listener: &Listener) -> bool {
        let Config { jwt, webhook, .. } = &self.config;
        self.config.authenticators_of(listener).iter().any(|kind| match kind {
            AuthenticatorKind::Certificate => named_by(listener).names_anybody(),
            AuthenticatorKind::Jwt => !jwt.is_empty(),
            AuthenticatorKind::Password => !self.config.users_of(listener).is_empty(),
            AuthenticatorKind::Dynsec => self.dynsec.is_some(),
            AuthenticatorKind::Webhook => webhook.is_some(),
        })
    }

    /// Where `/metrics` is.
    #[must_use]
    pub fn admin_address(&self) -> Option<SocketAddr> {
        self.admin.as_ref().map(AdminServer::address)
    }

    /// The shard on which a client's connection and session live.
    #[must_use]
    pub fn home_of(&self, tenant: Tenant, client_id: &str) -> ShardId {
        self.homes.of_client(tenant, client_id)
    }

    /// Counts of all shards, a tenth of a second old at most.
    #[must_use]
    pub fn counters(&self) -> Snapshot {
        self.shared.snapshots.sum()
    }

    /// Changes what can be changed while running; answers the names of those options that differ
    /// and need a restart.
    pub fn reload(&mut self, new: &Config) -> Vec<&'static str> {
        let old = &mut self.config;
        // Rules of one listener belong to it, and other listeners begin with a restart.
        let alike = alike(&old.listeners, &new.listeners);
        let for_all = |it: &Config| it.policies.by_listener.is_empty();
        let fit = alike || (for_all(old) && for_all(new));
        let policies = (fit && old.policies != new.policies).then_some(&new.policies);
        let pinned = pinned(old, new, alike);
        let changed = changed(old, new);
        secrets::warn_of_readers(new);
        for (running, new) in self.listeners.iter().zip(&new.listeners) {
            let address = running.configured.address;
            if let (Some(acceptor), Some(tls)) = (&running.acceptor, &new.tls)
                && address == new.address
            {
                reload_tls(acceptor, tls, address);
            }
        }
        let ruled_anew = policies.map(|policies| old.policies.clone_from(policies)).is_some();
        match self.believed.reload(new, &mut self.http) {
            Ok(()) => {
                old.jwt.clone_from(&new.jwt);
                old.webhook.clone_from(&new.webhook);
            }
            Err(why) => tracing::error!("tokens and webhook stay as they were: {why}"),
        }
        old.authenticators.clone_from(&new.authenticators);
        old.bridges.clone_from(&new.bridges);
        if alike {
            old.listeners.clone_from(&new.listeners);
        }
        adopt_limits(old, new);
        old.users.clone_from(&new.users);
        self.http_apis.reload(&self.listeners, old);
        old.sys_interval_secs = new.sys_interval_secs;
        old.control_api = new.control_api;
        old.shutdown_grace_secs = new.shutdown_grace_secs;
        old.defence.clone_from(&new.defence);
        old.audit.clone_from(&new.audit);
        let reloaded = Reloaded {
            defence: new.defence.clone(),
            audit: new.audit.clone(),
            memory_max: new.memory_max,
            changed,
            pinned: pinned.clone(),
        };
        if let Some(defence) = &self.defence {
            defence.reports().insist(Report::Reloaded(Box::new(reloaded)));
        }
        let new = Arc::new(Reconfiguration {
            policies: ruled_anew.then(|| inside::policies(old)),
            limits: limits(old),
            trust: Arc::new(self.believed.trust(old, self.http.as_ref())),
            sys_interval_secs: new.sys_interval_secs,
            thresholds: new.defence.thresholds,
            allowed: Arc::new(Allowed::new(&new.defence)),
            address_limits: new.address_limits,
            doors: old.listeners.iter().map(door).collect(),
        });
        for mailbox in &self.mailboxes {
            mailbox.post(Command::Reconfigure(Arc::clone(&new)));
        }
        self.begin_fetching();
        if let Some(dynsec) = &self.dynsec {
            dynsec.reread();
        }
        pinned
    }

    /// Starts the threads of the shards.
    fn run(
        &mut self,
        parts: Vec<Parts>,
        ended: impl Fn() + Clone + Send + 'static,
    ) -> io::Result<()> {
        for part in parts {
            let ended = ended.clone();
            let name = format!("shard-{}", part.id.0);
            let run = move || {
                let _ended = Ended(Some(Box::new(ended)));
                shard_thread(part)
            };
            self.shards.push(std::thread::Builder::new().name(name).spawn(run)?);
        }
        Ok(())
    }

    /// Answers at the admin listener, if there is one, and at those of `http_api`.
    fn serve_admin(&mut self, socket: Option<TcpListener>, desk: Reports) -> io::Result<()> {
        if let Some(socket) = socket {
            self.admin = Some(AdminServer::start(socket, Arc::clone(&self.shared), desk)?);
        }
        let Handle { listeners, config, shared, .. } = self;
        self.http_apis = HttpApis::start(listeners, config, shared)?;
        Ok(())
    }

    /// Fetches the keys that come from URLs.
    fn begin_fetching(&self) {
        if let Some(http) = &self.http {
            self.believed.begin_fetching(http);
        }
    }

    /// Reads the files of TLS, tokens and webhooks that have changed since they were read: new
    /// connections begin with what they hold.
    pub fn refresh_files(&self) {
        self.believed.refresh();
        for running in &self.listeners {
            if let Some(acceptor) = &running.acceptor
                && let Some(tls) = acceptor.changed()
            {
                reload_tls(acceptor, &tls, running.configured.address);
            }
        }
    }

    /// Refuses new clients, says goodbye to all others, and waits until they are gone or the grace
    /// time is over. `false` if a shard had failed.
    pub fn stop(mut self) -> bool {
        let grace = u64::from(self.config.shutdown_grace_secs) * 1000;
        self.end(grace)
    }

    fn end(&mut self, grace_millis: u64) -> bool {
        if let Some(admin) = &self.admin {
            admin.not_ready();
        }
        let deadline = self.shared.clock.now().plus_millis(grace_millis);
        let patience = Duration::from_millis(grace_millis).max(PASSWORD_PATIENCE);
        let passwords_by = Instant::now() + patience;
        for mailbox in &self.mailboxes {
            mailbox.post(Command::Shutdown { deadline });
        }
        self.mailboxes.clear();
        // A thread that panicked has been reported by the panic hook.
        let ends = self.shards.drain(..).map(|thread| thread.join().unwrap_or(false));
        let well = ends.fold(true, |all, one| all & one);
        if let Some(passwords) = self.passwords.take() {
            passwords.join(passwords_by);
        }
        // Who waits for a fetch waits for nothing any more.
        self.http = None;
        if let Some(tokens) = self.token_checks.take() {
            tokens.join();
        }
        drop(self.admin.take());
        self.http_apis = HttpApis::default();
        if let Some(dynsec) = self.dynsec.take() {
            dynsec.join();
        }
        // Nobody has anything to report any more.
        drop(self.defence.take());
        well
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.end(0);
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").field("addresses", &self.addresses()).finish_non_exhaustive()
    }
}
