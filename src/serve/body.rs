//! The body of a request: all of it in time, and JSON.

use std::time::Duration;

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::JsonRejection;
use axum::extract::{self, FromRequest};
use axum::http::{StatusCode, header};
use hyper::body::Body as _;

use super::App;
use super::Limits;
use super::request::{Asked, Problem, is_field};
use super::waiting::Hold;

/// A client has this long to send a body. One that stops in the middle would keep its connection for ever.
const LONGEST: Duration = Duration::from_secs(30);

/// What deserialising says, and what people say.
const WORDS: [(&str, &str); 4] = [
    ("expected usize", "expected a whole number from 0 on"),
    ("expected i64", "expected a whole number"),
    ("expected f64", "expected a number"),
    ("struct StreamOptions", "an object"),
];

/// Why a body was not read.
pub enum Unread {
    /// Something is wrong with it.
    Bad(Problem),
    /// There is no place for it in memory at the moment.
    NoPlace,
}

/// Reads it, with its place in memory, or says what is wrong with it.
pub async fn read(request: extract::Request, app: &App) -> Result<(Asked, Hold), Unread> {
    let limits = &app.limits;
    let bad = |status, message| Err(Unread::Bad(invalid(status, message)));
    // A body that says that it is too large is not waited for. One that does not say how large it is may become as large as allowed.
    let announced = request.body().size_hint();
    let most = usize::try_from(announced.lower()).unwrap_or(usize::MAX);
    if most > limits.body_bytes {
        return bad(StatusCode::PAYLOAD_TOO_LARGE, too_large(limits));
    }
    let expected = if announced.exact().is_some() { most } else { limits.body_bytes };
    let Some(hold) = app.budget.hold(expected) else { return Err(Unread::NoPlace) };
    let patience = LONGEST.min(limits.time);
    if !is_json(&request) {
        let message = "the body is JSON here: send the header `Content-Type: application/json`";
        return bad(StatusCode::UNSUPPORTED_MEDIA_TYPE, message.to_owned());
    }
    let bytes = match tokio::time::timeout(patience, Bytes::from_request(request, &())).await {
        Ok(Ok(bytes)) => bytes,
        Ok(Err(rejection)) if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE => {
            return bad(rejection.status(), too_large(limits));
        }
        Ok(Err(rejection)) => return bad(rejection.status(), rejection.body_text()),
        Err(_) => {
            let secs = patience.as_secs_f64();
            let message = format!("the body did not arrive within {secs} s; send it at once");
            return bad(StatusCode::REQUEST_TIMEOUT, message);
        }
    };
    match Json::<Asked>::from_bytes(&bytes) {
        Ok(Json(asked)) => Ok((asked, hold)),
        Err(rejection) => Err(Unread::Bad(explain(&rejection, &bytes))),
    }
}

/// Whether it says that its body is JSON: `application/json`, or a kind of its own that ends in `+json`.
fn is_json(request: &extract::Request) -> bool {
    let kind = request.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let kind = kind.unwrap_or_default().split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    kind.strip_prefix("application/").is_some_and(|kind| kind == "json" || kind.ends_with("+json"))
}

fn too_large(limits: &Limits) -> String {
    format!("the body has more than the {} bytes that this server takes; ask for less", limits.body_bytes)
}

fn invalid(status: StatusCode, message: String) -> Problem {
    Problem { status, code: "invalid_body", param: None, message }
}

fn explain(rejection: &JsonRejection, body: &[u8]) -> Problem {
    let text = rejection.body_text();
    // Before the colon stands what kind of error it is.
    let mut reason = text.split_once(": ").map_or(text.as_str(), |(_, reason)| reason).to_owned();
    for (from, to) in WORDS {
        reason = reason.replace(from, to);
    }
    // And then where it is, as in `stream_options.include_usage`.
    let place = reason.split_once(": ").map(|(place, _)| place.to_owned());
    let param = place.filter(|place| place.split(['.', '[']).next().is_some_and(is_field));
    let first = body.iter().find(|byte| !byte.is_ascii_whitespace());
    match rejection {
        JsonRejection::JsonSyntaxError(_) => {
            invalid(rejection.status(), format!("the body is not JSON: {reason}"))
        }
        _ if first != Some(&b'{') => {
            let message =
                "the body is no object: send one like {\"prompt\": \"Once upon\", \"max_tokens\": 20}";
            invalid(StatusCode::BAD_REQUEST, message.to_owned())
        }
        _ if reason.contains("unknown field") => {
            Problem { param, ..invalid(StatusCode::BAD_REQUEST, reason) }
        }
        _ => {
            let message = format!("the body is not such a request: {reason}");
            Problem { param, ..invalid(rejection.status(), message) }
        }
    }
}
