//! What is common to the interface: errors, models, health.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::request::{Problem, find_model};
use super::{App, Served};
use crate::model::params::model_info;

/// An error as OpenAI's interface writes it.
pub fn refuse(status: StatusCode, kind: &str, code: &str, message: impl AsRef<str>) -> Response {
    (status, Json(error(kind, code, message.as_ref()))).into_response()
}

pub fn error(kind: &str, code: &str, message: &str) -> Value {
    json!({ "error": { "message": message, "type": kind, "param": null, "code": code } })
}

/// What is wrong with a request, as an answer.
pub fn refuse_for(problem: &Problem) -> Response {
    let mut body = error("invalid_request_error", problem.code, &problem.message);
    body["error"]["param"] = json!(problem.param);
    (problem.status, Json(body)).into_response()
}

/// `GET /health`
pub async fn health(State(app): State<Arc<App>>) -> Response {
    match app.queue.closing_since() {
        None => Json(json!({ "status": "ok" })).into_response(),
        Some(_) => (StatusCode::SERVICE_UNAVAILABLE, Json(json!({ "status": "closing" }))).into_response(),
    }
}

/// `GET /v1/models`: OpenAI's list, with what the page wants to know under `runner`.
pub async fn models(State(app): State<Arc<App>>) -> Response {
    let limits = &app.limits;
    let models: Vec<Value> = app.served.iter().map(|served| describe(served, app.started)).collect();
    let limits = json!({
        "max_tokens": limits.new_tokens,
        "n": limits.samples,
        "prompts": limits.prompts,
        "body_bytes": limits.body_bytes,
        "seconds": limits.time.as_secs_f64(),
    });
    Json(json!({ "object": "list", "data": models, "runner": { "limits": limits } })).into_response()
}

/// `GET /v1/models/{id}`: one of the list. The slash in a run's name may stand as it is or as %2F.
pub async fn model(State(app): State<Arc<App>>, Path(name): Path<String>) -> Response {
    match find_model(&app.served, &name) {
        Ok(model) => Json(describe(&app.served[model], app.started)).into_response(),
        Err(problem) => refuse_for(&problem),
    }
}

/// `/v1/chat/completions`: no model here was taught to chat.
pub async fn no_chat() -> Response {
    let message = "there is no chat here: the models have no chat template, they continue texts; use POST /v1/completions with a \
                   `prompt` (OpenAI's client: client.completions.create; lm-eval: --model local-completions)";
    refuse(StatusCode::NOT_FOUND, "invalid_request_error", "not_found", message)
}

fn describe(served: &Served, started: i64) -> Value {
    let model = &served.model;
    let found = &model.pretrained;
    let defaults = &model.defaults;
    json!({
        "id": served.name,
        "object": "model",
        "created": started,
        "owned_by": "runner",
        "runner": {
            "origin": found.origin.as_ref().map(|origin| origin.describe()),
            "parameters": model_info(&found.model).parameters,
            "block_size": found.model.block_size,
            "tokenizer": found.tokenizer.name(),
            "weights": model.decoder.kind().name(),
            "prompts": model.prompts,
            "defaults": {
                "max_tokens": defaults.max_new_tokens,
                "temperature": defaults.temperature,
                "top_k": defaults.top_k,
                "top_p": defaults.top_p,
            },
        },
    })
}

pub async fn not_found(method: Method, uri: Uri) -> Response {
    let message = format!(
        "there is no {method} {}: this server has /, /v1/completions, /v1/models, /v1/models/ID, /health and /metrics",
        uri.path()
    );
    refuse(StatusCode::NOT_FOUND, "invalid_request_error", "not_found", message)
}

pub async fn wrong_method(method: Method, uri: Uri) -> Response {
    let message = format!("{} cannot be asked for with {method}", uri.path());
    refuse(StatusCode::METHOD_NOT_ALLOWED, "invalid_request_error", "method_not_allowed", message)
}
