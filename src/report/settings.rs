//! Values of a run's resolved configuration, for reports.

use toml::{Table, Value};

use crate::units;

/// The value of a dotted key.
pub fn value<'a>(config: &'a Table, key: &str) -> Option<&'a Value> {
    let (table, leaf) = match key.rsplit_once('.') {
        Some((sections, leaf)) => {
            let mut table = config;
            for section in sections.split('.') {
                table = table.get(section)?.as_table()?;
            }
            (table, leaf)
        }
        None => (config, key),
    };
    table.get(leaf)
}

/// The value of a dotted key as text; `-` when it is not there.
pub fn text(config: &Table, key: &str) -> String {
    value(config, key).map_or_else(|| units::MISSING.to_owned(), display)
}

/// The value of a dotted key as a number, whole or not.
pub fn number(config: &Table, key: &str) -> Option<f64> {
    match value(config, key)? {
        Value::Integer(whole) => Some(*whole as f64),
        Value::Float(number) => Some(*number),
        _ => None,
    }
}

/// Every leaf by its dotted key, in the order of the file.
pub fn flatten(config: &Table) -> Vec<(String, Value)> {
    fn descend(prefix: &str, table: &Table, leaves: &mut Vec<(String, Value)>) {
        for (name, value) in table {
            let key = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
            match value {
                Value::Table(inner) => descend(&key, inner, leaves),
                leaf => leaves.push((key, leaf.clone())),
            }
        }
    }
    let mut leaves = Vec::new();
    descend("", config, &mut leaves);
    leaves
}

/// A value as a person would write it, without the quotes of a string.
pub fn display(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Float(number) => units::number(*number),
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(item).collect();
            format!("[{}]", items.join(", "))
        }
        other => other.to_string(),
    }
}

/// [`display`] of a value as it is written in TOML.
pub fn display_written(toml: &str) -> String {
    let table = format!("value = {toml}").parse::<Table>();
    table.ok().as_ref().and_then(|table| table.get("value")).map_or_else(|| toml.to_owned(), display)
}

/// TOML would write a string with a line break over several lines, which no table has room for.
fn item(value: &Value) -> String {
    match value {
        Value::String(text) => format!("{text:?}"),
        other => display(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_found_by_their_dotted_names() {
        let config: Table = "top = 1\n[a]\nb = 3e-4\n[a.c]\nd = \"x\"\ne = [1, 2]\n".parse().unwrap();
        assert_eq!(text(&config, "a.b"), "3e-4");
        assert_eq!(text(&config, "a.c.d"), "x");
        assert_eq!(text(&config, "a.c.missing"), "-");
        assert_eq!(text(&config, "top.b"), "-");
        assert_eq!(number(&config, "top"), Some(1.0));
        let leaves = flatten(&config);
        let keys: Vec<&str> = leaves.iter().map(|(key, _)| key.as_str()).collect();
        assert_eq!(keys, ["top", "a.b", "a.c.d", "a.c.e"]);
        assert_eq!(display(&leaves[3].1), "[1, 2]");
        assert_eq!(display_written("\"x y\""), "x y");
        assert_eq!(display_written("0.0003"), "3e-4");
        assert_eq!(display_written("no value"), "no value");
        // Prompts in a comparison's table.
        assert_eq!(display(&Value::from(vec!["\n", "a"])), r#"["\n", "a"]"#);
    }
}
