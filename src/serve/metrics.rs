//! Counts for Prometheus.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::http::header;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Metric, Registry};

use super::App;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Answered {
    path: String,
    status: u32,
}

/// What is counted.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    requests: Family<Answered, Counter>,
    pub request_secs: Histogram,
    pub first_token: Histogram,
    pub prompt_tokens: Counter<u64, AtomicU64>,
    pub new_tokens: Counter<u64, AtomicU64>,
    pub abandoned: Counter<u64, AtomicU64>,
    pub refused: Counter<u64, AtomicU64>,
    pub cut_off: Counter<u64, AtomicU64>,
    pub active_texts: Gauge,
    queued: Gauge,
    waiting_bytes: Gauge,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("runner");
        // From 5 ms to some minutes.
        let secs = || Histogram::new(exponential_buckets(0.005, 2.0, 16));
        Self {
            requests: enter(&mut registry, "requests", "Requests by path and status", Family::default()),
            request_secs: enter(
                &mut registry,
                "completion_seconds",
                "Time from a completion request to the end of its answer",
                secs(),
            ),
            first_token: enter(
                &mut registry,
                "first_token_seconds",
                "Time from a request to its first token, waiting and reading the prompt included",
                secs(),
            ),
            prompt_tokens: enter(
                &mut registry,
                "prompt_tokens",
                "Tokens of prompts that were read",
                Counter::default(),
            ),
            new_tokens: enter(&mut registry, "new_tokens", "Tokens that were written", Counter::default()),
            abandoned: enter(
                &mut registry,
                "abandoned",
                "Orders whose client left before their end",
                Counter::default(),
            ),
            refused: enter(
                &mut registry,
                "refused",
                "Requests that were sent away because the queue or the memory for what waits was full",
                Counter::default(),
            ),
            cut_off: enter(
                &mut registry,
                "cut_off",
                "Orders that were ended because their client did not read what was written",
                Counter::default(),
            ),
            waiting_bytes: enter(
                &mut registry,
                "waiting_bytes",
                "Bytes of bodies, prompts and answers that wait in memory",
                Gauge::default(),
            ),
            active_texts: enter(
                &mut registry,
                "active_texts",
                "Texts that are being written",
                Gauge::default(),
            ),
            queued: enter(&mut registry, "queued", "Orders that wait for their turn", Gauge::default()),
            registry,
        }
    }
}

/// Enters a metric under its name.
fn enter<M: Metric + Clone>(registry: &mut Registry, name: &str, help: &str, metric: M) -> M {
    registry.register(name, help, metric.clone());
    metric
}

/// `GET /metrics`
pub async fn show(State(app): State<Arc<App>>) -> Response {
    app.metrics.queued.set(app.queue.len() as i64);
    app.metrics.waiting_bytes.set(app.budget.used() as i64);
    let mut text = String::new();
    if encode(&mut text, &app.metrics.registry).is_err() {
        return axum::http::StatusCode::INTERNAL_SERVER_ERROR.into_response();
    }
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], text).into_response()
}

/// Counts every answer. Paths that are not ours are counted as one, so that nobody can make the list long.
pub async fn count(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let path = request.extensions().get::<MatchedPath>().map_or("other", |path| path.as_str()).to_owned();
    let started = Instant::now();
    let response = next.run(request).await;
    let is_completion = path == "/v1/completions" && response.status().is_success();
    let status = u32::from(response.status().as_u16());
    app.metrics.requests.get_or_create(&Answered { path, status }).inc();
    // Of a stream this is the time until it begins; its end is counted where it is written.
    if is_completion
        && response.headers().get(header::CONTENT_TYPE).is_none_or(|kind| kind != "text/event-stream")
    {
        app.metrics.request_secs.observe(started.elapsed().as_secs_f64());
    }
    response
}
