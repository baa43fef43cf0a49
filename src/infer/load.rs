//! From a file to panels.

use std::path::Path;

use super::decoder::{Decoder, Layer, Linear, Norm};
use super::matrix::{Matrix, Order, in_panels};
use super::{InferError, WeightKind};
use crate::model::ModelConfig;
use crate::model::params::layout;
use crate::model::shards::WeightBytes;
use crate::model::tensor_file::{TensorFileError, values};
use crate::model::weights::WeightsFile;

impl Decoder {
    /// Reads the weights of a model: one of our own checkpoints, or a GPT-2 from Hugging Face.
    ///
    /// # Errors
    /// When the file cannot be read, or is not of this model.
    pub fn open(path: &Path, model: &ModelConfig, kind: WeightKind) -> Result<Self, InferError> {
        let failed = |source| InferError::Weights { path: path.to_owned(), source };
        let bytes = WeightBytes::read(path).map_err(failed)?;
        let file = WeightsFile::parse(&bytes, &layout(model)).map_err(failed)?;
        Source { file, model, kind }.decoder().map_err(failed)
    }
}

struct Source<'a> {
    file: WeightsFile<'a>,
    model: &'a ModelConfig,
    kind: WeightKind,
}

impl Source<'_> {
    fn decoder(&self) -> Result<Decoder, TensorFileError> {
        let ModelConfig { n_layer, n_embd: c, block_size, vocab_size, .. } = *self.model;
        let wte = self.values("wte.weight", &[vocab_size, c])?;
        Ok(Decoder {
            model: *self.model,
            kind: self.kind,
            wte_cv: Matrix::pack(&wte, c, vocab_size, Order::ColumnMajor, self.kind),
            wpe_pc: self.values("wpe.weight", &[block_size, c])?,
            layers: (0..n_layer).map(|i| self.layer(&format!("h.{i}"), c)).collect::<Result<_, _>>()?,
            ln_f: self.norm("ln_f", c)?,
        })
    }

    fn layer(&self, name: &str, c: usize) -> Result<Layer, TensorFileError> {
        Ok(Layer {
            ln_1: self.norm(&format!("{name}.ln_1"), c)?,
            attn_c_attn: self.linear(&format!("{name}.attn.c_attn"), c, 3 * c)?,
            attn_c_proj: self.linear(&format!("{name}.attn.c_proj"), c, c)?,
            ln_2: self.norm(&format!("{name}.ln_2"), c)?,
            mlp_c_fc: self.linear(&format!("{name}.mlp.c_fc"), c, 4 * c)?,
            mlp_c_proj: self.linear(&format!("{name}.mlp.c_proj"), 4 * c, c)?,
        })
    }

    fn norm(&self, name: &str, c: usize) -> Result<Norm, TensorFileError> {
        Ok(Norm { weight: self.values(&format!("{name}.weight"), &[c])?, bias: self.bias(name, c)? })
    }

    fn linear(&self, name: &str, rows: usize, columns: usize) -> Result<Linear, TensorFileError> {
        let values = self.values(&format!("{name}.weight"), &[rows, columns])?;
        let bias = self.bias(name, columns)?.map(|bias| in_panels(&bias));
        Ok(Linear { weight: Matrix::pack(&values, rows, columns, Order::RowMajor, self.kind), bias })
    }

    fn bias(&self, name: &str, len: usize) -> Result<Option<Vec<f32>>, TensorFileError> {
        if !self.model.bias {
            return Ok(None);
        }
        self.values(&format!("{name}.bias"), &[len]).map(Some)
    }

    fn values(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>, TensorFileError> {
        Ok(values(&self.file.expect(name, shape)?))
    }
}
