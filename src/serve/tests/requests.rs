use serde_json::{Value, json};

use super::client::{get, post};
use super::{Limits, Shop, model};
use crate::generate::{Batch, Settings, What};

/// What the model writes without a server.
fn expected(prompt: &str, settings: &Settings) -> String {
    let model = model();
    let mut batch = Batch::of(&model);
    batch.add(0, &model.encode(prompt).unwrap(), settings.clone(), 1).unwrap();
    let mut text = String::new();
    while !batch.is_empty() {
        for news in batch.step().unwrap() {
            if let What::Piece(piece) = news.what {
                text.push_str(&piece.text);
            }
        }
    }
    text
}

fn request(change: Value) -> String {
    let mut body = json!({ "model": "small", "prompt": "Maud:", "max_tokens": 30, "seed": 5 });
    for (key, value) in change.as_object().unwrap() {
        body[key] = value.clone();
    }
    post(&body.to_string())
}

#[test]
fn a_completion_is_what_the_model_writes_whole_or_in_parts() {
    let shop = Shop::open(Limits::default());
    let expected = expected("Maud:", &Settings { max_new_tokens: 30, seed: 5, ..Settings::default() });
    let whole = shop.ask(&request(json!({})));
    assert_eq!(whole.status, 200, "{}", whole.body);
    let whole = whole.json();
    assert_eq!(whole["choices"][0]["text"], expected);
    assert_eq!(whole["choices"][0]["finish_reason"], "length");
    assert_eq!(whole["choices"][0]["logprobs"], Value::Null);
    assert_eq!(whole["usage"], json!({ "prompt_tokens": 5, "completion_tokens": 30, "total_tokens": 35 }));

    let parts = shop.ask(&request(json!({ "stream": true, "stream_options": { "include_usage": true } })));
    assert!(
        parts.head.contains("text/event-stream") && parts.body.ends_with("data: [DONE]\n\n"),
        "{}",
        parts.head
    );
    let events = parts.events();
    let text: String = events.iter().filter_map(|event| event["choices"][0]["text"].as_str()).collect();
    assert_eq!(text, expected);
    assert_eq!(events.last().unwrap()["usage"]["completion_tokens"], 30);
    assert_eq!(events[events.len() - 2]["choices"][0]["finish_reason"], "length");
}

#[test]
fn samples_and_prompts_come_in_order_with_their_probabilities() {
    let shop = Shop::open(Limits::default());
    let answer = shop.ask(&request(json!({ "prompt": ["a", "b"], "n": 2, "logprobs": 3, "echo": false })));
    let choices = answer.json()["choices"].as_array().unwrap().clone();
    assert_eq!(
        choices.iter().map(|choice| choice["index"].as_u64().unwrap()).collect::<Vec<_>>(),
        [0, 1, 2, 3]
    );
    let settings = Settings { max_new_tokens: 30, seed: 5, ..Settings::default() };
    assert_eq!(choices[2]["text"], expected("b", &settings));
    assert_eq!(choices[1]["text"], expected("a", &Settings { seed: 6, ..settings }));
    let logprobs = &choices[3]["logprobs"];
    for key in ["tokens", "token_logprobs", "top_logprobs", "text_offset"] {
        assert_eq!(logprobs[key].as_array().unwrap().len(), 30, "{key}");
    }
    let tokens: String =
        logprobs["tokens"].as_array().unwrap().iter().map(|token| token.as_str().unwrap()).collect();
    assert_eq!(choices[3]["text"], tokens);
    assert!(logprobs["token_logprobs"][0].as_f64().unwrap() < 0.0);
    let echo = shop.ask(&request(json!({ "echo": true, "max_tokens": 1 }))).json();
    assert!(echo["choices"][0]["text"].as_str().unwrap().starts_with("Maud:"));
}

#[test]
fn prompts_can_be_tokens_and_stops_end_texts() {
    let shop = Shop::open(Limits::default());
    let text = shop.ask(&request(json!({}))).json()["choices"][0]["text"].as_str().unwrap().to_owned();
    let as_tokens = shop.ask(&request(json!({ "prompt": [77, 97, 117, 100, 58] }))).json();
    assert_eq!(as_tokens["choices"][0]["text"], text);
    let stop: String = text.chars().skip(10).take(2).collect();
    let stopped = shop.ask(&request(json!({ "stop": stop }))).json();
    assert_eq!(stopped["choices"][0]["text"], text[..text.find(&stop).unwrap()]);
    assert_eq!(stopped["choices"][0]["finish_reason"], "stop");
}

#[test]
fn what_cannot_be_done_is_refused_with_its_reason() {
    let limits = Limits { new_tokens: 100, samples: 4, body_bytes: 5000, ..Limits::default() };
    let shop = Shop::open(limits);
    let cases = [
        (json!({ "model": "other" }), 404, "small, exp/seed=1"),
        (json!({ "max_tokens": 101 }), 400, "at most 100"),
        (json!({ "max_tokens": 0 }), 400, "max_tokens is 0"),
        (
            json!({ "max_tokens": -1 }),
            422,
            "max_tokens: invalid value: integer `-1`, expected a whole number",
        ),
        (json!({ "temperature": "hot" }), 422, "expected a number"),
        (json!({ "repetition_penalty": 1e-300 }), 400, "from 0.01 to 100"),
        (json!({ "n": 5 }), 400, "at most 4"),
        (json!({ "n": 0 }), 400, "at least 1"),
        (json!({ "prompt": [] , "n": 1}), 200, ""),
        (json!({ "prompt": ["a", "b", "c"], "n": 2 }), 400, "at most 4"),
        (json!({ "prompt": [256] }), 400, "token 256"),
        (json!({ "prompt": 5 }), 422, "`prompt` is a text"),
        (json!({ "temperature": -1 }), 400, "temperature"),
        (json!({ "top_p": 2 }), 400, "top_p"),
        (json!({ "stop": ["", "a"] }), 400, "stop"),
        (json!({ "logprobs": 50 }), 400, "logprobs"),
        (json!({ "presence_penalty": 1 }), 400, "repetition_penalty"),
        (json!({ "suffix": "end" }), 400, "suffix"),
        (json!({ "best_of": 3 }), 400, "best_of"),
    ];
    for (change, status, words) in cases {
        let answer = shop.ask(&request(change.clone()));
        assert_eq!(answer.status, status, "{change}: {}", answer.body);
        if status != 200 {
            assert!(answer.error().0.contains(words), "{change}: {}", answer.body);
        }
    }
    let long = request(json!({ "prompt": "a".repeat(6000) }));
    let long = shop.ask(&long);
    assert!(long.status == 413 && long.error().0.contains("more than the 5000 bytes"), "{}", long.body);
    let cut = shop.ask(&post("{\"model\":"));
    assert!(cut.status == 400 && cut.error().0.starts_with("the body is not JSON"), "{}", cut.body);
    let without_kind = post("{}").replace("Content-Type: application/json\r\n", "");
    assert_eq!(shop.ask(&without_kind).status, 415);
}

#[test]
fn the_page_the_models_and_the_health_are_there_and_nothing_else() {
    let shop = Shop::open(Limits::default());
    let page = shop.ask(&get("/"));
    assert!(page.status == 200 && page.body.contains("<textarea"), "{}", page.head);
    assert!(page.head.contains("content-security-policy: default-src 'none'"), "{}", page.head);
    for asset in ["/page.js", "/page.css"] {
        assert_eq!(shop.ask(&get(asset)).status, 200);
        assert!(page.body.contains(&asset[1..]));
    }
    assert!(
        !page.body.contains("http://") || page.body.matches("http://").count() == 1,
        "the icon's name space alone"
    );
    let models = shop.ask(&get("/v1/models")).json();
    assert_eq!(models["data"][1]["id"], "exp/seed=1");
    assert_eq!(models["data"][0]["runner"]["prompts"], json!(["Maud:\n"]));
    assert_eq!(shop.ask(&get("/health")).json(), json!({ "status": "ok" }));
    for path in
        ["/../../etc/passwd", "/v1/../../etc/passwd", "/page/page.html", "/%2e%2e/Cargo.toml", "//etc/passwd"]
    {
        assert_eq!(shop.ask(&get(path)).status, 404, "{path}");
    }
    assert_eq!(shop.ask(&get("/v1/completions")).status, 405);
    assert!(shop.ask(&get("/metrics")).body.ends_with("# EOF\n"));
}

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
