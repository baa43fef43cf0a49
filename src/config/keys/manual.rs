//! The rows read as the manual that they are: each key's default and prose.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use toml::Value;
use toml::de::DeValue;

use super::schema::{self, KEYS, Key};
use super::value::plain;

/// The defaults as values, by dotted key.
#[derive(Debug)]
pub(in crate::config) struct Manual {
    defaults: BTreeMap<&'static str, Value>,
}

impl Manual {
    /// That of the rows.
    pub fn get() -> &'static Manual {
        static MANUAL: OnceLock<Manual> = OnceLock::new();
        MANUAL.get_or_init(|| {
            // A default that is none is found by the tests below: no user can meet it.
            let value = |key: &Key| plain(DeValue::parse(key.default).ok()?.get_ref()).ok();
            Manual { defaults: KEYS.iter().filter_map(|key| Some((key.name, value(key)?))).collect() }
        })
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
    pub fn prose(&self, name: &str) -> &'static str {
        schema::key(name).map(|key| key.prose).or_else(|| schema::about(name)).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::super::read::kept;
    use super::super::schema::{DEFAULTS, Kind, SECTIONS, key, keys_of};
    use super::*;

    /// Set when this test runs, it has the file written anew from the rows.
    const WRITE: &str = "RUNNER_WRITE_DEFAULTS";

    #[test]
    fn the_file_of_defaults_is_what_the_rows_say() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/config/defaults.toml");
        if std::env::var_os(WRITE).is_some() {
            std::fs::write(path, DEFAULTS).expect("writable");
        }
        let file = std::fs::read_to_string(path).expect("readable");
        assert!(
            file == DEFAULTS,
            "defaults.toml is made from the rows in src/config/keys/rows: change them, then run this test with {WRITE}=1"
        );
    }

    #[test]
    fn the_text_of_the_defaults_reads_back_as_the_table_of_keys() {
        let table: toml::Table = DEFAULTS.parse().expect("valid TOML");
        assert_eq!(table.keys().collect::<Vec<_>>(), SECTIONS);
        for (section, content) in &table {
            let read: Vec<_> = content.as_table().expect("a section").iter().collect();
            let rows: Vec<_> = keys_of(section)
                .map(|key| (key.leaf, Manual::get().default_of(key.name).expect(key.name)))
                .collect();
            assert_eq!(
                read.iter().map(|(leaf, value)| (leaf.as_str(), *value)).collect::<Vec<_>>(),
                rows,
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
            assert!(key.prose.ends_with(&format!(" {word}: {meaning}.")), "{}: {}", key.name, key.prose);
        }
        assert!(key("train.max_steps").is_some_and(|key| key.zero.is_none()));
    }
}
