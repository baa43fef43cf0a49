//! `defaults.toml` read as the manual it is: each key's default and the comment above it.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use toml::Value;
use toml::de::DeTable;

use super::schema::{KEYS, Key};
use super::value::plain;

/// The text of `defaults.toml`.
pub const DEFAULTS: &str = include_str!("../defaults.toml");

/// Defaults and prose, by dotted key; sections by name.
#[derive(Debug)]
pub(in crate::config) struct Manual {
    defaults: BTreeMap<String, Value>,
    prose: BTreeMap<String, String>,
}

impl Manual {
    /// The embedded manual.
    pub fn get() -> &'static Manual {
        static MANUAL: OnceLock<Manual> = OnceLock::new();
        MANUAL.get_or_init(|| Manual::read(DEFAULTS))
    }

    /// Reads the manual. What does not fit the table of keys is found by the tests below: the text is embedded, so no
    /// user can meet it.
    fn read(text: &str) -> Manual {
        let mut manual = Manual { defaults: BTreeMap::new(), prose: BTreeMap::new() };
        let (table, _) = DeTable::parse_recoverable(text);
        for (section, content) in table.get_ref() {
            let name = section.get_ref().to_string();
            manual.prose.insert(name.clone(), comment_above(text, section.span().start));
            let Some(keys) = content.get_ref().as_table() else { continue };
            for (leaf, value) in keys {
                let dotted = format!("{name}.{}", leaf.get_ref());
                manual.prose.insert(dotted.clone(), comment_above(text, leaf.span().start));
                if let Ok(value) = plain(value.get_ref()) {
                    manual.defaults.insert(dotted, value);
                }
            }
        }
        manual
    }

    /// Each key with its default.
    pub fn defaults(&self) -> impl Iterator<Item = (&'static Key, &Value)> {
        KEYS.iter().filter_map(|key| Some((key, self.defaults.get(key.name)?)))
    }

    /// The default of a key.
    pub fn default_of(&self, name: &str) -> Option<&Value> {
        self.defaults.get(name)
    }

    /// What a key or a section means, as one paragraph.
    pub fn prose(&self, name: &str) -> &str {
        self.prose.get(name).map_or("", String::as_str)
    }
}

/// The block of `#` lines that ends just above the line with this byte, as running text.
fn comment_above(text: &str, byte: usize) -> String {
    let above = text[..byte].rsplit_once('\n').map_or("", |(above, _)| above);
    let mut lines: Vec<&str> =
        above.lines().rev().map_while(|line| line.strip_prefix('#')).map(str::trim).collect();
    lines.reverse();
    lines.join(" ")
}

#[cfg(test)]
mod tests {
    use super::super::read::kept;
    use super::super::schema::{Kind, SECTIONS, key, keys_of};
    use super::*;

    #[test]
    fn defaults_and_key_table_name_the_same_keys_in_the_same_order() {
        let table: toml::Table = DEFAULTS.parse().expect("valid TOML");
        assert_eq!(table.keys().collect::<Vec<_>>(), SECTIONS);
        for (section, content) in &table {
            let leaves: Vec<&str> = keys_of(section).map(|key| key.leaf).collect();
            assert_eq!(
                content.as_table().expect("a section").keys().collect::<Vec<_>>(),
                leaves,
                "{section}"
            );
        }
    }

    #[test]
    fn every_key_and_section_has_prose_and_a_default_that_fits() {
        let manual = Manual::get();
        for name in SECTIONS {
            assert!(manual.prose(name).ends_with(['.', ':']), "[{name}]: {}", manual.prose(name));
        }
        for key in KEYS {
            assert!(manual.prose(key.name).ends_with('.'), "{}: {}", key.name, manual.prose(key.name));
            let default = manual.default_of(key.name).expect(key.name);
            let kept = kept(key, default.clone()).expect(key.name);
            assert_eq!(&kept, default, "{} has its default in another form", key.name);
        }
    }

    #[test]
    fn what_zero_stands_for_ends_the_prose_of_each_key_where_it_is_no_ordinary_value() {
        for (key, meaning) in KEYS.iter().filter_map(|key| Some((key, key.zero?))) {
            let (zero, word) = match key.kind {
                Kind::Integer { .. } | Kind::Number { .. } | Kind::Duration => (Value::Integer(0), "0"),
                _ => (Value::String(String::new()), "Empty"),
            };
            assert!(kept(key, zero).is_some(), "{}", key.name);
            let prose = Manual::get().prose(key.name);
            assert!(prose.ends_with(&format!(" {word}: {meaning}.")), "{}: {prose}", key.name);
        }
        for key in KEYS.iter().filter(|key| key.zero.is_none()) {
            let prose = Manual::get().prose(key.name);
            assert!(!prose.contains(" 0: ") && !prose.contains("Empty: "), "{}: {prose}", key.name);
        }
        assert!(key("train.max_steps").is_some_and(|key| key.zero.is_none()));
    }
}
