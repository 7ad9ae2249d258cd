//! Configuration: a file in, a [`Config`] that cannot be wrong out.
//!
//! * `options`     every option there is: name, meaning, value; the only place that lists them
//! * `value`       how one value is written in the file, and what is wrong with a bad one
//! * `parse`       walks the file along the options; its errors name file, line and option
//! * `defence`     what is watched, and what is done about it
//! * `durability`  what is kept, and where
//! * `acl`         files of rules as mosquitto has them
//! * `roles`       what the holders of a role may do, and who they are
//! * `policies`    what all rules come to
//! * `tls`         how a listener speaks TLS
//! * `transport`   what else carries the bytes of its clients
//! * `bridge`      other brokers, and what is passed on to and from them
//! * `authenticators`  who is asked about a client
//! * `jwt`         whose tokens are taken
//! * `dynsec`      the file of dynamic security
//! * `webhook`     the service that is asked who is let in
//! * `admission`   which networks a listener takes connections from
//! * `rates`       how much one client, or one address, may do
//! * `log`         where log lines go, and which
//! * `memory`      how much memory the process may take
//! * `mosquitto`   mosquitto.conf, said as a file of ours
//! * `spelling`    how lists and the like are written
//! * `sample`      prints the options with their defaults as a commented file
//! * `show`        prints those in force

mod acl;
mod admission;
mod authenticators;
mod bridge;
mod defence;
mod durability;
mod dynsec;
mod jwt;
mod log;
mod memory;
pub mod mosquitto;
mod options;
mod parse;
mod policies;
mod rates;
mod roles;
mod sample;
mod show;
mod spelling;
mod tls;
mod transport;
mod value;
mod webhook;

#[cfg(test)]
mod tests;

pub use crate::cidr::Cidr;
pub use crate::memory::MemoryMax;
pub use crate::net::ProxyVersion;
pub use admission::Admission;
pub use authenticators::AuthenticatorKind;
pub use bridge::{
    Bridge, BridgeReload, BridgeStart, BridgeTls, BridgeTopic, Direction, Hidden, Notifications,
};
pub use defence::{Audit, Defence};
pub use durability::{Class, Durability, TopicClass, state_directory};
pub use dynsec::DynamicSecurity;
pub use jwt::{JwtKeys, JwtOptions};
pub use log::{Log, LogFormat, LogLevel, LogTo, LogType, LogTypes, SyslogFacility};
pub use parse::{ConfigError, Fault};
pub use policies::{read_acl, read_roles};
pub use rates::AddressLimits;
pub use sample::sample;
pub use show::show;
pub use tls::{ClientCertificates, TlsOptions, TlsVersion, UserNameFrom};
pub use transport::{Protocol, ProxiedName, Transport};
pub use webhook::{WebhookFailure, WebhookOptions};

use crate::auth::{PasswordLine, Users, read_lines};
use noctule_core::grant::{Policies, Roles};
use noctule_core::limits::ListenerLimits;
use noctule_core::{Limits, Tenant};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::num::NonZeroU16;
use std::path::{Path, PathBuf};

/// Port of a listener that names none.
pub const PORT: u16 = 1883;

/// Port of the admin listener that names none: unassigned, and easy to remember beside 1883.
pub const ADMIN_PORT: u16 = 18_831;

/// Everything that can be chosen about a running broker.
#[derive(Clone, PartialEq, Debug)]
pub struct Config {
    /// Shards; `None`: one for each core.
    pub shards: Option<NonZeroU16>,
    /// The user that it runs as when root starts it; empty: who starts it.
    pub user: Box<str>,
    /// A file that the number of the process is written to.
    pub pid_file: Option<PathBuf>,
    /// Seconds between two updates of the `$SYS` topics; 0 switches them off.
    pub sys_interval_secs: u32,
    /// Whether questions on `$CONTROL/broker/v1` are answered.
    pub control_api: bool,
    /// Seconds a shutdown may take at most.
    pub shutdown_grace_secs: u32,
    /// Where clients connect; at least one.
    pub listeners: Vec<Listener>,
    /// What survives a restart.
    pub durability: Durability,
    /// Bounds of the broker.
    pub limits: Limits,
    /// Bounds of one source address.
    pub address_limits: AddressLimits,
    /// How much memory the process may take.
    pub memory_max: MemoryMax,
    /// Log output.
    pub log: Log,
    /// Admin listener.
    pub admin: Admin,
    /// What is done about attacks.
    pub defence: Defence,
    /// What is written down.
    pub audit: Audit,
    /// Who may log in with a password.
    pub users: Users,
    /// A file of more of them.
    pub password_file: Option<PathBuf>,
    /// A file of rules as mosquitto has them.
    pub acl_file: Option<PathBuf>,
    /// A file of roles.
    pub roles_file: Option<PathBuf>,
    /// Whether a SUBSCRIBE is refused if not all of its filter is allowed; `None`: unless there is
    /// an `acl_file`.
    pub strict_subscribe: Option<bool>,
    /// The roles that stand in the configuration itself.
    pub roles: Option<Roles>,
    /// Who may do what: what all of these come to.
    pub policies: Policies,
    /// Who is asked about a client, in this order.
    pub authenticators: Vec<AuthenticatorKind>,
    /// Whose tokens are taken.
    pub jwt: Vec<JwtOptions>,
    /// The service that is asked who is let in.
    pub webhook: Option<WebhookOptions>,
    /// Other brokers, and what is passed on to and from them.
    pub bridges: Vec<Bridge>,
    /// The file of dynamic security, if it is switched on.
    pub dynamic_security: Option<DynamicSecurity>,
}

/// A place where clients connect.
#[derive(Clone, PartialEq, Debug)]
pub struct Listener {
    /// Address and port; port 0 lets the system choose one.
    pub address: SocketAddr,
    /// What carries the bytes of its clients.
    pub transport: Transport,
    /// Namespace of its clients.
    pub tenant: Tenant,
    /// Clients need not say who they are.
    pub allow_anonymous: bool,
    /// Connections open at a time; more are closed as they come.
    pub connections_max: u32,
    /// Whether the broker starts without it.
    pub presence: Presence,
    /// What acknowledgements to its clients promise, if not what the broker's do.
    pub durability: Option<Class>,
    /// The network interface that connections must come in by; `None`: any.
    pub interface: Option<Box<str>>,
    /// Where connections may come from.
    pub admission: Admission,
    /// What it allows its clients, where that is less than the broker does.
    pub limits: ListenerLimits,
    /// How it speaks TLS, if it does.
    pub tls: Option<TlsOptions>,
    /// Its own file of rules as mosquitto has them.
    pub acl_file: Option<PathBuf>,
    /// Its own file of roles.
    pub roles_file: Option<PathBuf>,
    /// Who is asked about its clients, if not those of all listeners.
    pub authenticators: Option<Vec<AuthenticatorKind>>,
    /// Its own file of users.
    pub password_file: Option<PathBuf>,
    /// What that holds: who may log in with a password here, if not the users of all listeners.
    pub users: Option<Users>,
}

/// What happens if an address cannot be had.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Presence {
    /// The start fails.
    Required,
    /// The broker says so and starts without.
    IfPossible,
}

/// The admin listener: `/metrics`, `/healthz`, `/readyz`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Admin {
    /// Whether there is one.
    pub enabled: bool,
    /// Address and port; port 0 lets the system choose one.
    pub address: SocketAddr,
    /// Whether the broker starts without it.
    pub presence: Presence,
}

impl Listener {
    /// A listener with the defaults of its address: only loopback lets anonymous clients in.
    #[must_use]
    pub fn at(address: SocketAddr) -> Listener {
        Listener {
            address,
            transport: Transport::default(),
            tenant: Tenant(0),
            allow_anonymous: address.ip().is_loopback(),
            connections_max: 1_000_000,
            presence: Presence::Required,
            durability: None,
            interface: None,
            admission: Admission::default(),
            limits: ListenerLimits::default(),
            tls: None,
            acl_file: None,
            roles_file: None,
            authenticators: None,
            password_file: None,
            users: None,
        }
    }

    /// Where clients find it, in words.
    #[must_use]
    pub fn place(&self) -> String {
        match &self.transport.unix {
            Some(path) => format!("unix:{}", path.display()),
            None => self.address.to_string(),
        }
    }
}

impl Config {
    /// The configuration without a file, on another port: loopback, local clients let in.
    #[must_use]
    pub fn on_port(port: u16) -> Config {
        let loopback = |ip: IpAddr| Listener::at(SocketAddr::new(ip, port));
        let mut v6 = loopback(Ipv6Addr::LOCALHOST.into());
        v6.presence = Presence::IfPossible;
        Config {
            shards: None,
            user: Box::default(),
            pid_file: None,
            sys_interval_secs: 10,
            control_api: false,
            shutdown_grace_secs: 10,
            listeners: vec![loopback(Ipv4Addr::LOCALHOST.into()), v6],
            durability: Durability::default(),
            limits: Limits::default(),
            address_limits: AddressLimits::default(),
            memory_max: MemoryMax::default(),
            log: Log::default(),
            admin: Admin {
                enabled: true,
                address: SocketAddr::new(Ipv4Addr::LOCALHOST.into(), ADMIN_PORT),
                presence: Presence::IfPossible,
            },
            defence: Defence::default(),
            audit: Audit::default(),
            users: Users::default(),
            password_file: None,
            acl_file: None,
            roles_file: None,
            strict_subscribe: None,
            roles: None,
            policies: Policies::default(),
            authenticators: AuthenticatorKind::all(),
            jwt: Vec::new(),
            webhook: None,
            bridges: Vec::new(),
            dynamic_security: None,
        }
    }

    /// For tests: one listener and the admin listener, both on loopback ports the system chooses.
    /// Nothing is kept; a test that wants that asks for a directory.
    #[must_use]
    pub fn for_tests() -> Config {
        let mut config = Config::on_port(0);
        config.listeners.truncate(1);
        config.durability = Durability::memory();
        config.admin.address.set_port(0);
        config
    }

    /// Reads and parses a file.
    ///
    /// # Errors
    /// The file cannot be read, or any of it is wrong: every fault found, with its line.
    pub fn load(path: &Path) -> Result<Config, ConfigError> {
        let name = path.display().to_string();
        let text = std::fs::read_to_string(path)
            .map_err(|error| ConfigError::unreadable(&name, &error))?;
        let folder =
            std::path::absolute(path).map_err(|error| ConfigError::unreadable(&name, &error))?;
        Config::of_text(&name, &text, folder.parent().unwrap_or(&folder))
    }

    /// The same of a text, whose relative paths begin at a folder.
    fn of_text(name: &str, text: &str, folder: &Path) -> Result<Config, ConfigError> {
        let mut config = Config::parse(name, text)?;
        for tls in config.listeners.iter_mut().filter_map(|it| it.tls.as_mut()) {
            tls.resolve(folder);
        }
        for file in config.listeners.iter_mut().filter_map(|it| it.transport.unix.as_mut()) {
            *file = folder.join(&*file);
        }
        config.jwt.iter_mut().for_each(|jwt| jwt.resolve(folder));
        config.webhook.iter_mut().for_each(|webhook| webhook.resolve(folder));
        config.bridges.iter_mut().for_each(|bridge| bridge.resolve(folder));
        config.dynamic_security.iter_mut().for_each(|it| it.resolve(folder));
        let Config { audit, defence, log, pid_file, .. } = &mut config;
        let files = [
            &mut audit.file,
            &mut defence.alert_ca,
            &mut defence.alert_bearer,
            &mut log.file,
            pid_file,
        ];
        for file in files.into_iter().flatten() {
            *file = folder.join(&*file);
        }
        if let Some(file) = &mut config.password_file {
            *file = folder.join(&*file);
            add_users(file, &mut config.users)?;
        }
        for listener in &mut config.listeners {
            if let Some(file) = &mut listener.password_file {
                *file = folder.join(&*file);
                add_users(file, listener.users.insert(Users::default()))?;
            }
        }
        config.read_policies(folder)?;
        Ok(config)
    }

    /// Who is asked about the clients of a listener.
    #[must_use]
    pub fn authenticators_of<'a>(&'a self, listener: &'a Listener) -> &'a [AuthenticatorKind] {
        listener.authenticators.as_ref().unwrap_or(&self.authenticators)
    }

    /// Who may log in with a password at a listener.
    #[must_use]
    pub fn users_of<'a>(&'a self, listener: &'a Listener) -> &'a Users {
        listener.users.as_ref().unwrap_or(&self.users)
    }

    /// Parses the text of a file called `name`. Rules in files of their own are not read.
    ///
    /// # Errors
    /// Any of it is wrong: every fault found, with its line.
    pub fn parse(name: &str, text: &str) -> Result<Config, ConfigError> {
        let mut config = parse::parse(name, text)?;
        if !config.names_rules() {
            config.read_policies(Path::new(""))?;
        }
        Ok(config)
    }

    /// The namespaces of all listeners, each once.
    #[must_use]
    pub fn tenants(&self) -> Vec<Tenant> {
        let mut tenants: Vec<Tenant> = self.listeners.iter().map(|it| it.tenant).collect();
        tenants.sort_unstable();
        tenants.dedup();
        tenants
    }

    /// The number of shards in force.
    #[must_use]
    pub fn shard_count(&self) -> u16 {
        let cores = || std::thread::available_parallelism().map_or(1, usize::from);
        match self.shards {
            Some(shards) => shards.get(),
            None => u16::try_from(cores()).unwrap_or(SHARDS_MAX).min(SHARDS_MAX),
        }
    }
}

/// Adds the users of a password file.
fn add_users(file: &Path, users: &mut Users) -> Result<(), ConfigError> {
    let name = file.display().to_string();
    let text =
        std::fs::read_to_string(file).map_err(|error| ConfigError::unreadable(&name, &error))?;
    let fault = |line, what: &str| Fault { file: None, line, option: None, what: what.into() };
    let mut faults = Vec::new();
    match read_lines(&text) {
        Ok(lines) => {
            for (at, line) in lines.into_iter().enumerate() {
                if let PasswordLine::User(user, secret) = line
                    && !users.insert(user, secret)
                {
                    let what = "this user, spelled like this or alike, is there already";
                    faults.push(fault(at + 1, what));
                }
            }
        }
        Err(wrong) => faults.extend(wrong.iter().map(|it| fault(it.line, it.what))),
    }
    if faults.is_empty() { Ok(()) } else { Err(ConfigError { file: name, faults }) }
}

impl Default for Config {
    fn default() -> Config {
        Config::on_port(PORT)
    }
}

/// More shards than this help nobody.
pub(crate) const SHARDS_MAX: u16 = 256;
