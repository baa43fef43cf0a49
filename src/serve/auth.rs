//! Who may ask.

use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use sha2::{Digest, Sha256};

use super::api::refuse;

/// A bearer token, of which only a digest is kept: comparing digests says nothing about how much of a guess was right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token([u8; 32]);

impl Token {
    pub fn new(token: &str) -> Self {
        Self(Sha256::digest(token).into())
    }
}

/// Lets only requests through that carry the token, where there is one.
pub async fn check_token(State(token): State<Option<Token>>, request: Request, next: Next) -> Response {
    let Some(token) = token else { return next.run(request).await };
    let given = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let given = given.and_then(|value| value.split_once(' '));
    match given {
        Some((scheme, given))
            if scheme.eq_ignore_ascii_case("bearer") && Token::new(given.trim()) == token =>
        {
            next.run(request).await
        }
        _ => {
            let message = "this server wants its token: send the header `Authorization: Bearer TOKEN`";
            let mut response =
                refuse(StatusCode::UNAUTHORIZED, "authentication_error", "invalid_api_key", message);
            response
                .headers_mut()
                .insert(header::WWW_AUTHENTICATE, header::HeaderValue::from_static("Bearer"));
            response
        }
    }
}

/// On a server for this machine alone, refuses requests that were made for another name: a page elsewhere on the web can make
/// its own name point here, and could then read what it gets.
pub async fn check_host(State(local_only): State<bool>, request: Request, next: Next) -> Response {
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    if local_only && !is_local(host) {
        let message = "this server answers on this machine only: use http://127.0.0.1 or http://localhost";
        return refuse(StatusCode::FORBIDDEN, "invalid_request_error", "wrong_host", message);
    }
    next.run(request).await
}

fn is_local(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    name.eq_ignore_ascii_case("localhost")
        || name.trim_matches(['[', ']']).parse().is_ok_and(|address: std::net::IpAddr| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_this_machine_are_local() {
        for host in ["localhost", "Localhost:7860", "127.0.0.1", "127.0.0.1:80", "[::1]:7860", "[::1]"] {
            assert!(is_local(host), "{host}");
        }
        for host in
            ["", "evil.example", "localhost.evil.example:7860", "10.0.0.1:7860", "127.0.0.1.evil.example"]
        {
            assert!(!is_local(host), "{host}");
        }
    }
}
