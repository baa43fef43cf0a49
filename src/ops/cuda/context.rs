//! What operations need of a device besides tensors: cuBLAS, the kernels, and memory that is not cleared first.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use cudarc::cublas::CudaBlas;
use cudarc::driver::sys::cudaError_enum::{CUDA_ERROR_INVALID_IMAGE, CUDA_ERROR_OUT_OF_MEMORY};
use cudarc::driver::{CudaDevice, CudaSlice, DevicePtr, DeviceRepr, DriverError, result};
use dfdx::prelude::*;

use super::address::{Address, address_in, address_of};
use super::carried;
use super::kernels::{self, Grid, KernelError};

thread_local! {
    /// Of the devices that this thread computes on.
    static CONTEXTS: RefCell<BTreeMap<i32, Rc<Context>>> = const { RefCell::new(BTreeMap::new()) };
}

/// A device as the operations of this module use it. dfdx has a handle of cuBLAS and a cache of memory, too, and shows neither.
pub struct Context {
    pub device: Arc<CudaDevice>,
    pub blas: CudaBlas,
    /// Memory that nobody uses at the moment, by its bytes.
    kept: RefCell<BTreeMap<usize, Vec<CudaSlice<u8>>>>,
}

impl std::fmt::Debug for Context {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Context").field("device", &self.device.ordinal()).finish_non_exhaustive()
    }
}

impl Context {
    /// Makes a device ready, unless it is.
    pub fn try_open(cuda: &Cuda) -> Result<Rc<Self>, KernelError> {
        let buffer = match Storage::<u8>::try_alloc_len(cuda, 1) {
            Ok(buffer) => buffer,
            Err(CudaError::Driver(error)) => return Err(KernelError::Device(error)),
            Err(CudaError::Blas(error)) => return Err(KernelError::Blas(error)),
            Err(CudaError::Cpu(_)) => {
                return Err(KernelError::Device(DriverError(CUDA_ERROR_OUT_OF_MEMORY)));
            }
        };
        let device = buffer.device();
        let number = *device.cu_device();
        let told = address_in(&buffer);
        if told != Some(Address { device: number, start: *buffer.device_ptr(), len: 1 }) {
            return Err(KernelError::Form(format!("{told:?}")));
        }
        // Each device of dfdx's has modules of its own, also where a context for the same GPU is there already.
        carried::load(&device)?;
        Self::try_on(device)
    }

    /// The context of a device of dfdx's.
    pub fn try_on(device: Arc<CudaDevice>) -> Result<Rc<Self>, KernelError> {
        let number = *device.cu_device();
        if let Some(context) = CONTEXTS.with_borrow(|contexts| contexts.get(&number).cloned()) {
            return Ok(context);
        }
        carried::load(&device)?;
        let blas = CudaBlas::new(Arc::clone(&device)).map_err(KernelError::Blas)?;
        let context = Rc::new(Self { device, blas, kept: RefCell::new(BTreeMap::new()) });
        CONTEXTS.with_borrow_mut(|contexts| contexts.insert(number, Rc::clone(&context)));
        Ok(context)
    }

    /// The context of the device on which a tensor lies, and where that is.
    pub fn try_of<S: Shape, E: Dtype>(tensor: &Tensor<S, E, Cuda>) -> Result<(Rc<Self>, u64), CudaError> {
        let address = address_of(tensor)?;
        let known = CONTEXTS.with_borrow(|contexts| contexts.get(&address.device).cloned());
        let context = match known {
            Some(context) => context,
            None => Self::try_open(tensor.device()).map_err(in_dfdx)?,
        };
        Ok((context, address.start))
    }

    /// Lets go of all devices' memory that nobody uses.
    ///
    /// A driver with memory pools may keep what was freed in its pool, in pieces of the old sizes, until the device was waited for.
    pub fn give_back() {
        let contexts: Vec<_> = CONTEXTS.with_borrow(|contexts| contexts.values().cloned().collect());
        for context in contexts {
            context.forget();
            // Who needs the memory is told what is wrong with the device.
            let _ = context.device.synchronize();
        }
    }

    /// Lets go of the devices themselves.
    pub fn close() {
        // Outside of the borrow: what goes may come here.
        let contexts = CONTEXTS.take();
        drop(contexts);
    }

    fn forget(&self) {
        let kept = self.kept.take();
        drop(kept);
    }

    /// Memory for so many elements, whose content is unspecified.
    pub fn try_take<E>(self: &Rc<Self>, len: usize) -> Result<Memory, CudaError> {
        let bytes = (len * size_of::<E>()).max(1);
        let kept = self.kept.borrow_mut().get_mut(&bytes).and_then(Vec::pop);
        let slice = match kept {
            Some(slice) => slice,
            // SAFETY: kernels and products write it before they read it.
            None => unsafe { self.device.alloc::<u8>(bytes) }?,
        };
        Ok(Memory { slice: Some(slice), context: Rc::clone(self) })
    }

    /// Memory for so many numbers that begins with these: memory of one size is used again, whatever a batch has of them.
    pub fn try_upload(self: &Rc<Self>, values: &[u32], capacity: usize) -> Result<Memory, CudaError> {
        let memory = self.try_take::<u32>(capacity.max(values.len()))?;
        // SAFETY: the memory has room for the values. The driver has its own copy of them when this returns, as always with memory of the
        // host that is not locked.
        unsafe { result::memcpy_htod_async(memory.address(), values, *self.device.cu_stream()) }?;
        Ok(memory)
    }

    /// Launches a kernel that takes a structure.
    ///
    /// # Safety
    /// As for [`kernels::launch`].
    pub unsafe fn launch<P: DeviceRepr>(
        &self,
        name: &'static str,
        grid: Grid,
        parameters: P,
    ) -> Result<(), CudaError> {
        // SAFETY: the caller's promise.
        Ok(unsafe { kernels::launch(&self.device, name, grid, parameters) }?)
    }
}

/// The error as dfdx has it.
pub fn in_dfdx(error: KernelError) -> CudaError {
    match error {
        KernelError::Device(error) | KernelError::Load(error) => CudaError::Driver(error),
        KernelError::Blas(error) => CudaError::Blas(error),
        KernelError::Form(_) | KernelError::TooOld { .. } | KernelError::Unpack(_) => {
            CudaError::Driver(DriverError(CUDA_ERROR_INVALID_IMAGE))
        }
    }
}

/// Memory of a device, which goes back to its context. Work that was asked for before that is done before the memory is used again: all is
/// done in one order.
#[derive(Debug)]
pub struct Memory {
    slice: Option<CudaSlice<u8>>,
    context: Rc<Context>,
}

impl Memory {
    pub fn address(&self) -> u64 {
        self.slice.as_ref().map_or(0, |slice| *slice.device_ptr())
    }

    /// Where element `index` of memory of `E` lies.
    pub fn at<E>(&self, index: usize) -> u64 {
        self.address() + (index * size_of::<E>()) as u64
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        if let Some(slice) = self.slice.take() {
            let bytes = cudarc::driver::DeviceSlice::len(&slice);
            self.context.kept.borrow_mut().entry(bytes).or_default().push(slice);
        }
    }
}
