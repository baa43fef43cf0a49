//! A model's weights in a file with Hugging Face's names for GPT-2, so that either program reads the other's.

use std::path::Path;

use dfdx::prelude::*;
use safetensors::tensor::TensorView;

use super::gpt::Gpt;
use super::params::{Parameter, Visit, VisitMut};
use super::tensor_file::{Entry, TensorFile, TensorFileError, values, write};
use crate::ops::Ops;

/// Before the names in files written from Hugging Face's `GPT2LMHeadModel`.
const PREFIX: &str = "transformer.";

/// Writes the weights as f32.
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
            self.0
                .push((parameter.name.clone(), Entry::new(tensor.shape(), move || D::try_values(&weights))));
            Ok(())
        }
    }
    let mut collect = Collect(Vec::new());
    gpt.visit(&mut collect)?;
    write(path, collect.0)
}

/// Reads weights into the model: from one of our own checkpoints, or a GPT-2 from Hugging Face. Either all of them are
/// read or, with an error, none.
pub fn read_weights<E: Dtype, D: Ops<E>>(gpt: &mut Gpt<E, D>, path: &Path) -> Result<(), TensorFileError> {
    let bytes = std::fs::read(path)?;
    let file = WeightsFile::parse(&bytes, gpt.layout())?;
    struct Fill<'a>(WeightsFile<'a>);
    impl<E: Dtype, D: CopySlice<E>> VisitMut<E, D> for Fill<'_> {
        type Err = TensorFileError;
        fn visit<S: Shape>(
            &mut self,
            parameter: &Parameter,
            tensor: &mut Tensor<S, E, D>,
        ) -> Result<(), TensorFileError> {
            tensor.copy_from(&values(&self.0.expect(&parameter.name, &parameter.shape)?));
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
        let file = TensorFile::parse(bytes)?;
        let prefix = if file.names().any(|name| name.starts_with(PREFIX)) { PREFIX } else { "" };
        check(&file, prefix, layout)?;
        Ok(Self { file, prefix })
    }

    /// The tensor of the parameter of this name.
    pub fn expect(&self, name: &str, shape: &[usize]) -> Result<TensorView<'a>, TensorFileError> {
        self.file.expect(&format!("{}{name}", self.prefix), shape)
    }
}

/// Holds the file against the model's layout, in both directions.
fn check(file: &TensorFile<'_>, prefix: &str, layout: &[Parameter]) -> Result<(), TensorFileError> {
    for parameter in layout {
        let name = format!("{prefix}{}", parameter.name);
        if parameter.name == "wpe.weight"
            && let (Some(view), &[expected, width]) = (file.view(&name), parameter.shape.as_slice())
            && let &[found, found_width] = view.shape()
            && found != expected
            && found_width == width
        {
            return Err(TensorFileError::BlockSize { expected, found });
        }
        file.expect(&name, &parameter.shape)?;
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
