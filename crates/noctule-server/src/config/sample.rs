//! The commented sample file: every option with its meaning and default.

use super::bridge::{self, Bridge, BridgeTopic};
use super::defence;
use super::dynsec::DynsecDraft;
use super::jwt::JwtDraft;
use super::memory;
use super::options::{self, ListenerDraft, Opt, TopicDraft, UserDraft};
use super::rates;
use super::roles::{self, GroupDraft, RoleDraft, RuleDraft};
use super::tls::TlsDraft;
use super::webhook::WebhookDraft;
use super::{Config, Listener};
use noctule_core::limits::QueueRule;
use std::fmt::Write as _;

const HEAD: &str = "\
# Configuration of noctule: every option with its default.
#
#   noctule serve -c FILE         start with this file
#   noctule config check FILE     say what is wrong with it
#   kill -HUP PID                 read it again: limits, log level, users, rules, TLS, defence,
#                                 audit, $SYS interval and grace time take effect at once;
#                                 the rest needs a restart
";

/// Columns a comment may take.
const WIDTH: usize = 98;

/// A file that says what is the case without one.
#[must_use]
pub fn sample() -> String {
    let mut config = Config::default();
    let mut text = String::from(HEAD);
    options(&mut text, options::TOP, &mut config);
    text.push_str(
        "\n# Where clients connect. Repeat [[listener]] for each address. Without any: these.\n",
    );
    for at in 0..config.listeners.len() {
        listener(&mut text, at, &config.listeners[at]);
    }
    text.push_str("\n[durability]\n");
    options(&mut text, options::DURABILITY, &mut config.durability);
    text.push_str(
        "\n# Topics with a class of their own. Repeat for each filter; the first that matches \
         decides.\n# [[durability.topics]]\n",
    );
    commented(&mut text, options::TOPIC, &mut TopicDraft::default());
    text.push_str("\n# Who may log in. Print an entry with: noctule passwd NAME\n# [[users]]\n");
    commented(&mut text, options::USER, &mut UserDraft::default());
    text.push_str(
        "\n# Who may do what. Without any rules, everybody may do everything. Repeat for each \
         role; what any\n# role of a client denies is denied.\n# [[role]]\n",
    );
    commented(&mut text, roles::ROLE, &mut RoleDraft::default());
    text.push_str("#\n# A rule of the role above. Repeat for each.\n# [[role.rule]]\n");
    commented(&mut text, roles::RULE, &mut RuleDraft::default());
    text.push_str("\n# Users by groups, for roles to name.\n# [[group]]\n");
    commented(&mut text, roles::GROUP, &mut GroupDraft::default());
    text.push_str(
        "\n# Whose tokens (JWT) let clients in. Repeat for each issuer; one of the first three is \
         needed.\n# [[jwt]]\n",
    );
    commented(&mut text, options::JWT, &mut JwtDraft::default());
    text.push_str("\n# A service that says who is let in.\n# [webhook]\n");
    commented(&mut text, options::WEBHOOK, &mut WebhookDraft::default());
    text.push_str(
        "\n# Another broker, and what is passed on to and from it. Repeat for others.\n\
         # [[bridge]]\n",
    );
    commented(&mut text, bridge::BRIDGE, &mut Bridge::default());
    text.push_str("#\n# TLS of the bridge above, for addresses like mqtts://.\n# [bridge.tls]\n");
    commented(&mut text, bridge::BRIDGE_TLS, &mut bridge::TlsDraft::default());
    text.push_str("#\n# Topics that it passes on. Repeat for each.\n# [[bridge.topic]]\n");
    commented(&mut text, bridge::BRIDGE_TOPIC, &mut BridgeTopic::default());
    text.push_str("\n# Dynamic security as mosquitto's plugin has it.\n# [dynamic_security]\n");
    commented(&mut text, options::DYNSEC, &mut DynsecDraft::default());
    text.push_str("\n[log]\n");
    options(&mut text, options::LOG, &mut config.log);
    text.push_str("\n[admin]\n");
    options(&mut text, options::ADMIN, &mut config.admin);
    text.push_str("\n[defence]\n");
    options(&mut text, defence::DEFENCE, &mut config.defence);
    text.push_str("\n[audit]\n");
    options(&mut text, defence::AUDIT, &mut config.audit);
    text.push_str("\n[limits]\n");
    options(&mut text, memory::MEMORY, &mut config.memory_max);
    options(&mut text, options::LIMITS, &mut config.limits);
    text.push_str("\n# How much one client may do.\n[limits.client]\n");
    options(&mut text, rates::CLIENT, &mut config.limits.client);
    text.push_str("\n# The same of one source address; of IPv6 of one /64.\n[limits.address]\n");
    options(&mut text, rates::ADDRESS, &mut config.address_limits);
    text.push_str(
        "\n# Bounds of the queues of some clients. Repeat for others; the first that is for a \
         client decides.\n# What an entry leaves out is as in [limits].\n# [[queue]]\n",
    );
    let mut rule = QueueRule { clients: Box::default(), queue: config.limits.queue };
    commented(&mut text, options::QUEUE, &mut rule);
    text
}

/// The first listener has the comments.
fn listener(text: &mut String, at: usize, listener: &Listener) {
    let mut draft = ListenerDraft {
        bind: listener.address.ip(),
        port: listener.address.port(),
        presence: listener.presence,
        ..ListenerDraft::default()
    };
    text.push_str("\n[[listener]]\n");
    if at > 0 {
        return values(text, options::LISTENER, &mut draft);
    }
    options(text, options::LISTENER, &mut draft);
    text.push_str(
        "\n# TLS of the listener above. noctule cert makes what it needs to begin with.\n\
         # [listener.tls]\n",
    );
    commented(text, options::TLS, &mut TlsDraft::default());
}

/// Options with their comments.
fn options<T>(text: &mut String, list: &[Opt<T>], target: &mut T) {
    for opt in list {
        text.push('\n');
        comment(text, opt.doc);
        line(text, opt, target);
    }
}

/// Options alone.
pub(super) fn values<T>(text: &mut String, list: &[Opt<T>], target: &mut T) {
    for opt in list {
        line(text, opt, target);
    }
}

/// Options of an entry that has no default.
fn commented<T>(text: &mut String, list: &[Opt<T>], target: &mut T) {
    for opt in list {
        text.push_str("#\n");
        comment(text, opt.doc);
        text.push_str("# ");
        line(text, opt, target);
    }
}

fn line<T>(text: &mut String, opt: &Opt<T>, target: &mut T) {
    let shown = (opt.slot)(target).show();
    match shown {
        Some(value) => writeln!(text, "{} = {value}", opt.name),
        None => writeln!(text, "# {} = ...", opt.name),
    }
    .expect("writing to a String cannot fail");
}

/// Words broken into comment lines.
fn comment(text: &mut String, doc: &str) {
    let mut column = WIDTH + 1;
    for word in doc.split(' ') {
        if column + 1 + word.len() > WIDTH {
            if column <= WIDTH {
                text.push('\n');
            }
            text.push('#');
            column = 1;
        }
        text.push(' ');
        text.push_str(word);
        column += 1 + word.len();
    }
    text.push('\n');
}
