//! All that the driver knows: one for the process, behind a lock.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ffi::c_void;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::CudaError;
use crate::machine::{Kernels, Memory};
use crate::settings::Settings;

/// One device.
#[derive(Debug, Default)]
pub struct Device {
    /// How often its primary context was asked for and not given back.
    pub retained: usize,
    /// Once a kernel did something wrong, every call that works on the device gives this.
    pub poisoned: Option<CudaError>,
    pub allocations: u64,
    pub live_bytes: u64,
    pub live_blocks: u64,
    pub peak_bytes: u64,
    /// What was still allocated when the context went.
    pub abandoned_bytes: u64,
    pub abandoned_blocks: u64,
}

/// A loaded module.
pub struct Loaded {
    pub kernels: Arc<Kernels>,
    /// Device and addresses of its global variables.
    pub device: usize,
    pub globals: Vec<u64>,
}

/// What comes of a text.
#[derive(Clone)]
pub struct Decoded {
    pub version: (u32, u32),
    pub target: String,
    pub kernels: Arc<Kernels>,
}

/// What a kernel or a function of cuBLAS did so far.
#[derive(Clone, Copy, Debug, Default)]
pub struct Work {
    pub times: u64,
    pub instructions: u64,
    pub seconds: f64,
}

/// Calls that move bytes. One of zero bytes is none: nothing is asked of the device.
#[derive(Clone, Copy, Debug, Default)]
pub struct Moves {
    pub times: u64,
    pub bytes: u64,
}

impl Moves {
    pub fn add(&mut self, bytes: usize) {
        self.times += u64::from(bytes > 0);
        self.bytes += bytes as u64;
    }
}

pub struct Driver {
    pub settings: Settings,
    pub initialized: bool,
    pub memory: Memory,
    pub devices: Vec<Device>,
    pub modules: BTreeMap<usize, Arc<Loaded>>,
    /// Texts without global variables, which are the same wherever they are loaded: a program loads the same ones on each device, and
    /// tests open a device many times.
    pub decoded: HashMap<String, Decoded>,
    /// Handles of kernels: the module and the program in it.
    pub functions: BTreeMap<usize, (Arc<Loaded>, usize)>,
    pub streams: BTreeSet<usize>,
    /// When each event was recorded last.
    pub events: BTreeMap<usize, Option<Instant>>,
    /// cuBLAS handles and their devices.
    pub blas: BTreeMap<usize, usize>,
    /// The last handle given out.
    handle: usize,
    /// Allocations asked for so far, by number; which of them fail.
    pub attempts: u64,
    pub failing: std::ops::Range<u64>,
    pub launches: u64,
    pub memsets: Moves,
    pub copies_to_device: Moves,
    pub copies_to_host: Moves,
    pub copies_on_device: Moves,
    /// Calls that wait for all that a device or a stream has to do. A copy to the host that is not asynchronous waits as well and is
    /// not counted here.
    pub synchronizations: u64,
    pub kernel_work: BTreeMap<String, Work>,
    pub blas_work: BTreeMap<&'static str, Work>,
}

impl Driver {
    pub fn new(settings: Settings) -> Self {
        let (first, count) = settings.failing.unwrap_or((0, 0));
        Driver {
            initialized: false,
            memory: Memory::default(),
            devices: (0..settings.devices).map(|_| Device::default()).collect(),
            modules: BTreeMap::new(),
            decoded: HashMap::new(),
            functions: BTreeMap::new(),
            streams: BTreeSet::new(),
            events: BTreeMap::new(),
            blas: BTreeMap::new(),
            handle: 0x1000,
            attempts: 0,
            failing: first..first.saturating_add(count),
            launches: 0,
            memsets: Moves::default(),
            copies_to_device: Moves::default(),
            copies_to_host: Moves::default(),
            copies_on_device: Moves::default(),
            synchronizations: 0,
            kernel_work: BTreeMap::new(),
            blas_work: BTreeMap::new(),
            settings,
        }
    }

    /// The process's driver. It is made, with its settings, when it is first called.
    pub fn lock() -> MutexGuard<'static, Driver> {
        static DRIVER: LazyLock<Mutex<Driver>> = LazyLock::new(|| {
            let settings = Settings::from_environment();
            if settings.report.is_some() {
                crate::report::at_exit();
            }
            Mutex::new(Driver::new(settings))
        });
        // A panic with the lock ends the process anyway: it happens in a C function.
        DRIVER.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A number that no handle had before. It is not an address that a program could follow.
    pub fn new_handle(&mut self) -> usize {
        self.handle += 16;
        self.handle
    }

    pub fn log(&self, text: impl FnOnce() -> String) {
        if self.settings.log {
            eprintln!("CUDA emulator: {}", text());
        }
    }

    pub fn check_initialized(&self) -> Result<(), CudaError> {
        if self.initialized { Ok(()) } else { Err(CudaError::NOT_INITIALIZED) }
    }

    /// The device that the calling thread works on, if nothing went wrong there.
    pub fn working(&self) -> Result<usize, CudaError> {
        let device = self.current()?;
        self.check_healthy(device)?;
        Ok(device)
    }

    /// The device whose context is the calling thread's.
    pub fn current(&self) -> Result<usize, CudaError> {
        self.check_initialized()?;
        let device = super::context::current().ok_or(CudaError::INVALID_CONTEXT)?;
        match self.devices.get(device) {
            Some(state) if state.retained > 0 => Ok(device),
            Some(_) => Err(CudaError::CONTEXT_IS_DESTROYED),
            None => Err(CudaError::INVALID_CONTEXT),
        }
    }

    pub fn check_healthy(&self, device: usize) -> Result<(), CudaError> {
        self.devices.get(device).and_then(|device| device.poisoned).map_or(Ok(()), Err)
    }

    /// From now on every call on the device fails with this.
    pub fn poison(&mut self, device: usize, error: CudaError) {
        if let Some(device) = self.devices.get_mut(device) {
            device.poisoned.get_or_insert(error);
        }
    }

    /// The physical device behind a number that the program uses.
    pub fn visible(&self, ordinal: i32) -> Result<usize, CudaError> {
        self.check_initialized()?;
        let ordinal = usize::try_from(ordinal).map_err(|_| CudaError::INVALID_DEVICE)?;
        self.settings.visible.get(ordinal).copied().ok_or(CudaError::INVALID_DEVICE)
    }

    /// New memory of a device; `bytes` is not 0.
    pub fn allocate(&mut self, device: usize, bytes: usize) -> Result<u64, CudaError> {
        let attempt = self.attempts;
        self.attempts += 1;
        let state = self.devices.get_mut(device).ok_or(CudaError::INVALID_DEVICE)?;
        let after = state.live_bytes.saturating_add(bytes as u64);
        if self.failing.contains(&attempt) || after > self.settings.memory_bytes {
            let live = state.live_bytes;
            self.log(|| format!("out of memory: {bytes} bytes on device {device}, which has {live} in use"));
            return Err(CudaError::OUT_OF_MEMORY);
        }
        let address = self.memory.allocate(device, bytes).ok_or(CudaError::OUT_OF_MEMORY)?;
        state.allocations += 1;
        state.live_blocks += 1;
        state.live_bytes = after;
        state.peak_bytes = state.peak_bytes.max(after);
        Ok(address)
    }

    /// Gives memory back.
    pub fn free(&mut self, address: u64) -> Result<(), CudaError> {
        let device = self.memory.device(address).ok_or(CudaError::INVALID_VALUE)?;
        self.check_healthy(device)?;
        // A module's variables are not the program's to free.
        if self.modules.values().any(|module| module.globals.contains(&address)) {
            return Err(CudaError::INVALID_VALUE);
        }
        let bytes = self.memory.free(device, address).ok_or(CudaError::INVALID_VALUE)?;
        if let Some(state) = self.devices.get_mut(device) {
            state.live_bytes -= bytes as u64;
            state.live_blocks -= 1;
        }
        Ok(())
    }

    /// Ends a device's context: its modules go, and its memory, which nobody can give back any more.
    pub fn end_context(&mut self, device: usize) {
        self.modules.retain(|_, module| module.device != device);
        self.functions.retain(|_, (module, _)| module.device != device);
        let addresses: Vec<u64> = self.memory.of_device(device).collect();
        for address in addresses {
            self.memory.free(device, address);
        }
        if let Some(state) = self.devices.get_mut(device) {
            state.abandoned_bytes += std::mem::take(&mut state.live_bytes);
            state.abandoned_blocks += std::mem::take(&mut state.live_blocks);
        }
    }

    /// The device of memory that is read or written from outside, all of it in one allocation.
    pub fn check_range(&mut self, address: u64, bytes: usize) -> Result<usize, CudaError> {
        let device = self.memory.device(address).ok_or(CudaError::INVALID_VALUE)?;
        self.memory.bytes(device, address, bytes).ok_or(CudaError::INVALID_VALUE)?;
        Ok(device)
    }
}

/// A handle as C has it.
pub(super) fn pointer(handle: usize) -> *mut c_void {
    std::ptr::without_provenance_mut(handle)
}
