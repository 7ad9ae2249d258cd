//! What new connections of a listener go through before their bytes are MQTT.

use super::proxy::ProxyRules;
use super::tls::Acceptor;
use super::ws::Rules;
use std::sync::Arc;

/// The way in of a listener.
#[derive(Clone, Default)]
pub(crate) struct Entrance {
    /// TLS, if it speaks it.
    pub(crate) acceptor: Option<Arc<Acceptor>>,
    /// WebSocket, if it speaks it: within TLS, if there is both.
    pub(crate) websocket: Option<Arc<Rules>>,
    /// What clients of a Unix socket are called, if it is one: they have no address.
    pub(crate) unix: Option<Arc<str>>,
    /// What is wanted of proxies, if all connections come through one.
    pub(crate) proxy: Option<ProxyRules>,
}
