//! TLS of a listener.

use std::path::{Path, PathBuf};

/// How a listener speaks TLS. Files are PEM.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TlsOptions {
    /// The server's certificate, followed by those between it and the CA.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// CAs of the clients: a file, or a folder of files.
    pub client_ca: Option<PathBuf>,
    /// Whether clients show certificates.
    pub client_certificates: ClientCertificates,
    /// What such a certificate says about its client.
    pub user_name_from: UserNameFrom,
    /// Its client id has to be the same.
    pub bind_client_id: bool,
    /// Client certificates that were taken back.
    pub crl: Option<PathBuf>,
    /// The oldest version that is spoken.
    pub minimum_version: TlsVersion,
    /// Cipher suites, by the names of IANA or OpenSSL; of a version of which none is named, all.
    pub ciphers: Vec<String>,
}

/// Whether clients show certificates.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ClientCertificates {
    /// They are not asked.
    None,
    /// They are asked, and what they show has to be good.
    Optional,
    /// Nobody gets in without.
    Required,
}

/// What a client's certificate says about its client.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum UserNameFrom {
    /// Nothing: it logs in as others do.
    Nothing,
    /// Its common name is the user name, and proof enough.
    CommonName,
    /// Its whole subject, as RFC 2253 writes it.
    Subject,
    /// The first of its alternative names that is text.
    AlternativeName,
}

/// A version of TLS.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TlsVersion {
    /// TLS 1.2.
    V12,
    /// TLS 1.3.
    V13,
}

impl TlsOptions {
    /// All files, and folders of files.
    pub(crate) fn files(&self) -> impl Iterator<Item = &Path> {
        let optional = [&self.client_ca, &self.crl].into_iter().flatten();
        [&self.certificate, &self.key].into_iter().chain(optional).map(PathBuf::as_path)
    }

    /// Files that are not named from the root on lie in this folder.
    pub(super) fn resolve(&mut self, folder: &Path) {
        let resolve = |path: &mut PathBuf| *path = folder.join(&*path);
        resolve(&mut self.certificate);
        resolve(&mut self.key);
        self.client_ca.iter_mut().for_each(resolve);
        self.crl.iter_mut().for_each(resolve);
    }
}

/// A `[listener.tls]` as the file says it.
#[derive(Clone)]
pub(super) struct TlsDraft {
    pub(super) certificate: Box<str>,
    pub(super) key: Box<str>,
    pub(super) client_ca: Box<str>,
    pub(super) client_certificates: Option<ClientCertificates>,
    pub(super) user_name_from: UserNameFrom,
    pub(super) bind_client_id: bool,
    pub(super) crl: Box<str>,
    pub(super) minimum_version: TlsVersion,
    pub(super) ciphers: Box<str>,
}

impl Default for TlsDraft {
    fn default() -> TlsDraft {
        TlsDraft {
            certificate: Box::default(),
            key: Box::default(),
            client_ca: Box::default(),
            client_certificates: None,
            user_name_from: UserNameFrom::Nothing,
            bind_client_id: false,
            crl: Box::default(),
            minimum_version: TlsVersion::V12,
            ciphers: Box::default(),
        }
    }
}

impl TlsDraft {
    /// The options as the file would say them.
    pub(super) fn of(options: &TlsOptions) -> TlsDraft {
        let path = |path: &Path| path.to_string_lossy().into();
        let optional = |it: &Option<PathBuf>| it.as_deref().map(path).unwrap_or_default();
        TlsDraft {
            certificate: path(&options.certificate),
            key: path(&options.key),
            client_ca: optional(&options.client_ca),
            client_certificates: Some(options.client_certificates),
            user_name_from: options.user_name_from,
            bind_client_id: options.bind_client_id,
            crl: optional(&options.crl),
            minimum_version: options.minimum_version,
            ciphers: options.ciphers.join(":").into(),
        }
    }

    /// What it means, or which option is wrong, and why.
    pub(super) fn finish(self) -> Result<TlsOptions, (&'static str, &'static str)> {
        use ClientCertificates as Clients;
        if self.certificate.is_empty() {
            return Err(("certificate", "is missing: what `noctule cert` calls server.crt"));
        }
        if self.key.is_empty() {
            return Err(("key", "is missing: what `noctule cert` calls server.key"));
        }
        let path = |text: &str| (!text.is_empty()).then(|| PathBuf::from(text));
        let client_ca = path(&self.client_ca);
        // Who names a CA of clients wants to see their certificates.
        let default = if client_ca.is_some() { Clients::Required } else { Clients::None };
        let client_certificates = self.client_certificates.unwrap_or(default);
        if client_ca.is_none() && client_certificates != Clients::None {
            let why = "needs `client_ca`: who has issued the clients' certificates";
            return Err(("client_certificates", why));
        }
        if client_certificates == Clients::None {
            let why = "needs clients to show certificates: name their `client_ca`";
            if self.user_name_from != UserNameFrom::Nothing {
                return Err(("user_name_from", why));
            }
            if !self.crl.is_empty() {
                return Err(("crl", why));
            }
        }
        if self.bind_client_id && self.user_name_from == UserNameFrom::Nothing {
            let why = "needs a name to bind it to: say where `user_name_from` takes it from";
            return Err(("bind_client_id", why));
        }
        let names = self.ciphers.split([':', ',', ' ']).filter(|name| !name.is_empty());
        Ok(TlsOptions {
            certificate: PathBuf::from(&*self.certificate),
            key: PathBuf::from(&*self.key),
            client_ca,
            client_certificates,
            user_name_from: self.user_name_from,
            bind_client_id: self.bind_client_id,
            crl: path(&self.crl),
            minimum_version: self.minimum_version,
            ciphers: names.map(str::to_owned).collect(),
        })
    }
}
