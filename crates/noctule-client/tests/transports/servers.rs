//! Servers for one test, and what clients of all of them do.

use crate::certificates::{Ca, Identity};
use noctule_client::net::{ConnectError, Endpoint, Stream, Tls};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{
    DEFAULT_VERSIONS, RootCertStore, ServerConfig, SupportedProtocolVersion,
};

/// Serves each connection to a port of loopback in a task of its own.
pub(crate) async fn serve<F, W>(work: F) -> u16
where
    F: Fn(TcpStream) -> W + Send + 'static,
    W: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("loopback");
    let port = listener.local_addr().expect("a bound socket").port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(work(stream));
        }
    });
    port
}

/// A port of loopback that refuses connections for as long as the socket is held.
pub(crate) fn closed_port() -> (TcpSocket, SocketAddr) {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind((Ipv4Addr::LOCALHOST, 0).into()).expect("loopback");
    let address = socket.local_addr().expect("a bound socket");
    (socket, address)
}

/// Sends back what comes.
pub(crate) async fn echo(stream: impl AsyncRead + AsyncWrite) {
    let (mut reader, mut writer) = tokio::io::split(stream);
    let _ = tokio::io::copy(&mut reader, &mut writer).await;
    let _ = writer.shutdown().await;
}

/// A TLS server that sends back what comes.
pub(crate) async fn tls_echo(config: ServerConfig) -> u16 {
    let acceptor = TlsAcceptor::from(Arc::new(config));
    serve(move |stream| {
        let acceptor = acceptor.clone();
        async move {
            if let Ok(stream) = acceptor.accept(stream).await {
                echo(stream).await;
            }
        }
    })
    .await
}

/// A server with this certificate.
pub(crate) fn server(identity: Identity) -> ServerConfig {
    server_of(DEFAULT_VERSIONS, identity, None)
}

/// A server that sends this CA's certificate along with its own.
pub(crate) fn server_below(identity: Identity, between: &Ca) -> ServerConfig {
    server_with(DEFAULT_VERSIONS, identity, Some(between), None)
}

/// A server with this certificate that speaks these versions, and asks clients for certificates
/// that this CA has issued.
pub(crate) fn server_of(
    versions: &[&'static SupportedProtocolVersion],
    identity: Identity,
    clients_of: Option<&Ca>,
) -> ServerConfig {
    server_with(versions, identity, None, clients_of)
}

fn server_with(
    versions: &[&'static SupportedProtocolVersion],
    identity: Identity,
    between: Option<&Ca>,
    clients_of: Option<&Ca>,
) -> ServerConfig {
    let provider = Arc::new(ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(versions)
        .expect("versions that rustls has");
    let builder = match clients_of {
        None => builder.with_no_client_auth(),
        Some(ca) => {
            let mut roots = RootCertStore::empty();
            roots.add(ca.der.clone()).expect("a good certificate");
            let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider);
            builder.with_client_cert_verifier(verifier.build().expect("a good root"))
        }
    };
    let mut chain = vec![identity.der];
    chain.extend(between.map(|ca| ca.der.clone()));
    // Not `with_single_cert`: it takes no certificate of version 1.
    let key = ring::sign::any_supported_type(&identity.key).expect("a good key");
    let key = tokio_rustls::rustls::sign::CertifiedKey::new(chain, key);
    builder.with_cert_resolver(Arc::new(tokio_rustls::rustls::sign::SingleCertAndKey::from(key)))
}

/// Connects to a port of loopback by this host name.
pub(crate) async fn connect(host: &str, port: u16, tls: &Tls) -> Result<Stream, ConnectError> {
    let mut endpoint = Endpoint::tcp(host, port);
    endpoint.tls = Some(tls.clone());
    endpoint.connect().await
}

/// Says something and expects it back.
pub(crate) async fn talk(stream: &mut Stream) {
    for word in [&b"hello"[..], b"", b"a second word, a little longer"] {
        stream.write_all(word).await.expect("an open connection");
        stream.flush().await.expect("an open connection");
        let mut answer = vec![0; word.len()];
        stream.read_exact(&mut answer).await.expect("an answer");
        assert_eq!(answer, word);
    }
}

/// Connects, says something and expects it back.
pub(crate) async fn talk_by(endpoint: &Endpoint) -> Stream {
    let connected = endpoint.connect().await;
    let mut stream = connected.unwrap_or_else(|error| panic!("{endpoint}: {error}"));
    talk(&mut stream).await;
    stream
}
