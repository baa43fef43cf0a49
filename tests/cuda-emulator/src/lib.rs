//! The parts of NVIDIA's driver libraries that `runner` calls, on the processor.
//!
//! A `runner` built with `--features cuda` by the real nvcc runs on a machine without a GPU when this library stands where
//! `libcuda`, `libcublas`, `libcublasLt` and `libnvidia-ml` would be. It is for tests only. Passing them is not the same as
//! having run on a GPU.
//!
//! ```text
//!        runner: dfdx, cudarc, nvml-wrapper                         tests in the same process
//!     cu*      |      cublas*   |     nvml*                               cuda_emulator_*
//!   +----------v---+   +--------v----+   +----v-----+                     +------v------+
//!   | driver       |<--| cublas      |   | nvml     |                     | control     |
//!   +--+--------+--+   +-------------+   +----------+                     +-------------+
//!      | PTX    | launches
//!   +--v--+  +--v---------------------+  +--------------------------------+
//!   | ptx |->| machine                |->| instructions                   |
//!   +-----+  | memory, threads, blocks|  | one table: opcode, what it does|
//!            +------------------------+  +--------------------------------+
//! ```
//!
//! NVRTC is not here, because the program does not call it.
//!
//! # What it checks
//! Each access of a kernel must lie in one live allocation of its own device, and be aligned. Memory that nothing was written
//! to is full of NaN. An instruction that is not in the table, or other PTX than nvcc prints, is refused by name.
//! Kernels that fail are named on standard error with block, thread and instruction; then every later call fails, as on a GPU.
//!
//! # What it cannot show
//! The driver's own compiler, cuBLAS's rounding, streams and races, the order of atomic operations, the errors of approximate
//! instructions, speed, and how much memory a card would need for its context, code and alignment.
//!
//! # Environment
//! | variable | meaning | default |
//! |---|---|---|
//! | `CUDA_EMULATOR_DEVICES` | how many devices; with 0 `cuInit` gives `CUDA_ERROR_NO_DEVICE` | 1 |
//! | `CUDA_EMULATOR_MEMORY` | bytes of each device | 8 GiB |
//! | `CUDA_EMULATOR_NO_POOLS` | 1: no `cuMemAllocAsync`, as on old cards | 0 |
//! | `CUDA_EMULATOR_COMPUTE_CAPABILITY` | of all devices | 8.0 |
//! | `CUDA_EMULATOR_DRIVER` | the newest CUDA the driver knows: newer PTX gives `CUDA_ERROR_UNSUPPORTED_PTX_VERSION` | 13000 |
//! | `CUDA_EMULATOR_BUSY` | a device whose context gives `CUDA_ERROR_DEVICE_UNAVAILABLE` | none |
//! | `CUDA_EMULATOR_FAIL_ALLOCATION` | `first` or `first,count`: these allocations, counted from 0, find no memory | none |
//! | `CUDA_EMULATOR_LOG` | 1: each launch and product on standard error | 0 |
//! | `CUDA_EMULATOR_REPORT` | a path, `%p` standing for the process id: at exit, a line of JSON with kernels, cuBLAS calls, memsets, copies, synchronisations, and per device allocations, peak, leaks | none |
//! | `CUDA_VISIBLE_DEVICES` | as NVIDIA's driver reads it | all |

// The functions have the names that NVIDIA's libraries give them.
#![allow(non_snake_case)]

pub mod control;
pub mod cublas;
pub mod driver;
pub mod instructions;
pub mod machine;
pub mod nvml;
pub mod ptx;
mod report;
pub mod settings;
