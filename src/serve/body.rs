//! The body of a request: all of it in time, and JSON.

use std::time::Duration;

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{self, FromRequest};
use axum::http::StatusCode;
use hyper::body::Body as _;

use super::App;
use super::Limits;
use super::request::Request;
use super::waiting::Hold;

/// A client has this long to send a body. One that stops in the middle would keep its connection for ever.
const LONGEST: Duration = Duration::from_secs(30);

/// What deserialising says, and what people say.
const WORDS: [(&str, &str); 5] = [
    ("struct Request", "an object"),
    ("expected usize", "expected a whole number from 0 on"),
    ("expected i64", "expected a whole number"),
    ("expected f64", "expected a number"),
    ("struct StreamOptions", "an object"),
];

/// Why a body was not read.
pub enum Unread {
    /// Something is wrong with it, in words.
    Bad(StatusCode, String),
    /// There is no place for it in memory at the moment.
    NoPlace,
}

/// Reads it, with its place in memory, or says what is wrong with it.
pub async fn read(request: extract::Request, app: &App) -> Result<(Request, Hold), Unread> {
    let limits = &app.limits;
    // A body that says that it is too large is not waited for. One that does not say how large it is may become as large as allowed.
    let announced = request.body().size_hint();
    let most = usize::try_from(announced.lower()).unwrap_or(usize::MAX);
    if most > limits.body_bytes {
        return Err(Unread::Bad(StatusCode::PAYLOAD_TOO_LARGE, too_large(limits)));
    }
    let expected = if announced.exact().is_some() { most } else { limits.body_bytes };
    let Some(hold) = app.budget.hold(expected) else { return Err(Unread::NoPlace) };
    let patience = LONGEST.min(limits.time);
    let bad = |status, message| Err(Unread::Bad(status, message));
    match tokio::time::timeout(patience, Json::<Request>::from_request(request, &())).await {
        Ok(Ok(Json(request))) => Ok((request, hold)),
        Ok(Err(rejection)) => bad(rejection.status(), explain(&rejection, limits)),
        Err(_) => {
            let secs = patience.as_secs_f64();
            let message = format!("the body did not arrive within {secs} s; send it at once");
            bad(StatusCode::REQUEST_TIMEOUT, message)
        }
    }
}

fn too_large(limits: &Limits) -> String {
    format!("the body has more than the {} bytes that this server takes; ask for less", limits.body_bytes)
}

fn explain(rejection: &JsonRejection, limits: &Limits) -> String {
    match rejection {
        JsonRejection::MissingJsonContentType(_) => {
            "the body is JSON here: send the header `Content-Type: application/json`".to_owned()
        }
        _ if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE => too_large(limits),
        JsonRejection::JsonSyntaxError(_) | JsonRejection::JsonDataError(_) => {
            let text = rejection.body_text();
            // Before the colon stands what kind of error it is.
            let mut reason = text.split_once(": ").map_or(text.as_str(), |(_, reason)| reason).to_owned();
            for (from, to) in WORDS {
                reason = reason.replace(from, to);
            }
            match rejection {
                JsonRejection::JsonSyntaxError(_) => format!("the body is not JSON: {reason}"),
                _ => format!("the body is not such a request: {reason}"),
            }
        }
        _ => rejection.body_text(),
    }
}
