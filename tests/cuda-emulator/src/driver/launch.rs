//! Launches.

use std::ffi::{c_int, c_uint, c_void};
use std::time::Instant;

use super::device::{MAX_BLOCK, MAX_GRID, MAX_SHARED_BYTES, MAX_THREADS};
use super::{CudaError, Driver, answer};
use crate::machine::{Fault, Launch, Program, launch};

/// A kernel that does something wrong says so on standard error at once; the program learns of it by its next call, as on
/// a GPU. A kernel with an instruction that is not in the table does not run.
///
/// # Safety
/// `parameters` is null or has a pointer to each of the kernel's parameters.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuLaunchKernel(
    function: *mut c_void,
    grid_x: c_uint,
    grid_y: c_uint,
    grid_z: c_uint,
    block_x: c_uint,
    block_y: c_uint,
    block_z: c_uint,
    shared_bytes: c_uint,
    stream: *mut c_void,
    parameters: *mut *mut c_void,
    extra: *mut *mut c_void,
) -> c_int {
    answer(|driver| {
        let device = driver.working()?;
        driver.check_stream(stream)?;
        let (loaded, number) =
            driver.functions.get(&function.addr()).cloned().ok_or(CudaError::INVALID_HANDLE)?;
        let program = &loaded.kernels.programs[number];
        if loaded.device != device {
            return Err(CudaError::INVALID_HANDLE);
        }
        if !extra.is_null() {
            eprintln!("CUDA emulator: parameters of {} by `extra` are not supported", program.name);
            return Err(CudaError::NOT_SUPPORTED);
        }
        let (grid, block) = ([grid_x, grid_y, grid_z], [block_x, block_y, block_z]);
        check_sizes(program, grid, block, shared_bytes as usize)?;
        let refusals = loaded.kernels.refusals(number);
        if !refusals.is_empty() {
            eprintln!("CUDA emulator: kernel {} cannot run here: {}", program.name, refusals.join("; "));
            return Err(CudaError::NOT_SUPPORTED);
        }
        // SAFETY: the caller's promise.
        let parameters = unsafe { read_parameters(program, parameters) }?;
        let shared_bytes = shared_bytes as usize;
        let (kernels, parameters) = (&loaded.kernels, parameters.as_slice());
        let launch = Launch { kernels, program: number, device, grid, block, shared_bytes, parameters };
        driver.run(&launch);
        Ok(())
    })
}

fn check_sizes(
    program: &Program,
    grid: [u32; 3],
    block: [u32; 3],
    shared_bytes: usize,
) -> Result<(), CudaError> {
    let within = |sizes: [u32; 3], most: [u32; 3]| {
        sizes.iter().zip(most).all(|(&size, most)| (1..=most).contains(&size))
    };
    let threads = block.iter().map(|&size| u64::from(size)).product::<u64>();
    let fits = within(grid, MAX_GRID)
        && within(block, MAX_BLOCK)
        && threads <= u64::from(MAX_THREADS)
        && program.shared_bytes + shared_bytes <= MAX_SHARED_BYTES;
    if fits { Ok(()) } else { Err(CudaError::INVALID_VALUE) }
}

/// A copy of the kernel's parameters as they lie in its parameter space.
///
/// # Safety
/// `parameters` is null or has a pointer to each of the kernel's parameters.
unsafe fn read_parameters(program: &Program, parameters: *mut *mut c_void) -> Result<Vec<u8>, CudaError> {
    let mut bytes = vec![0; program.param_bytes];
    if !program.parameters.is_empty() && parameters.is_null() {
        return Err(CudaError::INVALID_VALUE);
    }
    for (number, parameter) in program.parameters.iter().enumerate() {
        // SAFETY: the caller's promise: there are as many pointers as the kernel has parameters.
        let source = unsafe { *parameters.add(number) };
        if source.is_null() {
            return Err(CudaError::INVALID_VALUE);
        }
        let target = &mut bytes[parameter.offset..][..parameter.bytes];
        // SAFETY: the caller's promise: each points to a value of its parameter's size.
        unsafe { std::ptr::copy_nonoverlapping(source.cast(), target.as_mut_ptr(), parameter.bytes) };
    }
    Ok(bytes)
}

impl Driver {
    fn run(&mut self, task: &Launch<'_>) {
        let name = &task.kernels.programs[task.program].name;
        self.log(|| format!("{name} with grid {:?} and block {:?}", task.grid, task.block));
        let start = Instant::now();
        let result = launch(&mut self.memory, task);
        self.launches += 1;
        let work = match self.kernel_work.get_mut(name) {
            Some(work) => work,
            None => self.kernel_work.entry(name.clone()).or_default(),
        };
        work.times += 1;
        work.seconds += start.elapsed().as_secs_f64();
        match result {
            Ok(instructions) => work.instructions += instructions,
            Err(failure) => {
                eprintln!("CUDA emulator: {failure}");
                self.poison(task.device, code(&failure.fault));
            }
        }
    }
}

fn code(fault: &Fault) -> CudaError {
    match fault {
        Fault::OutOfBounds { .. } => CudaError::ILLEGAL_ADDRESS,
        Fault::Misaligned { .. } => CudaError::MISALIGNED_ADDRESS,
        Fault::Assertion(_) => CudaError::ASSERT,
        Fault::Trap | Fault::DivergentBarrier { .. } | Fault::CallsTooDeep => CudaError::LAUNCH_FAILED,
    }
}
