//! The JSON Schema (draft-07, as taplo and editors read it) of an experiment file.

use std::ops::Bound::{Excluded, Included, Unbounded};

use serde_json::{Map, Value, json};

use super::manual::Manual;
use super::schema::{Key, Kind, SECTIONS, keys_of};

/// The schema of an experiment file, with descriptions, ranges and defaults.
pub fn json_schema() -> Value {
    let manual = Manual::get();
    let mut properties = Map::new();
    properties.insert("extends".into(), extends());
    for section in SECTIONS {
        let keys: Map<String, Value> = keys_of(section).map(|key| (key.leaf.into(), property(key))).collect();
        properties.insert((*section).into(), object(manual.prose(section), keys));
    }
    properties.insert("sweep".into(), sweep());
    let mut schema = object("An experiment of `runner`: one run, or a sweep of runs.", properties);
    if let Some(schema) = schema.as_object_mut() {
        schema.insert("$schema".into(), json!("http://json-schema.org/draft-07/schema#"));
        schema.insert("title".into(), json!("runner experiment"));
    }
    schema
}

fn object(description: &str, properties: Map<String, Value>) -> Value {
    json!({ "type": "object", "description": description, "additionalProperties": false, "properties": properties })
}

fn extends() -> Value {
    json!({
        "description": "Experiment files whose values apply where this file sets none, relative to this file.",
        "oneOf": [
            { "type": "string", "minLength": 1 },
            { "type": "array", "items": { "type": "string", "minLength": 1 } }
        ]
    })
}

fn sweep() -> Value {
    let mut sections = Map::new();
    for section in SECTIONS {
        let keys: Map<String, Value> = keys_of(section)
            .filter(|key| key.can_be_swept())
            .map(|key| (key.leaf.into(), axis(key)))
            .collect();
        if !keys.is_empty() {
            sections.insert((*section).into(), object(&format!("Keys of [{section}] to vary."), keys));
        }
    }
    let mut properties = Map::new();
    let grid = "Lists of values per key: every combination is trained.";
    properties.insert("grid".into(), object(grid, sections.clone()));
    let zip = "Lists of values that go together, all of one length.";
    properties
        .insert("zip".into(), json!({ "type": "array", "description": zip, "items": object(zip, sections) }));
    object("Several runs from one file.", properties)
}

/// The list of values of a swept key.
fn axis(key: &Key) -> Value {
    json!({
        "type": "array",
        "description": Manual::get().prose(key.name),
        "minItems": 1,
        "items": Value::Object(kind(&key.kind))
    })
}

fn property(key: &Key) -> Value {
    let manual = Manual::get();
    let mut property = kind(&key.kind);
    property.insert("description".into(), json!(manual.prose(key.name)));
    if let Some(default) = manual.default_of(key.name).and_then(|default| serde_json::to_value(default).ok())
    {
        property.insert("default".into(), default);
    }
    Value::Object(property)
}

/// Type and range of a kind.
fn kind(kind: &Kind) -> Map<String, Value> {
    let schema = match kind {
        Kind::Integer { min, max } => json!({ "type": "integer", "minimum": min, "maximum": max }),
        Kind::Number { low, high } => {
            let mut schema = json!({ "type": "number" });
            match low {
                Included(low) => schema["minimum"] = json!(low),
                Excluded(low) => schema["exclusiveMinimum"] = json!(low),
                Unbounded => {}
            }
            match high {
                Included(high) => schema["maximum"] = json!(high),
                Excluded(high) => schema["exclusiveMaximum"] = json!(high),
                Unbounded => {}
            }
            schema
        }
        Kind::Switch => json!({ "type": "boolean" }),
        Kind::Text | Kind::Path => json!({ "type": "string" }),
        Kind::Paths => {
            json!({ "anyOf": [{ "type": "string" }, { "type": "array", "items": { "type": "string", "minLength": 1 }, "minItems": 1 }] })
        }
        Kind::Weights => json!({ "type": "array", "items": { "type": "number", "exclusiveMinimum": 0 } }),
        Kind::Name => {
            json!({ "type": "string", "maxLength": 100, "pattern": "^([A-Za-z0-9_]([A-Za-z0-9._-]*[A-Za-z0-9_-])?)?$" })
        }
        Kind::RunName => {
            json!({ "type": "string", "maxLength": 120, "pattern": "^([A-Za-z0-9_=,+]([A-Za-z0-9._=,+-]*[A-Za-z0-9_=,+-])?)?$" })
        }
        Kind::Choice(words) => json!({ "type": "string", "enum": words }),
        Kind::Duration => json!({ "type": ["string", "number"], "examples": ["90m", "1h 30m"] }),
        Kind::Device => {
            json!({ "type": "string", "pattern": "^(auto|cpu|cuda|cuda:[0-9]+|scripted)$", "examples": ["auto", "cpu", "cuda", "cuda:1"] })
        }
        Kind::Requirements => json!({
            "type": "array",
            "items": { "type": "string", "pattern": "^(cuda|init_from|min_memory_gb *= *[0-9.]+)$", "examples": ["cuda", "min_memory_gb=16"] }
        }),
        Kind::Texts => json!({ "type": "array", "items": { "type": "string" } }),
        Kind::Curve => json!({
            "type": "array",
            "items": {
                "type": "array",
                "items": [{ "type": "integer", "minimum": 0 }, { "type": "number", "minimum": 0 }],
                "minItems": 2,
                "maxItems": 2
            }
        }),
        Kind::Coefficients => {
            let one = json!({ "type": "array", "items": { "type": "number" }, "minItems": 3, "maxItems": 3 });
            json!({ "anyOf": [one, { "type": "array", "items": one, "minItems": 1 }] })
        }
    };
    match schema {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}
