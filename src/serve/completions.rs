//! `POST /v1/completions`: from a request to its answer, whole or token by token.

mod answer;
mod logprobs;
mod stream;
mod whole;

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde_json::Value;

use super::App;
use super::api::{error, refuse, refuse_for};
use super::body::{self, Unread};
use super::connections::Client;
use super::queue::{Delivery, Order, Refusal};
use super::request::Plan;
use super::waiting::{self, Inbox};
use crate::generate::What;
use answer::Answer;

/// How often something is sent to a client that has closed its side, to see whether it is still there.
const PROBE: Duration = Duration::from_millis(500);

pub async fn complete(
    State(app): State<Arc<App>>,
    Extension(client): Extension<Client>,
    request: axum::extract::Request,
) -> Response {
    // Its place in memory is given back when the prompts have theirs.
    let (asked, _hold) = match body::read(request, &app).await {
        Ok(read) => read,
        Err(Unread::Bad(problem)) => return refuse_for(&problem),
        Err(Unread::NoPlace) => return come_again(&app, Refusal::Full),
    };
    // A long prompt takes a while to cut into tokens, and others should not wait for it.
    let planning = app.clone();
    let planned =
        tokio::task::spawn_blocking(move || asked.understood()?.plan(&planning.served, &planning.limits));
    let mut plan = match planned.await {
        Ok(Ok(plan)) => plan,
        Ok(Err(problem)) => return refuse_for(&problem),
        Err(_) => {
            let (status, error) = gone();
            return (status, Json(error)).into_response();
        }
    };
    let answer = Answer::new(&app, &plan);
    let news = match submit(&app, &mut plan) {
        Ok(news) => news,
        Err(refusal) => return come_again(&app, refusal),
    };
    if plan.stream {
        stream::stream(app, plan, answer, news, client)
    } else {
        whole::whole(app, plan, answer, news, client).await
    }
}

/// Takes the prompts' tokens out of the plan, and their texts unless they are sent back.
fn submit(app: &App, plan: &mut Plan) -> Result<Inbox, Refusal> {
    let (to, news) = waiting::channel(&app.budget);
    if !plan.echo {
        plan.prompts.iter_mut().for_each(|prompt| prompt.text = String::new());
    }
    // In the answer, and once more as JSON.
    let echoed: usize = plan.prompts.iter().map(|prompt| 2 * plan.samples * prompt.text.len()).sum();
    if !news.keep(echoed) {
        return Err(Refusal::Full);
    }
    let deadline = Instant::now() + app.limits.time;
    let mut orders = Vec::with_capacity(plan.prompts.len());
    for (i, prompt) in plan.prompts.iter_mut().enumerate() {
        orders.push(Order {
            model: plan.model,
            _held: app.budget.hold(size_of_val(prompt.tokens.as_slice())).ok_or(Refusal::Full)?,
            prompt: std::mem::take(&mut prompt.tokens),
            settings: plan.settings.clone(),
            samples: plan.samples,
            deadline,
            first: i * plan.samples,
            to: to.clone(),
        });
    }
    app.queue.submit(orders)?;
    Ok(news)
}

/// 503, with the seconds after which there may be room again.
fn come_again(app: &App, refusal: Refusal) -> Response {
    app.metrics.refused.inc();
    let (code, message) = match refusal {
        Refusal::Full => ("overloaded", "too many requests are waiting; try again later"),
        Refusal::Closing => ("closing", "the server is stopping"),
    };
    let mut response = refuse(StatusCode::SERVICE_UNAVAILABLE, "server_error", code, message);
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("2"));
    response
}

/// What ends a request badly.
fn failure(app: &App, delivery: &Delivery) -> Option<(StatusCode, Value)> {
    let of = |status, code, message: &str| Some((status, error("server_error", code, message)));
    match delivery {
        Delivery::News { what: What::Failed(error), .. } | Delivery::Failed(error) => {
            of(StatusCode::INTERNAL_SERVER_ERROR, "model_error", &error.to_string())
        }
        Delivery::TimedOut => {
            let secs = app.limits.time.as_secs_f64();
            of(
                StatusCode::GATEWAY_TIMEOUT,
                "timeout",
                &format!("the request took longer than {secs} s; ask for less"),
            )
        }
        Delivery::Slow => of(
            StatusCode::SERVICE_UNAVAILABLE,
            "slow_reader",
            "the client reads more slowly than this server can buffer; read faster, or ask for less",
        ),
        Delivery::Closing => of(StatusCode::SERVICE_UNAVAILABLE, "closing", "the server is stopping"),
        Delivery::News { .. } => None,
    }
}

/// What the worker said last when it said nothing: it is gone.
fn gone() -> (StatusCode, Value) {
    (StatusCode::SERVICE_UNAVAILABLE, error("server_error", "closing", "the server is stopping"))
}
