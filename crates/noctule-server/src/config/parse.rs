//! Walks a file along the options. All faults are collected: one run of `config check` shows all.

use super::bridge;
use super::defence;
use super::dynsec::DynsecDraft;
use super::jwt::JwtDraft;
use super::memory;
use super::options::{self, ListenerDraft, Opt, TopicDraft, UserDraft};
use super::rates;
use super::tls::TlsDraft;
use super::webhook::WebhookDraft;
use super::{AuthenticatorKind, Config, Durability, Listener, Protocol, TopicClass};
use crate::auth::Secret;
use crate::net::HERE;
use noctule_core::grant::Roles;
use noctule_core::limits::QueueRule;
use noctule_core::{Limits, Tenant};
use noctule_proto::TopicFilter;
use std::borrow::Cow;
use std::fmt;
use std::net::SocketAddr;
use std::ops::Range;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Everything wrong with a configuration file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConfigError {
    /// Name of the file.
    pub file: String,
    /// What is wrong, in order of lines; at least one entry.
    pub faults: Vec<Fault>,
}

/// One thing that is wrong.
#[derive(Clone, PartialEq, Eq, Debug, PartialOrd, Ord)]
pub struct Fault {
    /// Where it is, if not in the file of the error.
    pub file: Option<Box<str>>,
    /// Line, from 1; 0 if the file as a whole is meant.
    pub line: usize,
    /// Option, with its table, if one is meant.
    pub option: Option<String>,
    /// What is wrong with it and what would be right.
    pub what: String,
}

impl ConfigError {
    pub(super) fn unreadable(file: &str, error: &std::io::Error) -> ConfigError {
        let what = format!("cannot be read: {error}");
        ConfigError {
            file: file.into(),
            faults: vec![Fault { file: None, line: 0, option: None, what }],
        }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, fault) in self.faults.iter().enumerate() {
            if at > 0 {
                writeln!(f)?;
            }
            f.write_str(fault.file.as_deref().unwrap_or(&self.file))?;
            if fault.line > 0 {
                write!(f, ":{}", fault.line)?;
            }
            match &fault.option {
                Some(option) => write!(f, ": {option}: {}", fault.what)?,
                None => write!(f, ": {}", fault.what)?,
            }
        }
        Ok(())
    }
}

impl std::error::Error for ConfigError {}

/// Parses the text of a file.
pub(super) fn parse(file: &str, text: &str) -> Result<Config, ConfigError> {
    walk(file, text, |walk, root| walk.root(root))
}

/// Parses the text of a file that has roles and nothing else.
pub(super) fn parse_roles(file: &str, text: &str) -> Result<Option<Roles>, ConfigError> {
    walk(file, text, |walk, root| {
        for (key, _) in root.iter().filter(|(key, _)| !matches!(&**key.get_ref(), "role" | "group"))
        {
            let name = key.get_ref();
            let what = "[[role]] and [[group]] are all that a file of roles has";
            walk.fault(&key.span(), name, what.into());
        }
        walk.roles(root)
    })
}

fn walk<T: Default>(
    file: &str,
    text: &str,
    read: impl FnOnce(&mut Walk<'_>, &DeTable<'_>) -> T,
) -> Result<T, ConfigError> {
    let mut walk = Walk { file, text, faults: Vec::new() };
    let read = match DeTable::parse(text) {
        Ok(root) => read(&mut walk, root.get_ref()),
        Err(error) => {
            let line = error.span().map_or(0, |span| walk.line(&span));
            walk.faults.push(Fault {
                file: None,
                line,
                option: None,
                what: error.message().into(),
            });
            T::default()
        }
    };
    if walk.faults.is_empty() {
        return Ok(read);
    }
    walk.faults.sort();
    Err(ConfigError { file: file.into(), faults: walk.faults })
}

/// Whether a rule is for all clients that a pattern stands for.
fn covers(rule: &QueueRule, clients: &str) -> bool {
    // Nobody's client id holds the control character.
    ["", "\u{1}\u{1}\u{1}"].iter().all(|some| rule.is_for(&clients.replace('*', some)))
}

/// Names of the tables, beside the options of the top level.
const TABLES: [&str; 15] = [
    "limits",
    "log",
    "admin",
    "listener",
    "users",
    "durability",
    "queue",
    "role",
    "group",
    "jwt",
    "webhook",
    "bridge",
    "dynamic_security",
    "defence",
    "audit",
];

pub(super) struct Walk<'t> {
    pub(super) file: &'t str,
    text: &'t str,
    pub(super) faults: Vec<Fault>,
}

impl Walk<'_> {
    fn root(&mut self, root: &DeTable<'_>) -> Config {
        let mut config = Config::default();
        let mut queues = None;
        for (key, value) in root {
            match key.get_ref().as_ref() {
                "limits" => self.limits(value, &mut config),
                "log" => self.table("log.", value, options::LOG, &mut config.log),
                "admin" => self.table("admin.", value, options::ADMIN, &mut config.admin),
                "defence" => {
                    self.table("defence.", value, defence::DEFENCE, &mut config.defence);
                }
                "audit" => self.table("audit.", value, defence::AUDIT, &mut config.audit),
                "durability" => self.durability(value, &mut config.durability),
                "listener" => config.listeners = self.listeners(value),
                "users" => self.users(value, &mut config),
                "role" | "group" => {}
                "jwt" => self.jwt(value, &mut config),
                "webhook" => self.webhook(value, &mut config),
                "bridge" => config.bridges = self.bridges(value),
                "dynamic_security" => self.dynamic_security(value, &mut config),
                // They begin with what [limits] says.
                "queue" => queues = Some(value),
                name => match options::TOP.iter().find(|opt| opt.name == name) {
                    Some(opt) => self.option("", opt, value, &mut config),
                    None => {
                        let known = options::TOP.iter().map(|opt| opt.name).chain(TABLES);
                        self.unknown("", name, &key.span(), known);
                    }
                },
            }
        }
        if let Some(queues) = queues {
            self.queues(queues, &mut config.limits);
        }
        self.assigned_ids(root, &config);
        config.roles = self.roles(root);
        if config.roles.is_some() && config.roles_file.is_some() {
            let what = "the roles stand in here: put them all into that file, or here";
            self.fault(&(0..0), "roles_file", what.into());
        }
        self.unused(root, &config);
        config
    }

    /// A client id that the broker chooses has to be one that it takes.
    fn assigned_ids(&mut self, root: &DeTable<'_>, config: &Config) {
        let limits = &config.limits;
        let len = limits.assigned_id_prefix.len() + options::ASSIGNED_LEN;
        if !limits.assign_client_ids || usize::from(limits.client_id_len_max) >= len {
            return;
        }
        let of_limits = root.iter().find(|(key, _)| key.get_ref() == "limits");
        let table = of_limits.and_then(|(_, value)| value.get_ref().as_table());
        let named = |name| {
            table.and_then(|it| it.iter().find(|(key, _)| key.get_ref() == name)).map(|it| it.1)
        };
        let place = named("client_id_len_max").or_else(|| named("assigned_id_prefix"));
        let span = place.map_or(0..0, Spanned::span);
        let what = format!(
            "the client ids that the broker assigns have {len} bytes: allow as many, or say \
             assign_client_ids = false"
        );
        self.fault(&span, "limits.client_id_len_max", what);
    }

    /// What is configured is to be asked: who lets somebody in must not be left out unnoticed.
    fn unused(&mut self, root: &DeTable<'_>, config: &Config) {
        let kinds = [
            ("jwt", AuthenticatorKind::Jwt),
            ("dynamic_security", AuthenticatorKind::Dynsec),
            ("webhook", AuthenticatorKind::Webhook),
        ];
        let somewhere = |kind: AuthenticatorKind| {
            let here = |it: &Listener| config.authenticators_of(it).contains(&kind);
            config.authenticators.contains(&kind) || config.listeners.iter().any(here)
        };
        for (name, kind) in kinds {
            let said = root.iter().find(|(key, _)| key.get_ref() == name);
            let of_use = somewhere(kind)
                || (kind == AuthenticatorKind::Webhook
                    && config.webhook.as_ref().is_some_and(|webhook| webhook.permissions));
            if let Some((key, _)) = said.filter(|_| !of_use) {
                let what = "is never asked, because `authenticators` leaves it out".to_owned();
                self.fault(&key.span(), name, what);
            }
        }
        let entries = root.iter().find(|(key, _)| key.get_ref() == "listener");
        let entries = entries.and_then(|(_, said)| said.get_ref().as_array());
        for (entry, listener) in entries.into_iter().flatten().zip(&config.listeners) {
            let asked = config.authenticators_of(listener).contains(&AuthenticatorKind::Password);
            if listener.password_file.is_some() && !asked {
                let what = "is never read, because `authenticators` leaves \"password\" out";
                self.fault(&entry.span(), "listener.password_file", what.into());
            }
        }
    }

    /// `[limits]`, which has tables of its own.
    fn limits(&mut self, value: &Spanned<DeValue<'_>>, config: &mut Config) {
        let Some(table) = value.get_ref().as_table() else {
            return self.table("limits.", value, options::LIMITS, &mut config.limits);
        };
        let is_table = |name: &str| ["client", "address"].contains(&name);
        let (tables, others): (Vec<_>, Vec<_>) =
            table.iter().partition(|(key, _)| is_table(key.get_ref().as_ref()));
        let (memory, others): (Vec<_>, Vec<_>) = others
            .into_iter()
            .partition(|(key, _)| memory::MEMORY[0].name == key.get_ref().as_ref());
        self.options("limits.", memory.into_iter(), memory::MEMORY, &mut config.memory_max);
        self.options("limits.", others.into_iter(), options::LIMITS, &mut config.limits);
        for (key, said) in tables {
            if key.get_ref().as_ref() == "client" {
                let client = &mut config.limits.client;
                self.table("limits.client.", said, rates::CLIENT, client);
            } else {
                let address = &mut config.address_limits;
                self.table("limits.address.", said, rates::ADDRESS, address);
            }
        }
    }

    pub(super) fn table<T>(
        &mut self,
        prefix: &str,
        value: &Spanned<DeValue<'_>>,
        known: &'static [Opt<T>],
        target: &mut T,
    ) {
        let Some(table) = value.get_ref().as_table() else {
            let name = prefix.trim_end_matches('.');
            return self.fault(&value.span(), name, format!("write it as a table: [{name}]"));
        };
        self.options(prefix, table.iter(), known, target);
    }

    pub(super) fn options<'v, 'i: 'v, T>(
        &mut self,
        prefix: &str,
        said: impl Iterator<Item = (&'v Spanned<Cow<'i, str>>, &'v Spanned<DeValue<'i>>)>,
        known: &'static [Opt<T>],
        target: &mut T,
    ) {
        for (key, value) in said {
            match known.iter().find(|opt| opt.name == key.get_ref().as_ref()) {
                Some(opt) => self.option(prefix, opt, value, target),
                None => {
                    let names = known.iter().map(|opt| opt.name);
                    self.unknown(prefix, key.get_ref(), &key.span(), names);
                }
            }
        }
    }

    fn option<T>(
        &mut self,
        prefix: &str,
        opt: &Opt<T>,
        value: &Spanned<DeValue<'_>>,
        target: &mut T,
    ) {
        if let Err(wanted) = (opt.slot)(target).set(value.get_ref()) {
            let said = self.text.get(value.span()).unwrap_or_default().trim();
            // A secret in the wrong place must not reach a terminal or log.
            let shown = said.len() <= 40
                && !said.contains('\n')
                && !["verifier", "password", "proxy"].contains(&opt.name);
            let what = if shown { format!("{said} is wrong: {wanted}") } else { wanted };
            self.fault(&value.span(), &format!("{prefix}{}", opt.name), what);
        }
    }

    fn listeners(&mut self, value: &Spanned<DeValue<'_>>) -> Vec<Listener> {
        let mut listeners: Vec<Listener> = Vec::new();
        for entry in self.entries("listener", value) {
            let mut draft = ListenerDraft::default();
            self.listener(entry, &mut draft);
            let listener = self.finish_listener(entry, draft);
            let taken = |it: &Listener| {
                let alike = it.address == listener.address && it.interface == listener.interface;
                let unix = &listener.transport.unix;
                let file = unix.is_some() && *unix == it.transport.unix;
                file || alike && it.address.port() != 0
            };
            if listeners.iter().any(taken) {
                let what = format!("another listener is at {} already", listener.place());
                self.fault(&entry.span(), "listener", what);
            }
            listeners.push(listener);
        }
        if value.get_ref().as_array().is_some() && listeners.is_empty() {
            let what = "a broker without a listener serves nobody: write a [[listener]], or leave \
                        `listener` out to listen on loopback";
            self.fault(&value.span(), "listener", what.into());
        }
        listeners
    }

    /// One entry of `[[listener]]`, which may have a table of its own.
    fn listener(&mut self, entry: &Spanned<DeValue<'_>>, draft: &mut ListenerDraft) {
        let Some(table) = entry.get_ref().as_table() else {
            return self.table("listener.", entry, options::LISTENER, draft);
        };
        let (tls, others): (Vec<_>, Vec<_>) =
            table.iter().partition(|(key, _)| key.get_ref() == "tls");
        self.options("listener.", others.into_iter(), options::LISTENER, draft);
        for (_, said) in tls {
            let before = self.faults.len();
            let mut tls = TlsDraft::default();
            self.table("listener.tls.", said, options::TLS, &mut tls);
            // What is wrong with one option is not said again of another.
            draft.tls = (self.faults.len() == before).then_some(tls);
        }
    }

    fn finish_listener(
        &mut self,
        entry: &Spanned<DeValue<'_>>,
        mut draft: ListenerDraft,
    ) -> Listener {
        let tls = draft.tls.take().map(TlsDraft::finish);
        if tls.is_some() && draft.transport.protocol == Protocol::HttpApi {
            let what = "is not for protocol = \"http_api\": put a proxy with TLS before it";
            self.fault(&entry.span(), "listener.tls", what.into());
        }
        if let Some((option, why)) = draft.transport.fault() {
            self.fault(&entry.span(), &format!("listener.{option}"), why.into());
        }
        if let Some(option) = draft.beside_unix() {
            let what = "is of no use beside `unix`: leave one of them out";
            self.fault(&entry.span(), &format!("listener.{option}"), what.into());
        }
        let mut listener = draft.finish();
        match tls {
            Some(Ok(tls)) => listener.tls = Some(tls),
            Some(Err((option, why))) => {
                self.fault(&entry.span(), &format!("listener.tls.{option}"), why.into());
            }
            None => {}
        }
        listener
    }

    fn durability(&mut self, value: &Spanned<DeValue<'_>>, target: &mut Durability) {
        let Some(table) = value.get_ref().as_table() else {
            return self.table("durability.", value, options::DURABILITY, target);
        };
        let (topics, others): (Vec<_>, Vec<_>) =
            table.iter().partition(|(key, _)| key.get_ref() == "topics");
        self.options("durability.", others.into_iter(), options::DURABILITY, target);
        for (_, topics) in topics {
            for entry in self.entries("durability.topics", topics) {
                self.topic(entry, &mut target.topics);
            }
        }
    }

    /// One entry of `[[durability.topics]]`.
    fn topic(&mut self, entry: &Spanned<DeValue<'_>>, rules: &mut Vec<TopicClass>) {
        let mut draft = TopicDraft::default();
        let before = self.faults.len();
        self.table("durability.topics.", entry, options::TOPIC, &mut draft);
        if self.faults.len() > before {
            return;
        }
        let missing = |walk: &mut Self, name: &str| {
            let option = format!("durability.topics.{name}");
            walk.fault(&entry.span(), &option, "is missing in this entry".into());
        };
        // No filter is empty, so an empty one was not given.
        let filter = TopicFilter::parse(&draft.filter).ok();
        if filter.is_none() {
            missing(self, "filter");
        }
        let Some(class) = draft.class else { return missing(self, "class") };
        let Some(filter) = filter else { return };
        if let Some(first) = rules.iter().find(|rule| rule.covers(filter.as_str())) {
            let first = first.filter();
            let what = if first == filter.as_str() {
                format!("{first:?} has an entry already")
            } else {
                format!(
                    "never has a say, because {first:?} above matches all of it: write it first"
                )
            };
            return self.fault(&entry.span(), "durability.topics.filter", what);
        }
        rules.push(TopicClass::new(filter, class));
    }

    fn queues(&mut self, value: &Spanned<DeValue<'_>>, limits: &mut Limits) {
        for entry in self.entries("queue", value) {
            let mut rule = QueueRule { clients: Box::default(), queue: limits.queue };
            let before = self.faults.len();
            self.table("queue.", entry, options::QUEUE, &mut rule);
            if self.faults.len() > before {
                continue;
            }
            if rule.clients.is_empty() {
                self.fault(&entry.span(), "queue.clients", "is missing in this entry".into());
                continue;
            }
            if let Some(first) = limits.queue_rules.iter().find(|it| covers(it, &rule.clients)) {
                let what = format!(
                    "{:?} never has a say, because {:?} above is for all of them: write it first",
                    rule.clients, first.clients
                );
                self.fault(&entry.span(), "queue.clients", what);
                continue;
            }
            limits.queue_rules.push(rule);
        }
        if limits.queue_rules.len() > usize::from(u16::MAX) {
            self.fault(&value.span(), "queue", "65,535 entries at most".into());
        }
    }

    fn users(&mut self, value: &Spanned<DeValue<'_>>, config: &mut Config) {
        for entry in self.entries("users", value) {
            let mut draft = UserDraft::default();
            let before = self.faults.len();
            self.table("users.", entry, options::USER, &mut draft);
            if self.faults.len() > before {
                continue;
            }
            for (name, missing) in [
                ("users.name", draft.name.is_empty()),
                ("users.verifier", draft.verifier.is_empty()),
            ] {
                if missing {
                    self.fault(&entry.span(), name, "is missing in this entry".into());
                }
            }
            let Ok(secret) = draft.verifier.parse::<Secret>() else { continue };
            if !draft.name.is_empty() && crate::auth::prepared_name(&draft.name).is_none() {
                let what = "holds characters that no user name may (RFC 4013)".into();
                self.fault(&entry.span(), "users.name", what);
                continue;
            }
            if !config.users.insert(draft.name.clone(), secret) {
                let what = format!("{:?} has an entry already", draft.name);
                self.fault(&entry.span(), "users.name", what);
            }
        }
    }

    /// `[[jwt]]`, or `[jwt]` for one alone.
    fn jwt(&mut self, value: &Spanned<DeValue<'_>>, config: &mut Config) {
        let entries = match value.get_ref().as_table() {
            Some(_) => vec![value],
            None => self.entries("jwt", value),
        };
        for entry in entries {
            let mut draft = JwtDraft::default();
            let before = self.faults.len();
            self.table("jwt.", entry, options::JWT, &mut draft);
            if self.faults.len() > before {
                continue;
            }
            match draft.finish() {
                Ok(jwt) if config.jwt.iter().any(|it| it.issuer == jwt.issuer) => {
                    let what = match &*jwt.issuer {
                        "" => "is missing in more than one entry: tokens are told apart by it",
                        _ => "has an entry already",
                    };
                    self.fault(&entry.span(), "jwt.issuer", what.into());
                }
                Ok(jwt) => config.jwt.push(jwt),
                Err((option, why)) => {
                    self.fault(&entry.span(), &format!("jwt.{option}"), why);
                }
            }
        }
    }

    /// `[dynamic_security]`.
    fn dynamic_security(&mut self, value: &Spanned<DeValue<'_>>, config: &mut Config) {
        let (name, mut draft) = ("dynamic_security.", DynsecDraft::default());
        let before = self.faults.len();
        self.table(name, value, options::DYNSEC, &mut draft);
        match draft.finish() {
            Ok(options) => config.dynamic_security = Some(options),
            // A name of one that is wrong is told of already.
            Err(_) if self.faults.len() > before => {}
            Err((option, why)) => self.fault(&value.span(), &format!("{name}{option}"), why),
        }
    }

    fn webhook(&mut self, value: &Spanned<DeValue<'_>>, config: &mut Config) {
        let mut draft = WebhookDraft::default();
        let before = self.faults.len();
        self.table("webhook.", value, options::WEBHOOK, &mut draft);
        if self.faults.len() > before {
            return;
        }
        match draft.finish() {
            Ok(webhook) => config.webhook = Some(webhook),
            Err((option, why)) => self.fault(&value.span(), &format!("webhook.{option}"), why),
        }
    }

    /// The tables of `[[name]]`.
    pub(super) fn entries<'v, 'i>(
        &mut self,
        name: &str,
        value: &'v Spanned<DeValue<'i>>,
    ) -> Vec<&'v Spanned<DeValue<'i>>> {
        match value.get_ref().as_array() {
            Some(array) => array.iter().collect(),
            None => {
                let what = format!("write each as a table of its own: [[{name}]]");
                self.fault(&value.span(), name, what);
                Vec::new()
            }
        }
    }

    fn unknown(
        &mut self,
        prefix: &str,
        name: &str,
        span: &Range<usize>,
        known: impl Iterator<Item = &'static str>,
    ) {
        let near = known.map(|it| (distance(name, it), it)).min();
        let what = match near {
            Some((steps, it)) if steps <= 1 + name.len() / 4 => {
                format!("unknown option; did you mean `{it}`?")
            }
            _ => match options_elsewhere(name) {
                Some(place) => format!("unknown option here; did you mean `{place}`?"),
                None => "unknown option; `noctule config sample` lists them all".into(),
            },
        };
        self.fault(span, &format!("{prefix}{name}"), what);
    }

    pub(super) fn fault(&mut self, span: &Range<usize>, option: &str, what: String) {
        let line = self.line(span);
        self.faults.push(Fault { file: None, line, option: Some(option.into()), what });
    }

    pub(super) fn line(&self, span: &Range<usize>) -> usize {
        let before = self.text.get(..span.start).unwrap_or(self.text);
        1 + before.bytes().filter(|byte| *byte == b'\n').count()
    }
}

impl ListenerDraft {
    /// What was said of an address beside the file of a Unix socket.
    fn beside_unix(&self) -> Option<&'static str> {
        let usual = ListenerDraft::default();
        self.transport.unix.as_ref()?;
        match () {
            () if self.bind != usual.bind => Some("bind"),
            () if self.port != usual.port && self.port != 0 => Some("port"),
            () if self.interface.is_some() => Some("interface"),
            () => None,
        }
    }

    fn finish(self) -> Listener {
        let defaults = match self.transport.unix {
            Some(_) => Listener::at(HERE),
            None => Listener::at(SocketAddr::new(self.bind, self.port)),
        };
        Listener {
            transport: self.transport,
            tenant: Tenant(self.tenant),
            allow_anonymous: self.allow_anonymous.unwrap_or(defaults.allow_anonymous),
            connections_max: self.connections_max,
            presence: self.presence,
            durability: self.durability,
            acl_file: self.acl_file,
            roles_file: self.roles_file,
            authenticators: self.authenticators,
            password_file: self.password_file,
            interface: self.interface,
            admission: self.admission,
            limits: self.limits,
            ..defaults
        }
    }
}

/// Where an option of this name exists, if somebody wrote it into the wrong table.
fn options_elsewhere(name: &str) -> Option<String> {
    fn holds<T>(list: &[Opt<T>], name: &str) -> bool {
        list.iter().any(|opt| opt.name == name)
    }
    let table = if holds(options::TOP, name) {
        return Some(name.into());
    } else if holds(options::LIMITS, name) || holds(memory::MEMORY, name) {
        "limits"
    } else if holds(options::LOG, name) {
        "log"
    } else if holds(options::ADMIN, name) {
        "admin"
    } else if holds(options::LISTENER, name) {
        "listener"
    } else if holds(options::TLS, name) {
        "listener.tls"
    } else if holds(options::DURABILITY, name) {
        "durability"
    } else if holds(super::roles::ROLE, name) {
        "role"
    } else if holds(super::roles::RULE, name) {
        "role.rule"
    } else if holds(options::JWT, name) {
        "jwt"
    } else if holds(options::WEBHOOK, name) {
        "webhook"
    } else if holds(bridge::BRIDGE, name) {
        "bridge"
    } else if holds(bridge::BRIDGE_TLS, name) {
        "bridge.tls"
    } else if holds(bridge::BRIDGE_TOPIC, name) {
        "bridge.topic"
    } else if holds(defence::DEFENCE, name) {
        "defence"
    } else if holds(defence::AUDIT, name) {
        "audit"
    } else if holds(rates::CLIENT, name) {
        "limits.client"
    } else if holds(rates::ADDRESS, name) {
        "limits.address"
    } else {
        return None;
    };
    Some(format!("{table}.{name}"))
}

/// Edits that turn one word into the other (Levenshtein).
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (at, mine) in one.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = at + 1;
        for (column, theirs) in other.iter().enumerate() {
            let replaced = diagonal + usize::from(mine != *theirs);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[other.len()]
}
