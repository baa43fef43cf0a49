//! What others read: `runner explain` and the JSON Schema.

use serde_json::{Value, json};

use super::super::schema::{KEYS, SECTIONS};
use super::super::{explain, explain_all, json_schema};

#[test]
fn a_key_is_explained_with_range_default_and_foreign_names() {
    let text = explain("optimizer.learning_rate").expect("a key");
    for part in [
        "optimizer.learning_rate\n",
        "Peak learning rate",
        "a number above 0",
        "0.0003",
        "same in   nanoGPT, Hugging Face",
        "lr (PyTorch)",
    ] {
        assert!(text.contains(part), "`{part}` is not in:\n{text}");
    }
    assert_eq!(explain("learning_rate").expect("a leaf"), text);
    let clip = explain("grad_clip").expect("a leaf");
    assert_eq!(clip.matches("no clipping").count(), 1, "{clip}");
    let foreign = explain("lr").expect("a foreign name");
    assert!(foreign.starts_with("lr (PyTorch)\nHere it is called optimizer.learning_rate.\n"), "{foreign}");
    assert!(explain("training_args.warmup_ratio").expect("foreign").contains("a share of all steps there"));
    assert!(explain("fp16").expect("foreign").contains("\"f16\" on a GPU"));
    let muon = explain("muon").expect("a value");
    assert!(muon.starts_with("muon is a value of optimizer.kind.\n"), "{muon}");
    assert!(muon.contains("reads     learning_rate, beta1, beta2, eps, momentum, weight_decay"), "{muon}");
    assert!(
        muon.contains("usual     momentum = 0.95, learning_rate = 0.02, adamw_learning_rate = 0.003"),
        "{muon}"
    );
    let sgd = explain("sgd").expect("a value");
    assert!(
        sgd.contains("momentum")
            && !sgd.contains("usual  ")
            && !sgd.contains("reads     learning_rate, beta1")
    );
    assert!(explain("linear").expect("a value").starts_with("linear is a value of schedule.kind."));
    assert!(explain("num_workers").expect("foreign").contains("There is no such key"));
}

#[test]
fn a_shared_leaf_explains_each_key_and_a_section_lists_its_keys() {
    let kind = explain("kind").expect("a leaf");
    assert!(kind.contains("optimizer.kind\n") && kind.contains("schedule.kind\n"), "{kind}");
    let section = explain("target").expect("a section");
    assert!(
        section.contains("  metric = \"train_loss\"") && section.contains("  threshold = 0.0"),
        "{section}"
    );
    assert!(explain("sweep.zip").expect("structure").contains("[[sweep.zip]]"));
}

#[test]
fn an_unknown_name_is_answered_with_the_nearest() {
    let error = explain("optimizer.lerning_rate").expect_err("no such key").to_string();
    assert!(error.contains("did you mean `optimizer.learning_rate`?"), "{error}");
}

#[test]
fn the_list_of_all_keys_is_complete_and_fits_a_terminal() {
    let all = explain_all();
    for key in KEYS {
        assert!(all.contains(&format!("  {} = ", key.leaf)), "{}", key.name);
    }
    assert!(all.lines().all(|line| line.chars().count() <= 100), "{all}");
}

/// Whether a value fits a schema, for the keywords that ours uses.
fn fits(value: &Value, schema: &Value) -> bool {
    let kinds: Vec<&str> = match &schema["type"] {
        Value::String(kind) => vec![kind],
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    let is = |kind: &str| match kind {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        other => panic!("unknown type {other}"),
    };
    let number = value.as_f64().unwrap_or(0.0);
    let bound = |name: &str, holds: fn(f64, f64) -> bool| {
        schema[name].as_f64().is_none_or(|bound| holds(number, bound))
    };
    let in_range = bound("minimum", |n, b| n >= b)
        && bound("maximum", |n, b| n <= b)
        && bound("exclusiveMinimum", |n, b| n > b)
        && bound("exclusiveMaximum", |n, b| n < b);
    let in_words = schema["enum"].as_array().is_none_or(|words| words.contains(value));
    let one = schema["oneOf"]
        .as_array()
        .is_none_or(|all| all.iter().filter(|schema| fits(value, schema)).count() == 1);
    let members = value.as_object().is_none_or(|members| {
        members
            .iter()
            .all(|(name, member)| schema["properties"].get(name).is_some_and(|schema| fits(member, schema)))
    });
    let items = value.as_array().is_none_or(|items| match &schema["items"] {
        Value::Array(schemas) => items.iter().zip(schemas).all(|(item, schema)| fits(item, schema)),
        Value::Object(_) => items.iter().all(|item| fits(item, &schema["items"])),
        _ => true,
    });
    (kinds.is_empty() || kinds.into_iter().any(is)) && in_range && in_words && one && members && items
}

fn json_of(text: &str) -> Value {
    serde_json::to_value(text.parse::<toml::Table>().expect("TOML")).expect("JSON")
}

#[test]
fn the_schema_accepts_the_defaults_and_the_checked_in_experiments() {
    let schema = json_schema();
    assert!(fits(&json_of(super::super::DEFAULTS), &schema));
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("experiments");
    for name in ["quickstart", "shakespeare-124m", "shakespeare-mini", "learning-rate-sweep"] {
        let text = std::fs::read_to_string(folder.join(name).with_extension("toml")).expect("readable");
        assert!(fits(&json_of(&text), &schema), "{name}");
    }
    let swept = "extends = [\"a.toml\"]\n[sweep.grid]\nmodel.n_layer = [1]\n[[sweep.zip]]\ntrain.max_time = [\"1h\", 5]\n";
    assert!(fits(&json_of(swept), &schema));
}

#[test]
fn the_schema_rejects_what_loading_rejects() {
    let schema = json_schema();
    for text in [
        "[optimizer]\nlr = 1.0",
        "[optimizer]\nbeta1 = 1.0",
        "[optimizer]\nlearning_rate = 0",
        "[optimizer]\nlearning_rate = [1.0]",
        "[schedule]\nkind = \"wsd\"",
        "[model]\nn_layer = 1.5",
        "[train]\nmax_steps = 0",
        "[sweep.grid]\nexperiment.name = [\"x\"]",
        "[sweep.grid]\nmodel.n_layer = 1",
        "extends = 1",
        "lr = 1",
    ] {
        assert!(!fits(&json_of(text), &schema), "{text}");
        super::errors(text);
    }
}

#[test]
fn the_schema_describes_every_section_and_key() {
    let schema = json_schema();
    assert_eq!(schema["$schema"], json!("http://json-schema.org/draft-07/schema#"));
    assert_eq!(schema["additionalProperties"], json!(false));
    for section in SECTIONS {
        assert_eq!(schema["properties"][section]["additionalProperties"], json!(false), "{section}");
    }
    for key in KEYS {
        let property = &schema["properties"][key.section]["properties"][key.leaf];
        assert!(property["description"].as_str().is_some_and(|text| text.len() > 10), "{}", key.name);
        assert!(property.get("default").is_some(), "{}", key.name);
    }
}
