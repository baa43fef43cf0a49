//! Where a tensor lies.

use std::fmt::{self, Write};

use cudarc::driver::DriverError;
use cudarc::driver::sys::cudaError_enum::CUDA_ERROR_INVALID_HANDLE;
use dfdx::prelude::*;

/// The memory of a tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The driver's number for the device.
    pub device: i32,
    pub address: u64,
    /// Elements.
    pub len: usize,
}

/// Where a contiguous tensor lies.
///
/// dfdx keeps a tensor's storage to itself, and shows it in one way only: as text for debugging, which begins with its address, its length and
/// its device. The version of dfdx is fixed in `Cargo.toml`, the text is read no further than that, and a text of another form is an error;
/// [`Context`](super::context::Context) looks once whether it says the truth.
pub fn place<S: Shape, E: Dtype>(tensor: &Tensor<S, E, Cuda>) -> Result<Place, CudaError> {
    let found = place_in(tensor).filter(|place| place.len == tensor.shape().num_elements());
    found.ok_or(CudaError::Driver(DriverError(CUDA_ERROR_INVALID_HANDLE)))
}

/// The place that the text of a tensor, or of a buffer, tells of.
pub fn place_in(storage: &impl fmt::Debug) -> Option<Place> {
    let mut beginning = Beginning(String::with_capacity(256));
    // It ends with an error: what comes after is long.
    let _ = write!(beginning, "{storage:?}");
    let text = beginning.0;
    let number = |name: &str| {
        let (_, rest) = text.split_once(name)?;
        rest.split_once(',').map(|(number, _)| number)
    };
    Some(Place {
        device: number(DEVICE)?.parse().ok()?,
        address: number("cu_device_ptr: ")?.parse().ok()?,
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
    fn the_place_is_read_from_the_beginning_of_the_text() {
        let device = CudaDevice { cu_device: 1, cu_primary_ctx: 5 };
        let slice = CudaSlice { cu_device_ptr: 0x7000_0000, len: 12, device };
        assert_eq!(place_in(&slice), Some(Place { device: 1, address: 0x7000_0000, len: 12 }));
    }

    #[test]
    fn a_text_of_another_form_tells_of_no_place() {
        assert_eq!(place_in(&"cu_device: 1, but no address"), None);
        assert_eq!(place_in(&[1, 2, 3]), None);
    }
}
