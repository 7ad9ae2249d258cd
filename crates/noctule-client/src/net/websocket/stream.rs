//! The bytes of MQTT, taken out of frames and put into them.

use super::frame::{Decoder, Kind, Said, encode};
use super::{Stream, WebSocketError};
use crate::net::stream::unless_gone;
use noctule_proto::websocket::close::{GOING_AWAY, NORMAL, PROTOCOL_ERROR};
use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Bytes that are read at once where frames may be short.
const INPUT_BYTES: usize = 8 * 1024;
/// The longest frame that is sent, in bytes of payload.
const FRAME_MAX: usize = 64 * 1024;
/// Random bytes that are taken from the operating system at once.
const RANDOM_BYTES: usize = 256;

/// A WebSocket over another stream.
///
/// A write puts one frame into a buffer, and no second one before the first has gone: what a slow
/// server leaves unread takes at most 64 KiB here.
pub struct WebSocketStream {
    stream: Stream,
    decoder: Decoder,
    /// What has come and was not yet understood, from `taken` to `filled`.
    input: Vec<u8>,
    taken: usize,
    filled: usize,
    /// The server has ended the WebSocket, or broken it: nothing more is heard.
    ended: bool,
    /// Why that was no good end; the reader gets it behind all data.
    failure: Option<WebSocketError>,
    /// Frames that are on their way, from `written` on.
    output: Vec<u8>,
    written: usize,
    /// The bytes of the last ping that was not yet answered: older ones need no answer
    /// [RFC 6455, 5.5.3].
    ping: Option<Vec<u8>>,
    state: State,
    /// A writer waits for room: it, and no reader, is woken when there is some.
    writer_waits: bool,
    masks: Masks,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Open,
    /// Our close frame is to be sent, with this code.
    Closing(u16),
    /// Our close frame is among the output, or has gone.
    Closed,
}

impl WebSocketStream {
    /// `read_ahead` has come behind the answer to the request.
    pub(super) fn new(stream: Stream, read_ahead: Vec<u8>) -> WebSocketStream {
        WebSocketStream {
            stream,
            decoder: Decoder::default(),
            filled: read_ahead.len(),
            input: read_ahead,
            taken: 0,
            ended: false,
            failure: None,
            output: Vec::new(),
            written: 0,
            ping: None,
            state: State::Open,
            writer_waits: false,
            masks: Masks::default(),
        }
    }

    /// What carries the frames.
    pub(in crate::net) fn below(&self) -> &Stream {
        &self.stream
    }

    /// Puts control frames behind what has to go first. They wait for an empty buffer, so that a
    /// server that sends pings and reads nothing fills no memory.
    fn queue_control(&mut self) -> io::Result<()> {
        if self.written < self.output.len() {
            return Ok(());
        }
        self.output.clear();
        self.written = 0;
        if self.state == State::Closed {
            return Ok(());
        }
        if let Some(ping) = self.ping.take() {
            encode(Kind::Pong, &ping, self.masks.next()?, &mut self.output);
        }
        if let State::Closing(code) = self.state {
            encode(Kind::Close, &code.to_be_bytes(), self.masks.next()?, &mut self.output);
            self.state = State::Closed;
        }
        Ok(())
    }

    /// Writes until no frame is left.
    fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            self.queue_control()?;
            if self.output.is_empty() {
                return Poll::Ready(Ok(()));
            }
            let rest = &self.output[self.written..];
            match ready!(Pin::new(&mut self.stream).poll_write(cx, rest))? {
                0 => return Poll::Ready(Err(ErrorKind::WriteZero.into())),
                len => self.written += len,
            }
        }
    }

    /// Understands what has come, until the reader has no more room.
    fn take_input(&mut self, buf: &mut ReadBuf<'_>) -> Result<(), WebSocketError> {
        while buf.remaining() > 0 {
            // No more than the reader has room for: what is data comes back as a slice of this.
            let end = self.filled.min(self.taken + buf.remaining());
            let mut input = &self.input[self.taken..end];
            let said = self.decoder.decode(&mut input)?;
            self.taken = end - input.len();
            match said {
                Some(Said::Data(data)) => buf.put_slice(data),
                Some(Said::Ping(bytes)) => self.ping = Some(bytes),
                Some(Said::Close(code, reason)) => {
                    // We agree, and that is the end [RFC 6455, 5.5.1].
                    self.end(NORMAL);
                    return match code {
                        None | Some(NORMAL | GOING_AWAY) => Ok(()),
                        Some(code) => Err(WebSocketError::Closed { code, reason }),
                    };
                }
                None if self.taken == self.filled => break,
                None => {}
            }
        }
        Ok(())
    }

    /// Hears nothing more, and says good-bye with this code.
    fn end(&mut self, code: u16) {
        self.ended = true;
        self.close(code);
    }

    fn close(&mut self, code: u16) {
        if self.state == State::Open {
            self.state = State::Closing(code);
        }
    }

    /// Reads what comes next: into `buf` if it is all data of a long frame, else to be understood.
    fn poll_fill(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let left = usize::try_from(self.decoder.data_left()).unwrap_or(usize::MAX);
        let len = if left >= INPUT_BYTES {
            let mut part = ReadBuf::new(buf.initialize_unfilled_to(left.min(buf.remaining())));
            ready!(Pin::new(&mut self.stream).poll_read(cx, &mut part))?;
            let len = part.filled().len();
            buf.advance(len);
            self.decoder.skip(len);
            len
        } else {
            (self.taken, self.filled) = (0, 0);
            self.input.resize(INPUT_BYTES, 0);
            let mut part = ReadBuf::new(&mut self.input);
            ready!(Pin::new(&mut self.stream).poll_read(cx, &mut part))?;
            self.filled = part.filled().len();
            self.filled
        };
        self.ended = len == 0;
        Poll::Ready(Ok(()))
    }

    /// Lets control frames go, unless a writer waits: it has them ahead of its own, and is the one
    /// to be woken. A failure is the writer's to hear: what the server said before stays readable.
    fn send_control(&mut self, cx: &mut Context<'_>) {
        if !self.writer_waits && (self.ping.is_some() || self.state != State::Open) {
            let _ = self.poll_drain(cx);
        }
    }
}

impl AsyncRead for WebSocketStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        while buf.filled().len() == before && buf.remaining() > 0 && !this.ended {
            if let Err(error) = this.take_input(buf) {
                this.end(PROTOCOL_ERROR);
                this.failure = Some(error);
            }
            this.send_control(cx);
            if buf.filled().len() == before && !this.ended {
                match ready!(this.poll_fill(cx, buf)) {
                    Err(error) if this.state != State::Open => {
                        unless_gone(error)?;
                        this.ended = true;
                    }
                    filled => filled?,
                }
            }
        }
        match this.failure.take() {
            Some(error) if buf.filled().len() == before => {
                Poll::Ready(Err(io::Error::new(ErrorKind::InvalidData, error)))
            }
            kept => {
                this.failure = kept;
                Poll::Ready(Ok(()))
            }
        }
    }
}

impl AsyncWrite for WebSocketStream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.writer_waits = true;
        ready!(this.poll_drain(cx))?;
        if this.state != State::Open {
            return Poll::Ready(Err(ErrorKind::BrokenPipe.into()));
        }
        let payload = &buf[..buf.len().min(FRAME_MAX)];
        if !payload.is_empty() {
            encode(Kind::Data, payload, this.masks.next()?, &mut this.output);
            // As much as goes at once; the next write or flush sees to the rest.
            if this.poll_drain(cx)?.is_ready() {
                this.writer_waits = false;
            }
        }
        Poll::Ready(Ok(payload.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.writer_waits = true;
        ready!(this.poll_drain(cx))?;
        ready!(Pin::new(&mut this.stream).poll_flush(cx))?;
        this.writer_waits = false;
        Poll::Ready(Ok(()))
    }

    /// Sends a close frame, and closes what lies below for writing.
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.writer_waits = true;
        if this.state == State::Open {
            ready!(this.poll_drain(cx))?;
            this.close(NORMAL);
        }
        if let Err(error) = ready!(this.poll_drain(cx)) {
            unless_gone(error)?;
        }
        Pin::new(&mut this.stream).poll_shutdown(cx)
    }
}

impl std::fmt::Debug for WebSocketStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { stream, state, .. } = self;
        write!(f, "WebSocketStream {{ stream: {stream:?}, state: {state:?} }}")
    }
}

/// Masks of frames that nobody can foresee [RFC 6455, 5.3].
#[derive(Default)]
struct Masks {
    bytes: Vec<u8>,
}

impl Masks {
    fn next(&mut self) -> io::Result<[u8; 4]> {
        if self.bytes.len() < 4 {
            self.bytes.resize(RANDOM_BYTES, 0);
            getrandom::fill(&mut self.bytes).map_err(io::Error::other)?;
        }
        let rest = self.bytes.len() - 4;
        let mask = self.bytes[rest..].try_into().expect("these are 4 bytes");
        self.bytes.truncate(rest);
        Ok(mask)
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::future::poll_fn;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::UnixStream;

    /// Both ends, with a handshake behind them.
    fn ends() -> (WebSocketStream, UnixStream) {
        let (ours, theirs) = UnixStream::pair().expect("sockets");
        (WebSocketStream::new(Stream::Unix(ours), Vec::new()), theirs)
    }

    /// Writes until the server takes no more; answers how much it took.
    async fn fill(client: &mut WebSocketStream) -> usize {
        let mut written = 0;
        poll_fn(|cx| {
            loop {
                match Pin::new(&mut *client).poll_write(cx, &[7; 10_000]) {
                    Poll::Ready(len) => written += len.expect("an open connection"),
                    Poll::Pending => return Poll::Ready(()),
                }
            }
        })
        .await;
        written
    }

    /// The kind of the next frame of a client, and how long its payload is.
    async fn frame(server: &mut UnixStream) -> (u8, usize) {
        let mut head = [0; 2];
        server.read_exact(&mut head).await.expect("a frame");
        let length = match head[1] & 0x7f {
            126 => usize::from(server.read_u16().await.expect("a length")),
            length => usize::from(length),
        };
        let mut rest = vec![0; 4 + length];
        server.read_exact(&mut rest).await.expect("a whole frame");
        (head[0] & 0x0f, length)
    }

    #[tokio::test]
    async fn pings_of_a_server_that_reads_nothing_fill_no_memory() {
        let (mut client, mut server) = ends();
        let pings = async {
            let ping = [&[0x89, 125][..], &[1; 125]].concat();
            for _ in 0..20_000 {
                server.write_all(&ping).await.expect("we read");
            }
            server.write_all(b"\x82\x03end").await.expect("we read");
        };
        let mut end = [0; 3];
        let (read, ()) = tokio::join!(client.read_exact(&mut end), pings);
        read.expect("an open connection");
        assert_eq!(&end, b"end");
        // One pong that does not get away, and one ping to answer after it.
        assert!(client.output.capacity() < 1_000, "{}", client.output.capacity());
        assert!(client.ping.is_some());
    }

    #[tokio::test]
    async fn a_writer_that_waits_is_woken_while_a_reader_answers_pings() {
        let (mut client, mut server) = ends();
        let written = fill(&mut client).await;
        server.write_all(b"\x89\x01?\x82\x01x").await.expect("room for a few bytes");
        let (mut reader, mut writer) = tokio::io::split(client);
        // Two tasks, so two wakers.
        let writing = tokio::spawn(async move {
            writer.write_all(&[9; 5_000]).await.expect("an open connection");
            writer.shutdown().await.expect("an open connection");
        });
        let reading = tokio::spawn(async move {
            let mut heard = Vec::new();
            reader.read_to_end(&mut heard).await.expect("an open connection");
            heard
        });
        let (mut bytes, mut pongs) = (0, 0);
        loop {
            match frame(&mut server).await {
                (2, length) => bytes += length,
                (10, 1) => pongs += 1,
                (8, 2) => break,
                other => panic!("{other:?}"),
            }
        }
        assert_eq!((bytes, pongs), (written + 5_000, 1));
        drop(server);
        writing.await.expect("no panic");
        assert_eq!(reading.await.expect("no panic"), b"x");
    }
}
