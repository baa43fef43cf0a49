//! The parameters of a GPT-2 by name: what they are called, how large they are, how they begin, which of them decay.
//! Init, counting, optimizer, clipping, saving and loading all go by this one list.

use dfdx::prelude::*;

use super::ModelConfig;
use crate::facts::optimizer::Role;
use crate::facts::{ModelInfo, ParameterGroup};

/// Part of the model that a parameter belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    TokenEmbedding,
    PositionEmbedding,
    Attention,
    Mlp,
    LayerNorm,
}

impl Part {
    /// In order of the forward pass.
    const ALL: [Self; 5] =
        [Self::TokenEmbedding, Self::PositionEmbedding, Self::Attention, Self::Mlp, Self::LayerNorm];

    fn label(self) -> &'static str {
        match self {
            Self::TokenEmbedding => "token embedding (tied head)",
            Self::PositionEmbedding => "position embedding",
            Self::Attention => "attention",
            Self::Mlp => "mlp",
            Self::LayerNorm => "layer norms",
        }
    }
}

/// How a parameter begins.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Init {
    /// Normal with mean 0 and this standard deviation.
    Normal(f64),
    Zeros,
    Ones,
}

/// One parameter tensor.
#[derive(Clone, Debug, PartialEq)]
pub struct Parameter {
    /// Hugging Face's name, without the `transformer.` prefix: `h.0.attn.c_attn.weight`.
    pub name: String,
    /// One or two sizes.
    pub shape: Vec<usize>,
    pub part: Part,
    pub init: Init,
}

impl Parameter {
    /// Number of scalars.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether the tensor has no elements; no valid configuration has such a tensor.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What it is to an optimizer.
    pub fn role(&self) -> Role {
        match self.part {
            _ if !self.is_matrix() => Role::Vector,
            Part::TokenEmbedding | Part::PositionEmbedding => Role::Embedding,
            Part::Attention | Part::Mlp | Part::LayerNorm => Role::Matrix,
        }
    }

    /// Matrices that lie side by side in this one: those of queries, keys and values.
    pub fn matrices(&self) -> usize {
        if self.name.ends_with(".attn.c_attn.weight") { 3 } else { 1 }
    }

    /// Matrices and embeddings are pulled towards zero by weight decay, biases and layer norms are not.
    pub fn is_matrix(&self) -> bool {
        self.shape.len() == 2
    }
}

/// Something that is shown every parameter tensor in the order of [`layout`].
pub trait Visit<E: Dtype, D: Storage<E>> {
    type Err;
    fn visit<S: Shape>(&mut self, parameter: &Parameter, tensor: &Tensor<S, E, D>) -> Result<(), Self::Err>;
}

/// As [`Visit`], for what changes the tensors.
pub trait VisitMut<E: Dtype, D: Storage<E>> {
    type Err;
    fn visit<S: Shape>(
        &mut self,
        parameter: &Parameter,
        tensor: &mut Tensor<S, E, D>,
    ) -> Result<(), Self::Err>;
}

/// Standard deviation of the initial weights.
///
/// # Source
/// Radford et al. 2019 and OpenAI's code; projections into the residual stream are scaled by 1 / sqrt(2 n_layer), because
/// each layer adds two of them.
const INIT_STD: f64 = 0.02;

/// Every parameter of the model, in the order in which Hugging Face lists them.
pub fn layout(config: &ModelConfig) -> Vec<Parameter> {
    let c = config.n_embd;
    let normal = Init::Normal(INIT_STD);
    let residual = Init::Normal(INIT_STD / (2.0 * config.n_layer as f64).sqrt());
    let mut list = Layout { parameters: Vec::new(), bias: config.bias };
    list.push("wte.weight".to_owned(), vec![config.vocab_size, c], Part::TokenEmbedding, normal);
    list.push("wpe.weight".to_owned(), vec![config.block_size, c], Part::PositionEmbedding, normal);
    for i in 0..config.n_layer {
        list.norm(&format!("h.{i}.ln_1"), c);
        list.linear(&format!("h.{i}.attn.c_attn"), c, 3 * c, Part::Attention, normal);
        list.linear(&format!("h.{i}.attn.c_proj"), c, c, Part::Attention, residual);
        list.norm(&format!("h.{i}.ln_2"), c);
        list.linear(&format!("h.{i}.mlp.c_fc"), c, 4 * c, Part::Mlp, normal);
        list.linear(&format!("h.{i}.mlp.c_proj"), 4 * c, c, Part::Mlp, residual);
    }
    list.norm("ln_f", c);
    list.parameters
}

struct Layout {
    parameters: Vec<Parameter>,
    bias: bool,
}

impl Layout {
    fn push(&mut self, name: String, shape: Vec<usize>, part: Part, init: Init) {
        self.parameters.push(Parameter { name, shape, part, init });
    }

    fn norm(&mut self, name: &str, width: usize) {
        self.push(format!("{name}.weight"), vec![width], Part::LayerNorm, Init::Ones);
        self.bias(name, width, Part::LayerNorm);
    }

    fn linear(&mut self, name: &str, inputs: usize, outputs: usize, part: Part, init: Init) {
        self.push(format!("{name}.weight"), vec![inputs, outputs], part, init);
        self.bias(name, outputs, part);
    }

    fn bias(&mut self, name: &str, width: usize, part: Part) {
        if self.bias {
            self.push(format!("{name}.bias"), vec![width], part, Init::Zeros);
        }
    }
}

/// Sizes and parameter counts of a model, without building it.
pub fn model_info(config: &ModelConfig) -> ModelInfo {
    let layout = layout(config);
    let count = |part| layout.iter().filter(|p| p.part == part).map(|p| p.len() as u64).sum();
    let breakdown: Vec<ParameterGroup> = Part::ALL
        .into_iter()
        .map(|part| ParameterGroup { part: part.label().to_owned(), parameters: count(part) })
        .collect();
    ModelInfo {
        n_layer: config.n_layer,
        n_head: config.n_head,
        n_embd: config.n_embd,
        block_size: config.block_size,
        vocab_size: config.vocab_size,
        parameters: breakdown.iter().map(|group| group.parameters).sum(),
        breakdown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gpt2() -> ModelConfig {
        ModelConfig { n_layer: 12, n_head: 12, n_embd: 768, block_size: 1024, vocab_size: 50257, bias: true }
    }

    #[test]
    fn presets_have_the_published_number_of_parameters() {
        let sizes = [
            (12, 768, 124_439_808),
            (24, 1024, 354_823_168),
            (36, 1280, 774_030_080),
            (48, 1600, 1_557_611_200),
        ];
        for (n_layer, n_embd, parameters) in sizes {
            assert_eq!(model_info(&ModelConfig { n_layer, n_embd, ..gpt2() }).parameters, parameters);
        }
    }

    #[test]
    fn the_breakdown_of_gpt2_adds_up_part_by_part() {
        let info = model_info(&gpt2());
        let parts: Vec<u64> = info.breakdown.iter().map(|group| group.parameters).collect();
        assert_eq!(parts, [38_597_376, 786_432, 28_348_416, 56_669_184, 38_400]);
        assert_eq!(parts.iter().sum::<u64>(), info.parameters);
    }

    #[test]
    fn without_biases_only_weights_remain() {
        let layout = layout(&ModelConfig { bias: false, ..gpt2() });
        assert!(layout.iter().all(|parameter| parameter.name.ends_with(".weight")));
        assert_eq!(layout.len(), 2 + 12 * 6 + 1);
    }

    #[test]
    fn names_and_shapes_are_those_of_hugging_face() {
        let layout = layout(&gpt2());
        let shape = |name: &str| layout.iter().find(|p| p.name == name).map(|p| p.shape.clone());
        assert_eq!(shape("h.11.attn.c_attn.weight"), Some(vec![768, 2304]));
        assert_eq!(shape("h.0.mlp.c_proj.weight"), Some(vec![3072, 768]));
        assert_eq!(shape("h.3.mlp.c_fc.bias"), Some(vec![3072]));
        assert_eq!(shape("ln_f.bias"), Some(vec![768]));
        assert_eq!(layout.len(), 2 + 12 * 12 + 2);
    }

    #[test]
    fn only_projections_into_the_residual_stream_begin_smaller() {
        for parameter in layout(&gpt2()) {
            let expected = match parameter.name.rsplit_once('.') {
                Some((_, "bias")) => Init::Zeros,
                Some((name, _)) if name.contains("ln_") => Init::Ones,
                Some((name, _)) if name.ends_with("c_proj") => Init::Normal(0.02 / 24f64.sqrt()),
                _ => Init::Normal(0.02),
            };
            assert_eq!(parameter.init, expected, "{}", parameter.name);
        }
    }
}
