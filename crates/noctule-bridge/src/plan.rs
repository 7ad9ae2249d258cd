//! What one bridge comes to.

use crate::rules::Rules;
use noctule_client::net::{Endpoint, Pem, Socks5, Tls, TlsVersion};
use noctule_server::config::{Bridge, BridgeTls, Fault, Notifications};

/// Bytes of a local host's name that is used.
const HOST_MAX: usize = 64;

/// A bridge that can be.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) bridge: Bridge,
    /// There.
    pub(crate) client_id: String,
    /// Here.
    pub(crate) local_client_id: String,
    /// The topic that says how it stands, if any does.
    pub(crate) state_topic: Option<String>,
    /// Of each address.
    pub(crate) endpoints: Vec<Endpoint>,
    pub(crate) rules: Rules,
}

/// What is wrong with an option of a bridge.
pub(crate) fn fault(option: &str, what: String) -> Fault {
    Fault { file: None, line: 0, option: Some(option.into()), what }
}

impl Plan {
    /// What a configured bridge comes to.
    ///
    /// # Errors
    /// One of its options cannot be followed.
    pub(crate) fn of(bridge: &Bridge) -> Result<Plan, Fault> {
        let client_id = match &*bridge.client_id {
            "" => format!("{}.{}", host_name(), bridge.name),
            id => id.to_owned(),
        };
        let local_client_id = match &*bridge.local_client_id {
            "" => format!("local.{client_id}"),
            id => id.to_owned(),
        };
        let state_topic = match &*bridge.notification_topic {
            _ if bridge.notifications == Notifications::None => None,
            "" => Some(format!("$SYS/broker/connection/{client_id}/state")),
            topic => Some(topic.to_owned()),
        };
        let tls = tls(&bridge.tls).map_err(|why| told(bridge, "tls.ciphers", why))?;
        let proxy = match &*bridge.proxy.0 {
            "" => None,
            url => Some(Socks5::parse(url).map_err(|it| told(bridge, "proxy", it.to_string()))?),
        };
        let endpoint = |address: &str| {
            let endpoint = Endpoint::parse(address);
            let mut endpoint = endpoint
                .map_err(|error| told(bridge, "addresses", format!("{address:?}: {error}")))?;
            if endpoint.tls.is_some() {
                endpoint.tls = Some(tls.clone());
            }
            (endpoint.proxy, endpoint.bind) = (proxy.clone(), bridge.bind);
            Ok(endpoint)
        };
        Ok(Plan {
            endpoints: bridge
                .addresses
                .iter()
                .map(|it| endpoint(it))
                .collect::<Result<_, Fault>>()?,
            rules: Rules::of(&bridge.topics),
            bridge: bridge.clone(),
            client_id,
            local_client_id,
            state_topic,
        })
    }

    /// Reads the files of TLS.
    ///
    /// # Errors
    /// One of them is of no use.
    pub(crate) fn load(&self) -> Result<(), Fault> {
        let mut used = self.endpoints.iter().filter_map(|it| it.tls.as_ref());
        used.try_for_each(|tls| {
            tls.load().map_err(|error| told(&self.bridge, "tls", error.to_string()))
        })
    }

    /// Whether clients there are told how it stands.
    pub(crate) fn tells_there(&self) -> bool {
        self.bridge.notifications == Notifications::Both
    }

    /// Its name in logs.
    pub(crate) fn name(&self) -> &str {
        &self.bridge.name
    }
}

fn told(bridge: &Bridge, option: &str, what: String) -> Fault {
    fault(&format!("bridge.{option}"), format!("of {:?}: {what}", bridge.name))
}

fn tls(options: &BridgeTls) -> Result<Tls, String> {
    let mut tls = Tls::new();
    if let Some(file) = &options.ca {
        tls = tls.ca_file(file);
    }
    if let Some(folder) = &options.ca_folder {
        tls = tls.ca_directory(folder);
    }
    if options.system_roots {
        tls = tls.system_roots();
    }
    if let Some((chain, key)) = &options.identity {
        tls = tls.client_certificate(Pem::file(chain), Pem::file(key));
    }
    if !options.alpn.is_empty() {
        tls = tls.alpn(options.alpn.iter().map(|name| name.as_bytes()));
    }
    if options.v13_only {
        tls = tls.minimum_version(TlsVersion::V13);
    }
    if !options.ciphers.is_empty() {
        let names = options.ciphers.iter().map(|name| &**name);
        tls = tls.cipher_suites(names).map_err(|error| error.to_string())?;
    }
    Ok(if options.any_host_name { tls.danger_accept_any_host_name() } else { tls })
}

/// The name of this machine, as a part of a topic.
fn host_name() -> String {
    let clean = |c: char| if c.is_ascii_alphanumeric() || "-._".contains(c) { c } else { '-' };
    let name: String = raw_host_name().chars().take(HOST_MAX).map(clean).collect();
    if name.is_empty() { "noctule".into() } else { name }
}

#[cfg(unix)]
fn raw_host_name() -> String {
    let name = nix::unistd::gethostname();
    name.map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

#[cfg(not(unix))]
fn raw_host_name() -> String {
    String::new()
}
