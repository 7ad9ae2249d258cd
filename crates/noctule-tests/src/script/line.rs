//! One connection of a script to a server behind sockets: plain, with TLS, or as a WebSocket.

use super::web_socket::WebSocket;
use anyhow::{Context, Result};
use noctule_server::config::{ClientCertificates, TlsOptions, TlsVersion, UserNameFrom};
use noctule_tls::rustls::pki_types::ServerName;
use noctule_tls::rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use noctule_tls::{Pem, provider};
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

/// A connection.
#[derive(Debug)]
pub(crate) enum Line {
    /// Without TLS.
    Plain(TcpStream),
    /// With it.
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
    /// As a WebSocket.
    WebSocket(WebSocket),
}

impl Line {
    /// Shakes hands over a connection.
    pub(crate) fn secure(stream: TcpStream) -> io::Result<Line> {
        let mut stream = StreamOwned::new(session(), stream);
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock)?;
        }
        Ok(Line::Tls(Box::new(stream)))
    }

    /// Asks for a WebSocket over a connection.
    pub(crate) fn web_socket(stream: TcpStream) -> io::Result<Line> {
        WebSocket::open(stream).map(Line::WebSocket)
    }

    pub(crate) fn stream(&self) -> &TcpStream {
        match self {
            Line::Plain(stream) => stream,
            Line::Tls(stream) => &stream.sock,
            Line::WebSocket(socket) => socket.stream(),
        }
    }
}

impl Read for Line {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Line::Plain(stream) => stream.read(buffer),
            Line::Tls(stream) => stream.read(buffer),
            Line::WebSocket(socket) => socket.read(buffer),
        }
    }
}

impl Write for Line {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Line::Plain(stream) => stream.write(bytes),
            Line::Tls(stream) => stream.write(bytes),
            Line::WebSocket(socket) => socket.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Line::Plain(stream) => stream.flush(),
            Line::Tls(stream) => stream.flush(),
            Line::WebSocket(socket) => socket.stream().flush(),
        }
    }
}

/// The beginning of a session with [`server_options`]' server.
pub(crate) fn session() -> ClientConnection {
    let name = ServerName::try_from("localhost").expect("a name");
    ClientConnection::new(client_config(), name).expect("a good configuration")
}

/// TLS of the server, with a certificate that was made for this process.
pub(crate) fn server_options() -> TlsOptions {
    static FILES: OnceLock<(PathBuf, PathBuf)> = OnceLock::new();
    let (certificate, key) = FILES.get_or_init(|| files().expect("a certificate can be made"));
    TlsOptions {
        certificate: certificate.clone(),
        key: key.clone(),
        client_ca: None,
        client_certificates: ClientCertificates::None,
        user_name_from: UserNameFrom::Nothing,
        bind_client_id: false,
        crl: None,
        minimum_version: TlsVersion::V12,
        ciphers: Vec::new(),
    }
}

fn files() -> Result<(PathBuf, PathBuf)> {
    let folder = crate::process::target_directory().join("tmp");
    std::fs::create_dir_all(&folder)?;
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
    let path = |end| folder.join(format!("script-{}.{end}", std::process::id()));
    let (certificate, key) = (path("crt"), path("key"));
    std::fs::write(&certificate, made.cert.pem()).context("a certificate")?;
    std::fs::write(&key, made.signing_key.serialize_pem()).context("a key")?;
    Ok((certificate, key))
}

/// Trusts the certificate of [`server_options`], and nothing else.
fn client_config() -> Arc<ClientConfig> {
    static CONFIG: OnceLock<Arc<ClientConfig>> = OnceLock::new();
    let config = CONFIG.get_or_init(|| {
        let mut roots = RootCertStore::empty();
        let certificates = Pem::file(server_options().certificate).certificates();
        for certificate in certificates.expect("it was just made") {
            roots.add(certificate).expect("a good one");
        }
        let config = ClientConfig::builder_with_provider(Arc::new(provider(&[])))
            .with_safe_default_protocol_versions()
            .expect("there are suites")
            .with_root_certificates(roots)
            .with_no_client_auth();
        Arc::new(config)
    });
    Arc::clone(config)
}
