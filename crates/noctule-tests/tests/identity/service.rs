//! A small HTTP server: it answers what the test tells it to, and counts how often it was asked.

use anyhow::Result;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// What is answered.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    /// 200 with this body.
    Body(String),
    /// This status, without a body.
    Status(u16),
    /// These bytes instead of HTTP.
    Garbage(&'static [u8]),
    /// Nothing, until the other side gives up.
    Silence,
}

/// The server; it ends when this is dropped.
pub(crate) struct Service {
    pub(crate) address: SocketAddr,
    state: Arc<State>,
    thread: Option<JoinHandle<()>>,
}

struct State {
    answer: Mutex<Answer>,
    asked: AtomicUsize,
    last: Mutex<String>,
    stopping: AtomicBool,
}

impl Service {
    pub(crate) fn start(answer: Answer) -> Result<Service> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let state = Arc::new(State {
            answer: Mutex::new(answer),
            asked: AtomicUsize::new(0),
            last: Mutex::default(),
            stopping: AtomicBool::new(false),
        });
        let shared = Arc::clone(&state);
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if shared.stopping.load(Ordering::SeqCst) {
                    return;
                }
                let shared = Arc::clone(&shared);
                // A connection that ends in an error is the broker's to notice.
                std::thread::spawn(move || stream.map(|stream| serve(stream, &shared)));
            }
        });
        Ok(Service { address, state, thread: Some(thread) })
    }

    /// Answers differently from now on.
    pub(crate) fn answers(&self, answer: Answer) {
        *self.state.answer.lock().unwrap_or_else(PoisonError::into_inner) = answer;
    }

    /// How often it was asked.
    pub(crate) fn asked(&self) -> usize {
        self.state.asked.load(Ordering::SeqCst)
    }

    /// What it was asked last: head and body.
    pub(crate) fn last(&self) -> String {
        self.state.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.state.stopping.store(true, Ordering::SeqCst);
        drop(TcpStream::connect(self.address));
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

fn serve(stream: TcpStream, state: &State) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut writer = stream;
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if reader.read_line(&mut head)? == 0 {
                return Ok(());
            }
        }
        let len = head.lines().filter_map(|line| line.split_once(": "));
        let len = len.filter(|(name, _)| name.eq_ignore_ascii_case("content-length"));
        let len = len.filter_map(|(_, len)| len.parse().ok()).next().unwrap_or(0);
        let mut body = vec![0; len];
        reader.read_exact(&mut body)?;
        head.push_str(&String::from_utf8_lossy(&body));
        *state.last.lock().unwrap_or_else(PoisonError::into_inner) = head;
        state.asked.fetch_add(1, Ordering::SeqCst);
        let answer = state.answer.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match answer {
            Answer::Body(body) => {
                let len = body.len();
                write!(writer, "HTTP/1.1 200 OK\r\ncontent-length: {len}\r\n\r\n{body}")?;
            }
            Answer::Status(status) => {
                write!(writer, "HTTP/1.1 {status} No\r\ncontent-length: 0\r\n\r\n")?;
            }
            Answer::Garbage(bytes) => return writer.write_all(bytes),
            Answer::Silence => {
                // It reads until the other side is gone.
                let mut rest = Vec::new();
                return reader.read_to_end(&mut rest).map(drop);
            }
        }
    }
}
