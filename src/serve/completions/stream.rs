//! The answer token by token, as server-sent events.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::http::HeaderValue;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval};
use tokio_stream::wrappers::ReceiverStream;

use super::answer::{Answer, Logprobs};
use super::{PROBE, failure, gone};
use crate::generate::What;
use crate::serve::App;
use crate::serve::connections::Client;
use crate::serve::queue::Delivery;
use crate::serve::request::Plan;
use crate::serve::waiting::Inbox;

/// Events that wait for a client which is slower than the model; more wait with the worker's news.
const EVENTS: usize = 16;
/// A client that reads slowly has this long to take what there is when its time is over.
const LATE: Duration = Duration::from_secs(5);
/// The answer as it comes, as server-sent events.
pub(super) fn stream(app: Arc<App>, plan: Plan, answer: Answer, mut news: Inbox, client: Client) -> Response {
    let (events, stream) = mpsc::channel::<Result<Event, Infallible>>(EVENTS);
    let patience = app.limits.time + LATE;
    let write = async move {
        let started = Instant::now();
        let mut writer = EventWriter { plan, answer, new_tokens: 0, offsets: Vec::new() };
        writer.offsets.resize(writer.plan.prompts.len() * writer.plan.samples, 0);
        let mut left = writer.offsets.len();
        for index in 0..if writer.plan.echo { left } else { 0 } {
            if events.send(Ok(writer.echo(index))).await.is_err() {
                return;
            }
        }
        let hung_up = client.hung_up();
        tokio::pin!(hung_up);
        let mut has_hung_up = false;
        let mut probe = interval(PROBE);
        probe.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while left > 0 {
            // A client that leaves before its first token is noticed here, one that leaves later below as well.
            let delivery = tokio::select! {
                delivery = news.recv() => delivery,
                () = events.closed() => return,
                () = &mut hung_up, if !has_hung_up => {
                    has_hung_up = true;
                    continue;
                }
                // Whether it is gone or has only said all it has to say is seen by sending something.
                _ = probe.tick(), if has_hung_up => {
                    let _ = events.try_send(Ok(Event::default().comment("")));
                    continue;
                }
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

    /// The prompt of a choice.
    fn echo(&self, index: usize) -> Event {
        self.choice(index, &self.plan.prompts[index / self.plan.samples].0, Value::Null, Value::Null)
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
