//! Copies between the host and a device, for tensors and for the memory behind gradients and moments, which is no tensor's.

use dfdx::prelude::*;

use super::Buffer;

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

    /// Lets go of memory that operations keep beside dfdx's cache and nobody uses. To be called after dfdx's cache was emptied: then the
    /// device has all of it when this returns.
    fn give_back_memory(&self) {}

    /// Lets go of all that operations keep, because whoever used them is done.
    fn close(&self) {}
}

impl OutOfMemory for Cpu {
    fn is_out_of_memory(error: &CpuError) -> bool {
        matches!(error, CpuError::OutOfMemory)
    }
}
