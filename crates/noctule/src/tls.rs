//! The flags of TLS, for commands that connect to a broker and are none of mosquitto's.

use clap::Args;
use noctule_client::net::{Pem, Tls};
use std::path::PathBuf;

/// Whom to trust, and as whom to come. Any of these flags turns TLS on.
#[derive(Args, Debug)]
pub(crate) struct TlsArgs {
    /// Talk TLS, and trust the certificates in this file (PEM).
    #[arg(long, value_name = "FILE")]
    cafile: Option<PathBuf>,
    /// Talk TLS, and trust the certificates in the files of this folder.
    #[arg(long, value_name = "FOLDER")]
    capath: Option<PathBuf>,
    /// Certificate of this client (PEM).
    #[arg(long, value_name = "FILE", requires = "key")]
    cert: Option<PathBuf>,
    /// Private key of this client (PEM).
    #[arg(long, value_name = "FILE", requires = "cert")]
    key: Option<PathBuf>,
    /// Accept a certificate of another host: not safe.
    #[arg(long)]
    insecure: bool,
}

impl TlsArgs {
    /// TLS as the flags want it, if somebody else or one of them wants it at all.
    pub(crate) fn tls(&self, by_others: Option<Tls>) -> Option<Tls> {
        let trusts = self.cafile.is_some() || self.capath.is_some();
        let wanted = trusts || self.cert.is_some() || self.insecure;
        let mut tls = by_others.or_else(|| wanted.then(Tls::new))?;
        if let Some(file) = &self.cafile {
            tls = tls.ca_file(file);
        }
        if let Some(folder) = &self.capath {
            tls = tls.ca_directory(folder);
        }
        if let (Some(chain), Some(key)) = (&self.cert, &self.key) {
            tls = tls.client_certificate(Pem::file(chain), Pem::file(key));
        }
        Some(if self.insecure { tls.danger_accept_any_host_name() } else { tls })
    }
}
