//! Keys and values of the tokens that a text has so far, so that each further token is computed alone.

use super::InferError;
use super::panels::{Lanes, Line, WIDTH};
use crate::model::ModelConfig;

/// The keys and values of one text in all layers. It has room for some number of tokens, which is taken when it is made.
#[derive(Clone, Debug)]
pub struct Cache {
    layers: Vec<LayerCache>,
    len: usize,
    capacity: usize,
}

/// Of one layer: panels that a query, or the weights of attention, are multiplied with.
#[derive(Clone, Debug)]
pub struct LayerCache {
    head_width: usize,
    /// Tokens that there is room for, whole panels of them.
    room: usize,
    /// For each head and each 32 tokens, a panel: (heads, room / 32, head width, 32 tokens).
    keys: Vec<Line<f32>>,
    /// For each head and each 32 of its columns, a panel: (heads, head width / 32, room, 32 columns).
    values: Vec<Line<f32>>,
}

impl Cache {
    /// Room for `capacity` tokens, at most the block size.
    ///
    /// # Errors
    /// When there is not enough memory.
    pub fn try_new(model: &ModelConfig, capacity: usize) -> Result<Self, InferError> {
        let capacity = capacity.clamp(1, model.block_size);
        let layer = || LayerCache::try_new(model, capacity);
        let layers = (0..model.n_layer).map(|_| layer()).collect::<Result<_, _>>()?;
        Ok(Self { layers, len: 0, capacity })
    }

    /// Tokens that are in it: the position of the next one.
    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Tokens that it has room for.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Forgets all tokens and keeps the room.
    pub fn clear(&mut self) {
        self.len = 0;
    }

    /// Takes the tokens of another cache of the same model.
    ///
    /// # Errors
    /// When it has no room for them.
    pub fn copy_from(&mut self, other: &Self) -> Result<(), InferError> {
        self.copy_first(other, other.len)
    }

    /// Takes the first `tokens` of another cache of the same model, or all where there are fewer.
    ///
    /// # Errors
    /// When it has no room for them.
    pub fn copy_first(&mut self, other: &Self, tokens: usize) -> Result<(), InferError> {
        let tokens = tokens.min(other.len);
        if tokens > self.capacity {
            return Err(InferError::NoRoom { tokens, room: self.capacity });
        }
        for (mine, others) in self.layers.iter_mut().zip(&other.layers) {
            mine.copy_from(others, tokens);
        }
        self.len = tokens;
        Ok(())
    }

    /// Bytes of a cache for `tokens`.
    pub fn bytes(model: &ModelConfig, tokens: usize) -> u64 {
        let room = tokens.next_multiple_of(WIDTH) as u64;
        let columns = (model.n_embd / model.n_head).next_multiple_of(WIDTH) as u64 * model.n_head as u64;
        4 * room * (model.n_embd as u64 + columns) * model.n_layer as u64
    }

    pub(super) fn layer_mut(&mut self, layer: usize) -> &mut LayerCache {
        &mut self.layers[layer]
    }

    pub(super) fn layer(&self, layer: usize) -> &LayerCache {
        &self.layers[layer]
    }

    /// Notes that `tokens` more are in every layer.
    pub(super) fn grow(&mut self, tokens: usize) {
        self.len += tokens;
    }
}

impl LayerCache {
    fn try_new(model: &ModelConfig, capacity: usize) -> Result<Self, InferError> {
        let (heads, head_width) = (model.n_head, model.n_embd / model.n_head);
        let room = capacity.next_multiple_of(WIDTH);
        let keys = try_zeros(heads * room / WIDTH * head_width)?;
        let values = try_zeros(heads * head_width.div_ceil(WIDTH) * room)?;
        Ok(Self { head_width, room, keys, values })
    }

    /// Writes keys and values (c each, heads side by side) of the token at `position`.
    pub fn put(&mut self, position: usize, key: &[f32], value: &[f32]) {
        let (panel, lane) = (position / WIDTH, position % WIDTH);
        let keys = self.keys.chunks_exact_mut(self.room / WIDTH * self.head_width);
        for (head, key) in keys.zip(key.chunks_exact(self.head_width)) {
            let lines = &mut head[panel * self.head_width..][..self.head_width];
            lines.iter_mut().zip(key).for_each(|(line, x)| line.0[lane] = *x);
        }
        let values = self.values.chunks_exact_mut(self.head_width.div_ceil(WIDTH) * self.room);
        for (head, value) in values.zip(value.chunks_exact(self.head_width)) {
            for (panel, piece) in head.chunks_exact_mut(self.room).zip(value.chunks(WIDTH)) {
                panel[position].0[..piece.len()].copy_from_slice(piece);
            }
        }
    }

    /// The panels of a head's keys, each (head width, 32 tokens).
    pub fn keys(&self, head: usize) -> std::slice::ChunksExact<'_, Line<f32>> {
        let len = self.room / WIDTH * self.head_width;
        self.keys[head * len..][..len].chunks_exact(self.head_width)
    }

    /// The panels of a head's values, each (room, 32 columns).
    pub fn values(&self, head: usize) -> std::slice::ChunksExact<'_, Line<f32>> {
        let len = self.head_width.div_ceil(WIDTH) * self.room;
        self.values[head * len..][..len].chunks_exact(self.room)
    }

    /// Takes the first `len` tokens of another cache, whose room may be another.
    fn copy_from(&mut self, other: &Self, len: usize) {
        let panels = len.div_ceil(WIDTH) * self.head_width;
        let keys = self.keys.chunks_exact_mut(self.room / WIDTH * self.head_width);
        for (mine, others) in keys.zip(other.keys.chunks_exact(other.room / WIDTH * self.head_width)) {
            mine[..panels].copy_from_slice(&others[..panels]);
        }
        for (mine, others) in
            self.values.chunks_exact_mut(self.room).zip(other.values.chunks_exact(other.room))
        {
            mine[..len].copy_from_slice(&others[..len]);
        }
    }
}

fn try_zeros(lines: usize) -> Result<Vec<Line<f32>>, InferError> {
    let mut zeros = Vec::new();
    zeros
        .try_reserve_exact(lines)
        .map_err(|_| InferError::OutOfMemory { bytes: lines * size_of::<Lanes>() })?;
    zeros.resize(lines, Line([0.0; WIDTH]));
    Ok(zeros)
}
