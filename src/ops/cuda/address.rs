//! Where a tensor lies.

use std::fmt::{self, Write};

use cudarc::driver::DriverError;
use cudarc::driver::sys::cudaError_enum::CUDA_ERROR_INVALID_HANDLE;
use dfdx::prelude::*;

/// The memory of a tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address {
    /// The driver's number for the device.
    pub device: i32,
    pub start: u64,
    /// Elements.
    pub len: usize,
}

/// Where a contiguous tensor lies.
///
/// dfdx keeps a tensor's storage to itself, and shows it in one way only: as text for debugging, which begins with its address, its length and
/// its device. The version of dfdx is fixed in `Cargo.toml`, the text is read no further than that, and a text of another form is an error;
/// [`Context`](super::context::Context) looks once whether it says the truth.
pub fn address_of<S: Shape, E: Dtype>(tensor: &Tensor<S, E, Cuda>) -> Result<Address, CudaError> {
    let found = address_in(tensor).filter(|found| found.len == tensor.shape().num_elements());
    found.ok_or(CudaError::Driver(DriverError(CUDA_ERROR_INVALID_HANDLE)))
}

/// The address that the text of a tensor, or of a buffer, tells of.
pub fn address_in(storage: &impl fmt::Debug) -> Option<Address> {
    let mut beginning = Beginning(String::with_capacity(256));
    // It ends with an error: what comes after is long.
    let _ = write!(beginning, "{storage:?}");
    let text = beginning.0;
    let number = |name: &str| {
        let (_, rest) = text.split_once(name)?;
        rest.split_once(',').map(|(number, _)| number)
    };
    Some(Address {
        device: number(DEVICE)?.parse().ok()?,
        start: number("cu_device_ptr: ")?.parse().ok()?,
        len: number(", len: ")?.parse().ok()?,
    })
}

/// What stands before the last number that is wanted.
const DEVICE: &str = "cu_device: ";

/// A text up to what is wanted of it.
struct Beginning(String);

impl Write for Beginning {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.push_str(text);
        match self.0.split_once(DEVICE) {
            Some((_, after)) if after.contains(',') => Err(fmt::Error),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As dfdx and cudarc have it.
    #[derive(Debug)]
    #[expect(dead_code, reason = "shown as text")]
    struct CudaSlice {
        cu_device_ptr: u64,
        len: usize,
        device: CudaDevice,
    }

    #[derive(Debug)]
    #[expect(dead_code, reason = "shown as text")]
    struct CudaDevice {
        cu_device: i32,
        cu_primary_ctx: usize,
    }

    #[test]
    fn an_address_is_read_from_the_beginning_of_the_text() {
        let device = CudaDevice { cu_device: 1, cu_primary_ctx: 5 };
        let slice = CudaSlice { cu_device_ptr: 0x7000_0000, len: 12, device };
        assert_eq!(address_in(&slice), Some(Address { device: 1, start: 0x7000_0000, len: 12 }));
    }

    #[test]
    fn a_text_of_another_form_tells_of_no_address() {
        assert_eq!(address_in(&"cu_device: 1, but no address"), None);
        assert_eq!(address_in(&[1, 2, 3]), None);
    }
}
