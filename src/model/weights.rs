//! A model's weights in a file with Hugging Face's names for GPT-2, so that either program reads the other's.

use std::collections::BTreeMap;
use std::path::Path;

use dfdx::prelude::*;
use safetensors::tensor::TensorView;

use super::ModelConfig;
use super::gpt::Gpt;
use super::params::{Parameter, Visit, VisitMut, layout};
use super::shards::WeightBytes;
use super::tensor_file::{Entry, TensorFile, TensorFileError, values, write};
use crate::ops::Ops;

/// Before the names in files written from Hugging Face's `GPT2LMHeadModel`, from a model that `torch.compile` wrapped, and from one
/// that `torch.nn.DataParallel` did.
const PREFIXES: [&str; 3] = ["transformer.", "_orig_mod.", "module."];
const TABLE: &str = "wte.weight";
/// The head, which is the table of tokens.
const HEAD: &str = "lm_head.weight";

/// Writes the weights as f32.
///
/// # Errors
/// Also when a weight is not finite: nobody could use it, and what was saved before is better.
pub fn write_weights<E: Dtype, D: Ops<E>>(gpt: &Gpt<E, D>, path: &Path) -> Result<(), TensorFileError> {
    struct Collect(Vec<(String, Entry<'static>)>);
    impl<E: Dtype, D: Ops<E>> Visit<E, D> for Collect {
        type Err = TensorFileError;
        fn visit<S: Shape>(
            &mut self,
            parameter: &Parameter,
            tensor: &Tensor<S, E, D>,
        ) -> Result<(), TensorFileError> {
            let weights = tensor.clone();
            let entry = Entry::new(tensor.shape(), move || D::try_values(&weights));
            self.0.push((parameter.name.clone(), entry.finite(&parameter.name)));
            Ok(())
        }
    }
    let mut collect = Collect(Vec::new());
    gpt.visit(&mut collect)?;
    write(path, collect.0)
}

/// Writes the weights in these bytes, a model's of these sizes, into the file `to`, as Hugging Face's GPT-2 wants them: in
/// f32, and with biases. Those of a model without any are zeros, with which the same is computed.
///
/// # Errors
/// When the bytes are of another model, and, with [`TensorFileError::Io`], when the file cannot be written.
pub fn convert(bytes: &WeightBytes, config: &ModelConfig, to: &Path) -> Result<(), TensorFileError> {
    let file = WeightsFile::parse(bytes, &layout(config))?;
    let entries = layout(&ModelConfig { bias: true, ..*config }).into_iter().map(|parameter| {
        let name = parameter.name.clone();
        let has_values = config.bias || !name.ends_with(".bias");
        let (shape, file) = (parameter.shape.clone(), &file);
        let values = move || match has_values {
            true => file.values::<f32>(&parameter),
            false => Ok(vec![0.0; parameter.len()]),
        };
        let entry = match *shape.as_slice() {
            [rows, columns] => Entry::new(&(rows, columns), values),
            _ => Entry::new(&(shape.iter().product::<usize>(),), values),
        };
        (name, entry)
    });
    write(to, entries.collect())
}

/// Reads weights into the model: from one of our own checkpoints, or a GPT-2 from Hugging Face. Either all of them are
/// read or, with an error, none.
pub fn read_weights<E: Dtype, D: Ops<E>>(gpt: &mut Gpt<E, D>, path: &Path) -> Result<(), TensorFileError> {
    fill(gpt, path, Positions::All)
}

/// As [`read_weights`], for a model to begin with: of more positions than the model has, the first ones are taken.
pub fn read_first_weights<E: Dtype, D: Ops<E>>(
    gpt: &mut Gpt<E, D>,
    path: &Path,
) -> Result<(), TensorFileError> {
    fill(gpt, path, Positions::First)
}

/// Looks whether [`read_first_weights`] could read these bytes of a file into a model of these sizes, without making one.
pub fn check_first_weights(bytes: &WeightBytes, config: &ModelConfig) -> Result<(), TensorFileError> {
    WeightsFile::parse_with(bytes, &layout(config), Positions::First).map(drop)
}

/// What a file of weights says of its model's sizes. The number of heads is not in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WeightSizes {
    pub n_layer: usize,
    pub n_embd: usize,
    pub block_size: usize,
    pub vocab_size: usize,
    pub bias: bool,
}

impl WeightSizes {
    /// Of the bytes of a file.
    ///
    /// # Errors
    /// When this is no file of tensors, or none of a GPT-2.
    pub fn of(bytes: &WeightBytes) -> Result<WeightSizes, TensorFileError> {
        let file = Named::of(bytes)?;
        let table = |name: &str| {
            let shape = file.view(name).map(|view| view.shape().to_vec());
            match shape.as_deref() {
                Some(&[rows, width]) => Ok((rows, width)),
                _ => Err(TensorFileError::NotGpt2 { name: file.written(name).to_owned() }),
            }
        };
        let (vocab_size, n_embd) = table(TABLE)?;
        let (block_size, _) = table("wpe.weight")?;
        let layers = file.names.keys().filter_map(|name| {
            name.strip_prefix("h.")?.split('.').next()?.parse::<usize>().ok()?.checked_add(1)
        });
        // Each has tensors, whatever number a name says: what is said of so many layers takes memory.
        let n_layer = layers.max().unwrap_or(0).min(file.names.len());
        let bias = file.view("ln_f.bias").is_some();
        Ok(WeightSizes { n_layer, n_embd, block_size, vocab_size, bias })
    }
}

/// Whether there is a head beside the table of tokens, or instead of it.
///
/// # Errors
/// When this is no file of tensors.
pub fn has_head(bytes: &WeightBytes) -> Result<bool, TensorFileError> {
    Ok(TensorFile::of(bytes)?.names().any(|name| plain_name(name) == HEAD))
}

/// Which position embeddings of a file are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Positions {
    /// All, and the model must have as many.
    All,
    /// As many as the model has; the file may have more.
    First,
}

/// A name without what stands before it in some files.
fn plain_name(mut name: &str) -> &str {
    while let Some(rest) = PREFIXES.iter().find_map(|prefix| name.strip_prefix(prefix)) {
        name = rest;
    }
    name
}

/// Tensors by the names that parameters have here.
struct Named<'a> {
    file: TensorFile<'a>,
    /// The name in the file of each.
    names: BTreeMap<String, String>,
}

impl<'a> Named<'a> {
    fn of(bytes: &'a WeightBytes) -> Result<Self, TensorFileError> {
        let file = TensorFile::of(bytes)?;
        let mut names = BTreeMap::new();
        for name in file.names() {
            let plain = plain_name(name).to_owned();
            if let Some(first) = names.insert(plain.clone(), name.to_owned()) {
                return Err(TensorFileError::Twice { name: plain, first, second: name.to_owned() });
            }
        }
        // Both are one table, and some files have it under this name alone.
        if !names.contains_key(TABLE)
            && let Some(head) = names.remove(HEAD)
        {
            names.insert(TABLE.to_owned(), head);
        }
        Ok(Self { file, names })
    }

    /// The name in the file; the plain one if there is no such tensor.
    fn written<'n>(&'n self, name: &'n str) -> &'n str {
        self.names.get(name).map_or(name, String::as_str)
    }

    fn view(&self, name: &str) -> Option<TensorView<'a>> {
        self.file.view(self.names.get(name)?)
    }
}

fn fill<E: Dtype, D: Ops<E>>(
    gpt: &mut Gpt<E, D>,
    path: &Path,
    positions: Positions,
) -> Result<(), TensorFileError> {
    let bytes = WeightBytes::read(path)?;
    let file = WeightsFile::parse_with(&bytes, gpt.layout(), positions)?;
    struct Fill<'a>(WeightsFile<'a>);
    impl<E: Dtype, D: CopySlice<E>> VisitMut<E, D> for Fill<'_> {
        type Err = TensorFileError;
        fn visit<S: Shape>(
            &mut self,
            parameter: &Parameter,
            tensor: &mut Tensor<S, E, D>,
        ) -> Result<(), TensorFileError> {
            tensor.copy_from(&self.0.values(parameter)?);
            Ok(())
        }
    }
    gpt.visit_mut(&mut Fill(file))
}

/// Weights that were held against a model's layout.
pub struct WeightsFile<'a>(Named<'a>);

impl<'a> WeightsFile<'a> {
    /// Reads the headers, and looks whether the tensors are those of the model: all of them and no others.
    pub fn parse(bytes: &'a WeightBytes, layout: &[Parameter]) -> Result<Self, TensorFileError> {
        Self::parse_with(bytes, layout, Positions::All)
    }

    fn parse_with(
        bytes: &'a WeightBytes,
        layout: &[Parameter],
        positions: Positions,
    ) -> Result<Self, TensorFileError> {
        let file = Named::of(bytes)?;
        check(&file, layout, positions)?;
        Ok(Self(file))
    }

    /// The values of a parameter, row by row: of positions the first ones.
    fn values<E: Dtype>(&self, parameter: &Parameter) -> Result<Vec<E>, TensorFileError> {
        let missing = || TensorFileError::Missing {
            name: self.0.written(&parameter.name).to_owned(),
            expected: parameter.shape.clone(),
        };
        let mut values = values(&self.0.view(&parameter.name).ok_or_else(missing)?);
        values.truncate(parameter.len());
        Ok(values)
    }

    /// The tensor of the parameter of this name.
    pub fn expect(&self, name: &str, shape: &[usize]) -> Result<TensorView<'a>, TensorFileError> {
        self.0.file.expect(self.0.written(name), shape)
    }
}

/// Holds the file against the model's layout, in both directions.
fn check(file: &Named<'_>, layout: &[Parameter], positions: Positions) -> Result<(), TensorFileError> {
    for parameter in layout {
        let name = file.written(&parameter.name);
        if parameter.name == "wpe.weight"
            && let (Some(view), &[expected, width]) = (file.view("wpe.weight"), parameter.shape.as_slice())
            && let &[found, found_width] = view.shape()
            && found != expected
            && found_width == width
        {
            if positions == Positions::First && found > expected {
                file.file.expect_finite(name, &[found, width])?;
                continue;
            }
            return Err(TensorFileError::BlockSize { expected, found });
        }
        file.file.expect_finite(name, &parameter.shape)?;
    }
    for (plain, name) in &file.names {
        let known = layout.iter().any(|parameter| parameter.name == *plain);
        if plain == HEAD {
            let data = |name| file.view(name).map(|view| view.data());
            if data(HEAD) != data(TABLE) {
                return Err(TensorFileError::UntiedHead);
            }
        } else if !known && !is_buffer(plain) {
            return Err(TensorFileError::Unexpected { name: name.clone() });
        }
    }
    Ok(())
}

/// Older Hugging Face files carry each layer's causal mask beside its weights.
fn is_buffer(name: &str) -> bool {
    name.starts_with("h.") && (name.ends_with(".attn.bias") || name.ends_with(".attn.masked_bias"))
}
