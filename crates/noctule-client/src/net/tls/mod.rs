//! TLS by rustls, with cryptography by ring.

mod config;
mod error;
mod key_log;
mod stream;
mod verifier;

use super::failure::{ConnectError, Missing, Warning};
use super::stream::Stream;
pub use error::TlsError;
use noctule_tls::CipherSuite;
pub use noctule_tls::{Pem, TlsFileError};
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
pub use stream::TlsStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::pki_types::ServerName;

/// How to talk TLS with a server, and whom to trust.
///
/// Without any word about it, the roots of the system are trusted. Files are read when the first
/// connection needs them, or by [`load`](Self::load), and then kept: a value made anew reads them
/// again. Clones share what was read, and resume each other's TLS sessions.
///
/// As mosquitto's clients do, it takes certificates that other users of rustls refuse: X.509
/// version 1 issued by a trusted CA itself, host names that stand only in the common name, and a
/// certificate that is itself trusted, be it a CA's. The first two show up in
/// [`Stream::warnings`].
///
/// ```
/// use noctule_client::net::{Pem, Tls, TlsVersion};
///
/// let tls = Tls::new()
///     .ca_file("ca.crt")
///     .client_certificate(Pem::file("client.crt"), Pem::file("client.key"))
///     .minimum_version(TlsVersion::V13)
///     .alpn(["mqtt"]);
/// ```
#[derive(Clone, Debug)]
pub struct Tls {
    settings: Settings,
    loaded: Arc<OnceLock<Arc<ClientConfig>>>,
}

#[derive(Clone, Debug)]
struct Settings {
    anchors: Vec<Anchors>,
    identity: Option<Identity>,
    alpn: Vec<Vec<u8>>,
    minimum_version: TlsVersion,
    /// Empty: all.
    cipher_suites: Vec<CipherSuite>,
    server_name: Option<String>,
    check: Check,
    key_log: Option<PathBuf>,
}

/// Where certificates of those we trust come from.
#[derive(Clone, Debug)]
enum Anchors {
    System,
    Pem(Pem),
    Directory(PathBuf),
}

#[derive(Clone, Debug)]
struct Identity {
    chain: Pem,
    key: Pem,
}

/// What a server's certificate must prove.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Check {
    /// That it was issued by somebody we trust, for this host.
    All,
    /// That it was issued by somebody we trust.
    Issuer,
    /// That the server has its key.
    Nothing,
}

/// A version of TLS.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum TlsVersion {
    /// TLS 1.2.
    V12,
    /// TLS 1.3.
    V13,
}

impl Tls {
    /// Trusts the roots of the system until told otherwise.
    pub fn new() -> Tls {
        let settings = Settings {
            anchors: Vec::new(),
            identity: None,
            alpn: Vec::new(),
            minimum_version: TlsVersion::V12,
            cipher_suites: Vec::new(),
            server_name: None,
            check: Check::All,
            key_log: None,
        };
        Tls { settings, loaded: Arc::default() }
    }

    pub(super) fn by_scheme() -> Result<Tls, Missing> {
        Ok(Tls::new())
    }

    /// Trusts the certificates in this file (PEM), beside others that are named.
    pub fn ca_file(self, path: impl Into<PathBuf>) -> Tls {
        self.trust(Anchors::Pem(Pem::File(path.into())))
    }

    /// Trusts the certificates in this text (PEM), beside others that are named.
    pub fn ca_pem(self, text: impl Into<Vec<u8>>) -> Tls {
        self.trust(Anchors::Pem(Pem::Bytes(text.into())))
    }

    /// Trusts the certificates in the files of this folder (PEM), beside others that are named:
    /// `*.pem`, `*.crt`, `*.cer`, and the names that `openssl rehash` gives, such as
    /// `12ab34cd.0`.
    pub fn ca_directory(self, path: impl Into<PathBuf>) -> Tls {
        self.trust(Anchors::Directory(path.into()))
    }

    /// Trusts the roots of the system beside others that are named.
    pub fn system_roots(self) -> Tls {
        self.trust(Anchors::System)
    }

    fn trust(self, anchors: Anchors) -> Tls {
        self.change(|settings| settings.anchors.push(anchors))
    }

    /// Shows the server this certificate, followed by those between it and the CA, if it asks.
    /// The key is PKCS #8, PKCS #1 or SEC 1, and not encrypted.
    pub fn client_certificate(self, chain: Pem, key: Pem) -> Tls {
        self.change(|settings| settings.identity = Some(Identity { chain, key }))
    }

    /// Offers these protocols; a server that knows ALPN and none of them refuses.
    pub fn alpn<P: Into<Vec<u8>>>(self, protocols: impl IntoIterator<Item = P>) -> Tls {
        let protocols = protocols.into_iter().map(Into::into).collect();
        self.change(|settings| settings.alpn = protocols)
    }

    /// Speaks no older version than this; TLS 1.2 if nothing is said.
    pub fn minimum_version(self, version: TlsVersion) -> Tls {
        self.change(|settings| settings.minimum_version = version)
    }

    /// Offers only these cipher suites, by the names of OpenSSL or IANA. As with OpenSSL, a
    /// version of TLS of which no suite is named keeps its own.
    ///
    /// Fails on a name that is unknown or stands for something that rustls is too careful to
    /// have; the error lists all names there are.
    pub fn cipher_suites<'a>(
        self,
        names: impl IntoIterator<Item = &'a str>,
    ) -> Result<Tls, TlsError> {
        let suites = names.into_iter().map(CipherSuite::by_name).collect::<Result<_, _>>()?;
        Ok(self.change(|settings| settings.cipher_suites = suites))
    }

    /// Asks for this host and expects its name in the certificate, wherever we connect to.
    pub fn server_name(self, name: impl Into<String>) -> Tls {
        self.change(|settings| settings.server_name = Some(name.into()))
    }

    /// Takes a certificate that stands for another host: whoever has one from a CA that we trust
    /// can pose as the server.
    pub fn danger_accept_any_host_name(self) -> Tls {
        self.change(|settings| settings.check = Check::Issuer)
    }

    /// Takes any certificate: whoever is on the way can pose as the server, read everything and
    /// change it.
    pub fn danger_accept_any_certificate(self) -> Tls {
        self.change(|settings| settings.check = Check::Nothing)
    }

    /// Appends the secrets of each connection to this file, in the form of `SSLKEYLOGFILE`:
    /// whoever has it can read what was sent.
    pub fn key_log(self, path: impl Into<PathBuf>) -> Tls {
        self.change(|settings| settings.key_log = Some(path.into()))
    }

    /// Changes the settings; what was loaded by others no longer fits.
    fn change(mut self, change: impl FnOnce(&mut Settings)) -> Tls {
        change(&mut self.settings);
        self.loaded = Arc::default();
        self
    }

    /// Reads the files now, to hear early what is wrong with them. This blocks the thread.
    pub fn load(&self) -> Result<(), TlsError> {
        if self.loaded.get().is_none() {
            let config = config::load(&self.settings)?;
            // If another was faster, its configuration is as good.
            let _ = self.loaded.set(Arc::new(config));
        }
        Ok(())
    }

    /// What rustls works with, for who drives TLS by other means than [`Stream`]. Reads the files
    /// if nobody has; this blocks the thread.
    pub fn client_config(&self) -> Result<Arc<ClientConfig>, TlsError> {
        self.load()?;
        Ok(Arc::clone(self.loaded.get().expect("it was loaded, or there was an error")))
    }

    /// The configuration, read on a thread that may block.
    async fn config(&self) -> Result<Arc<ClientConfig>, TlsError> {
        if self.loaded.get().is_none() {
            let tls = self.clone();
            let loading = tokio::task::spawn_blocking(move || tls.load());
            loading.await.map_err(|error| TlsError::Io(error.into()))??;
        }
        Ok(Arc::clone(self.loaded.get().expect("it was loaded, or there was an error")))
    }

    /// Shakes hands with the server at the other end of `stream`. `name` is the host that we
    /// believe it to be.
    pub(super) async fn connect(
        &self,
        stream: Stream,
        name: Option<&str>,
    ) -> Result<Stream, ConnectError> {
        let config = self.config().await?;
        let name = self.settings.server_name.as_deref().or(name).ok_or(TlsError::NoName)?;
        let bad = |_| TlsError::BadName(name.to_owned());
        let server = ServerName::try_from(name.to_owned()).map_err(bad)?;
        let shaken = TlsConnector::from(config).connect(server.clone(), stream).await;
        let stream = shaken.map_err(TlsError::of_handshake)?;
        Ok(Stream::Tls(Box::new(TlsStream::new(stream, server, self.settings.check))))
    }
}

impl Default for Tls {
    fn default() -> Tls {
        Tls::new()
    }
}
