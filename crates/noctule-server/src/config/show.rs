//! Prints the options in force, as a file that says the same.

use super::options::{self, ListenerDraft, TopicDraft};
use super::rates;
use super::sample::values;
use super::tls::TlsDraft;
use super::{Class, Config};
use std::fmt::Write as _;

/// A file that says what is the case: what was configured, and what was left to be chosen. Users
/// are counted in a comment: what their passwords are checked against is not for a terminal.
#[must_use]
pub fn show(config: &Config) -> String {
    let mut config = config.clone();
    let class = config.durability.class;
    let mut text = format!("# noctule {}\n", config.promise());
    values(&mut text, options::TOP, &mut config);
    for listener in &config.listeners {
        text.push_str("\n[[listener]]\n");
        let mut draft = ListenerDraft {
            bind: listener.address.ip(),
            port: listener.address.port(),
            tenant: listener.tenant.0,
            allow_anonymous: Some(listener.allow_anonymous),
            connections_max: listener.connections_max,
            presence: listener.presence,
            durability: Some(listener.durability.unwrap_or(class)),
            interface: listener.interface.clone(),
            admission: listener.admission.clone(),
            limits: listener.limits.clone(),
            tls: None,
        };
        values(&mut text, options::LISTENER, &mut draft);
        if let Some(tls) = &listener.tls {
            text.push_str("[listener.tls]\n");
            values(&mut text, options::TLS, &mut TlsDraft::of(tls));
        }
    }
    text.push_str("\n[durability]\n");
    values(&mut text, options::DURABILITY, &mut config.durability);
    for rule in &config.durability.topics {
        text.push_str("\n[[durability.topics]]\n");
        let class: Class = rule.class();
        let mut draft = TopicDraft { filter: rule.filter().into(), class: Some(class) };
        values(&mut text, options::TOPIC, &mut draft);
    }
    let users = config.users.len();
    if users > 0 {
        let noun = if users == 1 { "user" } else { "users" };
        writeln!(text, "\n# {users} {noun}").expect("writing to a String cannot fail");
    }
    text.push_str("\n[log]\n");
    values(&mut text, options::LOG, &mut config.log);
    text.push_str("\n[admin]\n");
    values(&mut text, options::ADMIN, &mut config.admin);
    text.push_str("\n[limits]\n");
    values(&mut text, options::LIMITS, &mut config.limits);
    text.push_str("\n[limits.client]\n");
    values(&mut text, rates::CLIENT, &mut config.limits.client);
    text.push_str("\n[limits.address]\n");
    values(&mut text, rates::ADDRESS, &mut config.address_limits);
    for rule in &mut config.limits.queue_rules {
        text.push_str("\n[[queue]]\n");
        values(&mut text, options::QUEUE, rule);
    }
    text
}
