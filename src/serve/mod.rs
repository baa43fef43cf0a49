//! A web page and an interface like OpenAI's for trained models.
//!
//! Connections are looked after by tokio. One thread computes: it takes orders from a queue of limited depth and goes on with
//! all texts of all models together, token by token. A client that leaves takes its texts with it; one that has only closed its side
//! of the connection still gets its answer. What waits for clients in memory is bounded: see [`Limits::waiting_bytes`].

mod api;
mod auth;
mod body;
mod completions;
mod connections;
mod cors;
mod metrics;
mod pages;
mod queue;
mod request;
mod waiting;
mod worker;

#[cfg(test)]
mod tests;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::middleware;
use axum::routing::{any, get, post};
use tokio::sync::watch;

use crate::generate::Model;
use crate::threads::Pool;
use auth::Token;
pub use cors::Origin;
use metrics::Metrics;
use queue::Queue;
use waiting::Budget;

/// What one client may ask for, and all of them together.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Of a text.
    pub new_tokens: usize,
    /// Texts of a request: prompts times samples. As many tokens as these may have together a request may ask for at all.
    pub samples: usize,
    /// Prompts of a request that asks for one text of each.
    pub prompts: usize,
    /// Bytes of a request's body, prompts included.
    pub body_bytes: usize,
    /// Time from the arrival of a request to its last token.
    pub time: Duration,
    /// Requests that wait for their turn. More are sent away, to come again.
    pub queue: usize,
    /// Texts that are written at the same time.
    pub texts: usize,
    /// Connections that are held at the same time. More wait to be accepted.
    pub connections: usize,
    /// Bytes that wait for all clients together: bodies that arrive, prompts, answers that are not taken. An answer may have half of
    /// them, and 64 KiB also when others have all. A connection takes up to 64 KiB and sixteen events for itself beside that.
    pub waiting_bytes: usize,
    /// Bytes of keys and values of scored prompts that are kept of each model, for prompts that begin like them.
    pub kept_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            new_tokens: 2048,
            samples: 8,
            prompts: 128,
            body_bytes: 1 << 20,
            time: Duration::from_secs(300),
            queue: 32,
            texts: 16,
            connections: 512,
            waiting_bytes: 64 << 20,
            kept_bytes: 256 << 20,
        }
    }
}

/// How long texts under way may go on after the server was asked to stop.
const GRACE: Duration = Duration::from_secs(10);

/// A server could not be started, or not go on.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    #[error("port {} is taken by another program; choose another with --port (0: any that is free)", address.port())]
    PortInUse { address: SocketAddr },
    #[error("cannot listen on {address}: {source}; check --host and --port")]
    Listen { address: SocketAddr, source: io::Error },
    #[error("the server cannot be started: {0}")]
    Start(io::Error),
    #[error("the thread that computes has failed; this is a bug")]
    Worker,
}

/// A model with the name that clients know it by.
#[derive(Debug)]
pub struct Served {
    pub name: String,
    pub model: Model,
}

/// What every request can see.
#[derive(Debug)]
struct App {
    served: Vec<Served>,
    limits: Limits,
    queue: Queue,
    budget: Arc<Budget>,
    metrics: Metrics,
    /// Seconds since 1970 when the server was started.
    started: i64,
}

/// A server that has its port and not yet begun.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    app: Arc<App>,
    token: Option<Token>,
    cors: Vec<Origin>,
}

impl Server {
    /// Takes the port. With a `token`, requests must carry it.
    ///
    /// # Errors
    /// When the port is taken, or not ours to take.
    pub fn bind(
        address: SocketAddr,
        served: Vec<Served>,
        limits: Limits,
        token: Option<String>,
    ) -> Result<Self, ServeError> {
        let listener = TcpListener::bind(address).map_err(|source| match source.kind() {
            io::ErrorKind::AddrInUse => ServeError::PortInUse { address },
            _ => ServeError::Listen { address, source },
        })?;
        let queue = Queue::new(limits.queue);
        let metrics = Metrics::default();
        let started = jiff::Timestamp::now().as_second();
        let budget = Arc::new(Budget::new(limits.waiting_bytes));
        let app = Arc::new(App { served, limits, queue, budget, metrics, started });
        Ok(Self { listener, app, token: token.map(|token| Token::new(&token)), cors: Vec::new() })
    }

    /// Lets pages of these origins read the answers, in the browsers of those who open them.
    #[must_use]
    pub fn allow(mut self, origins: Vec<Origin>) -> Self {
        self.cors = origins;
        self
    }

    /// Where it listens: with the port that was chosen, where that was left open.
    ///
    /// # Errors
    /// When the system does not say.
    pub fn address(&self) -> Result<SocketAddr, ServeError> {
        self.listener.local_addr().map_err(ServeError::Start)
    }

    /// Serves until `stop` becomes true. Texts that are being written then are finished, if that does not take long.
    ///
    /// # Errors
    /// When the system gives no threads, or the worker fails.
    pub fn run(self, stop: watch::Receiver<bool>) -> Result<(), ServeError> {
        let local_only = self.address()?.ip().is_loopback();
        let router = router(self.app.clone(), self.token, local_only);
        let router = cors::allow(router, &self.cors);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            // They cut prompts into tokens. The cores are the worker's.
            .max_blocking_threads(2)
            .enable_all()
            .build()
            .map_err(ServeError::Start)?;
        let app = &self.app;
        let pool = &Pool::new(rayon::current_num_threads(), "serve")
            .map_err(|error| ServeError::Start(io::Error::other(error)))?;
        std::thread::scope(|scope| {
            let (failed, failure) = watch::channel(false);
            let worker = scope.spawn(move || {
                let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                    pool.install(|| worker::work(app));
                }));
                app.queue.close();
                let _ = failed.send(true);
                outcome.is_ok()
            });
            let connections = app.limits.connections;
            let served = runtime.block_on(connections::accept(
                self.listener,
                router,
                connections,
                stop,
                failure,
                || app.queue.close(),
            ));
            app.queue.close();
            let is_sound = worker.join().unwrap_or(false);
            served.map_err(ServeError::Start)?;
            if is_sound { Ok(()) } else { Err(ServeError::Worker) }
        })
    }
}

fn router(app: Arc<App>, token: Option<Token>, local_only: bool) -> Router {
    let guarded = Router::new()
        .route("/v1/completions", post(completions::complete))
        .route("/v1/models", get(api::models))
        .route("/v1/models/{*name}", get(api::model))
        .route("/metrics", get(metrics::show))
        .layer(middleware::from_fn_with_state(token, auth::check_token));
    let body_bytes = app.limits.body_bytes;
    Router::new()
        .route("/", get(pages::page))
        .route("/page.js", get(pages::script))
        .route("/page.css", get(pages::style))
        .route("/health", get(api::health))
        .route("/v1/chat/completions", any(api::no_chat))
        .merge(guarded)
        .fallback(api::not_found)
        .method_not_allowed_fallback(api::wrong_method)
        .layer(axum::extract::DefaultBodyLimit::max(body_bytes))
        .layer(middleware::from_fn_with_state(app.clone(), metrics::count))
        .layer(middleware::from_fn_with_state(local_only, auth::check_host))
        .with_state(app)
}
