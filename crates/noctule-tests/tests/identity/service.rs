//! A small HTTP server: it answers what the test tells it to, and counts how often it was asked.

use anyhow::Result;
use noctule_tls::rustls::pki_types::PrivateKeyDer;
use noctule_tls::rustls::{ServerConfig, ServerConnection, StreamOwned};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use std::io::{BufRead, BufReader, Error, Read, Write};
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
        Service::start_with(answer, None)
    }

    /// One that speaks TLS, and the CA (PEM) that vouches for it as 127.0.0.1.
    pub(crate) fn start_secure(answer: Answer) -> Result<(Service, String)> {
        let mut of_ca = CertificateParams::new(Vec::new())?;
        of_ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca = CertifiedIssuer::self_signed(of_ca, KeyPair::generate()?)?;
        let key = KeyPair::generate()?;
        let own = CertificateParams::new(vec!["127.0.0.1".to_owned()])?.signed_by(&key, &ca)?;
        let key = PrivateKeyDer::try_from(key.serialize_der()).map_err(Error::other)?;
        let config = ServerConfig::builder_with_provider(Arc::new(noctule_tls::provider(&[])))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![own.der().clone()], key)?;
        Ok((Service::start_with(answer, Some(Arc::new(config)))?, ca.pem()))
    }

    fn start_with(answer: Answer, tls: Option<Arc<ServerConfig>>) -> Result<Service> {
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
                let (shared, tls) = (Arc::clone(&shared), tls.clone());
                // A connection that ends in an error is the broker's to notice.
                std::thread::spawn(move || accept(stream?, tls, &shared));
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

fn accept(stream: TcpStream, tls: Option<Arc<ServerConfig>>, state: &State) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    match tls {
        None => serve(stream, state),
        Some(config) => {
            let session = ServerConnection::new(config).map_err(Error::other)?;
            serve(StreamOwned::new(session, stream), state)
        }
    }
}

fn serve(stream: impl Read + Write, state: &State) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
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
        let writer = reader.get_mut();
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
