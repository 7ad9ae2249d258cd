//! Prints the options in force, as a file that says the same.

use super::bridge;
use super::defence;
use super::dynsec::DynsecDraft;
use super::jwt::JwtDraft;
use super::memory;
use super::options::{self, ListenerDraft, TopicDraft};
use super::rates;
use super::roles::{self, RoleDraft, RuleDraft};
use super::sample::values;
use super::tls::TlsDraft;
use super::webhook::WebhookDraft;
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
            transport: listener.transport.clone(),
            tenant: listener.tenant.0,
            allow_anonymous: Some(listener.allow_anonymous),
            connections_max: listener.connections_max,
            presence: listener.presence,
            durability: Some(listener.durability.unwrap_or(class)),
            interface: listener.interface.clone(),
            admission: listener.admission.clone(),
            limits: listener.limits.clone(),
            tls: None,
            acl_file: listener.acl_file.clone(),
            roles_file: listener.roles_file.clone(),
            authenticators: listener.authenticators.clone(),
            password_file: listener.password_file.clone(),
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
    for role in config.roles.iter().flat_map(RoleDraft::all) {
        show_role(&mut text, role);
    }
    for jwt in &config.jwt {
        text.push_str("\n[[jwt]]\n");
        values(&mut text, options::JWT, &mut JwtDraft::of(jwt));
    }
    if let Some(webhook) = &config.webhook {
        text.push_str("\n[webhook]\n");
        values(&mut text, options::WEBHOOK, &mut WebhookDraft::of(webhook));
    }
    bridge::show(&mut text, &config.bridges);
    if let Some(options) = &config.dynamic_security {
        text.push_str("\n[dynamic_security]\n");
        values(&mut text, options::DYNSEC, &mut DynsecDraft::of(options));
    }
    text.push_str("\n[log]\n");
    values(&mut text, options::LOG, &mut config.log);
    text.push_str("\n[admin]\n");
    values(&mut text, options::ADMIN, &mut config.admin);
    text.push_str("\n[defence]\n");
    values(&mut text, defence::DEFENCE, &mut config.defence);
    text.push_str("\n[audit]\n");
    values(&mut text, defence::AUDIT, &mut config.audit);
    show_limits(&mut text, &mut config);
    text
}

fn show_limits(text: &mut String, config: &mut Config) {
    text.push_str("\n[limits]\n");
    writeln!(text, "# {}", config.memory_max.told()).expect("writing to a String cannot fail");
    values(text, memory::MEMORY, &mut config.memory_max);
    values(text, options::LIMITS, &mut config.limits);
    text.push_str("\n[limits.client]\n");
    values(text, rates::CLIENT, &mut config.limits.client);
    text.push_str("\n[limits.address]\n");
    values(text, rates::ADDRESS, &mut config.address_limits);
    for rule in &mut config.limits.queue_rules {
        text.push_str("\n[[queue]]\n");
        values(text, options::QUEUE, rule);
    }
}

/// Groups are not told apart from users any more.
fn show_role(text: &mut String, mut role: RoleDraft) {
    text.push_str("\n[[role]]\n");
    values(text, roles::ROLE, &mut role);
    for mut rule in RuleDraft::all(&role.rules) {
        text.push_str("[[role.rule]]\n");
        values(text, roles::RULE, &mut rule);
    }
}
