//! What TLS costs by itself: encrypting and decrypting messages in memory, without a socket.
//!
//! ```console
//! $ cargo run --release -p noctule-tls --example records -- 16384
//! ```
#![allow(clippy::print_stdout, reason = "it is asked for numbers")]

use noctule_tls::provider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection};
use std::error::Error;
use std::io::{Read, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

const MESSAGES: u32 = 50_000;

fn main() -> Result<(), Box<dyn Error>> {
    let size = std::env::args().nth(1).map_or(Ok(16_384), |said| said.parse())?;
    let (mut client, mut server) = connected()?;
    let message = vec![7; size];
    let (mut wire, mut got) = (Vec::new(), vec![0; size]);
    let (mut encrypting, mut decrypting) = (Duration::ZERO, Duration::ZERO);
    for _ in 0..MESSAGES {
        wire.clear();
        let began = Instant::now();
        client.writer().write_all(&message)?;
        while client.wants_write() {
            client.write_tls(&mut wire)?;
        }
        encrypting += began.elapsed();
        let began = Instant::now();
        let (mut left, mut filled) = (&wire[..], 0);
        while !left.is_empty() {
            server.read_tls(&mut left)?;
            server.process_new_packets()?;
            while filled < size
                && let Ok(count) = server.reader().read(&mut got[filled..])
            {
                filled += count;
            }
        }
        decrypting += began.elapsed();
        if filled != size {
            return Err("a message did not come whole".into());
        }
    }
    let suite = server.negotiated_cipher_suite().map(|it| it.suite());
    println!("{suite:?}, {size} bytes, ns a message:");
    println!("encrypt {}", encrypting.as_nanos() / u128::from(MESSAGES));
    println!("decrypt {}", decrypting.as_nanos() / u128::from(MESSAGES));
    Ok(())
}

/// Both ends of a connection that stands.
fn connected() -> Result<(ClientConnection, ServerConnection), Box<dyn Error>> {
    let provider = Arc::new(provider(&[]));
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
    let certificate: CertificateDer<'static> = made.cert.der().clone();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der())?;
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone())?;
    let client = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let server = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)?;
    let mut client = ClientConnection::new(Arc::new(client), ServerName::try_from("localhost")?)?;
    let mut server = ServerConnection::new(Arc::new(server))?;
    while client.is_handshaking() || server.is_handshaking() {
        let (mut out, mut back) = (Vec::new(), Vec::new());
        client.write_tls(&mut out)?;
        server.read_tls(&mut &out[..])?;
        server.process_new_packets()?;
        server.write_tls(&mut back)?;
        client.read_tls(&mut &back[..])?;
        client.process_new_packets()?;
    }
    Ok((client, server))
}
