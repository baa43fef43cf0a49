//! What runs kernels: memory, programs, threads in blocks in a grid.
//!
//! One thread runs at a time, until it ends or waits at a barrier; blocks run in order. So every launch gives the same
//! result each time, which a GPU does not promise.

mod decode;
mod fault;
mod launch;
mod memory;
mod operands;
mod program;
mod spaces;
mod thread;

#[cfg(test)]
mod tests;

pub use decode::decode;
pub use fault::{Access, Failure, Fault};
pub use launch::{Launch, launch};
pub use memory::Memory;
pub use program::{CARRY, Kernels, Program};
pub use spaces::{Global, Local, Param, Place, Shared, Spaces};
