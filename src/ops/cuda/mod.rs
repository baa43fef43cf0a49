//! The operations on `Cuda`: dfdx's own kernels, composed, and beside them a few of ours on the memory behind gradients.

use std::sync::Arc;

use cudarc::driver::{CudaDevice, CudaSlice, DeviceSlice};
use dfdx::prelude::*;

use super::{Buffer, F16, Mixed, Ops, OutOfMemory, Transfer};

pub mod carried;
mod kernels;
#[cfg(test)]
mod tests;

pub use kernels::KernelError;
use kernels::MAX_BLOCKS;

impl Ops<f32> for Cuda {}
impl Ops<F16> for Cuda {}

/// Makes a device ready for dfdx's operations and those of this module, which fail before.
pub fn load_kernels(device: &Cuda) -> Result<(), KernelError> {
    let device = driver(device).map_err(KernelError::Device)?;
    carried::load(&device)
}

/// The driver's device behind dfdx's.
fn driver(device: &Cuda) -> Result<Arc<CudaDevice>, cudarc::driver::DriverError> {
    // dfdx keeps it to itself, but every buffer knows where it lies.
    match Storage::<u8>::try_alloc_len(device, 1) {
        Ok(buffer) => Ok(buffer.device()),
        Err(CudaError::Driver(error)) => Err(error),
        Err(_) => Err(cudarc::driver::DriverError(cudarc::driver::sys::cudaError_enum::CUDA_ERROR_UNKNOWN)),
    }
}

impl<E: Dtype> Transfer<E> for Cuda {
    /// dfdx's way of doing this keeps a copy of the values in the host's memory for as long as the tensor lives.
    fn try_tensor<S: Shape>(&self, values: Vec<E>, shape: S) -> Result<Tensor<S, E, Self>, CudaError> {
        let mut tensor = ZerosTensor::<E>::try_zeros_like(self, &shape)?;
        tensor.copy_from(&values);
        Ok(tensor)
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
}

impl Mixed<F16> for Cuda {
    fn try_add(to: &mut Buffer<f32, Self>, from: &Buffer<F16, Self>, factor: f32) -> Result<(), CudaError> {
        let device = to.device();
        let (to, from): (&mut CudaSlice<f32>, &CudaSlice<F16>) = (&mut **to, &**from);
        let len = to.len();
        assert_eq!(len, from.len(), "a gradient has the size of its parameter");
        // SAFETY: both have `len` elements, and `F16` is a half-precision number without anything around it.
        Ok(unsafe { kernels::launch(&device, "add_half", len, (len, to, from, factor)) }?)
    }

    fn try_round(to: &mut Buffer<F16, Self>, from: &Buffer<f32, Self>, factor: f32) -> Result<(), CudaError> {
        let device = to.device();
        let (to, from): (&mut CudaSlice<F16>, &CudaSlice<f32>) = (&mut **to, &**from);
        let len = from.len();
        assert_eq!(len, to.len(), "a gradient has one size in both precisions");
        // SAFETY: both have `len` elements, and `F16` is a half-precision number without anything around it.
        Ok(unsafe { kernels::launch(&device, "write_half", len, (len, to, from, factor)) }?)
    }
}

/// x *= factor
pub fn try_scale(x: &mut Buffer<f32, Cuda>, factor: f32) -> Result<(), CudaError> {
    let device = x.device();
    let x: &mut CudaSlice<f32> = &mut *x;
    let len = x.len();
    // SAFETY: `x` has `len` elements.
    Ok(unsafe { kernels::launch(&device, "scale", len, (len, x, factor)) }?)
}

/// A sum of squares on the device, in shares.
#[derive(Debug)]
pub struct Squares(CudaSlice<f64>);

impl Squares {
    /// None yet.
    pub fn try_none(device: &Cuda) -> Result<Self, CudaError> {
        Ok(Self(driver(device)?.alloc_zeros(MAX_BLOCKS as usize)?))
    }

    /// Adds those of all elements of `x`.
    pub fn try_add(&mut self, x: &Buffer<f32, Cuda>) -> Result<(), CudaError> {
        let device = x.device();
        let x: &CudaSlice<f32> = x;
        let len = x.len();
        // SAFETY: `x` has `len` elements, and there is a share for each block.
        Ok(unsafe { kernels::launch(&device, "add_squares", len, (len, x, &mut self.0)) }?)
    }

    /// Waits for the device and adds up what it has.
    pub fn try_read(&self) -> Result<f64, CudaError> {
        let mut shares = [0.0; MAX_BLOCKS as usize];
        self.0.device().dtoh_sync_copy_into(&self.0, &mut shares)?;
        Ok(shares.iter().sum())
    }
}
