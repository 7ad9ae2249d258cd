//! The admin listener: HTTP on a thread of its own, off the message path.
//!
//! * `/metrics`  counts in Prometheus' text format
//! * `/bans`     who is not let in; can be changed from this machine
//! * `/healthz`  200 while the process runs
//! * `/readyz`   200 while clients are served, 503 when the broker is stopping
//!
//! Listeners of mosquitto's `http_api` are served in the same way, each for itself.

mod bans;
mod http_api;
mod metrics;
mod socket;

pub(crate) use http_api::HttpApis;

use crate::defence::{Reports, Tally};
use crate::shard::Shared;
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::get;
use socket::{Limited, Peer};
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::oneshot;

/// How long requests may take to end when the broker stops.
const GRACE: Duration = Duration::from_secs(1);

/// Connections at a time; more wait.
const CONNECTIONS_MAX: usize = 64;

/// How long a connection may take for a request.
const REQUEST_MAX: Duration = Duration::from_secs(30);

/// The admin thread.
pub(crate) struct AdminServer {
    address: SocketAddr,
    status: Status,
    /// Ends with this.
    _server: HttpServer,
}

/// A thread that serves HTTP, until this is dropped.
struct HttpServer {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// What the answers are made of.
#[derive(Clone)]
struct Status {
    shared: Arc<Shared>,
    ready: Arc<AtomicBool>,
    tally: Arc<Tally>,
}

impl AdminServer {
    /// Serves on a socket that listens already; questions about bans go to `desk`.
    pub(crate) fn start(
        socket: TcpListener,
        shared: Arc<Shared>,
        desk: Reports,
    ) -> io::Result<AdminServer> {
        let address = socket.local_addr()?;
        let tally = Arc::clone(&desk.tally);
        let status = Status { shared, ready: Arc::new(AtomicBool::new(true)), tally };
        let app = router(status.clone(), desk);
        let server = HttpServer::start(socket, "admin", app, CONNECTIONS_MAX)?;
        Ok(AdminServer { address, status, _server: server })
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// From here on `/readyz` says no.
    pub(crate) fn not_ready(&self) {
        self.status.ready.store(false, Ordering::Relaxed);
    }
}

impl HttpServer {
    /// Serves on a socket that listens already, so many connections at a time.
    fn start(
        socket: TcpListener,
        name: &'static str,
        app: Router,
        connections_max: usize,
    ) -> io::Result<HttpServer> {
        socket.set_nonblocking(true)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (stop, stopped) = oneshot::channel();
        let serve = move || runtime.block_on(serve(socket, (name, app, connections_max), stopped));
        let thread = std::thread::Builder::new().name(name.into()).spawn(serve)?;
        Ok(HttpServer { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for HttpServer {
    fn drop(&mut self) {
        // Dropping the sender says the same; the thread may have ended by itself.
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has been reported by the panic hook.
            let _ = thread.join();
        }
    }
}

fn router(status: Status, desk: Reports) -> Router {
    let bans = get(bans::list).post(bans::add).delete(bans::remove);
    let bans = Router::new().route("/bans", bans).with_state(desk);
    Router::new()
        .route("/metrics", get(metrics))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .with_state(status)
        .merge(bans)
}

async fn serve(
    socket: TcpListener,
    (name, app, connections_max): (&'static str, Router, usize),
    stopped: oneshot::Receiver<()>,
) {
    let socket = match tokio::net::TcpListener::from_std(socket) {
        Ok(socket) => socket,
        Err(error) => return tracing::error!("the {name} listener ended: {error}"),
    };
    let (begin, begun) = oneshot::channel::<()>();
    let socket = Limited::new(socket, connections_max, REQUEST_MAX);
    let app = app.into_make_service_with_connect_info::<Peer>();
    let server = axum::serve(socket, app).with_graceful_shutdown(async {
        // Both an answer and a dropped sender mean the end.
        let _ = begun.await;
    });
    let cut = async move {
        let _ = stopped.await;
        drop(begin);
        tokio::time::sleep(GRACE).await;
    };
    tokio::select! {
        outcome = server => {
            if let Err(error) = outcome {
                tracing::error!("the {name} listener ended: {error}");
            }
        }
        () = cut => {}
    }
}

async fn metrics(State(status): State<Status>) -> impl IntoResponse {
    let uptime = status.shared.clock.uptime_millis(status.shared.clock.now());
    let text = metrics::text(
        &status.shared.snapshots.sum(),
        uptime,
        (status.shared.durability, &status.tally),
    );
    ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text)
}

async fn ready(State(status): State<Status>) -> impl IntoResponse {
    if status.ready.load(Ordering::Relaxed) {
        (StatusCode::OK, "ready\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "stopping\n")
    }
}
