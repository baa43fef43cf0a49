//! What the kernels take, field for field as the `.cu` files have it. Addresses of device memory are numbers here; 0 is null.

use cudarc::driver::DeviceRepr;

macro_rules! structures {
    ($($(#[$doc:meta])* $name:ident { $($field:ident: $type:ty),+ $(,)? })+) => { $(
        $(#[$doc])*
        #[repr(C)]
        #[derive(Clone, Copy, Debug)]
        pub struct $name { $(pub $field: $type),+ }

        // SAFETY: only numbers, laid out as in C.
        unsafe impl DeviceRepr for $name {}
    )+ };
}
structures! {
    /// `norm.cu`
    AddNorm {
        rows: usize, columns: usize, x: u64, z: u64, bias: u64, bits: u64, sum: u64, weight: u64, norm_bias: u64, y: u64,
        normed: u64, factors: u64, kept: f32, epsilon: f32,
    }
    /// `norm.cu`
    NormBackward {
        rows: usize, columns: usize, dy: u64, normed: u64, weight: u64, factors: u64, residual: u64, dx: u64,
    }
    /// `columns.cu`
    Columns {
        rows: usize, columns: usize, rows_per_block: usize, x: u64, hidden: u64, bits: u64, out: u64, factors: u64, plain: u64,
        weighted: u64, stride: usize, kept: f32, padding: u32,
    }
    /// `columns.cu`
    AddColumns {
        shares: usize, stride: usize, from: u64, starts: [usize; VECTORS + 1], to: [u64; VECTORS],
    }
    /// `columns.cu`
    BiasGelu { rows: usize, columns: usize, hidden: u64, bias: u64, activated: u64 }
    /// `attention.cu`
    Heads {
        batch: usize, tokens: usize, heads: usize, width: usize, parts: usize, positions: u64, by_head: u64, bias: u64,
        to_heads: usize,
    }
    /// `attention.cu`
    Softmax {
        rows: usize, tokens: usize, scores: u64, out: u64, bits: u64, first: usize, kept: f32, padding: u32,
    }
    /// `attention.cu`
    SoftmaxBackward {
        rows: usize, tokens: usize, weights: u64, gradient: u64, out: u64, bits: u64, first: usize, kept: f32, padding: u32,
    }
    /// `dropout.cu`
    Mask { key: [u32; 8], groups: usize, bits: u64, threshold: u32, padding: u32 }
    /// `dropout.cu`
    Masks { of: [Mask; 3] }
    /// `dropout.cu`
    DropElements { key: [u32; 8], len: usize, x: u64, y: u64, threshold: u32, kept: f32 }
    /// `embedding.cu`
    Embed {
        rows: usize, columns: usize, tokens: usize, ids: u64, of_token: u64, of_position: u64, x: u64,
    }
    /// `embedding.cu`
    EmbedBackward {
        columns: usize, tokens: usize, batch: usize, distinct: usize, starts: u64, ids: u64, order: u64, dx: u64, of_token: u64,
        of_position: u64,
    }
    /// `head.cu`
    CrossEntropy {
        rows: usize, columns: usize, logits: u64, targets: u64, log_sums: u64, losses: u64, right: u64,
    }
    /// `head.cu`
    CrossEntropyBackward {
        rows: usize, columns: usize, logits: u64, targets: u64, log_sums: u64, upstream: u64, factor: f32, padding: u32,
    }
    /// `head.cu`
    MeanLoss { rows: usize, losses: u64, right: u64, loss: u64, hits: u64 }
    /// `many.cu`
    Squares { lengths: Lengths<OF_SQUARES, { OF_SQUARES + 1 }>, shares: u64, x: [u64; OF_SQUARES] }
    /// `many.cu`
    Total { shares: usize, from: u64, to: u64 }
    /// `many.cu`
    AdamW {
        lengths: Lengths<OF_ADAMW, { OF_ADAMW + 1 }>, clip: f32, learning_rate: f32, beta1: f32, beta2: f32, epsilon: f32,
        correction1: f32, correction2: f32, decay: [f32; OF_ADAMW], padding: u32, x: [u64; OF_ADAMW], gradient: [u64; OF_ADAMW],
        first: [u64; OF_ADAMW], second: [u64; OF_ADAMW],
    }
    /// `many.cu`
    Sgd {
        lengths: Lengths<OF_SGD, { OF_SGD + 1 }>, clip: f32, learning_rate: f32, momentum: f32, decay: [f32; OF_SGD], padding: u32,
        x: [u64; OF_SGD], gradient: [u64; OF_SGD], velocity: [u64; OF_SGD],
    }
    /// `many.cu`
    BothPrecisions {
        lengths: Lengths<OF_HALF, { OF_HALF + 1 }>, factor: f32, padding: u32, single: [u64; OF_HALF], half: [u64; OF_HALF],
    }
}

/// `columns.cu`
pub const VECTORS: usize = 8;

/// Tensors of one launch in `many.cu`: as many as 4 KB of parameters hold.
pub const OF_SQUARES: usize = 200;
pub const OF_ADAMW: usize = 80;
pub const OF_SGD: usize = 96;
pub const OF_HALF: usize = 140;
/// Elements that a block of `many.cu` works on.
pub const CHUNK: usize = 16_384;

/// `many.cu`. `N1` is one more than `N`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Lengths<const N: usize, const N1: usize> {
    pub len: [usize; N],
    pub first: [u32; N1],
    pub tensors: u32,
}

impl<const N: usize, const N1: usize> Lengths<N, N1> {
    /// Of these tensors, at most `N`, with the number of blocks for all.
    pub fn new(lens: impl IntoIterator<Item = usize>) -> (Self, usize) {
        let mut lengths = Self { len: [0; N], first: [0; N1], tensors: 0 };
        let mut blocks = 0;
        for (i, len) in lens.into_iter().enumerate() {
            lengths.len[i] = len;
            blocks += len.div_ceil(CHUNK);
            lengths.first[i + 1] = blocks as u32;
            lengths.tensors += 1;
        }
        (lengths, blocks)
    }
}

// Drivers before CUDA 12.1 take no more.
const _: () = {
    assert!(size_of::<Squares>() <= 4096 && size_of::<AdamW>() <= 4096);
    assert!(size_of::<Sgd>() <= 4096 && size_of::<BothPrecisions>() <= 4096);
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_go_to_tensors_by_their_length() {
        let (lengths, blocks) = Lengths::<4, 5>::new([1, CHUNK, CHUNK + 1]);
        assert_eq!((lengths.first, lengths.tensors, blocks), ([0, 1, 2, 4, 0], 3, 4));
    }
}
