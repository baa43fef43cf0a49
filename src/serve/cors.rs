//! Pages of other origins: without a word of the server's, browsers do not let them read its answers.
//!
//! # Source
//! WHATWG Fetch, "CORS protocol".

use std::str::FromStr;
use std::time::Duration;

use axum::Router;
use axum::http::{HeaderValue, Method, header};
use tower_http::cors::{AllowOrigin, Any, CorsLayer};

/// Where a page comes from: `https://example.org`, `http://localhost:3000`, or `*` for everywhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    Any,
    One(HeaderValue),
}

impl FromStr for Origin {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "*" {
            return Ok(Self::Any);
        }
        let wrong = |what: &str| {
            format!("{what}; an origin is like https://example.org or http://localhost:3000, or it is *")
        };
        let (scheme, host) = match text.split_once("://") {
            // The origin of a page that was opened as a file.
            None if text == "null" => return Ok(Self::One(HeaderValue::from_static("null"))),
            None => return Err(wrong("there is no scheme")),
            Some(parts) => parts,
        };
        if scheme.is_empty() || host.is_empty() {
            return Err(wrong("there is no scheme or no host"));
        }
        if host.contains(['/', '?', '#', '@']) {
            return Err(wrong("an origin has no path"));
        }
        if host.contains('*') {
            return Err(wrong("a part of an origin cannot be *"));
        }
        // Browsers send them in small letters.
        HeaderValue::from_str(&text.to_ascii_lowercase())
            .ok()
            .filter(|_| !text.contains(char::is_whitespace))
            .map(Self::One)
            .ok_or_else(|| wrong("there are characters that no origin has"))
    }
}

/// How long a browser may remember what it was allowed.
const REMEMBERED: Duration = Duration::from_secs(3600);

/// The routes, whose answers pages of these origins may read. Where there are none, nothing is said and browsers refuse.
pub fn allow(router: Router, origins: &[Origin]) -> Router {
    if origins.is_empty() {
        return router;
    }
    let named = origins.iter().filter_map(|origin| match origin {
        Origin::Any => None,
        Origin::One(origin) => Some(origin.clone()),
    });
    let allowed =
        if origins.contains(&Origin::Any) { AllowOrigin::from(Any) } else { AllowOrigin::list(named) };
    let layer = CorsLayer::new()
        .allow_origin(allowed)
        .allow_methods([Method::GET, Method::POST])
        // By name: for `*` browsers leave Authorization out.
        .allow_headers(tower_http::cors::AllowHeaders::mirror_request())
        .expose_headers([header::RETRY_AFTER])
        .allow_private_network(true)
        .max_age(REMEMBERED);
    router.layer(layer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_told_from_addresses() {
        for good in [
            "*",
            "null",
            "https://example.org",
            "http://localhost:3000",
            "HTTP://Example.org",
            "http://[::1]:80",
        ] {
            assert!(good.parse::<Origin>().is_ok(), "{good}");
        }
        assert_eq!(
            "HTTP://Example.org".parse(),
            Ok(Origin::One(HeaderValue::from_static("http://example.org")))
        );
        for (bad, why) in [
            ("example.org", "no scheme"),
            ("https://", "no host"),
            ("https://example.org/", "no path"),
            ("https://example.org/page.html", "no path"),
            ("https://*.example.org", "cannot be *"),
            ("https://exa mple.org", "no origin has"),
            ("https://example.org\n", "no origin has"),
            ("", "no scheme"),
        ] {
            let error = bad.parse::<Origin>().unwrap_err();
            assert!(error.contains(why) && error.contains("https://example.org"), "{bad}: {error}");
        }
    }
}
