//! The listeners of a configuration: their ports and files, and what each shard needs of them.

use crate::config::{Config, Listener, Presence, Protocol, ProxiedName, UserNameFrom};
use crate::net::{
    self, Acceptor, Bound, Entrance, Incoming, ProxyRules, SocketFile, WebSocketRules,
};
use crate::shard::{Door, ListenerPart, NamedBy};
use crate::start_error::StartError;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

/// A listener and where it listens.
pub(crate) struct Running {
    pub(crate) configured: Listener,
    /// Of TCP.
    pub(crate) address: Option<SocketAddr>,
    /// Of a Unix socket.
    pub(crate) file: Option<SocketFile>,
    pub(crate) acceptor: Option<Arc<Acceptor>>,
    /// Of an `http_api`, until it is served: no shard has to do with it.
    pub(crate) http: Option<TcpListener>,
}

impl Running {
    /// Whether clients can connect.
    pub(crate) fn is_up(&self) -> bool {
        self.address.is_some() || self.file.is_some()
    }

    /// Whether it is for clients of MQTT.
    pub(crate) fn speaks_mqtt(&self) -> bool {
        self.configured.transport.protocol != Protocol::HttpApi
    }

    /// Where, in words.
    pub(crate) fn place(&self) -> String {
        self.address.map_or_else(|| self.configured.place(), |address| address.to_string())
    }
}

/// A listener on its way to the shards.
pub(crate) struct Opened {
    pub(crate) running: Running,
    sockets: std::vec::IntoIter<Incoming>,
}

impl Opened {
    /// For the next shard.
    pub(crate) fn part(&mut self) -> ListenerPart {
        let configured = &self.running.configured;
        ListenerPart {
            socket: self.sockets.next(),
            tenant: configured.tenant,
            address: self.running.address.unwrap_or(configured.address),
            door: door(configured),
            durability: configured.durability.map(Into::into),
            entrance: Entrance {
                acceptor: self.running.acceptor.clone(),
                websocket: websocket(configured),
                proxy: configured.transport.proxy_protocol.map(|version| ProxyRules {
                    version,
                    require_tls: configured.transport.proxy_protocol_require_tls,
                }),
                unix: configured.transport.unix.as_ref().map(|_| configured.place().into()),
            },
            named_by: named_by(configured),
        }
    }

    /// What was to listen and does not; whether the broker may do without.
    fn missing(listener: &Listener, error: StartError) -> Result<(), StartError> {
        match listener.presence {
            Presence::Required => Err(error),
            Presence::IfPossible => {
                tracing::warn!("going on without: {error}");
                Ok(())
            }
        }
    }
}

/// Takes the ports of all listeners, and makes them ready.
pub(crate) fn listen(config: &Config, shards: u16) -> Result<Vec<Opened>, StartError> {
    let mut all = Vec::new();
    for listener in &config.listeners {
        let mut running = Running {
            configured: listener.clone(),
            address: None,
            file: None,
            acceptor: acceptor(listener)?,
            http: None,
        };
        let mut sockets = Vec::new();
        let shards = if running.speaks_mqtt() { shards } else { 1 };
        if listener.transport.unix.is_none() {
            match net::bind(listener.address, listener.interface.as_deref(), shards) {
                Ok(Bound { address, sockets: mut bound }) => {
                    running.address = Some(address);
                    running.http = bound.pop_if(|_| !running.speaks_mqtt());
                    sockets = bound.into_iter().map(Incoming::from).collect();
                }
                Err(error) => {
                    let error = StartError::Listen { address: listener.address, error };
                    Opened::missing(listener, error)?;
                }
            }
        }
        all.push(Opened { running, sockets: sockets.into_iter() });
    }
    Ok(all)
}

/// Makes the files of Unix sockets, as the user that the broker is for good: it has to remove them
/// too. The first shard accepts for all.
pub(crate) fn make_files(all: &mut [Opened]) -> Result<(), StartError> {
    for opened in all.iter_mut() {
        let listener = &opened.running.configured;
        let Some(path) = &listener.transport.unix else { continue };
        match net::bind_unix(path, listener.transport.unix_mode) {
            Ok((socket, file)) => {
                opened.running.file = Some(file);
                opened.sockets = vec![socket].into_iter();
            }
            Err(error) => {
                let error = StartError::Unix { path: path.clone(), error };
                Opened::missing(listener, error)?;
            }
        }
    }
    if !all.iter().any(|it| it.running.is_up() && it.running.speaks_mqtt()) {
        return Err(StartError::NoListener);
    }
    Ok(())
}

/// What the TLS of a listener begins with, if it speaks any.
pub(crate) fn acceptor(listener: &Listener) -> Result<Option<Arc<Acceptor>>, StartError> {
    let load = |tls| Acceptor::load(tls, listener.transport.protocol);
    let acceptor = listener.tls.as_ref().map(load).transpose();
    let acceptor =
        acceptor.map_err(|error| StartError::Tls { address: listener.address, error })?;
    Ok(acceptor.map(Arc::new))
}

/// What a listener asks of those that want a WebSocket, if it speaks that.
fn websocket(listener: &Listener) -> Option<Arc<WebSocketRules>> {
    let transport = &listener.transport;
    let rules = || WebSocketRules {
        header_max: transport.websocket_header_max as usize,
        origins: transport.websocket_origins.clone(),
    };
    (transport.protocol == Protocol::WebSocket).then(|| Arc::new(rules()))
}

/// Whom a listener lets in.
pub(crate) fn door(listener: &Listener) -> Door {
    Door {
        admission: Arc::new(listener.admission.clone()),
        connections_max: listener.connections_max,
        allow_anonymous: listener.allow_anonymous,
    }
}

pub(crate) fn named_by(listener: &Listener) -> NamedBy {
    let tls = listener.tls.as_ref();
    NamedBy {
        from: tls.map_or(UserNameFrom::Nothing, |tls| tls.user_name_from),
        bound: tls.is_some_and(|tls| tls.bind_client_id),
        proxied: listener.transport.proxy_protocol_user_name == ProxiedName::CommonName,
    }
}
