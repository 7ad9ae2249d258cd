//! HTTP towards others: keys of issuers are asked for, and webhooks, by a thread of their own.

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST, USER_AGENT};
use hyper::{Method, Response, Uri};
use hyper_util::rt::TokioIo;
use noctule_tls::rustls::pki_types::ServerName;
use noctule_tls::rustls::{ClientConfig, RootCertStore};
use noctule_tls::{Pem, provider};
use std::fmt;
use std::io;
use std::net::IpAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio_rustls::TlsConnector;

/// Connections kept open to one endpoint while nobody asks.
const IDLE_MAX: usize = 16;

/// How long the end waits for a name that is being looked up.
const LOOK_UP_MAX: Duration = Duration::from_millis(100);

/// The thread on which others are asked.
pub(crate) struct HttpThread {
    runtime: tokio::runtime::Handle,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl HttpThread {
    /// Starts it.
    pub(crate) fn start() -> io::Result<HttpThread> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel::<()>();
        let run = move || {
            // Both an answer and a dropped sender mean the end.
            let _ = runtime.block_on(stopped);
            runtime.shutdown_timeout(LOOK_UP_MAX);
        };
        let thread = std::thread::Builder::new().name("http".into()).spawn(run)?;
        Ok(HttpThread { runtime: handle, stop: Some(stop), thread: Some(thread) })
    }

    /// Where tasks are spawned. They end with the thread.
    pub(crate) fn runtime(&self) -> &tokio::runtime::Handle {
        &self.runtime
    }
}

impl Drop for HttpThread {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has been reported by the panic hook.
            let _ = thread.join();
        }
    }
}

/// A URL, taken apart.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Target {
    tls: bool,
    /// Without brackets.
    host: Box<str>,
    port: u16,
    /// For the Host header.
    authority: Box<str>,
    /// With the query.
    path: Box<str>,
}

impl Target {
    fn parse(url: &str) -> Result<Target, String> {
        let wanted = || "a URL expected, like \"https://host/path\"".to_owned();
        let uri: Uri = url.parse().map_err(|_| wanted())?;
        let tls = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            Some(_) | None => return Err(wanted()),
        };
        let authority = uri.authority().ok_or_else(wanted)?;
        if authority.as_str().contains('@') {
            return Err("a URL without a user name and password expected".into());
        }
        let port = match authority.port() {
            Some(port) => port.as_u16(),
            None => {
                if tls {
                    443
                } else {
                    80
                }
            }
        };
        let host = authority.host().trim_start_matches('[').trim_end_matches(']');
        Ok(Target {
            tls,
            host: host.into(),
            port,
            authority: authority.as_str().into(),
            path: uri.path_and_query().map_or("/", |it| it.as_str()).into(),
        })
    }

    /// What others on the way can read.
    fn is_open(&self) -> bool {
        let loopback = self.host.parse::<IpAddr>().is_ok_and(|it| it.is_loopback());
        !self.tls && !loopback && &*self.host != "localhost"
    }
}

/// Whether a text is a URL that can be asked.
pub(crate) fn check_url(url: &str) -> Result<(), String> {
    Target::parse(url).map(drop)
}

/// A file with a token that a service wants to see, or why it is none.
pub(crate) fn bearer(path: &Path) -> Result<Arc<str>, String> {
    let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
    let token = text.trim();
    if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("it is no token: visible ASCII characters expected".into());
    }
    Ok(token.into())
}

/// Something that is asked by HTTP/1.1.
pub(crate) struct Endpoint {
    target: Target,
    connector: Option<(TlsConnector, ServerName<'static>)>,
    idle: Mutex<Vec<SendRequest<Full<Bytes>>>>,
}

/// What is asked.
pub(crate) struct Request {
    /// JSON to be posted; `None`: nothing is posted, something is got.
    pub(crate) body: Option<Bytes>,
    /// What the Authorization header says behind `Bearer`.
    pub(crate) bearer: Option<Arc<str>>,
    /// A longer answer is an error.
    pub(crate) answer_max: usize,
}

/// What is answered.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Bytes,
}

impl Endpoint {
    /// A URL, and who vouches for it over TLS: a file (PEM), else whom the system trusts.
    pub(crate) fn new(url: &str, ca: Option<&Path>) -> Result<Endpoint, String> {
        let target = Target::parse(url)?;
        let connector = if target.tls { Some(connector(&target, ca)?) } else { None };
        Ok(Endpoint { target, connector, idle: Mutex::default() })
    }

    /// What others on the way can read, and change.
    pub(crate) fn is_open(&self) -> bool {
        self.target.is_open()
    }

    /// Asks. Takes as long as it takes: the caller has a time-out.
    pub(crate) async fn ask(&self, request: Request) -> Result<Answer, String> {
        let max = request.answer_max;
        let request = self.request(&request)?;
        // Of connections that were kept, the other side may have closed some meanwhile. What has
        // an answer, good or bad, is not asked again.
        while let Some(mut sender) = self.kept() {
            if let Ok(response) = begin_to_ask(&mut sender, request.clone()).await {
                return self.finish(sender, response, max).await;
            }
        }
        let mut sender = self.connect().await?;
        let response = begin_to_ask(&mut sender, request).await;
        let response = response.map_err(|error| format!("no answer: {error}"))?;
        self.finish(sender, response, max).await
    }

    /// Reads the answer, and keeps the connection for others.
    async fn finish(
        &self,
        sender: SendRequest<Full<Bytes>>,
        response: Response<Incoming>,
        max: usize,
    ) -> Result<Answer, String> {
        let answer = read(response, max).await?;
        let mut idle = self.idle();
        if !sender.is_closed() && idle.len() < IDLE_MAX {
            idle.push(sender);
        }
        Ok(answer)
    }

    fn request(&self, request: &Request) -> Result<hyper::Request<Full<Bytes>>, String> {
        let version = concat!("noctule/", env!("CARGO_PKG_VERSION"));
        let mut built = hyper::Request::builder()
            .uri(&*self.target.path)
            .header(HOST, &*self.target.authority)
            .header(USER_AGENT, version)
            .header(ACCEPT, "application/json");
        if let Some(bearer) = &request.bearer {
            built = built.header(AUTHORIZATION, format!("Bearer {bearer}"));
        }
        let built = match &request.body {
            Some(body) => built
                .method(Method::POST)
                .header(CONTENT_TYPE, "application/json")
                .body(Full::new(body.clone())),
            None => built.body(Full::default()),
        };
        // Not the error's own words, which may hold what a header holds.
        built.map_err(|_| "the request cannot be written".into())
    }

    async fn connect(&self) -> Result<SendRequest<Full<Bytes>>, String> {
        let Target { host, port, .. } = &self.target;
        let no_way = |error: io::Error| format!("no connection: {error}");
        let socket = TcpStream::connect((&**host, *port)).await.map_err(no_way)?;
        socket.set_nodelay(true).map_err(no_way)?;
        match &self.connector {
            None => begin(socket).await,
            Some((connector, name)) => {
                let secured = connector.connect(name.clone(), socket).await;
                begin(secured.map_err(|error| format!("no TLS: {error}"))?).await
            }
        }
    }

    fn kept(&self) -> Option<SendRequest<Full<Bytes>>> {
        self.idle().pop()
    }

    fn idle(&self) -> MutexGuard<'_, Vec<SendRequest<Full<Bytes>>>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Display for Endpoint {
    /// Without the query, which may hold a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.target.tls { "https" } else { "http" };
        let path = self.target.path.split('?').next().unwrap_or_default();
        write!(f, "{scheme}://{}{path}", self.target.authority)
    }
}

/// HTTP on a connection.
async fn begin(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
) -> Result<SendRequest<Full<Bytes>>, String> {
    let (sender, connection) = http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| format!("no HTTP: {error}"))?;
    // It ends when its sender is dropped, or the other side ends it; who asks is told.
    tokio::spawn(async move { drop(connection.await) });
    Ok(sender)
}

async fn begin_to_ask(
    sender: &mut SendRequest<Full<Bytes>>,
    request: hyper::Request<Full<Bytes>>,
) -> hyper::Result<Response<Incoming>> {
    sender.ready().await?;
    sender.send_request(request).await
}

async fn read(response: Response<Incoming>, max: usize) -> Result<Answer, String> {
    let status = response.status().as_u16();
    let body = Limited::new(response.into_body(), max).collect().await;
    let body = body.map_err(|_| format!("the answer breaks off, or has more than {max} bytes"))?;
    Ok(Answer { status, body: body.to_bytes() })
}

/// TLS towards a host.
fn connector(
    target: &Target,
    ca: Option<&Path>,
) -> Result<(TlsConnector, ServerName<'static>), String> {
    let name = ServerName::try_from(target.host.to_string());
    let name = name.map_err(|_| format!("{:?} is no host name", target.host))?;
    let mut roots = RootCertStore::empty();
    let trusted = match ca {
        Some(path) => Pem::file(path).certificates().map_err(|error| error.to_string())?,
        None => rustls_native_certs::load_native_certs().certs,
    };
    // A bundle of the system may hold some that nobody can use.
    let (usable, _) = roots.add_parsable_certificates(trusted);
    if usable == 0 {
        return Err("there is no CA to trust: name one in a file".into());
    }
    let config = ClientConfig::builder_with_provider(Arc::new(provider(&[])))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok((TlsConnector::from(Arc::new(config)), name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_taken_apart_and_what_is_none_is_refused() {
        let shown = |url: &str| match Target::parse(url) {
            Ok(it) => format!("{} {} {} {} {}", it.tls, it.host, it.port, it.authority, it.path),
            Err(why) => why,
        };
        for (url, expected) in [
            ("https://a.example/keys?x=1", "true a.example 443 a.example /keys?x=1"),
            ("http://[::1]:8080", "false ::1 8080 [::1]:8080 /"),
            ("https://u:p@a/", "a URL without a user name and password expected"),
            ("ftp://a/", "a URL expected, like \"https://host/path\""),
            ("/keys", "a URL expected, like \"https://host/path\""),
            ("a", "a URL expected, like \"https://host/path\""),
            ("", "a URL expected, like \"https://host/path\""),
        ] {
            assert_eq!(shown(url), expected, "{url}");
        }
        assert!(Target::parse("http://example.com/").is_ok_and(|it| it.is_open()));
        assert!(Target::parse("http://127.0.0.1/").is_ok_and(|it| !it.is_open()));
    }
}
