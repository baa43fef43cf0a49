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
        let (scheme, place) = match text.split_once("://") {
            // The origin of a page that was opened as a file.
            None if text == "null" => return Ok(Self::One(HeaderValue::from_static("null"))),
            None => return Err(wrong("there is no scheme")),
            Some(parts) => parts,
        };
        // As addresses are copied.
        let place = place.strip_suffix('/').unwrap_or(place);
        if place.contains(['/', '?', '#']) {
            return Err(wrong("an origin has no path"));
        }
        if place.contains('@') {
            return Err(wrong("an origin has no user"));
        }
        // The colons of an address like [::1] are none of a port.
        let (host, port) = match place.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
            _ => (place, None),
        };
        if scheme.is_empty() || host.is_empty() {
            return Err(wrong("there is no scheme or no host"));
        }
        if host.contains(':') && !(host.starts_with('[') && host.ends_with(']')) {
            return Err(wrong("an address with colons stands in brackets, as in http://[::1]:3000"));
        }
        if host.contains('*') {
            return Err(wrong("a part of an origin cannot be *"));
        }
        let digits = port.filter(|port| port.bytes().all(|byte| byte.is_ascii_digit()));
        let number = digits.and_then(|port| port.parse::<u16>().ok());
        if port.is_some() && number.is_none() {
            return Err(wrong("a port is a number up to 65535"));
        }
        // Browsers send them in small letters, and without the port that the scheme has anyway.
        let (scheme, host) = (scheme.to_ascii_lowercase(), host.to_ascii_lowercase());
        let sent = match (scheme.as_str(), number) {
            (_, None) | ("http", Some(80)) | ("https", Some(443)) => format!("{scheme}://{host}"),
            (_, Some(port)) => format!("{scheme}://{host}:{port}"),
        };
        HeaderValue::from_str(&sent)
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
            "http://[::1]:8080",
            "chrome-extension://abcdef",
        ] {
            assert!(good.parse::<Origin>().is_ok(), "{good}");
        }
        for (written, sent) in [
            ("HTTP://Example.org", "http://example.org"),
            ("https://example.org/", "https://example.org"),
            ("http://ok.example:80/", "http://ok.example"),
            ("https://example.org:443", "https://example.org"),
            ("https://example.org:80", "https://example.org:80"),
            ("http://localhost:03000", "http://localhost:3000"),
            ("http://[::1]", "http://[::1]"),
            ("http://[::1]:3000", "http://[::1]:3000"),
        ] {
            assert_eq!(written.parse(), Ok(Origin::One(HeaderValue::from_static(sent))), "{written}");
        }
        for (bad, why) in [
            ("example.org", "no scheme"),
            ("https://", "no host"),
            ("https://:80", "no host"),
            ("http://a:99999", "up to 65535"),
            ("http://a:", "up to 65535"),
            ("http://a:+80", "up to 65535"),
            ("http://::1", "in brackets"),
            ("http://a:80:90", "in brackets"),
            ("http://me@example.org", "no user"),
            ("https://example.org//", "no path"),
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
