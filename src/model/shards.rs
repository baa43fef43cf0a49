//! The bytes of a model's weights: of one file, or of several that an index names.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::foreign::Foreign;
use super::tensor_file::TensorFileError;
use crate::files::plain;

/// The index of weights that lie in several files.
pub const INDEX_FILE: &str = "model.safetensors.index.json";

/// What Hugging Face's libraries write into an index.
#[derive(Deserialize)]
struct Index {
    /// The file of each tensor.
    weight_map: BTreeMap<String, String>,
}

/// Weights in memory, not yet looked at.
pub struct WeightBytes {
    /// With the name of the file, where there are several.
    pub(super) files: Vec<(Option<String>, Vec<u8>)>,
    /// Where an index says that the tensors are: number of the file.
    pub(super) places: BTreeMap<String, usize>,
}

impl WeightBytes {
    /// Reads a file of weights, or all the files that the index at `path` names.
    ///
    /// # Errors
    /// When one cannot be read, and when this is no index.
    pub fn read(path: &Path) -> Result<Self, TensorFileError> {
        if !is_index(path) {
            return Ok(Self::from(plain::read(path)?));
        }
        let map = weight_map(path)?;
        let mut files = Vec::new();
        for (name, file) in shards(path, &map)? {
            let bytes = plain::read(&file).map_err(|source| match source.kind() {
                std::io::ErrorKind::NotFound => TensorFileError::MissingShard { shard: name.clone() },
                _ => TensorFileError::Shard { shard: name.clone(), source: Box::new(source.into()) },
            })?;
            files.push((Some(name), bytes));
        }
        let place = |shard: &String| files.iter().position(|(name, _)| name.as_ref() == Some(shard));
        let places = map.iter().filter_map(|(tensor, shard)| Some((tensor.clone(), place(shard)?))).collect();
        Ok(Self { files, places })
    }
}

impl From<Vec<u8>> for WeightBytes {
    fn from(bytes: Vec<u8>) -> Self {
        Self { files: vec![(None, bytes)], places: BTreeMap::new() }
    }
}

/// The files that weights at `path` consist of.
///
/// # Errors
/// As [`WeightBytes::read`], but for the files themselves, which are not opened.
pub fn files_of(path: &Path) -> Result<Vec<PathBuf>, TensorFileError> {
    if !is_index(path) {
        return Ok(vec![path.to_owned()]);
    }
    let shards = shards(path, &weight_map(path)?)?;
    Ok([path.to_owned()].into_iter().chain(shards.into_values()).collect())
}

fn is_index(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().ends_with(".safetensors.index.json"))
}

fn weight_map(path: &Path) -> Result<BTreeMap<String, String>, TensorFileError> {
    let json = plain::read(path)?;
    let index: Index = serde_json::from_slice(&json).map_err(|error| match Foreign::of(&json) {
        Some(foreign) => TensorFileError::Foreign(foreign),
        None => TensorFileError::Index { reason: error.to_string() },
    })?;
    if index.weight_map.is_empty() {
        return Err(TensorFileError::Index { reason: "its `weight_map` names no tensors".to_owned() });
    }
    Ok(index.weight_map)
}

/// The files of the shards, which lie beside the index, in the order of their names.
fn shards(
    index: &Path,
    map: &BTreeMap<String, String>,
) -> Result<BTreeMap<String, PathBuf>, TensorFileError> {
    let folder = index.parent().unwrap_or(Path::new(""));
    let mut shards = BTreeMap::new();
    for shard in map.values() {
        let is_beside = Path::new(shard).file_name().is_some_and(|name| name == shard.as_str())
            && !shard.contains(['/', '\\']);
        if !is_beside {
            return Err(TensorFileError::ShardElsewhere { shard: shard.clone() });
        }
        shards.entry(shard.clone()).or_insert_with(|| folder.join(shard));
    }
    Ok(shards)
}
