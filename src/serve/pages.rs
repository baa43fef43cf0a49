//! The page. It needs nothing from elsewhere.

use axum::http::{HeaderName, header};
use axum::response::IntoResponse;

/// What the browser may do with the page: use its own script, style and server, and nothing else.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; \
                      base-uri 'none'; form-action 'none'; frame-ancestors *";

type Answer = ([(HeaderName, &'static str); 5], &'static str);

fn asset(kind: &'static str, content: &'static str) -> Answer {
    let headers = [
        (header::CONTENT_TYPE, kind),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        // Another version of the program may be here the next time.
        (header::CACHE_CONTROL, "no-cache"),
    ];
    (headers, content)
}

pub async fn page() -> impl IntoResponse {
    asset("text/html; charset=utf-8", include_str!("page/page.html"))
}

pub async fn script() -> impl IntoResponse {
    asset("text/javascript; charset=utf-8", include_str!("page/page.js"))
}

pub async fn style() -> impl IntoResponse {
    asset("text/css; charset=utf-8", include_str!("page/page.css"))
}
