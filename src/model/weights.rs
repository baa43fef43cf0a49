//! A model's weights in a file with Hugging Face's names for GPT-2, so that either program reads the other's.

use std::path::Path;

use dfdx::prelude::*;
use safetensors::tensor::TensorView;

use super::ModelConfig;
use super::gpt::Gpt;
use super::params::{Parameter, Visit, VisitMut, layout};
use super::tensor_file::{Entry, TensorFile, TensorFileError, values, write};
use crate::ops::Ops;

/// Before the names in files written from Hugging Face's `GPT2LMHeadModel`.
const PREFIX: &str = "transformer.";

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

/// Writes the weights in the bytes of a file, a model's of these sizes, into the file `to`, as Hugging Face's GPT-2 wants them: in
/// f32, and with biases. Those of a model without any are zeros, with which the same is computed.
///
/// # Errors
/// When the bytes are of another model, and, with [`TensorFileError::Io`], when the file cannot be written.
pub fn convert(bytes: &[u8], config: &ModelConfig, to: &Path) -> Result<(), TensorFileError> {
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
pub fn check_first_weights(bytes: &[u8], config: &ModelConfig) -> Result<(), TensorFileError> {
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
    pub fn of(bytes: &[u8]) -> Result<WeightSizes, TensorFileError> {
        let file = TensorFile::parse(bytes)?;
        let prefix = prefix_of(&file);
        let table = |name: &str| {
            let name = format!("{prefix}{name}");
            let shape = file.view(&name).map(|view| view.shape().to_vec());
            match shape.as_deref() {
                Some(&[rows, width]) => Ok((rows, width)),
                _ => Err(TensorFileError::NotGpt2 { name }),
            }
        };
        let (vocab_size, n_embd) = table("wte.weight")?;
        let (block_size, _) = table("wpe.weight")?;
        let layers = file.names().filter_map(|name| {
            let layer = name.strip_prefix(prefix)?.strip_prefix("h.")?.split('.').next()?;
            layer.parse::<usize>().ok()?.checked_add(1)
        });
        let n_layer = layers.max().unwrap_or(0);
        let bias = file.view(&format!("{prefix}ln_f.bias")).is_some();
        Ok(WeightSizes { n_layer, n_embd, block_size, vocab_size, bias })
    }
}

/// Which position embeddings of a file are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Positions {
    /// All, and the model must have as many.
    All,
    /// As many as the model has; the file may have more.
    First,
}

fn prefix_of(file: &TensorFile<'_>) -> &'static str {
    if file.names().any(|name| name.starts_with(PREFIX)) { PREFIX } else { "" }
}

fn fill<E: Dtype, D: Ops<E>>(
    gpt: &mut Gpt<E, D>,
    path: &Path,
    positions: Positions,
) -> Result<(), TensorFileError> {
    let bytes = crate::files::plain::read(path)?;
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

/// A file of weights that was held against a model's layout.
pub struct WeightsFile<'a> {
    file: TensorFile<'a>,
    prefix: &'static str,
}

impl<'a> WeightsFile<'a> {
    /// Reads the header of a file's bytes, and looks whether its tensors are those of the model: all of them and no others.
    pub fn parse(bytes: &'a [u8], layout: &[Parameter]) -> Result<Self, TensorFileError> {
        Self::parse_with(bytes, layout, Positions::All)
    }

    fn parse_with(
        bytes: &'a [u8],
        layout: &[Parameter],
        positions: Positions,
    ) -> Result<Self, TensorFileError> {
        let file = TensorFile::parse(bytes)?;
        let prefix = prefix_of(&file);
        check(&file, prefix, layout, positions)?;
        Ok(Self { file, prefix })
    }

    /// The values of a parameter, row by row: of positions the first ones.
    fn values<E: Dtype>(&self, parameter: &Parameter) -> Result<Vec<E>, TensorFileError> {
        let name = format!("{}{}", self.prefix, parameter.name);
        let missing = || TensorFileError::Missing { name: name.clone(), expected: parameter.shape.clone() };
        let mut values = values(&self.file.view(&name).ok_or_else(missing)?);
        values.truncate(parameter.len());
        Ok(values)
    }

    /// The tensor of the parameter of this name.
    pub fn expect(&self, name: &str, shape: &[usize]) -> Result<TensorView<'a>, TensorFileError> {
        self.file.expect(&format!("{}{name}", self.prefix), shape)
    }
}

/// Holds the file against the model's layout, in both directions.
fn check(
    file: &TensorFile<'_>,
    prefix: &str,
    layout: &[Parameter],
    positions: Positions,
) -> Result<(), TensorFileError> {
    for parameter in layout {
        let name = format!("{prefix}{}", parameter.name);
        if parameter.name == "wpe.weight"
            && let (Some(view), &[expected, width]) = (file.view(&name), parameter.shape.as_slice())
            && let &[found, found_width] = view.shape()
            && found != expected
            && found_width == width
        {
            if positions == Positions::First && found > expected {
                file.expect_finite(&name, &[found, width])?;
                continue;
            }
            return Err(TensorFileError::BlockSize { expected, found });
        }
        file.expect_finite(&name, &parameter.shape)?;
    }
    for name in file.names() {
        let plain = name.strip_prefix(prefix).unwrap_or(name);
        let known = layout.iter().any(|parameter| parameter.name == plain);
        if name == "lm_head.weight" {
            let data = |name| file.view(name).map(|view| view.data());
            if data(name) != data(&format!("{prefix}wte.weight")) {
                return Err(TensorFileError::UntiedHead);
            }
        } else if !known && !is_buffer(plain) {
            return Err(TensorFileError::Unexpected { name: name.to_owned() });
        }
    }
    Ok(())
}

/// Older Hugging Face files carry each layer's causal mask beside its weights.
fn is_buffer(name: &str) -> bool {
    name.starts_with("h.") && (name.ends_with(".attn.bias") || name.ends_with(".attn.masked_bias"))
}
