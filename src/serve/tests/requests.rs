use serde_json::{Value, json};

use super::client::{get, post, request};
use super::{Limits, Shop, model};
use crate::generate::{Batch, Settings, What};
use crate::infer::{Cache, Feed};

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

/// The text of tokens as they are called in an answer.
fn text_of(tokens: &Value) -> String {
    let mut bytes = Vec::new();
    for token in tokens.as_array().unwrap() {
        let token = token.as_str().unwrap();
        match token.strip_prefix("bytes:") {
            None => bytes.extend_from_slice(token.as_bytes()),
            Some(hex) => {
                bytes.extend(hex.split("\\x").skip(1).map(|byte| u8::from_str_radix(byte, 16).unwrap()));
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
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
    assert_eq!(choices[3]["text"], text_of(&logprobs["tokens"]));
    assert!(
        logprobs["top_logprobs"].as_array().unwrap().iter().all(|top| top.as_object().unwrap().len() == 3)
    );
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
        (json!({ "temperatur": 0 }), 400, "did you mean `temperature`?"),
        (json!({ "max_new_tokens": 5 }), 400, "it is called `max_tokens` here"),
        (json!({ "stream_options": { "include_usge": true } }), 400, "unknown field `include_usge`"),
        (json!({ "user": "me", "metadata": { "a": "b" }, "logit_bias": null, "min_p": 0 }), 200, ""),
        (
            json!({ "prompt": "a".repeat(65) }),
            400,
            "maximum context length is 64 tokens, and the prompt has 65",
        ),
        (json!({ "prompt": ["a", "a".repeat(65)] }), 400, "prompt 1 (from 0) has 65 (max_tokens: 30)"),
        (json!({ "prompt": "a", "truncate_prompt_tokens": 0 }), 400, "at least 1, or -1"),
        (json!({ "prompt": "a".repeat(99), "truncate_prompt_tokens": 65 }), 400, "and the prompt has 65"),
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
    for body in ["[]", "[\"small\", \"Maud:\"]", " \"small\"", "null", "7"] {
        let answer = shop.ask(&post(body));
        assert!(answer.status == 400 && answer.error().0.contains("is no object"), "{body}: {}", answer.body);
    }
    let cut = shop.ask(&post("{\"model\":"));
    assert!(cut.status == 400 && cut.error().0.starts_with("the body is not JSON"), "{}", cut.body);
    let without_kind = post("{}").replace("Content-Type: application/json\r\n", "");
    assert_eq!(shop.ask(&without_kind).status, 415);
}

#[test]
fn a_refusal_names_the_field_that_it_is_about() {
    let shop = Shop::open(Limits { samples: 4, new_tokens: 100, ..Limits::default() });
    let cases = [
        (json!({ "model": "large" }), "model"),
        (json!({ "model": null }), "model"),
        (json!({ "max_tokens": 101 }), "max_tokens"),
        (json!({ "max_tokens": 0 }), "max_tokens"),
        (json!({ "max_tokens": "many" }), "max_tokens"),
        (json!({ "n": 0 }), "n"),
        (json!({ "n": 5 }), "n"),
        (json!({ "n": -1 }), "n"),
        (json!({ "prompt": vec!["a"; 129] }), "prompt"),
        (json!({ "prompt": vec!["a"; 128], "max_tokens": 4 }), "max_tokens"),
        (json!({ "prompt": [256] }), "prompt"),
        (json!({ "prompt": [1, "a"] }), "prompt"),
        (json!({ "prompt": "a".repeat(65) }), "prompt"),
        (json!({ "temperature": -1 }), "temperature"),
        (json!({ "temperature": "hot" }), "temperature"),
        (json!({ "top_p": 2 }), "top_p"),
        (json!({ "stop": "" }), "stop"),
        (json!({ "stop": 5 }), "stop"),
        (json!({ "logprobs": 50 }), "logprobs"),
        (json!({ "presence_penalty": 1 }), "presence_penalty"),
        (json!({ "frequency_penalty": 1 }), "frequency_penalty"),
        (json!({ "logit_bias": { "5": 1 } }), "logit_bias"),
        (json!({ "suffix": "end" }), "suffix"),
        (json!({ "best_of": 3 }), "best_of"),
        (json!({ "truncate_prompt_tokens": 0 }), "truncate_prompt_tokens"),
        (json!({ "stream_options": { "include_usage": 1 } }), "stream_options.include_usage"),
        (json!({ "temperatur": 0 }), "temperatur"),
    ];
    for (change, param) in cases {
        let answer = shop.ask(&request(change.clone()));
        assert_eq!(answer.json()["error"]["param"], param, "{change}: {}", answer.body);
    }
    assert!(shop.ask(&post("{\"model\":")).json()["error"]["param"].is_null());
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
    for path in
        ["/v1/models/exp%2Fseed=1", "/v1/models/exp/seed=1", "/v1/models/exp%2Fseed%3D1", "/v1/models/exp"]
    {
        let model = shop.ask(&get(path)).json();
        assert_eq!(
            (&model["id"], &model["object"]),
            (&json!("exp/seed=1"), &json!("model")),
            "{path}: {model}"
        );
    }
    let missing = shop.ask(&get("/v1/models/exp%2Fseed=2"));
    assert_eq!((missing.status, missing.error().1.as_str()), (404, "model_not_found"));
    for request in
        [get("/v1/chat/completions"), post("{}").replace("/v1/completions", "/v1/chat/completions")]
    {
        let chat = shop.ask(&request);
        assert_eq!((chat.status, chat.error().1.as_str()), (404, "not_found"));
        assert!(chat.error().0.contains("/v1/completions"), "{}", chat.body);
    }
    assert!(shop.ask(&get("/metrics")).body.ends_with("# EOF\n"));
}

#[test]
fn an_experiments_name_is_enough_where_it_means_one_run() {
    let shop = Shop::open(Limits::default());
    assert_eq!(shop.ask(&request(json!({ "model": "exp" }))).json()["model"], "exp/seed=1");
    for unknown in ["ex", "exp/", "exp/seed", "seed=1", "", "small/"] {
        let answer = shop.ask(&request(json!({ "model": unknown })));
        assert_eq!((answer.status, answer.error().1.as_str()), (404, "model_not_found"), "{unknown}");
    }
}

#[test]
fn what_a_model_does_not_see_of_a_text_is_said() {
    let shop = Shop::open(Limits::default());
    let last = "b".repeat(64);
    let long = format!("{}{last}", "a".repeat(36));
    let cut = shop
        .ask(&request(json!({ "prompt": long, "truncate_prompt_tokens": -1, "max_tokens": 1, "echo": true })))
        .json();
    let alone = shop.ask(&request(json!({ "prompt": last, "max_tokens": 1, "echo": true }))).json();
    assert_eq!(cut["choices"][0]["text"], alone["choices"][0]["text"]);
    let usage = json!({
        "prompt_tokens": 64, "completion_tokens": 1, "total_tokens": 65, "prompt_tokens_details": { "truncated_tokens": 36 }
    });
    assert_eq!(cut["usage"], usage);
    assert!(cut["choices"][0]["runner"]["remark"].as_str().unwrap().contains("first 36 tokens"), "{cut}");
    assert_eq!(alone["choices"][0].get("runner"), None);
    let beyond = request(json!({ "max_tokens": 100 }));
    let whole = shop.ask(&beyond).json();
    assert!(
        whole["choices"][0]["runner"]["remark"].as_str().unwrap().contains("outgrew the 64 tokens"),
        "{whole}"
    );
    let streamed = shop.ask(&request(json!({ "max_tokens": 100, "stream": true }))).events();
    let remarks: Vec<_> = streamed.iter().filter_map(|event| event["choices"][0].get("runner")).collect();
    assert_eq!(remarks, [&whole["choices"][0]["runner"]]);
}

#[test]
fn prompts_are_scored_as_openai_scores_them() {
    let shop = Shop::open(Limits::default());
    let model = model();
    // As lm-eval asks: token ids, many at a time, of different lengths.
    let prompts: Vec<Vec<u32>> =
        (1..40u32).map(|len| (0..len).map(|i| (i * 37 + len) % 256).collect()).collect();
    let asked = json!({
        "prompt": prompts, "max_tokens": 1, "echo": true, "logprobs": 1, "temperature": 0
    });
    let whole = shop.ask(&request(asked.clone()));
    assert_eq!(whole.status, 200, "{}", whole.body);
    let whole = whole.json();
    let scored: usize = prompts.iter().map(Vec::len).sum();
    assert_eq!(whole["usage"]["prompt_tokens"], scored);
    for (choice, prompt) in whole["choices"].as_array().unwrap().iter().zip(&prompts) {
        let logprobs = &choice["logprobs"];
        for key in ["tokens", "token_logprobs", "top_logprobs", "text_offset"] {
            assert_eq!(logprobs[key].as_array().unwrap().len(), prompt.len() + 1, "{key}");
        }
        assert!(logprobs["token_logprobs"][0].is_null() && logprobs["top_logprobs"][0].is_null());
        let mut cache = Cache::try_new(model.decoder.model(), 64).unwrap();
        let logits = model.decoder.all_logits(Feed { cache: &mut cache, tokens: prompt }).unwrap();
        for (i, (row, &token)) in logits.chunks_exact(256).zip(&prompt[1..]).enumerate() {
            let total = row.iter().map(|&x| f64::from(x).exp()).sum::<f64>().ln();
            let found = logprobs["token_logprobs"][i + 1].as_f64().unwrap();
            assert!((found - (f64::from(row[token as usize]) - total)).abs() < 1e-4, "{found}");
            let best = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let top = logprobs["top_logprobs"][i + 1].as_object().unwrap();
            let top = top.values().next().unwrap().as_f64().unwrap();
            assert!((top - (f64::from(best) - total)).abs() < 1e-4);
            // lm-eval compares these for equality.
            assert_eq!(found == top, row[token as usize] == best);
        }
        let text = choice["text"].as_str().unwrap();
        assert!(text.starts_with(
            &String::from_utf8_lossy(&prompt.iter().map(|&id| id as u8).collect::<Vec<_>>()).into_owned()
        ));
    }
    // Without a token after them, and streamed, the same is said.
    let none =
        shop.ask(&request(json!({ "prompt": prompts, "max_tokens": 0, "echo": true, "logprobs": 1 }))).json();
    assert_eq!(none["usage"]["completion_tokens"], 0);
    for (without, with) in
        none["choices"].as_array().unwrap().iter().zip(whole["choices"].as_array().unwrap())
    {
        let all = with["logprobs"]["token_logprobs"].as_array().unwrap();
        assert_eq!(without["logprobs"]["token_logprobs"].as_array().unwrap(), &all[..all.len() - 1]);
        assert_eq!(without["finish_reason"], "length");
    }
    let mut streamed = asked;
    streamed["stream"] = json!(true);
    let events = shop.ask(&request(streamed)).events();
    for (index, choice) in whole["choices"].as_array().unwrap().iter().enumerate() {
        let parts = events.iter().filter(|event| event["choices"][0]["index"] == index);
        let parts: Vec<&Value> = parts.map(|event| &event["choices"][0]).collect();
        let text: String = parts.iter().map(|part| part["text"].as_str().unwrap()).collect();
        assert_eq!(choice["text"], text);
        for key in ["tokens", "token_logprobs", "text_offset"] {
            let all: Vec<Value> =
                parts.iter().filter_map(|part| part["logprobs"][key].as_array()).flatten().cloned().collect();
            assert_eq!(choice["logprobs"][key], json!(all), "{key}");
        }
    }
}

#[test]
fn a_scored_prompt_stands_before_each_of_its_samples() {
    let shop = Shop::open(Limits::default());
    let prompt = "caf\u{e9}: \u{1f642}!";
    let answer = shop
        .ask(&request(json!({ "prompt": prompt, "n": 3, "echo": true, "logprobs": 2, "max_tokens": 5 })))
        .json();
    for choice in answer["choices"].as_array().unwrap() {
        let logprobs = &choice["logprobs"];
        assert_eq!(logprobs["tokens"].as_array().unwrap().len(), prompt.len() + 5);
        assert_eq!(text_of(&logprobs["tokens"]), choice["text"].as_str().unwrap());
        // Of a character of several tokens, each has the place of the character.
        let offsets: Vec<u64> =
            logprobs["text_offset"].as_array().unwrap().iter().map(|x| x.as_u64().unwrap()).collect();
        assert_eq!(offsets[..13], [0, 1, 2, 3, 3, 4, 5, 6, 6, 6, 6, 7, 8]);
    }
}

#[test]
fn many_prompts_have_a_text_each_and_no_more_tokens_than_few() {
    let limits = Limits { samples: 2, prompts: 5, new_tokens: 50, ..Limits::default() };
    let shop = Shop::open(limits);
    let ask = |prompts: usize, n: usize, max_tokens: usize| {
        shop.ask(&request(json!({ "prompt": vec!["a"; prompts], "n": n, "max_tokens": max_tokens })))
    };
    assert_eq!(ask(5, 1, 20).json()["choices"].as_array().unwrap().len(), 5);
    assert!(ask(6, 1, 1).error().0.contains("at most 5"));
    assert!(ask(2, 2, 1).error().0.contains("at most 2"));
    assert!(ask(5, 1, 21).error().0.contains("more than the 100 tokens"));
}
