//! How a bench speaks TLS.

use clap::Args;
use noctule_client::net::{Pem, Tls};
use std::path::PathBuf;

/// TLS of a bench. Any of these flags turns it on.
#[derive(Args, Debug)]
pub(super) struct TlsArgs {
    /// Speak TLS, and trust the CAs of the system unless --cafile names others.
    #[arg(long)]
    tls: bool,
    /// Speak TLS, and trust the certificates in this file (PEM).
    #[arg(long, value_name = "FILE")]
    cafile: Option<PathBuf>,
    /// Certificate of all clients (PEM).
    #[arg(long, value_name = "FILE", requires = "key")]
    cert: Option<PathBuf>,
    /// Its private key (PEM).
    #[arg(long, value_name = "FILE", requires = "cert")]
    key: Option<PathBuf>,
    /// Speak TLS, and take any certificate.
    #[arg(long)]
    insecure: bool,
}

impl TlsArgs {
    pub(super) fn settings(self) -> Option<Tls> {
        let TlsArgs { tls, cafile, cert, key, insecure } = self;
        let identity = cert.zip(key);
        if !tls && !insecure && cafile.is_none() && identity.is_none() {
            return None;
        }
        let mut settings = Tls::new();
        if let Some(cafile) = cafile {
            settings = settings.ca_file(cafile);
        }
        if let Some((cert, key)) = identity {
            settings = settings.client_certificate(Pem::file(cert), Pem::file(key));
        }
        Some(if insecure { settings.danger_accept_any_certificate() } else { settings })
    }
}
