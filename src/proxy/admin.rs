//! The admin listener: health, metrics and the status page over HTTP. It has a thread of its own, so that neither who asks nor
//! who does not read the answer is in any session's way, and it answers until the last session has
//! ended.

use std::convert::Infallible;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::header::{ALLOW, CONTENT_TYPE, HOST, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{Semaphore, oneshot};
use tokio::time::timeout;

use crate::config::Address;

use super::metrics;
use super::readiness::Readiness;
use super::reloads::Reloads;
use super::socket::{Listener, Sharing, Socket};
use super::status::{self, Snapshot};
use super::{ACCEPT_PAUSE, Shared, StartError};

/// Connections at once; whoever comes then waits for one of them to end.
const CONNECTIONS: usize = 32;

/// How long a connection may take, from its first byte to the last of the answer.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(5);

/// The longest head of a request, and how many lines it may have.
const HEAD_BYTES: usize = 16 * 1024;
const HEAD_LINES: usize = 64;

const TEXT: &str = "text/plain; charset=utf-8";

/// An admin listener whose socket is bound.
#[derive(Debug)]
pub(super) struct Admin {
    listener: Listener,
    runtime: Runtime,
}

impl Admin {
    pub(super) fn bind(address: Address) -> Result<Self, StartError> {
        let runtime =
            Builder::new_current_thread().enable_all().build().map_err(StartError::Worker)?;
        match runtime.block_on(Listener::bind(&address, Sharing::Alone)) {
            Ok(listener) => Ok(Self { listener, runtime }),
            Err(error) => Err(StartError::Listen { address, error }),
        }
    }

    /// The address in use, with the port that the system chose.
    pub(super) fn address(&self) -> Option<Address> {
        self.listener.address().ok()
    }

    /// Answers on a thread of its own.
    pub(super) fn start(self, shared: &Arc<Shared>) -> io::Result<Running> {
        let Self { listener, runtime } = self;
        let (stop, stopped) = oneshot::channel::<Infallible>();
        let desk = Arc::new(Desk { shared: Arc::clone(shared), readiness: Readiness::default() });
        let thread = thread::Builder::new().name("admin".to_owned()).spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    () = accept(&listener, desk) => {}
                    _ = stopped => {}
                }
            });
            drop(listener);
            // A name that is still being looked up is not waited for.
            runtime.shutdown_background();
        })?;
        Ok(Running { thread, stop })
    }
}

/// An admin listener that answers.
#[derive(Debug)]
pub(super) struct Running {
    thread: thread::JoinHandle<()>,
    /// Nothing is ever sent: that it is gone is the word.
    stop: oneshot::Sender<Infallible>,
}

impl Running {
    pub(super) fn stop(self) {
        drop(self.stop);
        if self.thread.join().is_err() {
            tracing::error!("the admin listener ended in a panic");
        }
    }
}

async fn accept(listener: &Listener, desk: Arc<Desk>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    while let Ok(place) = Arc::clone(&places).acquire_owned().await {
        match listener.accept().await {
            Ok((client, _)) => {
                let desk = Arc::clone(&desk);
                tokio::spawn(async move {
                    converse(client, &desk).await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "an admin client could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// One request and its answer.
async fn converse(client: Socket, desk: &Desk) {
    let service = service_fn(async |request| Ok::<_, Infallible>(desk.answer(&request).await));
    let connection = http1::Builder::new()
        .keep_alive(false)
        .max_headers(HEAD_LINES)
        .max_buf_size(HEAD_BYTES)
        .serve_connection(TokioIo::new(client), service);
    match timeout(CONNECTION_TIMEOUT, connection).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "an admin client's connection broke"),
        Err(_) => tracing::debug!("an admin client took more than {CONNECTION_TIMEOUT:?}"),
    }
}

/// Whoever answers, and what it takes to.
struct Desk {
    shared: Arc<Shared>,
    readiness: Readiness,
}

impl Desk {
    async fn status(&self) -> Snapshot {
        let ready = self.readiness.now(&self.shared).await;
        Snapshot::take(&self.shared, ready.map_err(|why| why.to_string()))
    }

    async fn answer(&self, request: &Request<Incoming>) -> Response<String> {
        let path = request.uri().path();
        if let (RELOAD, Some(reloads)) = (path, &self.shared.reloads) {
            return reload(request, reloads).await;
        }
        if !PATHS.contains(&path) {
            return plain(StatusCode::NOT_FOUND, format!("here are {}", PATHS.join(", ")));
        }
        let host = request.headers().get(HOST).and_then(|it| it.to_str().ok());
        if !matches!(path, HEALTH | READY) && !host.is_some_and(is_local) {
            return plain(StatusCode::FORBIDDEN, NOT_LOCAL.to_owned());
        }
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            let mut response = plain(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD".into());
            response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return response;
        }
        match path {
            METRICS => response(StatusCode::OK, metrics::CONTENT, self.shared.metrics.text()),
            READY => match self.readiness.now(&self.shared).await {
                Ok(()) => plain(StatusCode::OK, "ready".to_owned()),
                Err(why) => plain(StatusCode::SERVICE_UNAVAILABLE, why.to_string()),
            },
            STATUS => {
                with_headers(response(StatusCode::OK, status::HTML, self.status().await.html()))
            }
            STATUS_JSON => {
                with_headers(response(StatusCode::OK, status::JSON, self.status().await.json()))
            }
            _ => plain(StatusCode::OK, "alive".to_owned()),
        }
    }
}

/// Reads the rules file again, if who asks is not a page in somebody's browser: such a page can send
/// no header of its own to us, since we allow that to nobody, and one that has got a name of its own
/// to stand for our address is told by the name.
async fn reload(request: &Request<Incoming>, reloads: &Reloads) -> Response<String> {
    if *request.method() != Method::POST {
        let mut response = plain(StatusCode::METHOD_NOT_ALLOWED, "only POST".to_owned());
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("POST"));
        return response;
    }
    let header = |name: &str| request.headers().get(name).and_then(|it| it.to_str().ok());
    if header(RELOAD_HEADER) != Some(RELOAD_WORD) {
        let line = format!("a reload takes the header {RELOAD_HEADER}: {RELOAD_WORD}");
        return plain(StatusCode::FORBIDDEN, line);
    }
    if !header("host").is_some_and(is_local) {
        return plain(StatusCode::FORBIDDEN, NOT_LOCAL.to_owned());
    }
    match reloads.ask().await {
        Some(Ok(line)) => plain(StatusCode::OK, line),
        Some(Err(line)) => plain(StatusCode::UNPROCESSABLE_ENTITY, line),
        None => {
            plain(StatusCode::SERVICE_UNAVAILABLE, "nobody reads the rules file now".to_owned())
        }
    }
}

/// Whether the value of a Host header, its port aside, is a name of this machine for itself.
fn is_local(host: &str) -> bool {
    let name = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((name, _)) => name,
        None => host.split(':').next().unwrap_or_default(),
    };
    name.eq_ignore_ascii_case("localhost")
        || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// A page that a browser has from elsewhere can get a name to stand for our address, but not ours.
const NOT_LOCAL: &str = "only by the name localhost or a loopback address, in the header Host";

const RELOAD: &str = "/reload";
const RELOAD_HEADER: &str = "x-pgabsorb";
const RELOAD_WORD: &str = "reload";
const HEALTH: &str = "/healthz";
const READY: &str = "/readyz";
const METRICS: &str = "/metrics";
const STATUS: &str = "/status";
const STATUS_JSON: &str = "/status.json";
const PATHS: [&str; 5] = [METRICS, HEALTH, READY, STATUS, STATUS_JSON];

fn with_headers(mut response: Response<String>) -> Response<String> {
    response.headers_mut().extend(status::headers());
    response
}

/// One line of text.
fn plain(status: StatusCode, line: String) -> Response<String> {
    response(status, TEXT, line + "\n")
}

fn response(status: StatusCode, content: &'static str, body: String) -> Response<String> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content));
    response
}
