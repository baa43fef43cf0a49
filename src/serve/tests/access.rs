//! Who is answered.

use serde_json::json;

use super::client::{get, request};
use super::{Limits, Shop};

#[test]
fn a_token_is_wanted_where_there_is_one() {
    let shop = Shop::open_with(Limits::default(), Some("secret"));
    let with = |token: &str, request: String| {
        request.replacen("Host:", &format!("Authorization: {token}\r\nHost:"), 1)
    };
    for path in ["/v1/models", "/metrics"] {
        let refused = shop.ask(&get(path));
        assert!(
            refused.status == 401 && refused.head.contains("www-authenticate: bearer"),
            "{}",
            refused.head
        );
        assert_eq!(shop.ask(&with("Bearer secre", get(path))).status, 401);
        assert_eq!(shop.ask(&with("Basic secret", get(path))).status, 401);
        assert_eq!(shop.ask(&with("bearer secret", get(path))).status, 200);
    }
    assert_eq!(shop.ask(&request(json!({}))).status, 401);
    assert_eq!(shop.ask(&with("Bearer secret", request(json!({})))).status, 200);
    assert_eq!([shop.ask(&get("/")).status, shop.ask(&get("/health")).status], [200, 200]);
}

#[test]
fn a_name_that_is_not_of_this_machine_is_refused() {
    let shop = Shop::open(Limits::default());
    assert_eq!(shop.ask(&get("/").replace("localhost", "evil.example")).status, 403);
    assert_eq!(shop.ask(&request(json!({})).replace("localhost", "evil.example:7860")).status, 403);
}

#[test]
fn pages_of_other_origins_read_answers_only_where_they_were_allowed_to() {
    let preflight = "OPTIONS /v1/completions HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nOrigin: http://localhost:3000\r\n\
                     Access-Control-Request-Method: POST\r\nAccess-Control-Request-Headers: authorization,content-type\r\n\r\n";
    let from =
        |origin: &str, request: String| request.replacen("Host:", &format!("Origin: {origin}\r\nHost:"), 1);
    let closed = Shop::open(Limits::default());
    assert!(!closed.ask(preflight).head.contains("access-control"));
    assert!(!closed.ask(&from("http://localhost:3000", get("/v1/models"))).head.contains("access-control"));

    let shop =
        Shop::open_for(Limits::default(), Some("secret"), &["http://localhost:3000", "https://example.org"]);
    let allowed = shop.ask(preflight);
    assert_eq!(allowed.status, 200, "a preflight carries no token");
    for line in [
        "access-control-allow-origin: http://localhost:3000",
        "access-control-allow-headers: authorization,content-type",
        "access-control-allow-methods: get,post",
    ] {
        assert!(allowed.head.contains(line), "{}", allowed.head);
    }
    let other = shop.ask(&preflight.replace("http://localhost:3000", "https://evil.example"));
    assert!(!other.head.contains("allow-origin"), "{}", other.head);
    // What is refused can be read as well, so that the page can say why.
    let refused = shop.ask(&from("https://example.org", request(json!({}))));
    assert!(
        refused.status == 401 && refused.head.contains("allow-origin: https://example.org"),
        "{}",
        refused.head
    );
    let any = Shop::open_for(Limits::default(), None, &["*"]);
    let answer = any.ask(&from("https://anywhere.example", request(json!({}))));
    assert!(answer.status == 200 && answer.head.contains("allow-origin: *"), "{}", answer.head);
}
