//! WebSocket, against the server side of tungstenite.

use crate::certificates::Ca;
use crate::servers::{echo, serve, server, talk};
use futures_util::{SinkExt, StreamExt};
use noctule_client::net::{ConnectError, Endpoint, Stream, Tls, WebSocket, WebSocketError};
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::{mpsc, oneshot};
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Bytes, Error, Message};
use tokio_tungstenite::{WebSocketStream, accept_hdr_async};

/// Grants a WebSocket for MQTT.
async fn accept<S>(stream: S) -> Result<WebSocketStream<S>, Error>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    accept_hdr_async(stream, choose).await
}

/// The server picks `mqtt` if the client offers it.
#[expect(clippy::result_large_err, reason = "tungstenite wants it so")]
fn choose(request: &Request, mut response: Response) -> Result<Response, ErrorResponse> {
    let offered = request.headers().get("sec-websocket-protocol");
    if offered.is_some_and(|offered| offered == "mqtt") {
        let mqtt = "mqtt".parse().expect("a good header");
        response.headers_mut().insert("sec-websocket-protocol", mqtt);
    }
    Ok(response)
}

/// Sends binary frames back as they come.
async fn echo_frames<S: AsyncRead + AsyncWrite + Unpin>(stream: S) {
    let Ok(mut websocket) = accept(stream).await else { return };
    while let Some(Ok(message)) = websocket.next().await {
        if message.is_binary() && websocket.send(message).await.is_err() {
            return;
        }
    }
}

fn endpoint(port: u16) -> Endpoint {
    Endpoint::parse(&format!("ws://127.0.0.1:{port}/mqtt")).expect("a good address")
}

async fn connect(port: u16) -> Stream {
    endpoint(port).connect().await.unwrap_or_else(|error| panic!("{error}"))
}

async fn refusal(port: u16) -> WebSocketError {
    match endpoint(port).connect().await.expect_err("a refusal") {
        ConnectError::WebSocket(error) => error,
        other => panic!("{other:?}"),
    }
}

/// What comes of reading on: what was read, and how it ended.
async fn read_all(stream: &mut Stream) -> (Vec<u8>, Result<(), ConnectError>) {
    let (mut bytes, mut chunk) = (Vec::new(), [0; 37]);
    loop {
        match stream.read(&mut chunk).await {
            Ok(0) => return (bytes, Ok(())),
            Ok(len) => bytes.extend_from_slice(&chunk[..len]),
            Err(error) => return (bytes, Err(error.into())),
        }
    }
}

/// [MQTT-6.0.0-1 v5] [MQTT-6.0.0-1 v3.1.1]
#[tokio::test]
async fn bytes_go_both_ways_in_binary_frames() {
    let port = serve(echo_frames).await;
    let mut stream = connect(port).await;
    assert!(matches!(stream, Stream::WebSocket(_)));
    talk(&mut stream).await;
    stream.shutdown().await.expect("an open connection");
    assert!(stream.write_all(b"x").await.is_err(), "nothing follows the close frame");
    let (rest, end) = read_all(&mut stream).await;
    assert!(rest.is_empty() && end.is_ok(), "{end:?}");
}

/// [MQTT-6.0.0-3 v5] [MQTT-6.0.0-3 v3.1.1]
#[tokio::test]
async fn the_request_offers_mqtt_and_carries_headers_of_the_user() {
    let (tell, mut told) = mpsc::unbounded_channel();
    let port = serve(move |stream| {
        let tell = tell.clone();
        async move {
            #[expect(clippy::result_large_err, reason = "tungstenite wants it so")]
            let note = |request: &Request, response: Response| {
                let header = |name| request.headers().get(name).cloned();
                let uri = request.uri().to_string();
                let headers = ["sec-websocket-protocol", "authorization", "host"].map(header);
                tell.send((uri, headers)).expect("the test waits");
                choose(request, response)
            };
            let _ = accept_hdr_async(stream, note).await;
        }
    })
    .await;
    let mut endpoint = endpoint(port);
    let websocket = WebSocket::new("/a/b?token=c%20d").header("Authorization", "Bearer x");
    endpoint.websocket = Some(websocket);
    endpoint.connect().await.expect("a WebSocket");
    let (uri, [protocol, authorization, host]) = told.recv().await.expect("a request");
    assert_eq!(uri, "/a/b?token=c%20d");
    assert_eq!(protocol.expect("a header"), "mqtt");
    assert_eq!(authorization.expect("a header"), "Bearer x");
    assert_eq!(host.expect("a header"), format!("127.0.0.1:{port}"));
}

/// [MQTT-6.0.0-2 v5] [MQTT-6.0.0-2 v3.1.1]
#[tokio::test]
async fn frames_may_cut_the_bytes_anywhere_and_pings_may_come_between() {
    let whole: Vec<u8> = (0..600_u32).flat_map(u32::to_be_bytes).collect();
    let sent = whole.clone();
    let (tell, mut told) = mpsc::unbounded_channel();
    let port = serve(move |stream| {
        let (sent, tell) = (sent.clone(), tell.clone());
        async move {
            let mut websocket = accept(stream).await.expect("a request");
            let (mut rest, mut size) = (&sent[..], 0);
            while !rest.is_empty() {
                let (part, after) = rest.split_at(size.min(rest.len()));
                let ping = Bytes::copy_from_slice(&[part.len() as u8; 125]);
                websocket.feed(Message::Binary(Bytes::copy_from_slice(part))).await.expect("open");
                websocket.feed(Message::Ping(ping)).await.expect("open");
                (rest, size) = (after, (size * 2 + 1) % 251);
            }
            websocket.close(None).await.expect("open");
            while let Some(Ok(message)) = websocket.next().await {
                tell.send(message).expect("the test waits");
            }
        }
    })
    .await;
    let mut stream = connect(port).await;
    let (bytes, end) = read_all(&mut stream).await;
    assert_eq!(bytes, whole);
    end.expect("a good end");
    // Pongs answer pings; several may be answered by one [RFC 6455, 5.5.3].
    let mut pongs = 0;
    loop {
        match told.recv().await {
            Some(Message::Pong(bytes)) => {
                assert_eq!(bytes.len(), 125);
                pongs += 1;
            }
            Some(Message::Close(_)) => break,
            other => panic!("{other:?}"),
        }
    }
    assert!(pongs > 0);
}

#[tokio::test]
async fn a_ping_is_answered_while_nothing_is_written() {
    let (done, waits) = oneshot::channel();
    let done = Arc::new(Mutex::new(Some(done)));
    let port = serve(move |stream| {
        let done = Arc::clone(&done);
        async move {
            let mut websocket = accept(stream).await.expect("a request");
            websocket.send(Message::Ping(Bytes::from_static(b"are you"))).await.expect("open");
            let answer = websocket.next().await.expect("an answer").expect("a good frame");
            let done = done.lock().expect("no panic").take().expect("one connection");
            done.send(answer).expect("the test waits");
            let _ = websocket.next().await;
        }
    })
    .await;
    let mut stream = connect(port).await;
    let mut byte = [0];
    tokio::select! {
        read = stream.read(&mut byte) => panic!("nothing was sent: {read:?}"),
        answer = waits => {
            assert_eq!(answer.expect("an answer"), Message::Pong(Bytes::from_static(b"are you")));
        }
    }
}

#[tokio::test]
async fn much_goes_both_ways_at_once_through_tls_and_frames() {
    const BYTES: usize = 3_000_000;
    let ca = Ca::new("a CA");
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(server(ca.issue(&["localhost"]))));
    let port = serve(move |stream| {
        let acceptor = acceptor.clone();
        async move {
            let stream = acceptor.accept(stream).await.expect("a client of TLS");
            echo_frames(stream).await;
        }
    })
    .await;
    let mut endpoint = Endpoint::parse(&format!("wss://localhost:{port}")).expect("good");
    endpoint.tls = Some(Tls::new().ca_pem(ca.pem));
    let stream = endpoint.connect().await.expect("a WebSocket");
    assert!(stream.tls().is_some());
    let byte = |at: usize| (at * 31 + at / 1000) as u8;
    let (mut reader, mut writer) = tokio::io::split(stream);
    let write = async {
        let (mut at, mut size) = (0, 1);
        while at < BYTES {
            let part: Vec<u8> = (at..(at + size).min(BYTES)).map(byte).collect();
            writer.write_all(&part).await.expect("an open connection");
            (at, size) = (at + part.len(), size * 5 % 200_003);
        }
        writer.flush().await.expect("an open connection");
    };
    let read = async {
        let (mut at, mut chunk) = (0, vec![0; 70_000]);
        while at < BYTES {
            let len = reader.read(&mut chunk).await.expect("an open connection");
            assert_ne!(len, 0, "it ends after {at} bytes");
            for (offset, read) in chunk[..len].iter().enumerate() {
                assert_eq!(*read, byte(at + offset), "at {at} + {offset}");
            }
            at += len;
        }
    };
    tokio::join!(write, read);
}

/// [MQTT-6.0.0-1 v5] [MQTT-6.0.0-1 v3.1.1]
#[tokio::test]
async fn a_text_frame_ends_the_connection_behind_what_came_before() {
    let (tell, mut told) = mpsc::unbounded_channel();
    let port = serve(move |stream| {
        let tell = tell.clone();
        async move {
            let mut websocket = accept(stream).await.expect("a request");
            for message in [Message::binary(&b"good"[..]), Message::text("bad")] {
                websocket.send(message).await.expect("open");
            }
            tell.send(websocket.next().await).expect("the test waits");
        }
    })
    .await;
    let mut stream = connect(port).await;
    let (bytes, end) = read_all(&mut stream).await;
    assert_eq!(bytes, b"good");
    let error = end.expect_err("text");
    assert!(
        matches!(error, ConnectError::WebSocket(WebSocketError::Frame(what))
            if what.contains("text")),
        "{error:?}"
    );
    assert_eq!(stream.read(&mut [0]).await.expect("the end"), 0);
    match told.recv().await.flatten() {
        Some(Ok(Message::Close(Some(frame)))) => assert_eq!(frame.code, CloseCode::Protocol),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn the_last_words_of_a_server_are_heard_and_then_why_it_closes() {
    for (code, good) in [(CloseCode::Normal, true), (CloseCode::Policy, false)] {
        let port = serve(move |stream| async move {
            let mut websocket = accept(stream).await.expect("a request");
            websocket.send(Message::binary(&b"\xe0\x01\x98"[..])).await.expect("open");
            let frame = CloseFrame { code, reason: "go away".into() };
            websocket.close(Some(frame)).await.expect("open");
            // The client agrees before the end.
            while let Some(Ok(_)) = websocket.next().await {}
        })
        .await;
        let mut stream = connect(port).await;
        let (bytes, end) = read_all(&mut stream).await;
        assert_eq!(bytes, b"\xe0\x01\x98");
        match end {
            Ok(()) => assert!(good),
            Err(ConnectError::WebSocket(WebSocketError::Closed { code: 1008, reason })) => {
                assert!(!good && reason == "go away");
            }
            Err(other) => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn the_server_sees_a_close_frame_at_the_end() {
    let (tell, mut told) = mpsc::unbounded_channel();
    let port = serve(move |stream| {
        let tell = tell.clone();
        async move {
            let mut websocket = accept(stream).await.expect("a request");
            while let Some(Ok(message)) = websocket.next().await {
                tell.send(message).expect("the test waits");
            }
        }
    })
    .await;
    let mut stream = connect(port).await;
    stream.write_all(b"\xe0\0").await.expect("open");
    // No flush: the end brings along what was written.
    stream.shutdown().await.expect("open");
    assert_eq!(told.recv().await, Some(Message::binary(&b"\xe0\0"[..])));
    match told.recv().await {
        Some(Message::Close(Some(frame))) => assert_eq!(frame.code, CloseCode::Normal),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_server_that_grants_nothing_is_told_by_its_status() {
    let port = serve(|stream| async move {
        #[expect(clippy::result_large_err, reason = "tungstenite wants it so")]
        let refuse = |_: &Request, _: Response| {
            let response = tokio_tungstenite::tungstenite::http::Response::builder().status(401);
            Err(response.body(Some("who are you?".to_owned())).expect("a good response"))
        };
        let _ = accept_hdr_async(stream, refuse).await;
    })
    .await;
    let error = refusal(port).await;
    assert!(matches!(error, WebSocketError::Status { code: 401, .. }), "{error:?}");
    assert!(error.to_string().contains("401"), "{error}");
    let fix = ConnectError::from(error).likely_fix();
    assert!(fix.is_some_and(|fix| fix.contains("Authorization")), "{fix:?}");

    let port = serve(|stream| async move {
        let _ = tokio_tungstenite::accept_async(stream).await;
    })
    .await;
    let error = refusal(port).await;
    assert!(matches!(error, WebSocketError::NoSubprotocol(None)), "{error:?}");

    let port = serve(echo).await;
    let error = refusal(port).await;
    assert!(matches!(error, WebSocketError::NotHttp), "{error:?}");
}
