//! The sockets of the admin listener: so many at a time, and none that takes for ever to ask.

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep};

/// A listener whose next connection waits until there is room for it.
pub(super) struct Limited {
    socket: TcpListener,
    room: Arc<Semaphore>,
    patience: Duration,
}

impl Limited {
    /// At most `connections` at a time; each has `patience` for a whole request.
    pub(super) fn new(socket: TcpListener, connections: usize, patience: Duration) -> Limited {
        Limited { socket, room: Arc::new(Semaphore::new(connections)), patience }
    }
}

impl Listener for Limited {
    type Io = Guarded;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Guarded, SocketAddr) {
        let room = Arc::clone(&self.room).acquire_owned().await;
        let room = room.expect("nobody closes the semaphore");
        let (stream, address) = Listener::accept(&mut self.socket).await;
        let late = Box::pin(tokio::time::sleep(self.patience));
        (Guarded { stream, late, patience: self.patience, _room: room }, address)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }
}

/// The other side of a connection, for answers that depend on it.
#[derive(Clone, Copy)]
pub(super) struct Peer(pub(super) SocketAddr);

impl Connected<IncomingStream<'_, Limited>> for Peer {
    fn connect_info(stream: IncomingStream<'_, Limited>) -> Peer {
        Peer(*stream.remote_addr())
    }
}

/// A connection that ends if no whole request comes in time: the time begins anew with each
/// answer, not with each byte.
pub(super) struct Guarded {
    stream: TcpStream,
    late: Pin<Box<Sleep>>,
    patience: Duration,
    _room: OwnedSemaphorePermit,
}

impl AsyncRead for Guarded {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.late.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Guarded {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        if matches!(written, Poll::Ready(Ok(_))) {
            let until = Instant::now() + self.patience;
            self.late.as_mut().reset(until);
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};

    /// A server of an empty router, on a thread that ends with the process.
    fn serve(connections: usize, patience: Duration) -> SocketAddr {
        let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        socket.set_nonblocking(true).unwrap();
        let address = socket.local_addr().unwrap();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(async {
                let socket = TcpListener::from_std(socket).unwrap();
                let limited = Limited::new(socket, connections, patience);
                axum::serve(limited, axum::Router::new()).await
            })
        });
        address
    }

    fn ask(address: SocketAddr, head: &str) -> std::net::TcpStream {
        let mut stream = std::net::TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream.write_all(head.as_bytes()).unwrap();
        stream
    }

    const WHOLE: &str = "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";

    #[test]
    fn who_does_not_finish_asking_is_cut() {
        let address = serve(2, Duration::from_millis(50));
        let mut stream = ask(address, "GET /met");
        // Until the end: nothing else than that, or a reset, ends this before its patience does.
        if let Err(error) = stream.read_to_end(&mut Vec::new()) {
            assert_eq!(error.kind(), io::ErrorKind::ConnectionReset, "forgotten");
        }
    }

    #[test]
    fn who_finds_no_room_waits_until_somebody_leaves() {
        let address = serve(2, Duration::from_secs(60));
        // An answer shows that it has its place.
        let keep = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
        let mut first = ask(address, keep);
        let mut second = ask(address, keep);
        for it in [&mut first, &mut second] {
            assert!(it.read(&mut [0; 16]).unwrap() > 0);
        }
        let mut third = ask(address, WHOLE);
        third.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
        assert!(third.read(&mut [0; 16]).is_err(), "there was no room");
        third.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        drop(first);
        let mut answer = String::new();
        third.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 404"), "{answer}");
    }
}
