//! GPT-2: pre-norm transformer blocks, learned positions, a head tied to the token embedding.
//!
//! Shapes: `m` = B * T positions, `c` = width, `v` = vocabulary, `p` = block size, `i`/`o` = in and out of a layer.
//!
//! # Source
//! Radford et al., "Language Models are Unsupervised Multitask Learners", 2019; names as in Hugging Face's GPT-2.

use dfdx::prelude::*;

use super::ModelConfig;
use super::init::initial_values;
use super::params::{Parameter, Part, Visit, VisitMut, layout};
use crate::ops::composed::HeadInParts;
use crate::ops::cpu::bf16::{Kernel, Rounded, RoundedBlock};
use crate::ops::{
    AttentionShape, Block, BlockDropout, BlockPass, CausalMask, DropoutSource, Format, Hits, LayerNorm,
    Linear, Matrix, Ops, Row, Scalar,
};

/// A GPT-2 with its weights on a device.
#[derive(Debug)]
pub struct Gpt<E: Dtype, D: Storage<E>> {
    config: ModelConfig,
    device: D,
    layout: Vec<Parameter>,
    wte_vc: Matrix<E, D>,
    /// See [`Gpt::set_rounded`].
    wte_rounded: Option<Rounded>,
    wpe_pc: Matrix<E, D>,
    blocks: Vec<Block<E, D>>,
    ln_f: LayerNorm<E, D>,
    mask: CausalMask<E, D>,
    /// See [`Gpt::set_recompute`].
    recompute: bool,
    limits: Limits,
}

/// How much may exist at the same time where operations are composed. What is more is computed in parts, and again in the
/// backward pass: less memory for more work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Attention scores: a number for each pair of positions of each head of each sequence.
    pub scores: usize,
    /// Logits: a number for each token of the vocabulary at each position.
    pub logits: usize,
}

impl Default for Limits {
    /// No limits.
    fn default() -> Self {
        Self { scores: usize::MAX, logits: usize::MAX }
    }
}

impl<E: Dtype, D: Ops<E>> Gpt<E, D> {
    /// A new model with weights drawn from `seed`.
    pub fn try_build(config: ModelConfig, device: &D, seed: u64) -> Result<Self, D::Err> {
        let layout = layout(&config);
        let mut source = Source { device, seed, layout: layout.iter().enumerate(), bias: config.bias };
        let wte_vc = source.try_matrix()?;
        let wpe_pc = source.try_matrix()?;
        let block = |source: &mut Source<'_, D>| {
            Ok(Block {
                ln_1: source.try_layer_norm()?,
                attn_c_attn: source.try_linear()?,
                attn_c_proj: source.try_linear()?,
                ln_2: source.try_layer_norm()?,
                mlp_c_fc: source.try_linear()?,
                mlp_c_proj: source.try_linear()?,
                rounded: None,
            })
        };
        let blocks = (0..config.n_layer).map(|_| block(&mut source)).collect::<Result<_, D::Err>>()?;
        let ln_f = source.try_layer_norm()?;
        let (device, mask) = (device.clone(), CausalMask::default());
        Ok(Self {
            config,
            device,
            layout,
            wte_vc,
            wte_rounded: None,
            wpe_pc,
            blocks,
            ln_f,
            mask,
            recompute: false,
            limits: Limits::default(),
        })
    }

    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    pub fn device(&self) -> &D {
        &self.device
    }

    /// Whether the blocks keep only their input for the backward pass and compute the rest again (activation
    /// checkpointing).
    pub fn set_recompute(&mut self, recompute: bool) {
        self.recompute = recompute;
    }

    /// Lets products with weights take bf16, multiplied by this kernel, where operations know how to.
    pub fn set_rounded(&mut self, kernel: Kernel) {
        self.wte_rounded = Some(Rounded::new(kernel));
        self.blocks.iter_mut().for_each(|block| block.rounded = Some(RoundedBlock::new(kernel)));
    }

    /// The token embedding, which is the head as well: (v, c).
    pub fn wte_vc(&self) -> &Matrix<E, D> {
        &self.wte_vc
    }

    pub fn limits(&self) -> Limits {
        self.limits
    }

    pub fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// Names and shapes of the parameters, in the order in which they are visited.
    pub fn layout(&self) -> &[Parameter] {
        &self.layout
    }

    /// Activations before the head: (m, c).
    pub fn try_hidden<T: Tape<E, D>>(
        &self,
        tape: T,
        token_ids: &[u32],
        tokens: usize,
        mut dropout: Option<&mut DropoutSource>,
    ) -> Result<Matrix<E, D, T>, D::Err> {
        let shape = AttentionShape { batch: token_ids.len() / tokens, tokens, heads: self.config.n_head };
        let mut draw = || dropout.as_mut().and_then(|source| source.draw());
        let x_mc = D::try_embedding(tape, &self.wte_vc, &self.wpe_pc, token_ids, tokens)?;
        let mut x_mc = D::try_dropout(x_mc, draw())?;
        let (recompute, max_scores) = (self.recompute, self.limits.scores);
        for block in &self.blocks {
            let dropout = BlockDropout { attention: draw(), attention_out: draw(), mlp_out: draw() };
            let pass = BlockPass { shape, mask: self.mask.clone(), dropout, max_scores, recompute };
            x_mc = D::try_block(x_mc, block, &pass)?;
        }
        D::try_layer_norm(x_mc, &self.ln_f)
    }

    /// Mean cross entropy in nats per token. Gradients are recorded if `tape` is an `OwnedTape`; dropout is active if a
    /// source is given.
    ///
    /// `inputs` and `targets` are B * T token ids in rows of `tokens`, each below the vocabulary's size. `hits` counts right predictions, where that is
    /// cheap.
    pub fn try_loss<T: Tape<E, D>>(
        &self,
        tape: T,
        inputs: &[u32],
        targets: &[u32],
        tokens: usize,
        dropout: Option<&mut DropoutSource>,
        hits: &Hits,
    ) -> Result<Scalar<E, D, T>, D::Err> {
        let x_mc = self.try_hidden(tape, inputs, tokens, dropout)?;
        D::try_head_loss(x_mc, &self.wte_vc, self.wte_rounded.as_ref(), targets, hits)
    }

    /// The head on a batch's activation, in as many parts as the limits ask for.
    pub fn head_in_parts<'a>(&'a self, x_mc: &'a Matrix<E, D>, targets: &'a [u32]) -> HeadInParts<'a, E, D> {
        HeadInParts { x_mc, wte_vc: &self.wte_vc, targets, max_logits: self.limits.logits }
    }

    /// Logits at every position: (m, v).
    pub fn try_logits(&self, token_ids: &[u32], tokens: usize) -> Result<Matrix<E, D>, D::Err> {
        D::try_head(self.try_hidden(NoneTape, token_ids, tokens, None)?, &self.wte_vc)
    }

    /// Logits for the token after `context`: (1, v). The context is not empty and fits the block size.
    pub fn try_next_logits(&self, context: &[u32]) -> Result<Matrix<E, D>, D::Err> {
        let x_mc = self.try_hidden(NoneTape, context, context.len(), None)?;
        D::try_head(x_mc.try_slice((context.len() - 1.., ..))?, &self.wte_vc)
    }
}

impl<D: Ops<f32>> Gpt<f32, D> {
    /// A copy in another format.
    pub fn try_to_format<H: Format>(&self) -> Result<Gpt<H, D>, D::Err>
    where
        D: Ops<H>,
    {
        Ok(Gpt {
            config: self.config,
            device: self.device.clone(),
            layout: self.layout.clone(),
            wte_vc: self.wte_vc.clone().try_to_dtype()?,
            wte_rounded: None,
            wpe_pc: self.wpe_pc.clone().try_to_dtype()?,
            blocks: self.blocks.iter().map(|block| block.try_to_format()).collect::<Result<_, _>>()?,
            ln_f: self.ln_f.try_to_format()?,
            mask: CausalMask::default(),
            recompute: self.recompute,
            limits: self.limits,
        })
    }
}

/// Hands out the initial tensors in the order of the layout.
struct Source<'a, D> {
    device: &'a D,
    seed: u64,
    layout: std::iter::Enumerate<std::slice::Iter<'a, Parameter>>,
    bias: bool,
}

impl<D> Source<'_, D> {
    fn try_next<S: Shape, E: Dtype>(
        &mut self,
        shape: impl Fn(&[usize]) -> Option<S>,
    ) -> Result<Tensor<S, E, D>, D::Err>
    where
        D: Ops<E>,
    {
        let (index, parameter) = self.layout.next().expect("the layout lists every tensor of the model");
        let shape = shape(&parameter.shape).expect("the layout gives the rank of every tensor");
        let values = initial_values(parameter, index, self.seed);
        self.device.try_tensor(values, shape)
    }

    fn try_matrix<E: Dtype>(&mut self) -> Result<Matrix<E, D>, D::Err>
    where
        D: Ops<E>,
    {
        self.try_next(|shape| <[usize; 2]>::try_from(shape).ok().map(|[rows, columns]| (rows, columns)))
    }

    fn try_row<E: Dtype>(&mut self) -> Result<Row<E, D>, D::Err>
    where
        D: Ops<E>,
    {
        self.try_next(|shape| <[usize; 1]>::try_from(shape).ok().map(|[len]| (len,)))
    }

    fn try_bias<E: Dtype>(&mut self) -> Result<Option<Row<E, D>>, D::Err>
    where
        D: Ops<E>,
    {
        if self.bias { self.try_row().map(Some) } else { Ok(None) }
    }

    fn try_linear<E: Dtype>(&mut self) -> Result<Linear<E, D>, D::Err>
    where
        D: Ops<E>,
    {
        Ok(Linear { weight_io: self.try_matrix()?, bias_o: self.try_bias()? })
    }

    fn try_layer_norm<E: Dtype>(&mut self) -> Result<LayerNorm<E, D>, D::Err>
    where
        D: Ops<E>,
    {
        Ok(LayerNorm { weight_c: self.try_row()?, bias_c: self.try_bias()? })
    }
}

/// The walk over all parameters in the order of the layout, once for shared and once for exclusive access.
macro_rules! walk {
    ($public:vis, $visit:ident, $visitor:ident, [$($mut:tt)?], $iter:ident, $as_option:ident) => {
        /// Shows every parameter tensor to the visitor, in the order of the layout.
        $public fn $visit<V: $visitor<E, D>>(&$($mut)? self, visitor: &mut V) -> Result<(), V::Err> {
            fn row<E: Dtype, D: Storage<E>, V: $visitor<E, D>>(
                names: &mut std::slice::Iter<'_, Parameter>,
                tensor: Option<&$($mut)? Row<E, D>>,
                visitor: &mut V,
            ) -> Result<(), V::Err> {
                match tensor {
                    Some(tensor) => show(names, tensor, visitor),
                    None => Ok(()),
                }
            }
            fn show<S: Shape, E: Dtype, D: Storage<E>, V: $visitor<E, D>>(
                names: &mut std::slice::Iter<'_, Parameter>,
                tensor: &$($mut)? Tensor<S, E, D>,
                visitor: &mut V,
            ) -> Result<(), V::Err> {
                visitor.visit(names.next().expect("the layout lists every tensor of the model"), tensor)
            }
            let names = &mut self.layout.iter();
            show(names, &$($mut)? self.wte_vc, visitor)?;
            show(names, &$($mut)? self.wpe_pc, visitor)?;
            for block in self.blocks.$iter() {
                let Block { ln_1, attn_c_attn, attn_c_proj, ln_2, mlp_c_fc, mlp_c_proj, rounded: _ } = block;
                for (norm, linears) in [(ln_1, [attn_c_attn, attn_c_proj]), (ln_2, [mlp_c_fc, mlp_c_proj])] {
                    row(names, Some(&$($mut)? norm.weight_c), visitor)?;
                    row(names, norm.bias_c.$as_option(), visitor)?;
                    for linear in linears {
                        show(names, &$($mut)? linear.weight_io, visitor)?;
                        row(names, linear.bias_o.$as_option(), visitor)?;
                    }
                }
            }
            row(names, Some(&$($mut)? self.ln_f.weight_c), visitor)?;
            row(names, self.ln_f.bias_c.$as_option(), visitor)
        }
    };
}

impl<E: Dtype, D: Storage<E>> Gpt<E, D> {
    /// The weights' copies in bf16, in the order of the layout; `None` for parameters that have none.
    pub fn rounded(&self) -> Vec<Option<Rounded>> {
        let of_block = |block: &Block<E, D>| block.rounded.clone();
        let mut of_weights = self
            .wte_rounded
            .iter()
            .cloned()
            .chain(self.blocks.iter().filter_map(of_block).flat_map(|block| block.weights));
        let has_copy =
            |parameter: &Parameter| parameter.is_matrix() && parameter.part != Part::PositionEmbedding;
        self.layout.iter().map(|parameter| has_copy(parameter).then(|| of_weights.next()).flatten()).collect()
    }

    walk!(pub, visit, Visit, [], iter, as_ref);
    walk!(, visit_each_mut, VisitMut, [mut], iter_mut, as_mut);

    /// Shows every parameter tensor to a visitor that changes them, in the order of the layout. Copies in bf16 are stale then,
    /// but those that the visitor writes itself.
    pub fn visit_mut<V: VisitMut<E, D>>(&mut self, visitor: &mut V) -> Result<(), V::Err> {
        self.rounded().iter().flatten().for_each(Rounded::set_stale);
        self.visit_each_mut(visitor)
    }
}
