//! What new connections of a listener begin with: read from files at the start, and again when
//! these change. Connections that are open stay as they are.

use super::Tls;
use super::clients::ClientVerifier;
use crate::config::{ClientCertificates, Protocol, TlsOptions, TlsVersion};
use noctule_tls::rustls::crypto::ring::Ticketer;
use noctule_tls::rustls::server::{NoServerSessionStorage, UnbufferedServerConnection};
use noctule_tls::rustls::sign::SingleCertAndKey;
use noctule_tls::rustls::{Error, ServerConfig, SupportedProtocolVersion, version};
use noctule_tls::{CipherSuite, Pem, TlsFileError, certified_key, provider};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::SystemTime;

/// The protocols that we answer to by ALPN. A client that names none is as welcome.
const ALPN: &[&[u8]] = &[b"mqtt"];
/// The same where WebSocket is spoken.
const ALPN_OF_WEBSOCKET: &[&[u8]] = &[b"http/1.1", b"mqtt"];

const BOTH: &[&SupportedProtocolVersion] = &[&version::TLS13, &version::TLS12];
const NEW: &[&SupportedProtocolVersion] = &[&version::TLS13];

/// When a file was written last, and its size; `None` if it is not there.
type Stamp = Option<(SystemTime, u64)>;

/// Begins the TLS of a listener's connections.
pub(crate) struct Acceptor {
    protocols: &'static [&'static [u8]],
    options: Mutex<(TlsOptions, Vec<Stamp>)>,
    current: RwLock<Arc<ServerConfig>>,
}

impl Acceptor {
    /// Reads the files. What is encrypted is `protocol`.
    ///
    /// # Errors
    /// One of them is of no use.
    pub(crate) fn load(options: &TlsOptions, protocol: Protocol) -> Result<Acceptor, TlsFileError> {
        let protocols = match protocol {
            Protocol::Mqtt => ALPN,
            Protocol::WebSocket | Protocol::HttpApi => ALPN_OF_WEBSOCKET,
        };
        // Before they are read: a change meanwhile is found later.
        let stamps = stamps(options);
        let current = RwLock::new(Arc::new(server_config(options, protocols)?));
        Ok(Acceptor { protocols, options: Mutex::new((options.clone(), stamps)), current })
    }

    /// New connections begin with other options, or with what the same files hold by now. If
    /// they are of no use, all stays as it is.
    ///
    /// # Errors
    /// One of the files is of no use.
    pub(crate) fn reload(&self, new: &TlsOptions) -> Result<(), TlsFileError> {
        let mut options = self.options.lock().unwrap_or_else(PoisonError::into_inner);
        *options = (new.clone(), stamps(new));
        let config = Arc::new(server_config(new, self.protocols)?);
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = config;
        Ok(())
    }

    /// The options, if a file of them has changed since it was read.
    pub(crate) fn changed(&self) -> Option<TlsOptions> {
        let options = self.options.lock().unwrap_or_else(PoisonError::into_inner);
        let (options, before) = &*options;
        (stamps(options) != *before).then(|| options.clone())
    }

    /// TLS of a new connection.
    ///
    /// # Errors
    /// rustls refuses the configuration.
    pub(crate) fn accept(&self) -> Result<Tls, Error> {
        let config = Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner));
        UnbufferedServerConnection::new(config).map(Tls::new)
    }
}

fn stamps(options: &TlsOptions) -> Vec<Stamp> {
    let mut stamps = Vec::new();
    for path in options.files() {
        stamps.push(stamp(path));
        // Of a folder, it tells what came and went; what was written anew, only the files do.
        let Ok(folder) = std::fs::read_dir(path) else { continue };
        let mut files: Vec<_> = folder.filter_map(Result::ok).map(|entry| entry.path()).collect();
        files.sort();
        stamps.extend(files.iter().map(|path| stamp(path)));
    }
    stamps
}

fn stamp(path: &Path) -> Stamp {
    let data = std::fs::metadata(path).ok()?;
    Some((data.modified().ok()?, data.len()))
}

fn server_config(options: &TlsOptions, protocols: &[&[u8]]) -> Result<ServerConfig, TlsFileError> {
    let suites = options.ciphers.iter().map(|name| CipherSuite::by_name(name));
    let suites = suites.collect::<Result<Vec<_>, _>>()?;
    let provider = Arc::new(provider(&suites));
    let versions = match options.minimum_version {
        TlsVersion::V12 => BOTH,
        TlsVersion::V13 => NEW,
    };
    let shown =
        certified_key(&Pem::file(&options.certificate), &Pem::file(&options.key), &provider)?;
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(versions)
        .expect("each version has suites");
    let builder = match &options.client_ca {
        Some(ca) if options.client_certificates != ClientCertificates::None => {
            let verifier = ClientVerifier::load(ca, options, &provider)?;
            builder.with_client_cert_verifier(Arc::new(verifier))
        }
        Some(_) | None => builder.with_no_client_auth(),
    };
    let mut config = builder.with_cert_resolver(Arc::new(SingleCertAndKey::from(shown)));
    config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
    // All shards take the tickets of all others. With the files, the keys of the tickets are new:
    // nobody resumes who would not be let in any more.
    config.ticketer =
        Ticketer::new().map_err(|error| TlsFileError::of_file("tickets of TLS", error))?;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 1;
    Ok(config)
}
