//! TCP and Unix sockets, and connections that do not come about.

use crate::servers::{closed_port, echo, serve, talk_by};
use noctule_client::net::{ConnectError, Endpoint};
use std::io::ErrorKind;

#[tokio::test]
async fn bytes_go_both_ways_over_tcp() {
    let port = serve(echo).await;
    for address in [format!("127.0.0.1:{port}"), format!("mqtt://localhost:{port}")] {
        let mut endpoint = Endpoint::parse(&address).expect("a good address");
        for no_delay in [true, false] {
            endpoint.no_delay = no_delay;
            let stream = talk_by(&endpoint).await;
            let noctule_client::net::Stream::Tcp(socket) = &stream else { panic!("{stream:?}") };
            assert_eq!(socket.nodelay().expect("an open socket"), no_delay);
            assert!(stream.tls().is_none() && stream.warnings().is_empty());
        }
    }
}

#[tokio::test]
async fn a_bound_endpoint_connects_from_that_address() {
    let port = serve(echo).await;
    let mut endpoint = Endpoint::tcp("127.0.0.1", port);
    endpoint.bind = Some("127.0.0.1".parse().expect("an address"));
    talk_by(&endpoint).await;
    // An address of nobody [RFC 5737].
    endpoint.bind = Some("192.0.2.1".parse().expect("an address"));
    let error = endpoint.connect().await.expect_err("it is not ours");
    assert!(error.likely_fix().is_some_and(|fix| fix.starts_with("bind")), "{error:?}");
}

#[tokio::test]
async fn a_closed_port_is_told_with_its_address_and_number() {
    let (_held, address) = closed_port();
    let error = Endpoint::tcp("127.0.0.1", address.port()).connect().await.expect_err("closed");
    let ConnectError::Unreachable { to, error: inner } = &error else { panic!("{error:?}") };
    assert_eq!((to, inner.kind()), (&address.to_string(), ErrorKind::ConnectionRefused));
    assert_eq!(error.os_error(), inner.raw_os_error());
    assert!(error.os_error().is_some());
    assert_eq!(error.likely_fix(), Some("start the server, or check host and port"));
}

#[tokio::test]
async fn a_name_that_stands_for_nothing_is_a_failed_lookup() {
    // Reserved so that it never exists [RFC 6761].
    let error = Endpoint::tcp("no-such-host.invalid", 1883).connect().await.expect_err("nobody");
    let ConnectError::Lookup { name, .. } = &error else { panic!("{error:?}") };
    assert_eq!(name, "no-such-host.invalid");
    assert!(error.to_string().starts_with("no address for no-such-host.invalid: "), "{error}");
}

#[cfg(unix)]
#[tokio::test]
async fn bytes_go_both_ways_over_a_unix_socket() {
    let folder = crate::certificates::Folder::new("unix");
    let path = folder.path().join("broker.sock");
    let listener = tokio::net::UnixListener::bind(&path).expect("a writable folder");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(echo(stream));
        }
    });
    talk_by(&Endpoint::unix(&path)).await;
    let address = format!("unix://{}", path.display());
    talk_by(&Endpoint::parse(&address).expect("a good address")).await;

    let missing = folder.path().join("nobody.sock");
    let error = Endpoint::unix(&missing).connect().await.expect_err("nobody made it");
    assert!(error.to_string().contains("nobody.sock"), "{error}");
    assert!(error.likely_fix().is_some_and(|fix| fix.starts_with("check the path")), "{error}");
}

#[cfg(unix)]
#[tokio::test]
async fn tls_over_a_unix_socket_needs_to_be_told_the_name() {
    use crate::certificates::Ca;
    use noctule_client::net::{Tls, TlsError};
    let folder = crate::certificates::Folder::new("unix-tls");
    let path = folder.path().join("broker.sock");
    let listener = tokio::net::UnixListener::bind(&path).expect("a writable folder");
    let ca = Ca::new("a CA");
    let config = crate::servers::server(ca.issue(&["broker.test"]));
    let acceptor = tokio_rustls::TlsAcceptor::from(std::sync::Arc::new(config));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            if let Ok(stream) = acceptor.accept(stream).await {
                echo(stream).await;
            }
        }
    });
    let mut endpoint = Endpoint::unix(&path);
    let tls = Tls::new().ca_pem(ca.pem.as_str());
    endpoint.tls = Some(tls.clone());
    let error = endpoint.connect().await.expect_err("which name?");
    assert!(matches!(error, ConnectError::Tls(TlsError::NoName)), "{error:?}");
    endpoint.tls = Some(tls.server_name("broker.test"));
    talk_by(&endpoint).await;
}
