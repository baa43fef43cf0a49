//! Matrix products, by cuBLAS: sums in f32, of f32 without rounding to TF32, as PyTorch's `torch.set_float32_matmul_precision("highest")`,
//! or of f16. Where cuBLAS splits a long sum of f16, it may add up its parts in f16, which PyTorch lets it do as well
//! (`torch.backends.cuda.matmul.allow_fp16_reduced_precision_reduction`).

use std::ffi::c_void;

use cudarc::cublas::result;
use cudarc::cublas::sys::cublasComputeType_t::CUBLAS_COMPUTE_32F;
use cudarc::cublas::sys::cublasGemmAlgo_t::CUBLAS_GEMM_DFALT;
use cudarc::cublas::sys::cublasOperation_t::{CUBLAS_OP_N, CUBLAS_OP_T};
use dfdx::prelude::*;

use super::context::Context;
use super::number::Number;

/// A matrix in rows without gaps.
#[derive(Clone, Copy, Debug)]
pub struct Side {
    address: u64,
    transposed: bool,
}

impl Side {
    pub fn plain(address: u64) -> Self {
        Self { address, transposed: false }
    }

    /// Whose transpose is meant.
    pub fn transposed(address: u64) -> Self {
        Self { address, transposed: true }
    }
}

/// `to = factor * lhs * rhs`, or that added to it.
///
/// # Shapes
/// `count` times, each matrix right after the one before: (m, k), (k, n) -> (m, n)
#[derive(Clone, Copy, Debug)]
pub struct Product {
    pub count: usize,
    pub m: usize,
    pub k: usize,
    pub n: usize,
    pub lhs: Side,
    pub rhs: Side,
    pub factor: f32,
    pub adds: bool,
    pub to: u64,
}

impl Product {
    /// One product, which replaces what is there.
    pub fn one(m: usize, k: usize, n: usize, lhs: Side, rhs: Side, to: u64) -> Self {
        Self { count: 1, m, k, n, lhs, rhs, factor: 1.0, adds: false, to }
    }

    /// Asks the device for it.
    ///
    /// # Safety
    /// Both sides and the result are matrices of `E` of these shapes on the context's device, which live until it is done.
    pub unsafe fn try_on<E: Number>(self, context: &Context) -> Result<(), CudaError> {
        let Self { count, m, k, n, lhs, rhs, factor, adds, to } = self;
        let operation = |side: Side| if side.transposed { CUBLAS_OP_T } else { CUBLAS_OP_N };
        let pointer = |address: u64| std::ptr::with_exposed_provenance::<c_void>(address as usize);
        let beta = if adds { 1.0_f32 } else { 0.0 };
        // cuBLAS goes column by column, so that rows are columns to it, and it is asked for the transpose: rhs^T lhs^T.
        // SAFETY: the caller's promise.
        unsafe {
            result::gemm_strided_batched_ex(
                *context.blas.handle(),
                operation(rhs),
                operation(lhs),
                n as i32,
                m as i32,
                k as i32,
                (&raw const factor).cast(),
                pointer(rhs.address),
                E::TYPE,
                if rhs.transposed { k } else { n } as i32,
                (k * n) as i64,
                pointer(lhs.address),
                E::TYPE,
                if lhs.transposed { m } else { k } as i32,
                (m * k) as i64,
                (&raw const beta).cast(),
                pointer(to).cast_mut(),
                E::TYPE,
                n as i32,
                (m * n) as i64,
                count as i32,
                CUBLAS_COMPUTE_32F,
                CUBLAS_GEMM_DFALT,
            )
        }?;
        Ok(())
    }
}
