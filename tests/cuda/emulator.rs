//! The emulator in this process, as far as it can be told what to do.

use std::sync::{Mutex, MutexGuard, PoisonError};

use libloading::os::unix::Library;

/// What was asked of the driver.
#[derive(Clone, Copy, Debug)]
pub struct Asked {
    pub kernels: u64,
    /// Of cuBLAS.
    pub products: u64,
    pub memsets: u64,
    pub copies_on_device: u64,
    pub copies_to_device: u64,
    pub bytes_to_device: u64,
    /// Each waits for the device.
    pub copies_to_host: u64,
    pub bytes_to_host: u64,
    /// For the device, without a copy.
    pub waits: u64,
    pub allocations: u64,
}

impl std::ops::Sub for Asked {
    type Output = Self;

    fn sub(self, before: Self) -> Self {
        Self {
            kernels: self.kernels - before.kernels,
            products: self.products - before.products,
            memsets: self.memsets - before.memsets,
            copies_on_device: self.copies_on_device - before.copies_on_device,
            copies_to_device: self.copies_to_device - before.copies_to_device,
            bytes_to_device: self.bytes_to_device - before.bytes_to_device,
            copies_to_host: self.copies_to_host - before.copies_to_host,
            bytes_to_host: self.bytes_to_host - before.bytes_to_host,
            waits: self.waits - before.waits,
            allocations: self.allocations - before.allocations,
        }
    }
}

/// The emulated driver, for one test at a time: it counts for the whole process.
pub struct Emulator {
    library: Library,
    _turn: MutexGuard<'static, ()>,
}

static TURN: Mutex<()> = Mutex::new(());

/// The library that the program under test opens as its driver, or one and the same with it when that has happened.
fn driver() -> Library {
    // SAFETY: neither the emulator nor NVIDIA's driver does anything when it is loaded.
    let driver = unsafe { Library::new("libcuda.so.1") };
    driver.unwrap_or_else(|error| panic!("{error}: run .ci/cuda-emulated"))
}

/// Fails unless the driver in this process is the emulator. Where `cuda_emulator` is not set, these tests are ignored.
pub fn expect() {
    // SAFETY: the emulator's `control.rs` has this signature.
    let version = unsafe { driver().get::<extern "C" fn() -> u32>(b"cuda_emulator_version\0").is_ok() };
    assert!(version, "the CUDA emulator is not in the driver's place: run .ci/cuda-emulated");
}

impl Emulator {
    /// # Panics
    /// When the driver in this process is NVIDIA's.
    pub fn take() -> Self {
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        expect();
        let emulator = Self { library: driver(), _turn: turn };
        emulator.fail_allocations(0, 0);
        emulator
    }

    /// Lets `count` allocations fail, from the `first` one on that comes now.
    pub fn fail_allocations(&self, first: u64, count: u64) {
        // SAFETY: the emulator's `control.rs` has this signature.
        let control = unsafe {
            self.library.get::<extern "C" fn(u64, u64)>(b"cuda_emulator_fail_allocations\0").unwrap()
        };
        control(first, count);
    }

    pub fn live_bytes(&self) -> u64 {
        self.number(b"cuda_emulator_live_bytes\0")
    }

    /// Allocations that were not freed, whether their device is still in use or not.
    pub fn left_blocks(&self) -> u64 {
        self.number(b"cuda_emulator_live_blocks\0") + self.number(b"cuda_emulator_abandoned_blocks\0")
    }

    pub fn allocations(&self) -> u64 {
        self.number(b"cuda_emulator_allocations\0")
    }

    /// All that was asked of the driver so far.
    pub fn asked(&self) -> Asked {
        Asked {
            kernels: self.number(b"cuda_emulator_launches\0"),
            products: self.number(b"cuda_emulator_products\0"),
            memsets: self.number(b"cuda_emulator_memsets\0"),
            copies_on_device: self.number(b"cuda_emulator_copies_on_device\0"),
            copies_to_device: self.number(b"cuda_emulator_copies_to_device\0"),
            bytes_to_device: self.number(b"cuda_emulator_bytes_to_device\0"),
            copies_to_host: self.copies_to_host(),
            bytes_to_host: self.number(b"cuda_emulator_bytes_to_host\0"),
            waits: self.number(b"cuda_emulator_synchronizations\0"),
            allocations: self.allocations(),
        }
    }

    pub fn copies_to_host(&self) -> u64 {
        self.number(b"cuda_emulator_copies_to_host\0")
    }

    fn number(&self, name: &[u8]) -> u64 {
        // SAFETY: the functions named above have this signature in the emulator's `control.rs`.
        let control = unsafe { self.library.get::<extern "C" fn() -> u64>(name).unwrap() };
        control()
    }
}
