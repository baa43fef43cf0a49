//! The answer as a whole, when it is complete.

use std::convert::Infallible;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::Value;
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval};
use tokio_stream::wrappers::ReceiverStream;

use super::answer::Answer;
use super::logprobs::{Logprobs, Place};
use super::{PROBE, failure, gone};
use crate::generate::{Ending, Piece, What};
use crate::serve::App;
use crate::serve::api::error;
use crate::serve::connections::Client;
use crate::serve::queue::Delivery;
use crate::serve::request::Plan;
use crate::serve::waiting::{Counted, Inbox, piece_cost, prompt_cost};

/// A text as it grows.
#[derive(Debug, Default)]
struct Choice {
    text: String,
    new_tokens: usize,
    logprobs: Option<Logprobs>,
    prompt: Place,
    ending: Option<Ending>,
}

/// The whole answer at once. Of a client that has closed its side nobody knows whether it is still there until something is sent:
/// blanks, which mean nothing before JSON. The answer has begun then, so that what fails afterwards stands in it with status 200.
pub(super) async fn whole(
    app: Arc<App>,
    plan: Plan,
    answer: Answer,
    news: Inbox,
    client: Client,
) -> Response {
    let mut written = Box::pin(write_whole(app, plan, answer, news));
    tokio::select! {
        biased;
        (status, counted) = &mut written => {
            let json = [(header::CONTENT_TYPE, "application/json")];
            return (status, json, Body::from(Bytes::from_owner(counted))).into_response();
        }
        () = client.hung_up() => {}
    }
    let (pieces, stream) = mpsc::channel::<Result<Bytes, Infallible>>(1);
    tokio::spawn(async move {
        let mut probe = interval(PROBE);
        probe.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                () = pieces.closed() => return,
                (_, counted) = &mut written => {
                    let _ = pieces.send(Ok(Bytes::from_owner(counted))).await;
                    return;
                }
                _ = probe.tick() => {
                    // Where the blank before it was not taken, none is needed.
                    let _ = pieces.try_send(Ok(Bytes::from_static(b" ")));
                }
            }
        }
    });
    let json = [(header::CONTENT_TYPE, "application/json")];
    (json, Body::from_stream(ReceiverStream::new(stream))).into_response()
}

/// Status and JSON of a whole answer.
async fn write_whole(app: Arc<App>, plan: Plan, answer: Answer, mut news: Inbox) -> (StatusCode, Counted) {
    let (status, body) = match collect(&app, plan, answer, &mut news).await {
        Ok(body) => (StatusCode::OK, body),
        Err(failure) => failure,
    };
    // Whoever waits to be read asks for nothing more.
    news.close();
    (status, Counted { bytes: body.to_string().into_bytes(), _inbox: news })
}

async fn collect(
    app: &App,
    plan: Plan,
    answer: Answer,
    news: &mut Inbox,
) -> Result<Value, (StatusCode, Value)> {
    let mut choices: Vec<Choice> = Vec::new();
    choices.resize_with(plan.prompts.len() * plan.samples, Choice::default);
    if plan.echo {
        for (i, choice) in choices.iter_mut().enumerate() {
            choice.text.clone_from(&plan.prompts[i / plan.samples].text);
        }
    }
    let mut left = choices.len();
    while left > 0 {
        let delivery = news.recv().await.ok_or_else(gone)?;
        if let Some(failure) = failure(app, &delivery) {
            return Err(failure);
        }
        let Delivery::News { sample, what } = delivery else { continue };
        if !news.keep(kept_bytes(&what, plan.samples)) {
            app.metrics.cut_off.inc();
            return Err(failure_of_slow_readers());
        }
        if let What::Prompt(scored) = &what {
            for choice in choices.iter_mut().skip(sample).take(plan.samples) {
                let logprobs = choice.logprobs.get_or_insert_default();
                logprobs.push_prompt(scored, &answer.tokenizer, &mut choice.prompt);
            }
            continue;
        }
        let Some(choice) = choices.get_mut(sample) else { continue };
        match what {
            What::Piece(piece) => {
                if piece.chance.is_some() {
                    let offset = choice.text.chars().count();
                    choice.logprobs.get_or_insert_default().push_piece(&piece, &answer.tokenizer, offset);
                }
                choice.text.push_str(&piece.text);
                choice.new_tokens += 1;
            }
            What::End(ending) => {
                choice.ending = Some(ending);
                left -= 1;
            }
            What::Failed(_) | What::Prompt(_) => {}
        }
    }
    let new_tokens = choices.iter().map(|choice| choice.new_tokens).sum();
    let choices = choices.into_iter().enumerate().map(|(index, choice)| {
        answer.choice(index, &choice.text, choice.logprobs, choice.ending, choice.new_tokens)
    });
    let mut body = answer.body(choices.collect());
    body["usage"] = answer.usage(new_tokens);
    Ok(body)
}

/// Bytes that stay in the answer, and once more in its JSON.
fn kept_bytes(what: &What, samples: usize) -> usize {
    match what {
        What::Prompt(scored) => prompt_cost(scored) * samples,
        What::Piece(Piece { text, chance: Some(chance), .. }) => {
            piece_cost(2 * text.len(), chance.alternatives.len())
        }
        What::Piece(Piece { text, chance: None, .. }) => 2 * text.len(),
        What::End(_) | What::Failed(_) => 0,
    }
}

/// A whole answer has no reader yet; the readers of others have taken the memory.
fn failure_of_slow_readers() -> (StatusCode, Value) {
    let message = "this answer and those that others have not read take more than this server holds; ask for less, or for a stream";
    (StatusCode::SERVICE_UNAVAILABLE, error("server_error", "overloaded", message))
}
