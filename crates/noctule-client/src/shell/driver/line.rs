//! The bytes of one connection, both ways, in one poll.

use crate::error::Error;
use crate::net::{Stream, Warning};
use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::time::timeout;

const READ_BYTES: usize = 64 * 1024;
/// How long each step of the end of a connection may take.
pub(super) const FAREWELL: Duration = Duration::from_secs(2);

pub(super) struct Line {
    stream: Stream,
    buffer: Box<[u8]>,
    /// Something was written that may not have left.
    unflushed: bool,
}

/// What the network has done.
pub(super) enum Moved {
    /// Bytes came: so many lie in the buffer.
    In(usize),
    /// The first so many bytes of the output are gone.
    Out(usize),
    /// Nothing more can be written. What can still be read may tell why.
    Stuck(Error),
    /// Nothing more can be read.
    Over(Error),
}

impl Line {
    pub(super) fn new(stream: Stream) -> Line {
        Line { stream, buffer: vec![0; READ_BYTES].into(), unflushed: false }
    }

    /// What a stricter client would not have put up with.
    pub(super) fn warnings(&self) -> Vec<Warning> {
        self.stream.warnings()
    }

    /// What came, after [`Moved::In`].
    pub(super) fn bytes(&self, len: usize) -> &[u8] {
        &self.buffer[..len]
    }

    /// Writes and reads what can be, writing first.
    pub(super) async fn carry(&mut self, output: &[u8], may_read: bool) -> Moved {
        poll_fn(|cx| self.poll(cx, output, may_read)).await
    }

    fn poll(&mut self, cx: &mut Context<'_>, output: &[u8], may_read: bool) -> Poll<Moved> {
        if let Poll::Ready(sent) = self.poll_send(cx, output) {
            match sent {
                Ok(0) => {}
                Ok(len) => return Poll::Ready(Moved::Out(len)),
                Err(error) => return Poll::Ready(Moved::Stuck(error.into())),
            }
        }
        if !may_read {
            return Poll::Pending;
        }
        Poll::Ready(match ready!(self.poll_receive(cx)) {
            Ok(0) => Moved::Over(Error::Closed),
            Ok(len) => Moved::In(len),
            Err(error) => Moved::Over(error.into()),
        })
    }

    /// Ready with 0 when there is nothing to send any more.
    fn poll_send(&mut self, cx: &mut Context<'_>, output: &[u8]) -> Poll<io::Result<usize>> {
        if !output.is_empty() {
            let sent = ready!(Pin::new(&mut self.stream).poll_write(cx, output));
            self.unflushed = true;
            return Poll::Ready(match sent {
                Ok(0) => Err(ErrorKind::WriteZero.into()),
                sent => sent,
            });
        }
        if self.unflushed {
            ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
            self.unflushed = false;
        }
        Poll::Ready(Ok(0))
    }

    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut buffer = ReadBuf::new(&mut self.buffer);
        ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buffer))?;
        Poll::Ready(Ok(buffer.filled().len()))
    }

    /// What lies unread, without waiting for more, 0 for nothing: a server that has closed may have
    /// said why, in MQTT or, as an error here, in TLS.
    pub(super) async fn last_words(&mut self) -> Result<usize, Error> {
        let read = poll_fn(|cx| match self.poll_receive(cx) {
            Poll::Ready(read) => Poll::Ready(read),
            Poll::Pending => Poll::Ready(Ok(0)),
        });
        Ok(read.await?)
    }

    /// Sends what is left, for as long as it moves and no longer than `patience`, and closes so
    /// that the server gets it all: a socket closed over unread bytes would take back what is
    /// still on the way. Answers whether all of it went.
    pub(super) async fn close(mut self, mut output: &[u8], patience: Duration) -> bool {
        let sending = async {
            while !output.is_empty() {
                match timeout(FAREWELL, self.stream.write(output)).await?? {
                    0 => return Err(ErrorKind::WriteZero.into()),
                    len => output = &output[len..],
                }
            }
            timeout(FAREWELL, self.stream.flush()).await?
        };
        if !matches!(timeout(patience, sending).await, Ok(Ok(()))) {
            return false;
        }
        let closing = async {
            self.stream.shutdown().await?;
            while self.stream.read(&mut self.buffer).await? > 0 {}
            Ok::<(), io::Error>(())
        };
        // Whatever comes of it, the bytes are with the operating system.
        let _ = timeout(FAREWELL, closing).await;
        true
    }
}
