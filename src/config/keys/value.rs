//! TOML values: out of a parsed document, and as one line of text.

use toml::Value;
use toml::de::DeValue;

/// A whole number or a float that no key could hold.
#[derive(Debug)]
pub(in crate::config) struct OutOfRange;

/// The plain value of a parsed one.
pub(in crate::config) fn plain(parsed: &DeValue<'_>) -> Result<Value, OutOfRange> {
    Ok(match parsed {
        DeValue::String(text) => Value::String(text.to_string()),
        DeValue::Integer(number) => {
            Value::Integer(i64::from_str_radix(number.as_str(), number.radix()).map_err(|_| OutOfRange)?)
        }
        DeValue::Float(number) => Value::Float(number.as_str().parse().map_err(|_| OutOfRange)?),
        DeValue::Boolean(switch) => Value::Boolean(*switch),
        DeValue::Datetime(time) => Value::Datetime(*time),
        DeValue::Array(items) => {
            Value::Array(items.iter().map(|item| plain(item.get_ref())).collect::<Result<_, _>>()?)
        }
        DeValue::Table(table) => {
            let entries = table
                .iter()
                .map(|(key, value)| Ok((key.get_ref().to_string(), plain(value.get_ref())?)))
                .collect::<Result<toml::Table, OutOfRange>>()?;
            Value::Table(entries)
        }
    })
}

/// A value as TOML on one line: short floats (`1e-5`, not `0.00001`), no multi-line strings.
pub fn value_text(value: &Value) -> String {
    match value {
        Value::String(text) => quoted(text),
        // Rust's debug form is the shortest that reads back as the same number, and valid TOML, as `nan` and `inf`.
        Value::Float(number) if number.is_nan() => "nan".into(),
        Value::Float(number) => format!("{number:?}"),
        Value::Array(items) => format!("[{}]", items.iter().map(value_text).collect::<Vec<_>>().join(", ")),
        Value::Table(table) => {
            let entries: Vec<String> =
                table.iter().map(|(key, value)| format!("{} = {}", quoted(key), value_text(value))).collect();
            format!("{{ {} }}", entries.join(", "))
        }
        Value::Integer(_) | Value::Boolean(_) | Value::Datetime(_) => value.to_string(),
    }
}

/// What kind of thing a value is, with an article.
pub(in crate::config) fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::String(_) => "a string",
        Value::Integer(_) => "a whole number",
        Value::Float(_) => "a number",
        Value::Boolean(_) => "true or false",
        Value::Datetime(_) => "a date",
        Value::Array(_) => "a list",
        Value::Table(_) => "a table",
    }
}

/// A text of a file as it fits into a message.
pub(in crate::config) fn shortened(text: &str) -> String {
    if text.chars().count() <= 60 {
        text.to_owned()
    } else {
        format!("{}...", text.chars().take(57).collect::<String>())
    }
}

/// Text as a TOML basic string.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            '\r' => quoted.push_str("\\r"),
            c if c.is_control() => quoted.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            any::<String>().prop_map(Value::String),
            any::<i64>().prop_map(Value::Integer),
            any::<f64>().prop_filter("equal to itself", |f| !f.is_nan()).prop_map(Value::Float),
            any::<bool>().prop_map(Value::Boolean),
        ];
        leaf.prop_recursive(2, 8, 4, |inner| proptest::collection::vec(inner, 0..4).prop_map(Value::Array))
    }

    proptest! {
        #[test]
        fn a_values_text_reads_back_as_the_value(value in any_value()) {
            let text = value_text(&value);
            prop_assert!(!text.contains('\n'));
            let parsed = DeValue::parse(&text).expect("valid TOML");
            prop_assert_eq!(plain(parsed.get_ref()).expect("in range"), value);
        }
    }
}
