//! Questions about the broker itself, on `$CONTROL/broker/v1`: mosquitto's control API. Nothing is
//! changed by them, so shards answer.

use super::TOPIC;
use super::request::{each, named, response};
use super::said::Said;
use crate::config::{Config, Protocol};
use crate::listeners::{Opened, Running};
use serde_json::{Value, json};

/// The topic of questions.
pub(crate) const BROKER_TOPIC: &str = "$CONTROL/broker/v1";

/// What is told.
#[derive(Default)]
pub(crate) struct BrokerApi {
    listeners: Value,
    plugins: Value,
}

impl BrokerApi {
    /// That of a broker with these listeners.
    pub(crate) fn new(config: &Config, opened: &[Opened]) -> BrokerApi {
        let there = opened.iter().map(|it| &it.running).filter(|running| running.is_up());
        // A listener of mosquitto's may be two here, for all addresses of IPv4 and of IPv6.
        let mut listeners: Vec<Value> = there.map(listener).collect();
        listeners.dedup();
        let dynsec = json!({ "name": "dynamic-security", "control-endpoints": [TOPIC] });
        let plugins = config.dynamic_security.as_ref().map(|_| dynsec);
        BrokerApi {
            listeners: json!({ "listeners": listeners }),
            plugins: json!({ "plugins": plugins.into_iter().collect::<Vec<_>>() }),
        }
    }

    /// The answer to a message of somebody, who is named for the log.
    pub(crate) fn answer(&self, payload: &[u8], who: &str) -> String {
        let responses = each(payload, |said| self.one(said, who));
        json!({ "responses": responses }).to_string()
    }

    fn one(&self, said: Said<'_>, who: &str) -> (Value, bool) {
        let (name, correlation) = match named(said) {
            Ok(named) => named,
            Err(response) => return (response, false),
        };
        let commands = [("listListeners", &self.listeners), ("listPlugins", &self.plugins)];
        let found = commands.into_iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        let Some((known, data)) = found else {
            return (response(name, correlation, Err("Unknown command")), true);
        };
        tracing::info!("control: {who} | {known}");
        (response(known, correlation, Ok(Some(data.clone()))), true)
    }
}

fn listener(running: &Running) -> Value {
    let configured = &running.configured;
    let (transport, address) = (&configured.transport, running.address);
    let mut told = json!({
        "port": address.map_or(0, |address| address.port()),
        "tls": configured.tls.is_some(),
    });
    match transport.protocol {
        Protocol::Mqtt => told["protocol"] = "mqtt".into(),
        Protocol::WebSocket => told["protocol"] = "mqtt+websockets".into(),
        // mosquitto has no word for it.
        Protocol::HttpApi => {}
    }
    if let Some(path) = &transport.unix {
        told["socket-path"] = path.to_string_lossy().into();
    } else if let Some(ip) = address.map(|address| address.ip()).filter(|ip| !ip.is_unspecified()) {
        told["bind-address"] = ip.to_string().into();
    }
    told
}
