//! The answer token by token, as server-sent events.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::http::HeaderValue;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use serde_json::Value;
use tokio::sync::mpsc::{self, error::SendError};
use tokio::time::{MissedTickBehavior, interval};
use tokio_stream::wrappers::ReceiverStream;

use super::answer::Answer;
use super::logprobs::{Logprobs, Place};
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

/// An event, in the form that axum takes a stream of them.
type Sent = Result<Event, Infallible>;

/// The answer as it comes, as server-sent events.
pub(super) fn stream(app: Arc<App>, plan: Plan, answer: Answer, mut news: Inbox, client: Client) -> Response {
    let (events, stream) = mpsc::channel::<Sent>(EVENTS);
    let patience = app.limits.time + LATE;
    let write = async move {
        let started = Instant::now();
        let mut writer = EventWriter::new(plan, answer);
        let mut left = writer.choices.len();
        if send(&events, writer.echoes()).await.is_err() {
            return;
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
            if send(&events, writer.events(sample, &what)).await.is_err() {
                return;
            }
        }
        if send(&events, writer.last()).await.is_ok() {
            app.metrics.request_secs.observe(started.elapsed().as_secs_f64());
        }
    };
    tokio::spawn(tokio::time::timeout(patience, write));
    let keep_alive = KeepAlive::new().interval(Duration::from_secs(15));
    let mut response = Sse::new(ReceiverStream::new(stream)).keep_alive(keep_alive).into_response();
    // Proxies like nginx would collect the events otherwise.
    response.headers_mut().insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}

async fn send(events: &mpsc::Sender<Sent>, all: Vec<Event>) -> Result<(), SendError<Sent>> {
    for event in all {
        events.send(Ok(event)).await?;
    }
    Ok(())
}

fn data(value: &Value) -> Event {
    // JSON has no line breaks of its own, so it fits an event as it is.
    Event::default().data(value.to_string())
}

struct EventWriter {
    plan: Plan,
    answer: Answer,
    choices: Vec<Progress>,
}

/// How far a choice has come.
#[derive(Debug, Default)]
struct Progress {
    /// Characters of its text.
    characters: usize,
    new_tokens: usize,
    /// Whether its prompt was sent back, and how far the prompt's tokens were.
    echoed: bool,
    prompt: Place,
}

impl EventWriter {
    fn new(plan: Plan, answer: Answer) -> Self {
        let mut choices = Vec::new();
        choices.resize_with(plan.prompts.len() * plan.samples, Progress::default);
        Self { plan, answer, choices }
    }

    /// The prompts, where they are sent back before anything is known about them.
    fn echoes(&mut self) -> Vec<Event> {
        if !self.plan.echo || self.plan.settings.score_prompt {
            return Vec::new();
        }
        (0..self.choices.len()).map(|index| self.prompt(index, None)).collect()
    }

    /// A part of a prompt: its text comes with the first.
    fn prompt(&mut self, index: usize, logprobs: Option<Logprobs>) -> Event {
        let text = &self.plan.prompts[index / self.plan.samples].text;
        let is_first = !std::mem::replace(&mut self.choices[index].echoed, true);
        let text = if is_first { text } else { "" };
        self.choices[index].characters += text.chars().count();
        data(&self.answer.body(vec![self.answer.choice(index, text, logprobs, None, 0)]))
    }

    fn events(&mut self, index: usize, what: &What) -> Vec<Event> {
        if let What::Prompt(scored) = what {
            let all = index..(index + self.plan.samples).min(self.choices.len());
            return all
                .map(|index| {
                    let mut part = Logprobs::default();
                    part.push_prompt(scored, &self.answer.tokenizer, &mut self.choices[index].prompt);
                    self.prompt(index, Some(part))
                })
                .collect();
        }
        let Some(choice) = self.choices.get_mut(index) else { return Vec::new() };
        let (mut text, mut logprobs, mut end) = ("", None, None);
        match what {
            What::Piece(piece) => {
                choice.new_tokens += 1;
                text = &piece.text;
                if piece.chance.is_some() {
                    let mut single = Logprobs::default();
                    single.push_piece(piece, &self.answer.tokenizer, choice.characters);
                    logprobs = Some(single);
                }
                choice.characters += text.chars().count();
            }
            What::End(ending) => end = Some(*ending),
            What::Failed(_) | What::Prompt(_) => {}
        }
        let new_tokens = choice.new_tokens;
        vec![data(&self.answer.body(vec![self.answer.choice(index, text, logprobs, end, new_tokens)]))]
    }

    fn last(&self) -> Vec<Event> {
        let mut events = Vec::new();
        if self.plan.include_usage {
            let mut body = self.answer.body(Vec::new());
            body["usage"] = self.answer.usage(self.choices.iter().map(|choice| choice.new_tokens).sum());
            events.push(data(&body));
        }
        events.push(Event::default().data("[DONE]"));
        events
    }
}
