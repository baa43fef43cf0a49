//! The body of a request: all of it in time, and JSON.

use std::time::Duration;

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{self, FromRequest};
use axum::http::StatusCode;

use super::Limits;
use super::request::Request;

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

/// Reads it, or says what is wrong with it.
pub async fn read(request: extract::Request, limits: &Limits) -> Result<Request, (StatusCode, String)> {
    let patience = LONGEST.min(limits.time);
    match tokio::time::timeout(patience, Json::<Request>::from_request(request, &())).await {
        Ok(Ok(Json(request))) => Ok(request),
        Ok(Err(rejection)) => Err((rejection.status(), explain(&rejection, limits))),
        Err(_) => {
            let secs = patience.as_secs_f64();
            let message = format!("the body did not arrive within {secs} s; send it at once");
            Err((StatusCode::REQUEST_TIMEOUT, message))
        }
    }
}

fn explain(rejection: &JsonRejection, limits: &Limits) -> String {
    match rejection {
        JsonRejection::MissingJsonContentType(_) => {
            "the body is JSON here: send the header `Content-Type: application/json`".to_owned()
        }
        _ if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE => {
            format!(
                "the body has more than the {} bytes that this server takes; ask for less",
                limits.body_bytes
            )
        }
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
