//! TLS: versions, suites, protocols, client certificates, files.

use crate::certificates::{Ca, Folder, Identity, inner_key, to_pem};
use crate::servers::{connect, server, server_of, talk, tls_echo};
use noctule_client::net::{ConnectError, Pem, Tls, TlsError, TlsFileError, TlsVersion};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::version::{TLS12, TLS13};

/// A key of RSA for tests alone, in PKCS #8.
const RSA_KEY: &str = include_str!("rsa.key");

fn trusting(ca: &Ca) -> Tls {
    Tls::new().ca_pem(ca.pem.as_str())
}

fn tls_error(error: ConnectError) -> TlsError {
    match error {
        ConnectError::Tls(error) => error,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn both_versions_are_spoken_and_the_older_can_be_refused() {
    let ca = Ca::new("a CA");
    let old = tls_echo(server_of(&[&TLS12], ca.issue(&["localhost"]), None)).await;
    let new = tls_echo(server_of(&[&TLS13], ca.issue(&["localhost"]), None)).await;
    let tls = trusting(&ca);
    for port in [old, new] {
        let mut stream = connect("localhost", port, &tls).await.expect("a good certificate");
        talk(&mut stream).await;
        assert!(stream.warnings().is_empty());
        let certificate = stream.tls().and_then(|tls| tls.peer_certificate());
        assert!(certificate.is_some_and(|der| der.starts_with(&[0x30, 0x82])));
    }
    let strict = tls.minimum_version(TlsVersion::V13);
    talk(&mut connect("localhost", new, &strict).await.expect("it is new enough")).await;
    let error = tls_error(connect("localhost", old, &strict).await.expect_err("too old"));
    assert_eq!(error.to_string(), "the server shares no version of TLS with us");
}

#[tokio::test]
async fn only_the_chosen_cipher_suites_are_offered() {
    let ca = Ca::new("a CA");
    let port = tls_echo(server_of(&[&TLS12], ca.issue(&["localhost"]), None)).await;
    let with = |name| trusting(&ca).cipher_suites([name]).expect("a name that rustls knows");
    let good = with("ECDHE-ECDSA-AES128-GCM-SHA256");
    talk(&mut connect("localhost", port, &good).await.expect("a common suite")).await;
    // The server's key is no RSA key.
    let error = connect("localhost", port, &with("ECDHE-RSA-AES128-GCM-SHA256")).await;
    let error = tls_error(error.expect_err("nothing in common"));
    assert!(matches!(error, TlsError::NoCommonGround(_)), "{error:?}");
    // Of TLS 1.3 all are left.
    let both = tls_echo(server(ca.issue(&["localhost"]))).await;
    let stream = connect("localhost", both, &with("ECDHE-RSA-AES128-GCM-SHA256")).await;
    talk(&mut stream.expect("TLS 1.3")).await;
    let unknown = Tls::new().cipher_suites(["DES-CBC3-SHA"]).expect_err("it is broken");
    let TlsError::File(unknown) = unknown else { panic!("{unknown:?}") };
    assert!(matches!(unknown, TlsFileError::UnknownCipherSuite { .. }), "{unknown:?}");
}

#[tokio::test]
async fn protocols_are_agreed_on_by_alpn() {
    let ca = Ca::new("a CA");
    let mut config = server(ca.issue(&["localhost"]));
    config.alpn_protocols = vec![b"x".to_vec(), b"mqtt".to_vec()];
    let port = tls_echo(config).await;
    let tls = trusting(&ca);
    let mut stream = connect("localhost", port, &tls).await.expect("none is fine");
    talk(&mut stream).await;
    assert_eq!(stream.tls().and_then(|tls| tls.alpn()), None);
    let offering = tls.clone().alpn(["mqtt"]);
    let mut stream = connect("localhost", port, &offering).await.expect("a common one");
    talk(&mut stream).await;
    assert_eq!(stream.tls().and_then(|tls| tls.alpn()), Some(&b"mqtt"[..]));
    let other = tls.alpn(["y"]);
    let error = tls_error(connect("localhost", port, &other).await.expect_err("none in common"));
    assert!(error.to_string().contains("ALPN"), "{error}");
}

/// Connects, and reads until the server's verdict on our certificate is here: with TLS 1.3 it
/// comes behind the handshake.
async fn verdict(port: u16, tls: &Tls) -> Result<(), ConnectError> {
    let mut stream = connect("localhost", port, tls).await?;
    stream.write_all(b"x").await?;
    stream.flush().await?;
    stream.read_exact(&mut [0]).await?;
    Ok(())
}

#[tokio::test]
async fn a_server_that_wants_a_certificate_gets_it_in_each_form_of_key() {
    let ca = Ca::new("a CA");
    let client = ca.issue_for_client();
    let rsa = rsa_client(&ca);
    let keys = [
        (&client.pem, client.key_pem.clone()),
        (&client.pem, client.sec1_pem()),
        (&rsa.pem, rsa.key_pem.clone()),
        (&rsa.pem, rsa_pkcs1()),
    ];
    for version in [&TLS12, &TLS13] {
        let port = tls_echo(server_of(&[version], ca.issue(&["localhost"]), Some(&ca))).await;
        for (chain, key) in &keys {
            let key = Pem::bytes(key.as_str());
            let tls = trusting(&ca).client_certificate(Pem::bytes(chain.as_str()), key);
            verdict(port, &tls).await.expect("a good client");
        }
        let error = tls_error(verdict(port, &trusting(&ca)).await.expect_err("none"));
        assert!(matches!(error, TlsError::CertificateRefused(_)), "{error:?}");
        let stranger = Ca::new("another CA").issue_for_client();
        let (chain, key) = (Pem::bytes(stranger.pem), Pem::bytes(stranger.key_pem));
        let tls = trusting(&ca).client_certificate(chain, key);
        let error = tls_error(verdict(port, &tls).await.expect_err("a stranger"));
        assert!(matches!(error, TlsError::CertificateRefused(_)), "{error:?}");
    }
}

fn rsa_client(ca: &Ca) -> Identity {
    let key = rcgen::KeyPair::from_pem(RSA_KEY).expect("a good key");
    ca.issue_key(key)
}

fn rsa_pkcs1() -> String {
    let PrivateKeyDer::Pkcs8(key) =
        PrivateKeyDer::from_pem_slice(RSA_KEY.as_bytes()).expect("a good key")
    else {
        panic!("the file is PKCS #8")
    };
    to_pem("RSA PRIVATE KEY", inner_key(key.secret_pkcs8_der()))
}

#[tokio::test]
async fn a_client_certificate_of_version_1_can_be_shown() {
    let ca = Ca::new("a CA");
    let old = ca.issue_version1("a client", "491231235959Z");
    let tls = Tls::new().client_certificate(Pem::bytes(old.pem), Pem::bytes(old.key_pem));
    tls.danger_accept_any_certificate().load().expect("rustls alone would refuse it");
}

#[test]
fn what_is_wrong_with_files_is_told_with_their_names() {
    let folder = Folder::new("files");
    let ca = Ca::new("a CA");
    let client = ca.issue_for_client();
    let other = ca.issue_for_client();
    let chain = folder.write("client.crt", &client.pem);
    let key = folder.write("client.key", &client.key_pem);
    let wrong_key = folder.write("other.key", &other.key_pem);
    let missing = folder.path().join("missing.pem");
    let empty = folder.write("empty.pem", "");
    let encrypted = folder.write("secret.key", "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAA==\n");
    let junk = folder.write("junk.crt", to_pem("CERTIFICATE", b"junk"));
    let base = || Tls::new().ca_pem(ca.pem.as_str());
    let with = |chain: &_, key: &_| base().client_certificate(Pem::file(chain), Pem::file(key));
    with(&chain, &key).load().expect("all is well");
    for (tls, words) in [
        (Tls::new().ca_file(&missing), &["missing.pem"][..]),
        (Tls::new().ca_file(&empty), &["empty.pem", "no certificate"]),
        (Tls::new().ca_file(&key), &["client.key", "no certificate"]),
        (Tls::new().ca_file(&junk), &["junk.crt"]),
        (Tls::new().ca_directory(&missing), &["missing.pem"]),
        (with(&missing, &key), &["missing.pem"]),
        (with(&junk, &key), &["junk.crt", "cannot be understood"]),
        (with(&chain, &chain), &["client.crt", "no private key"]),
        (with(&chain, &encrypted), &["secret.key", "encrypted"]),
        (with(&chain, &wrong_key), &["other.key", "client.crt"]),
        (base().key_log(folder.path()), &["noctule-net-files"]),
    ] {
        let error = tls.load().expect_err(words[0]);
        let text = error.to_string();
        assert!(words.iter().all(|word| text.contains(word)), "{words:?}: {text}");
        // The error of the system is there where it was one.
        if let TlsError::File(error) = error {
            let of_system = words == ["missing.pem"] || words == ["noctule-net-files"];
            assert_eq!(error.os_error().is_some(), of_system, "{text}");
        }
    }
    let shown = format!("{:?}", base().client_certificate(Pem::file(&chain), Pem::bytes("geheim")));
    assert!(!shown.contains("geheim") && shown.contains("client.crt"), "{shown}");
}

#[tokio::test]
async fn a_folder_of_certificates_is_searched_by_names_of_files() {
    let ca = Ca::new("a CA");
    let port = tls_echo(server(ca.issue(&["localhost"]))).await;
    let folder = Folder::new("folder");
    folder.write("README", "no certificate");
    folder.write("server.key", "no certificate either");
    let error = Tls::new().ca_directory(folder.path()).load().expect_err("there is none");
    assert!(error.to_string().contains("*.pem"), "{error}");
    folder.write("other.pem", Ca::new("another CA").pem);
    let tls = Tls::new().ca_directory(folder.path());
    assert!(connect("localhost", port, &tls).await.is_err());
    folder.write("0a1b2c3d.0", &ca.pem);
    let tls = Tls::new().ca_directory(folder.path());
    talk(&mut connect("localhost", port, &tls).await.expect("the CA is there")).await;
}

#[tokio::test]
async fn secrets_go_into_the_key_log_and_nowhere_else() {
    let ca = Ca::new("a CA");
    let port = tls_echo(server_of(&[&TLS13], ca.issue(&["localhost"]), None)).await;
    let folder = Folder::new("key-log");
    let path = folder.path().join("keys.log");
    let tls = trusting(&ca).key_log(&path);
    talk(&mut connect("localhost", port, &tls).await.expect("a good server")).await;
    let text = std::fs::read_to_string(&path).expect("the file is there");
    for label in ["CLIENT_HANDSHAKE_TRAFFIC_SECRET ", "SERVER_TRAFFIC_SECRET_0 "] {
        let line = text.lines().find(|line| line.starts_with(label)).expect("a line");
        let words: Vec<&str> = line.split(' ').collect();
        assert_eq!((words.len(), words[1].len()), (3, 64), "{line}");
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(&path).expect("the file is there").permissions().mode();
        assert_eq!(mode & 0o077, 0, "{mode:o}");
    }
    // A second connection is added.
    talk(&mut connect("localhost", port, &tls).await.expect("a good server")).await;
    let longer = std::fs::read_to_string(&path).expect("the file is there");
    assert!(longer.starts_with(&text) && longer.len() > text.len());
}

#[tokio::test]
async fn a_server_that_closes_without_farewell_has_just_closed() {
    let ca = Ca::new("a CA");
    let acceptor =
        tokio_rustls::TlsAcceptor::from(std::sync::Arc::new(server(ca.issue(&["localhost"]))));
    let port = crate::servers::serve(move |stream| {
        let acceptor = acceptor.clone();
        async move {
            // The socket goes with the value; no alert is sent.
            drop(acceptor.accept(stream).await);
        }
    })
    .await;
    let mut stream = connect("localhost", port, &trusting(&ca)).await.expect("a good server");
    assert_eq!(stream.read(&mut [0; 8]).await.expect("no error"), 0);
}

#[tokio::test]
async fn what_a_server_says_behind_our_farewell_does_no_harm() {
    let ca = Ca::new("a CA");
    let acceptor = std::sync::Arc::new(server(ca.issue(&["localhost"])));
    let acceptor = tokio_rustls::TlsAcceptor::from(acceptor);
    let port = crate::servers::serve(move |stream| {
        let acceptor = acceptor.clone();
        async move {
            let mut stream = acceptor.accept(stream).await.expect("a client of TLS");
            let _ = stream.read(&mut [0; 8]).await;
            // Past TLS, as mosquitto sends the last frame of a WebSocket.
            let (mut socket, _) = stream.into_inner();
            let _ = socket.write_all(b"\x88\x02\x03\xe8").await;
        }
    })
    .await;
    let mut stream = connect("localhost", port, &trusting(&ca)).await.expect("a good server");
    stream.shutdown().await.expect("an open connection");
    assert_eq!(stream.read(&mut [0; 8]).await.expect("the end"), 0);
}

#[tokio::test]
async fn a_server_of_plain_mqtt_does_not_speak_tls() {
    let port = crate::servers::serve(|mut stream| async move {
        let _ = stream.write_all(b"\x20\x02\0\x01").await;
        let _ = stream.read(&mut [0; 1024]).await;
    })
    .await;
    let error = tls_error(
        connect("localhost", port, &Tls::new().danger_accept_any_certificate())
            .await
            .expect_err("no TLS"),
    );
    assert!(matches!(error, TlsError::NotTls | TlsError::Closed), "{error:?}");
    assert!(ConnectError::from(error).likely_fix().is_some_and(|fix| fix.contains("port")));
}
