//! The broker's rare events as log lines. Credentials are not part of an event.
//!
//! The line of a refused client has a stable form for tools that ban by address:
//! `client refused ... remote="ADDRESS:PORT" reason="..."`.

use crate::log::CLIENTS;
use crate::net::HERE;
use noctule_core::Event;
use noctule_core::output::End;
use std::net::SocketAddr;
use tracing::{debug, error, info, warn};

/// Writes one event. Text that clients chose goes in as a string, not as its `Debug` form: both
/// formats quote it, each in its own way, so that it cannot forge lines.
/// `here` stands for those that come from this machine by no port.
pub(crate) fn log(event: &Event, here: &str) {
    let shown = |remote| shown(remote, here);
    match event {
        Event::Connected {
            client_id,
            tenant,
            remote,
            version,
            keep_alive_secs,
            clean_start,
            user_name,
        } => info!(target: CLIENTS,
            client_id = &**client_id,
            remote = shown(*remote),
            tenant = tenant.0,
            version = ?version,
            keep_alive_secs,
            clean_start,
            user_name = user_name.as_deref().unwrap_or_default(),
            "client connected"
        ),
        Event::Refused { client_id, remote, reason, why, user_name: _, tenant: _ } => warn!(
            client_id = client_id.as_deref().unwrap_or_default(),
            remote = shown(*remote),
            reason = reason.name(),
            why = &**why,
            "client refused"
        ),
        Event::Disconnected { client_id, remote, end, tenant: _, purpose: _ } => {
            ended(client_id, &shown(*remote), end);
        }
        Event::SessionExpired { client_id } => debug!(client_id = &**client_id, "session expired"),
        Event::QueueOverflow { client_id, messages } => {
            warn!(client_id = &**client_id, messages, "queue full, messages are dropped");
        }
        Event::Damaged { client_id, place } => error!(
            client_id = &**client_id,
            place = place.0,
            "a message that waits is damaged in the log and is not delivered; it stays there: stop \
             the broker and run noctule store salvage"
        ),
        Event::Subscribed { client_id, filter, qos } => {
            let (client_id, filter) = (&**client_id, &**filter);
            debug!(client_id, filter, qos = *qos as u8, "subscribed");
        }
        Event::Denied { client_id, user_name, remote, action, topic, rule } => {
            let rule = rule.as_ref().map_or_else(|| "none allows it".into(), ToString::to_string);
            warn!(
                client_id = &**client_id,
                user_name = user_name.as_deref().unwrap_or_default(),
                remote = shown(*remote),
                action = action.to_string(),
                topic = &**topic,
                rule,
                "not authorized"
            );
        }
        Event::Unsubscribed { client_id, filter } => {
            debug!(client_id = &**client_id, filter = &**filter, "unsubscribed");
        }
    }
}

/// The connection of a client is over.
fn ended(client_id: &str, remote: &str, end: &End) {
    match end {
        End::ByClient(reason) => {
            let reason = reason.name();
            info!(target: CLIENTS, client_id, remote, reason, "client disconnected");
        }
        End::Lost => info!(target: CLIENTS, client_id, remote, "connection lost"),
        End::ByBroker { reason, why } => {
            let (reason, why) = (reason.name(), &**why);
            info!(target: CLIENTS, client_id, remote, reason, why, "connection ended");
        }
    }
}

fn shown(remote: Option<SocketAddr>, here: &str) -> String {
    match remote {
        Some(HERE) => here.into(),
        Some(address) => address.to_string(),
        None => String::new(),
    }
}
