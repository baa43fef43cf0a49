//! Named tensors in a safetensors file. Whatever such a file says is checked before it is believed.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use dfdx::prelude::{Dtype, Shape};
use safetensors::tensor::{SafeTensorError, SafeTensors, TensorView, View, serialize_to_file};
use serde_json::Value;

use super::foreign::Foreign;
use super::shards::WeightBytes;
use crate::ops::number;

/// A file of tensors could not be written, or does not hold what it should.
#[derive(Debug, thiserror::Error)]
pub enum TensorFileError {
    #[error("{0}")]
    Io(#[from] std::io::Error),
    #[error("it is not a valid safetensors file, or it was cut short ({0})")]
    Format(SafeTensorError),
    #[error("{0}")]
    Foreign(Foreign),
    #[error("this is no index of weights: {reason}; download it again, or save the model again")]
    Index { reason: String },
    #[error("its shard {shard}: {source}")]
    Shard { shard: String, source: Box<TensorFileError> },
    #[error("it names the shard {shard}, which is not beside it; download that too")]
    MissingShard { shard: String },
    #[error(
        "it names the shard {shard:?}, which is not the name of a file beside it; put all shards into one folder, and their \
             plain names into the index"
    )]
    ShardElsewhere { shard: String },
    #[error(
        "it says that the tensor `{name}` is in {shard}, where it is not; download both again, or save the model again"
    )]
    NotInShard { name: String, shard: String },
    #[error(
        "the tensor `{name}` is there twice ({first} and {second}), and which one is meant is not known; save the model again"
    )]
    Twice { name: String, first: String, second: String },
    #[error(
        "the header's entry `{name}` has a number beyond the end of the file: it was cut short, or its header lies"
    )]
    Beyond { name: String },
    #[error("the tensor `{name}` of shape {expected:?} is missing")]
    Missing { name: String, expected: Vec<usize> },
    #[error(
        "the tensor `{name}` has shape {found:?} where {expected:?} is expected{}",
        turned(expected, found)
    )]
    Shape { name: String, expected: Vec<usize>, found: Vec<usize> },
    #[error("the tensor `{name}` has dtype {found}; F32, F16 and BF16 can be read")]
    Dtype { name: String, found: String },
    #[error(
        "the tensor `wpe.weight` has {found} positions where block_size = {expected} is expected; \
         set model.block_size = {found} to use these weights"
    )]
    BlockSize { expected: usize, found: usize },
    #[error("the tensor `{name}` has no place in this model; do model.n_layer and model.bias fit the file?")]
    Unexpected { name: String },
    #[error("this is no GPT-2: it has no table `{name}`")]
    NotGpt2 { name: String },
    #[error(
        "`lm_head.weight` differs from `wte.weight`: the model has a head of its own, and the one computed here has its token \
         embedding as head. Use this model with transformers; or tie the head there (config.tie_word_embeddings = True, \
         model.tie_weights()), train on, since the old head is then lost, and save again"
    )]
    UntiedHead,
    #[error(
        "the tensor `{name}` holds numbers that are not finite: the training that wrote it had diverged; use an earlier checkpoint, \
         or train again with a lower optimizer.learning_rate"
    )]
    NotFinite { name: String },
    #[error("copying to or from the device: {0}")]
    Device(String),
}

impl TensorFileError {
    /// Whether another file has to be given: this one could be read, and is none that can be used.
    pub fn is_of_the_file(&self) -> bool {
        !matches!(self, Self::Io(_) | Self::Device(_))
    }
}

/// What to add where a matrix lies the other way round.
fn turned(expected: &[usize], found: &[usize]) -> &'static str {
    match (expected, found) {
        (&[a, b], &[c, d]) if a != b && (a, b) == (d, c) => {
            ": it is stored transposed, as torch.nn.Linear and nanoGPT do; transpose the weights of c_attn, c_proj and c_fc, all four of \
             each layer"
        }
        _ => "",
    }
}

/// The tensors of a file, or of several, held in memory.
pub struct TensorFile<'a> {
    tensors: BTreeMap<String, TensorView<'a>>,
}

impl<'a> TensorFile<'a> {
    /// Reads the header of a file's bytes and checks that it describes them.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, TensorFileError> {
        let tensors = check_numbers(bytes)
            .and_then(|()| SafeTensors::deserialize(bytes).map_err(TensorFileError::Format))
            .map_err(|error| Foreign::of(bytes).map_or(error, TensorFileError::Foreign))?;
        Ok(Self { tensors: tensors.tensors().into_iter().collect() })
    }

    /// The tensors of all the files of a model.
    pub fn of(weights: &'a WeightBytes) -> Result<Self, TensorFileError> {
        let mut all = BTreeMap::new();
        // Number of the file that a tensor was found in.
        let mut found: HashMap<String, usize> = HashMap::new();
        let name_of = |file: usize| weights.files[file].0.clone().unwrap_or_default();
        for (number, (shard, bytes)) in weights.files.iter().enumerate() {
            let file = Self::parse(bytes).map_err(|source| match shard {
                Some(shard) => TensorFileError::Shard { shard: shard.clone(), source: Box::new(source) },
                None => source,
            })?;
            for (name, view) in file.tensors {
                if let Some(first) = found.insert(name.clone(), number) {
                    let (first, second) = (name_of(first), name_of(number));
                    return Err(TensorFileError::Twice { name, first, second });
                }
                all.insert(name, view);
            }
        }
        for (name, &place) in &weights.places {
            if found.get(name) != Some(&place) {
                return Err(TensorFileError::NotInShard { name: name.clone(), shard: name_of(place) });
            }
        }
        Ok(Self { tensors: all })
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    /// The tensor of this name, if the file has one, whatever its shape.
    pub fn view(&self, name: &str) -> Option<TensorView<'a>> {
        self.tensors.get(name).cloned()
    }

    /// The tensor of this name, with the expected shape and a dtype that can be read.
    pub fn expect(&self, name: &str, expected: &[usize]) -> Result<TensorView<'a>, TensorFileError> {
        use safetensors::Dtype::{BF16, F16, F32};
        let missing = || TensorFileError::Missing { name: name.to_owned(), expected: expected.to_vec() };
        let view = self.view(name).ok_or_else(missing)?;
        if view.shape() != expected {
            let (expected, found) = (expected.to_vec(), view.shape().to_vec());
            return Err(TensorFileError::Shape { name: name.to_owned(), expected, found });
        }
        if !matches!(view.dtype(), F32 | F16 | BF16) {
            let found = format!("{:?}", view.dtype());
            return Err(TensorFileError::Dtype { name: name.to_owned(), found });
        }
        Ok(view)
    }

    /// As [`TensorFile::expect`], for a tensor that is to be computed with.
    pub fn expect_finite(&self, name: &str, expected: &[usize]) -> Result<TensorView<'a>, TensorFileError> {
        let view = self.expect(name, expected)?;
        if is_finite(&view) { Ok(view) } else { Err(TensorFileError::NotFinite { name: name.to_owned() }) }
    }
}

fn is_finite(view: &TensorView<'_>) -> bool {
    let data = view.data();
    let mut halves = data.as_chunks::<2>().0.iter();
    match view.dtype() {
        safetensors::Dtype::F16 => halves.all(|b| half::f16::from_le_bytes(*b).is_finite()),
        safetensors::Dtype::BF16 => halves.all(|b| half::bf16::from_le_bytes(*b).is_finite()),
        _ => are_finite(data),
    }
}

/// Whether these little-endian f32 are.
fn are_finite(bytes: &[u8]) -> bool {
    bytes.as_chunks::<4>().0.iter().all(|b| f32::from_le_bytes(*b).is_finite())
}

/// Refuses sizes and offsets that no tensor within these bytes could have. The crate that reads the header adds the last
/// offset to the header's length without looking for an overflow, which panics in a build that checks arithmetic.
fn check_numbers(bytes: &[u8]) -> Result<(), TensorFileError> {
    fn is_within(value: &Value, most: u64) -> bool {
        match value {
            Value::Number(number) => number.as_u64().is_none_or(|number| number <= most),
            Value::Array(items) => items.iter().all(|item| is_within(item, most)),
            Value::Object(entries) => entries.values().all(|entry| is_within(entry, most)),
            Value::Null | Value::Bool(_) | Value::String(_) => true,
        }
    }
    // What is no header at all is for the crate to describe.
    let header = bytes.split_first_chunk::<8>().and_then(|(length, rest)| {
        let length = usize::try_from(u64::from_le_bytes(*length)).ok()?;
        serde_json::from_slice::<serde_json::Map<String, Value>>(rest.get(..length)?).ok()
    });
    let entries = header.iter().flatten();
    match entries.into_iter().find(|(_, entry)| !is_within(entry, bytes.len() as u64)) {
        Some((name, _)) => Err(TensorFileError::Beyond { name: name.clone() }),
        None => Ok(()),
    }
}

/// The values of a tensor that [`TensorFile::expect`] accepted.
pub fn values<E: Dtype>(view: &TensorView<'_>) -> Vec<E> {
    let data = view.data();
    let halves = || data.as_chunks::<2>().0.iter();
    match view.dtype() {
        safetensors::Dtype::F16 => halves().map(|b| number(half::f16::from_le_bytes(*b).to_f64())).collect(),
        safetensors::Dtype::BF16 => {
            halves().map(|b| number(half::bf16::from_le_bytes(*b).to_f64())).collect()
        }
        _ => data.as_chunks::<4>().0.iter().map(|b| number(f32::from_le_bytes(*b).into())).collect(),
    }
}

/// A tensor to be written as f32. Its values are asked for when its turn comes, so that a file is never whole in memory.
pub struct Entry<'a> {
    shape: Vec<usize>,
    bytes: Bytes<'a>,
}

/// Makes little-endian f32, or says why the values are not to be had.
type Bytes<'a> = Box<dyn Fn() -> Result<Vec<u8>, TensorFileError> + 'a>;

impl<'a> Entry<'a> {
    /// The entry of a tensor of this shape with these values, row by row.
    pub fn new<E: Dtype, R: std::fmt::Display>(
        shape: &impl Shape,
        values: impl Fn() -> Result<Vec<E>, R> + 'a,
    ) -> Self {
        let bytes = move || {
            let values = values().map_err(|error| TensorFileError::Device(error.to_string()))?;
            Ok(values.iter().flat_map(|x| x.to_f32().unwrap_or(f32::NAN).to_le_bytes()).collect())
        };
        Self { shape: shape.concrete().into_iter().collect(), bytes: Box::new(bytes) }
    }

    /// The same, where numbers that are not finite are an error.
    pub fn finite(self, name: &str) -> Self {
        let (bytes, name) = (self.bytes, name.to_owned());
        let checked = move || {
            let bytes = bytes()?;
            if are_finite(&bytes) {
                return Ok(bytes);
            }
            Err(TensorFileError::NotFinite { name: name.clone() })
        };
        Self { shape: self.shape, bytes: Box::new(checked) }
    }

    fn byte_len(&self) -> usize {
        self.shape.iter().product::<usize>() * size_of::<f32>()
    }
}

/// An entry while it is written. The crate that writes asks for bytes and takes no error: zeros stand in, the error is kept.
struct Written<'a> {
    entry: Entry<'a>,
    failure: &'a RefCell<Option<TensorFileError>>,
}

impl View for Written<'_> {
    fn dtype(&self) -> safetensors::Dtype {
        safetensors::Dtype::F32
    }

    fn shape(&self) -> &[usize] {
        &self.entry.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        let bytes = (self.entry.bytes)().unwrap_or_else(|error| {
            self.failure.borrow_mut().get_or_insert(error);
            vec![0; self.entry.byte_len()]
        });
        Cow::Owned(bytes)
    }

    fn data_len(&self) -> usize {
        self.entry.byte_len()
    }
}

/// Writes the tensors to `path`, with the permissions that any other new file gets.
pub fn write(path: &Path, entries: Vec<(String, Entry<'_>)>) -> Result<(), TensorFileError> {
    write_about(path, entries, &[])
}

/// As [`write`](fn@write), with texts by name in the file's header.
pub fn write_about(
    path: &Path,
    entries: Vec<(String, Entry<'_>)>,
    about: &[(&str, &str)],
) -> Result<(), TensorFileError> {
    // The crate writes through a temporary file that only its owner may read.
    let permissions = crate::files::plain::create(path)?.metadata()?.permissions();
    let failure = RefCell::new(None);
    let written = entries.into_iter().map(|(name, entry)| (name, Written { entry, failure: &failure }));
    // Transformers of before 2025 refuse files that do not say for which library they are.
    let about = [("format", "pt")].iter().chain(about);
    let about: HashMap<String, String> =
        about.map(|&(name, text)| (name.to_owned(), text.to_owned())).collect();
    serialize_to_file(written, Some(about), path).map_err(|error| match error {
        SafeTensorError::IoError(error) => TensorFileError::Io(error),
        other => TensorFileError::Format(other),
    })?;
    if let Some(error) = failure.take() {
        return Err(error);
    }
    Ok(std::fs::set_permissions(path, permissions)?)
}
