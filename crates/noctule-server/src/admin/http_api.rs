//! mosquitto's `http_api`: counts, listeners and version, as what was written for it asks for them.
//! Who asks logs in as a client would, and may read a page as it may a topic of that name.

use super::socket::Peer;
use super::{CONNECTIONS_MAX, HttpServer};
use crate::auth::Users;
use crate::config::{AuthenticatorKind, ClientCertificates, Config, Listener, Protocol};
use crate::listeners::Running;
use crate::memory;
use crate::shard::Shared;
use crate::sys;
use axum::Router;
use axum::extract::{ConnectInfo, State};
use axum::http::header::{
    ACCESS_CONTROL_ALLOW_ORIGIN, AUTHORIZATION, CONTENT_TYPE, HeaderMap, WWW_AUTHENTICATE,
};
use axum::http::{Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use noctule_core::ListenerId;
use noctule_core::grant::{Action, Policy, Principal, Who};
use std::fmt::Write as _;
use std::io;
use std::sync::{Arc, PoisonError, RwLock};

/// What rules know who asks by.
const CLIENT_ID: &str = "http-api";

/// What is counted, in mosquitto's order.
const COUNTS: [&str; 24] = [
    "clients/total",
    "clients/maximum",
    "clients/disconnected",
    "clients/connected",
    "clients/expired",
    "messages/stored",
    "store/messages/bytes",
    "subscriptions/count",
    "shared_subscriptions/count",
    "retained messages/count",
    "heap/current",
    "heap/maximum",
    "messages/received",
    "messages/sent",
    "bytes/received",
    "bytes/sent",
    "publish/bytes/received",
    "publish/bytes/sent",
    "packet/out/count",
    "packet/out/bytes",
    "connections/socket/count",
    "publish/messages/dropped",
    "publish/messages/received",
    "publish/messages/sent",
];

/// The listeners of `http_api`, each with a thread of its own.
#[derive(Default)]
pub(crate) struct HttpApis(Vec<HttpApi>);

struct HttpApi {
    at: usize,
    access: Arc<RwLock<Access>>,
    /// Ends with this.
    _server: HttpServer,
}

/// Whom one of them answers, and what a reload may have changed.
struct Access {
    listener: Listener,
    users: Users,
    policy: Policy,
    listeners: String,
}

#[derive(Clone)]
struct Api {
    access: Arc<RwLock<Access>>,
    shared: Arc<Shared>,
}

impl HttpApis {
    /// Serves on the sockets that the listeners have for it.
    pub(crate) fn start(
        running: &mut [Running],
        config: &Config,
        shared: &Arc<Shared>,
    ) -> io::Result<HttpApis> {
        let mut all = Vec::new();
        for at in 0..running.len() {
            let Some(socket) = running[at].http.take() else { continue };
            let access = Arc::new(RwLock::new(Access::of(at, running, config)));
            let api = Api { access: Arc::clone(&access), shared: Arc::clone(shared) };
            let app = Router::new().fallback(answer).with_state(api);
            let most = running[at].configured.connections_max as usize;
            let server = HttpServer::start(socket, "http-api", app, most.min(CONNECTIONS_MAX))?;
            all.push(HttpApi { at, access, _server: server });
        }
        Ok(HttpApis(all))
    }

    /// Goes by another configuration, with the same listeners, from here on.
    pub(crate) fn reload(&self, running: &[Running], config: &Config) {
        for api in &self.0 {
            let access = Access::of(api.at, running, config);
            *api.access.write().unwrap_or_else(PoisonError::into_inner) = access;
        }
    }
}

impl Access {
    fn of(at: usize, running: &[Running], config: &Config) -> Access {
        let listener = config.listeners[at].clone();
        let asked = config.authenticators_of(&listener);
        let by_password = asked.contains(&AuthenticatorKind::Password);
        let users = if by_password { config.users_of(&listener).clone() } else { Users::default() };
        let id = ListenerId(u16::try_from(at).unwrap_or(u16::MAX));
        let policy = config.policies.of(id).clone();
        let listeners = listeners(running, &config.listeners);
        Access { listener, users, policy, listeners }
    }

    /// Whether a page is for whoever sends these headers. Checking a password takes milliseconds,
    /// for which this listener's thread does nothing else: that bounds how fast one can guess.
    fn admits(&self, headers: &HeaderMap, page: &str) -> bool {
        let user_name = match headers.get(AUTHORIZATION) {
            Some(value) => {
                let login = value.to_str().ok().and_then(basic);
                let user = login.and_then(|(name, password)| self.users.login(&name, &password));
                let Some(user) = user else { return false };
                Some(user)
            }
            None if self.listener.allow_anonymous => None,
            None => return false,
        };
        let principal = Principal { user_name, ..Principal::default() };
        let who = Who { client_id: CLIENT_ID, user_name: principal.user_name.as_deref() };
        let rules = || self.policy.rules_of(&principal);
        self.policy.is_open() || rules().ruling((Action::Receive, page), who).is_allowed()
    }
}

/// User name and password of an Authorization header (RFC 7617).
fn basic(value: &str) -> Option<(String, Vec<u8>)> {
    let (scheme, said) = value.split_once(' ')?;
    let said =
        STANDARD.decode(said.trim()).ok().filter(|_| scheme.eq_ignore_ascii_case("basic"))?;
    let colon = said.iter().position(|byte| *byte == b':')?;
    let name = std::str::from_utf8(&said[..colon]).ok()?;
    Some((name.to_owned(), said[colon + 1..].to_vec()))
}

async fn answer(
    State(api): State<Api>,
    ConnectInfo(Peer(peer)): ConnectInfo<Peer>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let access = api.access.read().unwrap_or_else(PoisonError::into_inner);
    if !access.listener.admission.admits(peer.ip()) {
        return (StatusCode::FORBIDDEN, "Not authorised\n").into_response();
    }
    if method != Method::GET {
        return (StatusCode::METHOD_NOT_ALLOWED, "Invalid HTTP Method\n").into_response();
    }
    if !access.admits(&headers, uri.path()) {
        let how = [(WWW_AUTHENTICATE, "Basic realm=\"Mosquitto API\"")];
        return (StatusCode::UNAUTHORIZED, how, "Not authorised\n").into_response();
    }
    let (kind, text) = match uri.path() {
        "/api/v1/version" => ("text/plain", env!("CARGO_PKG_VERSION").to_owned()),
        "/api/v1/listeners" => ("application/json", access.listeners.clone()),
        "/api/v1/systree" => ("application/json", counts(&api.shared)),
        _ => return (StatusCode::NOT_FOUND, "Not found.\n").into_response(),
    };
    // Dashboards are pages of other servers.
    ([(CONTENT_TYPE, kind), (ACCESS_CONTROL_ALLOW_ORIGIN, "*")], text).into_response()
}

/// The counts under `$SYS`, laid out as mosquitto does.
fn counts(shared: &Shared) -> String {
    let sum = shared.snapshots.sum();
    let counted = sys::counts(&sum);
    let memory = memory::resident();
    let mut text = String::from("{\n");
    for name in COUNTS {
        let count = match name {
            "heap/current" => memory.as_ref().map_or(0, |memory| memory.now),
            "heap/maximum" => memory.as_ref().map_or(0, |memory| memory.maximum),
            _ => counted.iter().find(|(it, _)| *it == name).map_or(0, |(_, count)| *count),
        };
        writeln!(text, "\t\"$SYS/broker/{name}\":\t{count},")
            .expect("writing to a String cannot fail");
    }
    let uptime_secs = shared.clock.uptime_millis(shared.clock.now()) / 1000;
    write!(text, "\t\"$SYS/broker/uptime\":\t{uptime_secs}\n}}")
        .expect("writing to a String cannot fail");
    text
}

/// All listeners that are there. One of mosquitto's may be two here, which differ in their address
/// alone: they are told of once.
fn listeners(running: &[Running], configured: &[Listener]) -> String {
    let there = running.iter().zip(configured).filter(|(running, _)| running.is_up());
    let mut told: Vec<String> = there.map(|(running, listener)| told(running, listener)).collect();
    told.dedup();
    format!("{{\n\t\"listeners\":\t[{}]\n}}", told.join(", "))
}

fn told(running: &Running, listener: &Listener) -> String {
    let transport = &listener.transport;
    let (key, place) = match &transport.unix {
        Some(path) => ("path", serde_json::Value::from(&*path.to_string_lossy()).to_string()),
        None => ("port", running.address.map_or(0, |it| it.port()).to_string()),
    };
    let protocol = match transport.protocol {
        Protocol::Mqtt => "mqtt",
        Protocol::WebSocket => "websockets",
        Protocol::HttpApi => "httpapi",
    };
    let tls = listener.tls.as_ref();
    let mtls = tls.is_some_and(|it| it.client_certificates == ClientCertificates::Required);
    let fields = [
        (key, place),
        ("protocol", format!("\"{protocol}\"")),
        ("tls", tls.is_some().to_string()),
        ("mtls", mtls.to_string()),
        ("allow_anonymous", listener.allow_anonymous.to_string()),
    ];
    let fields = fields.map(|(name, value)| format!("\t\t\t\"{name}\":\t{value}"));
    format!("{{\n{}\n\t\t}}", fields.join(",\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logins_are_taken_apart_as_rfc_7617_says() {
        let some = |name: &str, password: &str| Some((name.to_owned(), password.into()));
        for (value, wanted) in [
            ("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==", some("Aladdin", "open sesame")),
            ("basic  YTpiOmM=", some("a", "b:c")),
            ("Basic Og==", some("", "")),
            ("Basic YQ==", None),
            ("Basic ?", None),
            ("Bearer YTpi", None),
            ("Basic", None),
            ("", None),
        ] {
            assert_eq!(basic(value), wanted, "{value}");
        }
    }
}
