//! The layers of a configuration and their order of precedence, merged by Figment.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use figment::value::{Dict, Map, Tag};
use figment::{Figment, Metadata, Profile, Provider};
use toml::Value;

use super::Manual;
use super::error::{ConfigError, Place};
use super::provenance::Origin;
use super::schema::{KEYS, Key, Preset, RawPlan, key};
use super::value::value_text;
use crate::facts::Words;
use crate::facts::optimizer::OptimizerKind;

/// One key set to a checked value.
#[derive(Clone, Debug)]
pub(in crate::config) struct Setting {
    pub key: &'static Key,
    pub value: Value,
    pub origin: Origin,
}

/// What one source says. At most one setting per key.
#[derive(Clone, Debug, Default)]
pub(in crate::config) struct Layer {
    settings: BTreeMap<&'static str, Setting>,
}

/// The merged layers.
#[derive(Debug)]
pub(in crate::config) struct Resolved {
    pub raw: RawPlan,
    /// One setting per key, in the order of [`KEYS`], each with the index of its layer: larger is stronger.
    pub settings: Vec<(usize, Setting)>,
}

/// Merges the layers of one sweep point. This is the order of precedence, weakest first:
///
/// 1. `defaults.toml`,
/// 2. what is usual for the optimizer that the others choose,
/// 3. what the file extends, parents before children, and the file itself last,
/// 4. the sweep point,
/// 5. `--set`.
///
/// There is no layer of environment variables: a run should not depend on something that nobody wrote down.
pub(in crate::config) fn resolve(
    files: &[Layer],
    point: &Layer,
    overrides: &Layer,
) -> Result<Resolved, ConfigError> {
    let mut layers = vec![Layer::defaults()];
    layers.extend(files);
    layers.push(point);
    layers.push(overrides);
    let usual = usual(&layers);
    layers.insert(1, &usual);
    merge(&layers)
}

/// What is usual for the optimizer that these layers, weakest first, choose.
fn usual(layers: &[&Layer]) -> Layer {
    let value =
        |name: &str| layers.iter().rev().find_map(|layer| layer.get(name)).map(|setting| &setting.value);
    let text = |leaf: &str| match value(&format!("optimizer.{leaf}")) {
        Some(toml::Value::String(text)) => text.clone(),
        other => other.map_or_else(String::new, value_text),
    };
    let mut usual = Layer::default();
    let Some(optimizer) = OptimizerKind::of_word(&text("kind")) else { return usual };
    let facts = optimizer.facts();
    for (leaf, number) in (facts.usual)(&text) {
        if let Some(key) = key(&format!("optimizer.{leaf}")) {
            let value = toml::Value::Float(*number);
            usual.set(Setting { key, value, origin: Origin::Usual(facts.word) });
        }
    }
    usual
}

fn merge(layers: &[&Layer]) -> Result<Resolved, ConfigError> {
    let provided = layers.iter().enumerate().map(|(index, layer)| Provided { index, layer });
    let figment = provided.fold(Figment::new(), Figment::merge);
    // Every value was checked when it was read, so this fails only if `check` keeps what a key's type does not take.
    let internal = |error: &dyn std::fmt::Display| {
        ConfigError::new(Place::Default, format!("the merged configuration does not fit: {error}"))
    };
    let merged =
        figment.data().map_err(|error| internal(&error))?.remove(&Profile::Default).unwrap_or_default();
    let settings: Vec<(usize, Setting)> = KEYS
        .iter()
        .filter_map(|key| {
            let tag = merged.get(key.section)?.as_dict()?.get(key.leaf)?.tag();
            let index = layer_index(&figment, tag)?;
            Some((index, layers.get(index)?.settings.get(key.name)?.clone()))
        })
        .collect();
    let mut given = settings.iter().map(|(_, setting)| (setting.key.name, setting.value.clone()));
    let raw = RawPlan::read(&mut given).map_err(|key| internal(&format!("`{key}`")))?;
    Ok(Resolved { raw, settings })
}

/// Which layer a merged value came from: Figment keeps the metadata of its provider with each value.
fn layer_index(figment: &Figment, tag: Tag) -> Option<usize> {
    figment.get_metadata(tag)?.name.parse().ok()
}

/// A layer as Figment reads it, named by its index.
struct Provided<'a> {
    index: usize,
    layer: &'a Layer,
}

impl Provider for Provided<'_> {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.index.to_string())
    }

    fn data(&self) -> figment::Result<Map<Profile, Dict>> {
        let mut sections: BTreeMap<&str, Dict> = BTreeMap::new();
        for setting in self.layer.settings.values() {
            let value = figment::value::Value::serialize(&setting.value)?;
            sections.entry(setting.key.section).or_default().insert(setting.key.leaf.into(), value);
        }
        let dict = sections.into_iter().map(|(name, section)| (name.into(), section.into())).collect();
        Ok(Profile::Default.collect(dict))
    }
}

impl Resolved {
    /// The setting of a key, with the index of its layer.
    pub fn setting(&self, name: &str) -> Option<&(usize, Setting)> {
        self.settings.iter().find(|(_, setting)| setting.key.name == name)
    }
}

impl Layer {
    /// The embedded defaults.
    fn defaults() -> &'static Layer {
        static DEFAULTS: OnceLock<Layer> = OnceLock::new();
        DEFAULTS.get_or_init(|| {
            let mut layer = Layer::default();
            for (key, value) in Manual::get().defaults() {
                layer.set(Setting { key, value: value.clone(), origin: Origin::Default });
            }
            layer
        })
    }

    /// Adds a setting; a later one of the same key wins.
    pub fn set(&mut self, setting: Setting) {
        self.settings.insert(setting.key.name, setting);
    }

    pub fn get(&self, name: &str) -> Option<&Setting> {
        self.settings.get(name)
    }

    pub fn contains(&self, name: &str) -> bool {
        self.settings.contains_key(name)
    }

    /// A parent's names are its own: they are not passed on to the files that extend it.
    pub fn forget(&mut self, name: &str) {
        self.settings.remove(name);
    }

    /// Completes a layer that was read: spells out `model.preset`, and lets `data.path` and `data.corpus` replace
    /// each other in weaker layers. Both in one layer is an error.
    pub fn close(&mut self) -> Result<(), ConfigError> {
        self.spell_out_preset();
        let chosen = |name| self.get(name).filter(|setting| setting.value.as_str() != Some(""));
        let other = match (chosen("data.corpus"), chosen("data.path")) {
            (Some(corpus), Some(path)) => {
                return Err(ConfigError::new(
                    path.origin.place(),
                    "`data.path` and `data.corpus` are both given, and only one text can be read",
                )
                .key("data.path")
                .note(format!("`data.corpus` is set at {}", corpus.origin.place().short()))
                .help("remove one of the two"));
            }
            (Some(corpus), None) => ("data.path", corpus.origin.clone()),
            (None, Some(path)) => ("data.corpus", path.origin.clone()),
            (None, None) => return Ok(()),
        };
        // Weights belong to the texts that were listed with them.
        if let Some(key) = key("data.weights").filter(|key| !self.contains(key.name)) {
            self.set(Setting { key, value: Value::Array(Vec::new()), origin: other.1.clone() });
        }
        if let Some(key) = key(other.0) {
            self.set(Setting { key, value: Value::String(String::new()), origin: other.1 });
        }
        Ok(())
    }

    fn spell_out_preset(&mut self) {
        let Some(preset) = self.get("model.preset").cloned() else { return };
        let Some(name) = preset.value.as_str() else { return };
        let Some(sizes) = preset_sizes(name) else { return };
        let origin = Origin::Preset { name: name.into(), place: preset.origin.place() };
        for (name, value) in sizes {
            if let Some(key) = key(name).filter(|key| !self.contains(key.name)) {
                self.set(Setting { key, value, origin: origin.clone() });
            }
        }
    }
}

/// What a preset stands for.
fn preset_sizes(name: &str) -> Option<[(&'static str, Value); 6]> {
    let (n_layer, n_head, n_embd) = Preset::read(name)?.sizes();
    let whole = |size: usize| Value::Integer(size.try_into().unwrap_or(i64::MAX));
    Some([
        ("model.n_layer", whole(n_layer)),
        ("model.n_head", whole(n_head)),
        ("model.n_embd", whole(n_embd)),
        ("model.block_size", Value::Integer(1024)),
        ("model.vocab_size", Value::Integer(50_257)),
        ("model.bias", Value::Boolean(true)),
    ])
}
