//! Servers that send garbage, break off, or say nothing: each is an error at the most.

use crate::certificates::Ca;
use crate::servers::{echo, serve, server};
use noctule_client::net::{ConnectError, Endpoint, Socks5, Stream, Tls, WebSocket};
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

/// A layer with a handshake.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Layer {
    Tls,
    WebSocket,
    Socks,
}

const LAYERS: [Layer; 3] = [Layer::Tls, Layer::WebSocket, Layer::Socks];

fn endpoint(layer: Layer, port: u16, ca: &Ca) -> Endpoint {
    let mut endpoint = Endpoint::tcp("localhost", port);
    match layer {
        Layer::Tls => endpoint.tls = Some(Tls::new().ca_pem(ca.pem.as_str())),
        Layer::WebSocket => endpoint.websocket = Some(WebSocket::new("/mqtt")),
        Layer::Socks => endpoint.proxy = Some(Socks5::new("127.0.0.1", port)),
    }
    endpoint
}

/// Numbers that look like chance, the same in each run.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

#[tokio::test]
async fn garbage_instead_of_a_handshake_is_an_error() {
    let ca = Ca::new("a CA");
    let mut chance = Chance(0x9e37_79b9_7f4a_7c15);
    let starts: [&[u8]; 8] = [
        b"",
        &[22, 3, 3, 0xff, 0xff],
        &[22, 3, 1, 0, 4, 2, 0, 0xff, 0xff],
        b"HTTP/1.1 101 \r\n",
        b"HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n",
        &[5, 0, 5, 0, 0, 9],
        &[5, 2],
        &[5, 0, 5, 9, 0, 1],
    ];
    for layer in LAYERS {
        for start in starts {
            for len in [0, 1, 7, 100, 20_000] {
                let mut garbage = start.to_vec();
                garbage.extend((0..len).map(|_| chance.next() as u8));
                let port = serve(move |mut stream| {
                    let garbage = garbage.clone();
                    async move {
                        let _ = stream.write_all(&garbage).await;
                        let _ = stream.shutdown().await;
                        let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
                    }
                })
                .await;
                let connected = endpoint(layer, port, &ca).connect().await;
                assert!(connected.is_err(), "{layer:?} took {start:?} and {len} bytes");
            }
        }
    }
}

/// A server that does its part as it should.
async fn good_server(layer: Layer, ca: &Ca) -> u16 {
    let acceptor = TlsAcceptor::from(Arc::new(server(ca.issue(&["localhost"]))));
    serve(move |mut stream| {
        let acceptor = acceptor.clone();
        async move {
            match layer {
                Layer::Tls => {
                    if let Ok(stream) = acceptor.accept(stream).await {
                        echo(stream).await;
                    }
                }
                Layer::WebSocket => {
                    let _ = grant(&mut stream, b"").await;
                    echo(stream).await;
                }
                Layer::Socks => {
                    let mut bytes = [0; 64];
                    let _ = stream.read(&mut bytes).await;
                    let _ = stream.write_all(&[5, 0]).await;
                    let _ = stream.read(&mut bytes).await;
                    let _ = stream.write_all(&[5, 0, 0, 1, 127, 0, 0, 1, 0, 80]).await;
                    echo(stream).await;
                }
            }
        }
    })
    .await
}

/// A relay to this port that breaks off after so many bytes from there.
async fn breaking_off(to: u16, after: usize) -> u16 {
    serve(move |client| async move {
        let Ok(server) = TcpStream::connect(("127.0.0.1", to)).await else { return };
        let (mut from_client, mut to_client) = client.into_split();
        let (mut from_server, mut to_server) = server.into_split();
        let mut first = (&mut from_server).take(after as u64);
        tokio::select! {
            _ = tokio::io::copy(&mut first, &mut to_client) => {}
            _ = tokio::io::copy(&mut from_client, &mut to_server) => {}
        }
    })
    .await
}

#[tokio::test]
async fn a_connection_that_breaks_off_amid_a_handshake_is_an_error() {
    let ca = Ca::new("a CA");
    for (layer, whole) in [(Layer::Tls, 300), (Layer::WebSocket, 140), (Layer::Socks, 12)] {
        let good = good_server(layer, &ca).await;
        endpoint(layer, good, &ca).connect().await.expect("a good server");
        // Whatever is less than the whole ends with an error, and soon.
        let step = if layer == Layer::Tls { 13 } else { 1 };
        for after in (0..whole).step_by(step) {
            let port = breaking_off(good, after).await;
            let connected = endpoint(layer, port, &ca).connect().await;
            let error = connected.expect_err("it broke off");
            assert!(!matches!(error, ConnectError::Unreachable { .. }), "{layer:?}: {error:?}");
        }
    }
}

/// Reads what the client says first, tells of it, says nothing, and tells when the client is gone.
async fn stall(mut stream: impl AsyncRead + AsyncWrite + Unpin, tell: mpsc::UnboundedSender<bool>) {
    let mut bytes = [0; 4096];
    let len = stream.read(&mut bytes).await.unwrap_or(0);
    tell.send(len > 0).expect("the test waits");
    while stream.read(&mut bytes).await.is_ok_and(|len| len > 0) {}
    tell.send(false).expect("the test waits");
}

#[tokio::test]
async fn who_stops_waiting_for_a_handshake_closes_the_socket() {
    let ca = Ca::new("a CA");
    for layer in LAYERS {
        let (tell, mut told) = mpsc::unbounded_channel();
        let port = serve(move |stream| stall(stream, tell.clone())).await;
        let endpoint = endpoint(layer, port, &ca);
        tokio::select! {
            connected = endpoint.connect() => panic!("{layer:?}: {connected:?}"),
            heard = told.recv() => assert_eq!(heard, Some(true), "{layer:?} says something first"),
        }
        assert_eq!(told.recv().await, Some(false), "{layer:?} closes");
    }
}

#[tokio::test]
async fn who_stops_waiting_for_frames_below_tls_closes_the_socket() {
    let ca = Ca::new("a CA");
    let acceptor = TlsAcceptor::from(Arc::new(server(ca.issue(&["localhost"]))));
    let (tell, mut told) = mpsc::unbounded_channel();
    let port = serve(move |stream| {
        let (tell, acceptor) = (tell.clone(), acceptor.clone());
        async move {
            let stream = acceptor.accept(stream).await.expect("a client of TLS");
            stall(stream, tell).await;
        }
    })
    .await;
    let mut endpoint = endpoint(Layer::Tls, port, &ca);
    endpoint.websocket = Some(WebSocket::new("/mqtt"));
    tokio::select! {
        connected = endpoint.connect() => panic!("{connected:?}"),
        heard = told.recv() => assert_eq!(heard, Some(true)),
    }
    assert_eq!(told.recv().await, Some(false));
}

#[tokio::test]
async fn a_granted_websocket_bears_any_bytes() {
    let ca = Ca::new("a CA");
    let mut chance = Chance(0x2545_f491_4f6c_dd1d);
    for round in 0..200 {
        let mut garbage: Vec<u8> = (0..chance.next() % 400).map(|_| chance.next() as u8).collect();
        if let Some(first) = garbage.first_mut() {
            // Most rounds get past the first header.
            *first = [0x82, 0x02, 0x89, 0x88, *first][round % 5];
        }
        let port = serve(move |mut stream| {
            let garbage = garbage.clone();
            async move {
                if grant(&mut stream, &garbage).await.is_ok() {
                    let _ = stream.shutdown().await;
                    let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
                }
            }
        })
        .await;
        let mut stream = endpoint(Layer::WebSocket, port, &ca).connect().await.expect("granted");
        drain(&mut stream).await;
    }
}

/// Grants a WebSocket and sends these frames along.
async fn grant(stream: &mut TcpStream, frames: &[u8]) -> std::io::Result<()> {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        request.push(stream.read_u8().await?);
    }
    let request = String::from_utf8_lossy(&request);
    let key = request.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Key: "));
    let accept = derive_accept_key(key.expect("a key").as_bytes());
    let mut answer = format!(
        "HTTP/1.1 101 Yes\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n"
    )
    .into_bytes();
    answer.extend_from_slice(frames);
    stream.write_all(&answer).await
}

/// Reads to the end, good or bad.
async fn drain(stream: &mut Stream) {
    let mut bytes = [0; 512];
    while stream.read(&mut bytes).await.is_ok_and(|len| len > 0) {}
}
