//! Copies between the host and a device, for tensors and for the memory behind gradients and moments, which is no tensor's.

use dfdx::prelude::*;

use super::{Buffer, Half};

/// A device from and to which values can be copied. dfdx copies to and from tensors only, and some of that panics on a GPU.
pub trait Transfer<E: Dtype>: Storage<E> + CopySlice<E> + TensorFromVec<E> + Synchronize {
    /// A new tensor with these values.
    fn try_tensor<S: Shape>(&self, values: Vec<E>, shape: S) -> Result<Tensor<S, E, Self>, Self::Err> {
        TensorFromVec::<E>::try_tensor_from_vec(self, values, shape)
    }

    /// The values of a contiguous tensor, once the device has computed them.
    fn try_values<S: Shape>(tensor: &Tensor<S, E, Self>) -> Result<Vec<E>, Self::Err> {
        // An error of what was computed would be a panic in the copy.
        tensor.device().try_synchronize()?;
        let mut values = vec![E::default(); tensor.shape().num_elements()];
        tensor.copy_into(&mut values);
        Ok(values)
    }

    /// A buffer's values, once the device has computed them.
    fn try_download(buffer: &Buffer<E, Self>) -> Result<Vec<E>, Self::Err>;

    /// Replaces a buffer's values by as many others.
    fn try_upload(buffer: &mut Buffer<E, Self>, values: &[E]) -> Result<(), Self::Err>;
}

impl<E: Dtype> Transfer<E> for Cpu {
    fn try_download(buffer: &Buffer<E, Self>) -> Result<Vec<E>, CpuError> {
        Ok(buffer.to_vec())
    }

    fn try_upload(buffer: &mut Buffer<E, Self>, values: &[E]) -> Result<(), CpuError> {
        buffer.copy_from_slice(values);
        Ok(())
    }
}

/// A device whose errors can be told apart.
pub trait OutOfMemory: HasErr {
    /// Whether it had too little memory.
    fn is_out_of_memory(error: &Self::Err) -> bool;
}

impl OutOfMemory for Cpu {
    fn is_out_of_memory(error: &CpuError) -> bool {
        matches!(error, CpuError::OutOfMemory)
    }
}

/// A device that can train in mixed precision: passes in half precision, and gradients, moments and weights in single.
pub trait Mixed: super::Ops<f32> + super::Ops<Half> {
    /// `to += factor * from`.
    fn try_add_half(
        to: &mut Buffer<f32, Self>,
        from: &Buffer<Half, Self>,
        factor: f32,
    ) -> Result<(), Self::Err>;

    /// `to = factor * from`, rounded to the nearest, and infinite beyond the range of half precision.
    fn try_write_half(
        to: &mut Buffer<Half, Self>,
        from: &Buffer<f32, Self>,
        factor: f32,
    ) -> Result<(), Self::Err>;
}

impl Mixed for Cpu {
    fn try_add_half(
        to: &mut Buffer<f32, Self>,
        from: &Buffer<Half, Self>,
        factor: f32,
    ) -> Result<(), CpuError> {
        for (to, from) in to.iter_mut().zip(from.iter()) {
            *to += factor * from.0.to_f32();
        }
        Ok(())
    }

    fn try_write_half(
        to: &mut Buffer<Half, Self>,
        from: &Buffer<f32, Self>,
        factor: f32,
    ) -> Result<(), CpuError> {
        for (to, from) in to.iter_mut().zip(from.iter()) {
            to.0 = dfdx::dtypes::f16::from_f32(factor * from);
        }
        Ok(())
    }
}
