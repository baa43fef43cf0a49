//! The formats of numbers that the kernels know.

use cudarc::cublas::sys::cudaDataType_t;
use dfdx::prelude::*;

use crate::ops::F16;

/// A format in which tensors of a model can be on a GPU.
pub trait Number: Dtype {
    /// Whether kernels of half precision take it.
    const IS_HALF: bool;
    /// As cuBLAS calls it.
    const TYPE: cudaDataType_t;
}

impl Number for f32 {
    const IS_HALF: bool = false;
    const TYPE: cudaDataType_t = cudaDataType_t::CUDA_R_32F;
}

impl Number for F16 {
    const IS_HALF: bool = true;
    const TYPE: cudaDataType_t = cudaDataType_t::CUDA_R_16F;
}
