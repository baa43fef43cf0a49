//! The operations on `Cuda`, fused: kernels of our own between products of cuBLAS. dfdx's tensors and tape hold them together.
//!
//! ```text
//!   embedding -> dropout -> block ... block -> norm -> head        many: norm of the gradient, updates, both precisions
//!                             |
//!        norm, attention, columns, masks                           *.cu beside them; carried loads, kernels launches
//!                             |
//!    context (cuBLAS, memory) | address (of tensors) | structures (what kernels take) | product
//! ```
//!
//! # What a step costs before it computes anything
//! Each launch takes a GPU and its driver some microseconds, each copy from the host may wait. `.ci/cuda-launches` counts them on the emulator,
//! here for a step of GPT-2 with 12 layers, width 24, 16 tokens and AdamW, before there were kernels of our own beside dfdx's, and now;
//! `tests/cuda/launches.rs` holds them where they are. Launches are kernels, calls of cuBLAS, memory that is cleared and copies within the
//! GPU; batches are those that are accumulated.
//!
//! | format | dropout | batches | | kernels | cuBLAS | cleared | copied | **launches** | from the host (bytes) | to the host (bytes) | allocations |
//! |---|---|---|---|---|---|---|---|---|---|---|---|
//! | f32 | 0.0 | 1 | before | 1590 | 291 | 857 | 26 | 2764 | 715 (43356) | 2 (8196) | 712 |
//! | | | | now | 241 | 219 | 43 | 0 | **503** | 3 (528) | 2 (12) | 0 |
//! | f32 | 0.0 | 2 | before | 2740 | 582 | 1568 | 54 | 4944 | 1430 (86712) | 3 (8200) | 1423 |
//! | | | | now | 482 | 438 | 90 | 2 | **1012** | 6 (1053) | 3 (16) | 0 |
//! | f32 | 0.1 | 1 | before | 1701 | 291 | 931 | 26 | 2949 | 826 (176364) | 2 (8196) | 786 |
//! | | | | now | 255 | 219 | 45 | 0 | **519** | 3 (528) | 2 (12) | 0 |
//! | f32 | 0.1 | 2 | before | 2962 | 582 | 1716 | 54 | 5314 | 1652 (352728) | 3 (8200) | 1571 |
//! | | | | now | 510 | 438 | 94 | 2 | **1044** | 6 (1053) | 3 (16) | 0 |
//! | f16 | 0.0 | 1 | before | 1892 | 291 | 1168 | 27 | 3378 | 722 (43936) | 2 (8196) | 716 |
//! | | | | now | 245 | 219 | 46 | 0 | **510** | 3 (526) | 2 (12) | 0 |
//! | f16 | 0.0 | 2 | before | 3192 | 582 | 2186 | 54 | 6014 | 1443 (87360) | 3 (8200) | 1431 |
//! | | | | now | 484 | 438 | 92 | 0 | **1014** | 6 (1049) | 3 (16) | 0 |
//! | f16 | 0.1 | 1 | before | 2003 | 291 | 1341 | 27 | 3662 | 833 (113968) | 2 (8196) | 790 |
//! | | | | now | 259 | 219 | 48 | 0 | **526** | 3 (526) | 2 (12) | 0 |
//! | f16 | 0.1 | 2 | before | 3414 | 582 | 2334 | 54 | 6384 | 1665 (227424) | 3 (8200) | 1579 |
//! | | | | now | 512 | 438 | 96 | 0 | **1046** | 6 (1049) | 3 (16) | 0 |
//!
//! From the host come a batch's tokens with the places where each occurs, its targets, and the number 1 with which dfdx begins a way back. To
//! the host go the loss of each batch and the gradient's norm, which waits for the GPU once. Dropout masks are made on the GPU, the same as on
//! the processor: ChaCha gives each number for itself.
//!
//! Sums are taken in a fixed order, without atomic operations. Where cuBLAS gives the same numbers again, so does a run; but with Muon, whose
//! products are dfdx's, the norm by which a matrix is divided first is added up by dfdx's kernel, with atomic operations.
//!
//! # What only a GPU can show
//! The emulator counts and computes; it knows nothing of time. Which block sizes are best, what a launch costs, and how near cuBLAS comes to
//! the GPU's peak was not measured.

use cudarc::driver::{CudaSlice, DevicePtr, DeviceSlice, result};
use dfdx::prelude::*;

use super::composed::{HeadInParts, LossesAndGradients, SharedLoss};
use super::cpu::bf16::Rounded;
use super::{
    Block, BlockPass, Buffer, Dropout, F16, Hits, LayerNorm, Matrix, Mixed, Ops, OutOfMemory, Row, Scalar,
    Transfer,
};

mod address;
mod attention;
mod block;
pub mod carried;
mod columns;
mod context;
mod embedding;
mod head;
mod kernels;
pub mod many;
mod masks;
mod norm;
mod number;
mod parameters;
mod product;
mod structures;
#[cfg(test)]
mod tests;

use context::Context;
use kernels::Grid;
pub use kernels::KernelError;

macro_rules! fused {
    ($($format:ty),+) => { $(
        impl Ops<$format> for Cuda {
            fn try_embedding<T: Tape<$format, Self>>(
                tape: T,
                wte_vc: &Matrix<$format, Self>,
                wpe_pc: &Matrix<$format, Self>,
                token_ids: &[u32],
                tokens: usize,
            ) -> Result<Matrix<$format, Self, T>, CudaError> {
                embedding::try_embedding(tape, wte_vc, wpe_pc, token_ids, tokens)
            }

            fn try_dropout<T: Tape<$format, Self>>(
                x_mc: Matrix<$format, Self, T>,
                dropout: Option<Dropout>,
            ) -> Result<Matrix<$format, Self, T>, CudaError> {
                masks::try_dropout(x_mc, dropout)
            }

            fn try_block<T: Tape<$format, Self>>(
                x_mc: Matrix<$format, Self, T>,
                block: &Block<$format, Self>,
                pass: &BlockPass<$format, Self>,
            ) -> Result<Matrix<$format, Self, T>, CudaError> {
                block::try_block(x_mc, block, pass)
            }

            fn try_layer_norm<T: Tape<$format, Self>>(
                x_mc: Matrix<$format, Self, T>,
                norm: &LayerNorm<$format, Self>,
            ) -> Result<Matrix<$format, Self, T>, CudaError> {
                norm::try_layer_norm(x_mc, norm)
            }

            fn try_head_loss<T: Tape<$format, Self>>(
                x_mc: Matrix<$format, Self, T>,
                wte_vc: &Matrix<$format, Self>,
                _rounded: Option<&Rounded>,
                targets: &[u32],
                hits: &Hits,
            ) -> Result<Scalar<$format, Self, T>, CudaError> {
                head::try_head_loss(x_mc, wte_vc, targets, hits)
            }

            fn try_head_losses(
                head: &HeadInParts<'_, $format, Self>,
                hits: &Hits,
            ) -> Result<Vec<SharedLoss<$format, Self>>, CudaError> {
                head::try_head_losses(head, hits)
            }

            fn try_head_gradients(
                head: &HeadInParts<'_, $format, Self>,
                gradients: Gradients<$format, Self>,
                factor: f64,
            ) -> Result<LossesAndGradients<$format, $format, Self>, CudaError> {
                head::try_head_gradients(head, gradients, factor)
            }
        }
    )+ };
}
fused!(f32, F16);

/// Makes a device ready for the operations of this module.
pub fn load_kernels(device: &Cuda) -> Result<(), KernelError> {
    Context::try_open(device).map(|_| ())
}

/// The address of a parameter that a model may do without; 0: it does.
fn optional_address<E: Dtype>(row: Option<&Row<E, Cuda>>) -> Result<u64, CudaError> {
    row.map_or(Ok(0), |row| Ok(Context::try_of(row)?.1))
}

/// Where the gradient of a tensor lies.
fn gradient<S: Shape, E: Dtype>(
    gradients: &mut Gradients<E, Cuda>,
    tensor: &Tensor<S, E, Cuda>,
) -> Result<u64, CudaError> {
    Ok(*gradients.get_or_alloc_mut(tensor)?.device_ptr())
}

impl<E: Dtype> Transfer<E> for Cuda {
    /// dfdx's way of doing this keeps a copy of the values in the host's memory for as long as the tensor lives.
    fn try_tensor<S: Shape>(&self, values: Vec<E>, shape: S) -> Result<Tensor<S, E, Self>, CudaError> {
        let mut tensor = ZerosTensor::<E>::try_zeros_like(self, &shape)?;
        tensor.copy_from(&values);
        Ok(tensor)
    }

    /// The copy waits for the device, and says what went wrong there.
    fn try_values<S: Shape>(tensor: &Tensor<S, E, Self>) -> Result<Vec<E>, CudaError> {
        let (context, address) = Context::try_of(tensor)?;
        let mut values = vec![E::default(); tensor.shape().num_elements()];
        context.device.bind_to_thread()?;
        // SAFETY: so many values of this type lie there.
        unsafe { result::memcpy_dtoh_sync(&mut values, address) }?;
        Ok(values)
    }

    fn try_download(buffer: &Buffer<E, Self>) -> Result<Vec<E>, CudaError> {
        let mut values = vec![E::default(); buffer.len()];
        buffer.device().dtoh_sync_copy_into(&**buffer, &mut values)?;
        Ok(values)
    }

    fn try_upload(buffer: &mut Buffer<E, Self>, values: &[E]) -> Result<(), CudaError> {
        let device = buffer.device();
        Ok(device.htod_sync_copy_into(values, &mut **buffer)?)
    }
}

impl OutOfMemory for Cuda {
    fn is_out_of_memory(error: &CudaError) -> bool {
        use cudarc::cublas::sys::cublasStatus_t::CUBLAS_STATUS_ALLOC_FAILED;
        use cudarc::driver::sys::cudaError_enum::CUDA_ERROR_OUT_OF_MEMORY;
        match error {
            CudaError::Driver(error) => error.0 == CUDA_ERROR_OUT_OF_MEMORY,
            CudaError::Blas(error) => error.0 == CUBLAS_STATUS_ALLOC_FAILED,
            CudaError::Cpu(error) => Cpu::is_out_of_memory(error),
        }
    }

    fn give_back_memory(&self) {
        Context::give_back();
    }

    fn close(&self) {
        many::forget();
        Context::close();
    }
}

impl Mixed<F16> for Cuda {
    const NARROWS_IN_PLACE: bool = true;

    fn try_add(
        to: &mut Buffer<f32, Self>,
        from: &mut Buffer<F16, Self>,
        factor: f32,
    ) -> Result<(), CudaError> {
        many::try_add_later(to, from, factor)
    }

    fn try_finish_additions() -> Result<(), CudaError> {
        many::try_finish_additions()
    }

    fn try_narrow_from<S: Shape>(tensor: &Tensor<S, f32, Self>) -> Result<(), CudaError> {
        many::try_narrow_from(tensor)
    }

    fn try_narrow_to<S: Shape>(tensor: &mut Tensor<S, F16, Self>) -> Result<(), CudaError> {
        many::try_narrow_to(tensor)
    }

    fn try_finish_narrowing() -> Result<(), CudaError> {
        many::try_finish_narrowing()
    }

    fn try_round(to: &mut Buffer<F16, Self>, from: &Buffer<f32, Self>, factor: f32) -> Result<(), CudaError> {
        many::try_round(to, from, factor)
    }

    fn try_head_losses_in_single(
        head: &HeadInParts<'_, F16, Self>,
        hits: &Hits,
    ) -> Result<Vec<SharedLoss<f32, Self>>, CudaError> {
        head::try_head_losses(head, hits)
    }

    fn try_head_gradients_in_single(
        head: &HeadInParts<'_, F16, Self>,
        gradients: Gradients<F16, Self>,
        factor: f64,
    ) -> Result<LossesAndGradients<F16, f32, Self>, CudaError> {
        head::try_head_gradients(head, gradients, factor)
    }
}

/// x *= factor
pub fn try_scale(x: &mut Buffer<f32, Cuda>, factor: f32) -> Result<(), CudaError> {
    let context = Context::try_on(x.device()).map_err(context::in_dfdx)?;
    let x: &mut CudaSlice<f32> = &mut *x;
    let (len, grid) = (x.len(), Grid::elements(x.len()));
    // SAFETY: `x` has `len` elements.
    Ok(unsafe { kernels::launch_with(&context.device, kernels::SCALE, grid, (len, x, factor)) }?)
}
