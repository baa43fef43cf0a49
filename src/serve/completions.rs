//! `POST /v1/completions`: from a request to its answer, whole or token by token.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::App;
use super::api::{error, refuse};
use super::body;
use super::queue::{Delivery, Order, Refusal};
use super::request::Plan;
use crate::data::tokenizer::Tokenizer;
use crate::generate::{Ending, Piece, What};

/// Events that wait for a client which is slower than the model; more wait with the worker's news.
const EVENTS: usize = 16;
/// A client that reads slowly has this long to take what there is when its time is over.
const LATE: Duration = Duration::from_secs(5);

pub async fn complete(State(app): State<Arc<App>>, request: axum::extract::Request) -> Response {
    let bad = "invalid_request_error";
    let request = match body::read(request, &app.limits).await {
        Ok(request) => request,
        Err((status, message)) => return refuse(status, bad, "invalid_body", message),
    };
    // A long prompt takes a while to cut into tokens, and others should not wait for it.
    let planning = app.clone();
    let planned = tokio::task::spawn_blocking(move || request.plan(&planning.served, &planning.limits));
    let plan = match planned.await {
        Ok(Ok(plan)) => plan,
        Err(_) => return gone().into_json(),
        Ok(Err(problem)) => {
            let status = if problem.code == "model_not_found" {
                StatusCode::NOT_FOUND
            } else {
                StatusCode::BAD_REQUEST
            };
            return refuse(status, bad, problem.code, problem.message);
        }
    };
    let news = match submit(&app, &plan) {
        Ok(news) => news,
        Err(refusal) => return come_again(&app, refusal),
    };
    let answer = Answer::new(&app, &plan);
    if plan.stream { stream(app, plan, answer, news) } else { whole(&app, &plan, answer, news).await }
}

fn submit(app: &App, plan: &Plan) -> Result<mpsc::UnboundedReceiver<Delivery>, Refusal> {
    let (to, news) = mpsc::unbounded_channel();
    let deadline = Instant::now() + app.limits.time;
    let orders = plan.prompts.iter().enumerate().map(|(i, (_, tokens))| Order {
        model: plan.model,
        prompt: tokens.clone(),
        settings: plan.settings.clone(),
        samples: plan.samples,
        deadline,
        first: i * plan.samples,
        to: to.clone(),
    });
    app.queue.submit(orders.collect())?;
    Ok(news)
}

/// 503, with the seconds after which there may be room again.
fn come_again(app: &App, refusal: Refusal) -> Response {
    app.metrics.refused.inc();
    let (code, message) = match refusal {
        Refusal::Full => ("overloaded", "too many requests are waiting; try again"),
        Refusal::Closing => ("closing", "the server is stopping"),
    };
    let mut response = refuse(StatusCode::SERVICE_UNAVAILABLE, "server_error", code, message);
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("2"));
    response
}

/// What all parts of an answer have in common.
#[derive(Debug)]
struct Answer {
    id: String,
    created: i64,
    model: String,
    tokenizer: Tokenizer,
    prompt_tokens: usize,
}

impl Answer {
    fn new(app: &App, plan: &Plan) -> Self {
        let served = &app.served[plan.model];
        Self {
            id: format!("cmpl-{:016x}", rand::random::<u64>()),
            created: jiff::Timestamp::now().as_second(),
            model: served.name.clone(),
            tokenizer: served.model.pretrained.tokenizer.clone(),
            prompt_tokens: plan.prompts.iter().map(|(_, tokens)| tokens.len()).sum(),
        }
    }

    fn body(&self, choices: Vec<Value>) -> Value {
        json!({
            "id": self.id,
            "object": "text_completion",
            "created": self.created,
            "model": self.model,
            "choices": choices,
        })
    }

    fn usage(&self, new_tokens: usize) -> Value {
        json!({
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": new_tokens,
            "total_tokens": self.prompt_tokens + new_tokens,
        })
    }
}

/// A text as it grows.
#[derive(Debug, Default)]
struct Choice {
    text: String,
    new_tokens: usize,
    logprobs: Option<Logprobs>,
    ending: Option<Ending>,
}

/// As OpenAI's interface writes them.
#[derive(Debug, Default)]
struct Logprobs {
    tokens: Vec<Value>,
    token_logprobs: Vec<Value>,
    top_logprobs: Vec<Value>,
    text_offset: Vec<Value>,
}

impl Logprobs {
    /// `offset` is the place of the piece's text, in characters.
    fn push(&mut self, piece: &Piece, tokenizer: &Tokenizer, offset: usize) {
        let Some(chance) = &piece.chance else { return };
        self.tokens.push(json!(piece.text));
        self.token_logprobs.push(json!(chance.logprob));
        let mut top = Map::new();
        for &(token, logprob) in &chance.alternatives {
            // Tokens that are not whole characters can look the same: the most probable one stays.
            top.entry(tokenizer.decode(&[token])).or_insert_with(|| json!(logprob));
        }
        self.top_logprobs.push(Value::Object(top));
        self.text_offset.push(json!(offset));
    }

    fn into_value(self) -> Value {
        let Self { tokens, token_logprobs, top_logprobs, text_offset } = self;
        json!({
            "tokens": tokens,
            "token_logprobs": token_logprobs,
            "top_logprobs": top_logprobs,
            "text_offset": text_offset,
        })
    }
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
        Delivery::Closing => of(StatusCode::SERVICE_UNAVAILABLE, "closing", "the server is stopping"),
        Delivery::News { .. } => None,
    }
}

/// What the worker said last when it said nothing: it is gone.
fn gone() -> (StatusCode, Value) {
    (StatusCode::SERVICE_UNAVAILABLE, error("server_error", "closing", "the server is stopping"))
}

/// The whole answer at once.
async fn whole(
    app: &App,
    plan: &Plan,
    answer: Answer,
    mut news: mpsc::UnboundedReceiver<Delivery>,
) -> Response {
    let mut choices: Vec<Choice> = Vec::new();
    choices.resize_with(plan.prompts.len() * plan.samples, Choice::default);
    if plan.echo {
        for (i, choice) in choices.iter_mut().enumerate() {
            choice.text.clone_from(&plan.prompts[i / plan.samples].0);
        }
    }
    let mut left = choices.len();
    while left > 0 {
        let Some(delivery) = news.recv().await else { return gone().into_json() };
        if let Some(failure) = failure(app, &delivery) {
            return failure.into_json();
        }
        let Delivery::News { sample, what } = delivery else { continue };
        let Some(choice) = choices.get_mut(sample) else { continue };
        match what {
            What::Piece(piece) => {
                if piece.chance.is_some() {
                    let offset = choice.text.chars().count();
                    choice.logprobs.get_or_insert_default().push(&piece, &answer.tokenizer, offset);
                }
                choice.text.push_str(&piece.text);
                choice.new_tokens += 1;
            }
            What::End(ending) => {
                choice.ending = Some(ending);
                left -= 1;
            }
            What::Failed(_) => {}
        }
    }
    let new_tokens = choices.iter().map(|choice| choice.new_tokens).sum();
    let choices = choices.into_iter().enumerate().map(|(index, choice)| {
        json!({
            "index": index,
            "text": choice.text,
            "logprobs": choice.logprobs.map(Logprobs::into_value),
            "finish_reason": choice.ending.map(Ending::name),
        })
    });
    let mut body = answer.body(choices.collect());
    body["usage"] = answer.usage(new_tokens);
    Json(body).into_response()
}

trait IntoJson {
    fn into_json(self) -> Response;
}

impl IntoJson for (StatusCode, Value) {
    fn into_json(self) -> Response {
        (self.0, Json(self.1)).into_response()
    }
}

/// The answer as it comes, as server-sent events.
fn stream(
    app: Arc<App>,
    plan: Plan,
    answer: Answer,
    mut news: mpsc::UnboundedReceiver<Delivery>,
) -> Response {
    let (events, stream) = mpsc::channel::<Result<Event, Infallible>>(EVENTS);
    let patience = app.limits.time + LATE;
    let write = async move {
        let started = Instant::now();
        let mut writer = EventWriter { plan, answer, new_tokens: 0, offsets: Vec::new() };
        writer.offsets.resize(writer.plan.prompts.len() * writer.plan.samples, 0);
        let mut left = writer.offsets.len();
        for event in writer.echo() {
            if events.send(Ok(event)).await.is_err() {
                return;
            }
        }
        while left > 0 {
            // A client that leaves before its first token is noticed here, one that leaves later below as well.
            let delivery = tokio::select! {
                delivery = news.recv() => delivery,
                () = events.closed() => return,
            };
            let failed = match &delivery {
                None => Some(gone()),
                Some(delivery) => failure(&app, delivery),
            };
            if let Some((_, error)) = failed {
                let _ = events.send(Ok(data(&error))).await;
                return;
            }
            let Some(Delivery::News { sample, what }) = delivery else { return };
            left -= usize::from(matches!(what, What::End(_)));
            if events.send(Ok(writer.event(sample, &what))).await.is_err() {
                return;
            }
        }
        for event in writer.last() {
            if events.send(Ok(event)).await.is_err() {
                return;
            }
        }
        app.metrics.request_secs.observe(started.elapsed().as_secs_f64());
    };
    tokio::spawn(tokio::time::timeout(patience, write));
    let keep_alive = KeepAlive::new().interval(Duration::from_secs(15));
    let mut response = Sse::new(ReceiverStream::new(stream)).keep_alive(keep_alive).into_response();
    // Proxies like nginx would collect the events otherwise.
    response.headers_mut().insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}

fn data(value: &Value) -> Event {
    // JSON has no line breaks of its own, so it fits an event as it is.
    Event::default().data(value.to_string())
}

struct EventWriter {
    plan: Plan,
    answer: Answer,
    new_tokens: usize,
    /// Characters of each choice so far.
    offsets: Vec<usize>,
}

impl EventWriter {
    fn event(&mut self, index: usize, what: &What) -> Event {
        let (mut text, mut logprobs, mut finish_reason) = ("", Value::Null, Value::Null);
        match what {
            What::Piece(piece) => {
                self.new_tokens += 1;
                text = &piece.text;
                let offset = self.offsets.get_mut(index);
                if piece.chance.is_some() {
                    let mut single = Logprobs::default();
                    single.push(piece, &self.answer.tokenizer, offset.as_deref().copied().unwrap_or(0));
                    logprobs = single.into_value();
                }
                if let Some(offset) = offset {
                    *offset += text.chars().count();
                }
            }
            What::End(ending) => finish_reason = json!(ending.name()),
            What::Failed(_) => {}
        }
        self.choice(index, text, logprobs, finish_reason)
    }

    fn choice(&self, index: usize, text: &str, logprobs: Value, finish_reason: Value) -> Event {
        let choice =
            json!({ "index": index, "text": text, "logprobs": logprobs, "finish_reason": finish_reason });
        data(&self.answer.body(vec![choice]))
    }

    /// The prompts, where they were asked for.
    fn echo(&self) -> Vec<Event> {
        if !self.plan.echo {
            return Vec::new();
        }
        let prompt = |index: usize| self.plan.prompts[index / self.plan.samples].0.as_str();
        (0..self.offsets.len())
            .map(|index| self.choice(index, prompt(index), Value::Null, Value::Null))
            .collect()
    }

    fn last(&self) -> Vec<Event> {
        let mut events = Vec::new();
        if self.plan.include_usage {
            let mut body = self.answer.body(Vec::new());
            body["usage"] = self.answer.usage(self.new_tokens);
            events.push(data(&body));
        }
        events.push(Event::default().data("[DONE]"));
        events
    }
}
