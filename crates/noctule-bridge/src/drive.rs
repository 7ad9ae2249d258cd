//! The sockets and the time of a relay.

use crate::relay::{End, Relay, Side};
use noctule_client::net::Stream;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::UnixStream;
use tokio::time::{sleep_until, timeout};

/// Bytes of one receive.
const CHUNK: usize = 64 * 1024;

/// How long goodbyes may take.
const GOODBYE: Duration = Duration::from_secs(2);

/// The connections of a relay.
pub(crate) struct Sockets {
    pub(crate) near: UnixStream,
    pub(crate) far: Stream,
    chunk: Box<[u8]>,
    /// Something was written there and may lie in a buffer.
    unflushed: bool,
}

impl Sockets {
    pub(crate) fn new(near: UnixStream, far: Stream) -> Sockets {
        Sockets { near, far, chunk: vec![0; CHUNK].into_boxed_slice(), unflushed: false }
    }

    /// Moves bytes and time until the relay ends.
    pub(crate) async fn run(&mut self, relay: &mut Relay) -> End {
        loop {
            if let Err(end) = relay.work(Instant::now()) {
                return end;
            }
            let deadline = relay.deadline();
            let moved = tokio::select! {
                moved = poll_fn(|cx| self.poll(relay, cx)) => moved,
                () = sleep_until(deadline.into()) => relay.tick(Instant::now()),
            };
            if let Err(end) = moved {
                return end;
            }
        }
    }

    /// Sends what is left, for a while, and closes.
    pub(crate) async fn close(mut self, relay: &mut Relay) {
        let rest = async {
            while !(relay.line(Side::Near).unwritten().is_empty()
                && relay.line(Side::Far).unwritten().is_empty()
                && !self.unflushed)
            {
                poll_fn(|cx| self.poll_writes(relay, cx)).await?;
            }
            poll_fn(|cx| Pin::new(&mut self.far).poll_shutdown(cx)).await.map_err(far_failed)
        };
        // Who is gone needs no goodbye.
        drop(timeout(GOODBYE, rest).await);
    }

    /// Writes and reads what can be; ready if anything moved.
    fn poll(&mut self, relay: &mut Relay, cx: &mut Context<'_>) -> Poll<Result<(), End>> {
        let written = self.poll_writes(relay, cx);
        if let Poll::Ready(Err(end)) = written {
            return Poll::Ready(Err(end));
        }
        let mut moved = written.is_ready();
        for side in [Side::Near, Side::Far] {
            if !relay.reads(side) {
                continue;
            }
            let mut buffer = ReadBuf::new(&mut self.chunk);
            let read = match side {
                Side::Near => Pin::new(&mut self.near).poll_read(cx, &mut buffer),
                Side::Far => Pin::new(&mut self.far).poll_read(cx, &mut buffer),
            };
            match read {
                Poll::Pending => {}
                Poll::Ready(Err(error)) => return Poll::Ready(Err(End::Closed(side, Some(error)))),
                Poll::Ready(Ok(())) if buffer.filled().is_empty() => {
                    return Poll::Ready(Err(End::Closed(side, None)));
                }
                Poll::Ready(Ok(())) => {
                    relay.came(side, buffer.filled(), Instant::now());
                    moved = true;
                }
            }
        }
        if moved { Poll::Ready(Ok(())) } else { Poll::Pending }
    }

    /// Writes what can be; ready if anything moved.
    fn poll_writes(&mut self, relay: &mut Relay, cx: &mut Context<'_>) -> Poll<Result<(), End>> {
        let mut moved = false;
        for side in [Side::Near, Side::Far] {
            while !relay.line(side).unwritten().is_empty() {
                let bytes = relay.line(side).unwritten();
                let wrote = match side {
                    Side::Near => Pin::new(&mut self.near).poll_write(cx, bytes),
                    Side::Far => Pin::new(&mut self.far).poll_write(cx, bytes),
                };
                match wrote {
                    Poll::Pending => break,
                    Poll::Ready(Ok(0)) => return Poll::Ready(Err(End::Closed(side, None))),
                    Poll::Ready(Ok(len)) => {
                        relay.written(side, len, Instant::now());
                        self.unflushed |= side == Side::Far;
                        moved = true;
                    }
                    Poll::Ready(Err(error)) => {
                        return Poll::Ready(Err(End::Closed(side, Some(error))));
                    }
                }
            }
        }
        if self.unflushed {
            match Pin::new(&mut self.far).poll_flush(cx) {
                Poll::Pending => {}
                Poll::Ready(Ok(())) => {
                    self.unflushed = false;
                    moved = true;
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(far_failed(error))),
            }
        }
        if moved { Poll::Ready(Ok(())) } else { Poll::Pending }
    }
}

fn far_failed(error: std::io::Error) -> End {
    End::Closed(Side::Far, Some(error))
}
