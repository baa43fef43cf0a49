//! What a kernel can do wrong.

use std::fmt;

/// What a thread wanted of memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    Read,
    Write,
    /// An atomic instruction.
    Change,
}

/// What one thread did wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Outside all memory that the thread may touch.
    OutOfBounds { access: Access, space: &'static str, address: u64, bytes: usize, nearest: String },
    /// The address is not a multiple of the access's size.
    Misaligned { access: Access, space: &'static str, address: u64, bytes: usize },
    /// `assert` in the kernel's source.
    Assertion(String),
    /// The instruction `trap`.
    Trap,
    /// Threads of one block wait at different barriers.
    DivergentBarrier { other: String },
    /// Functions call functions without end.
    CallsTooDeep,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::OutOfBounds { access, space, address, bytes, nearest } => {
                write!(
                    f,
                    "{access} of {bytes} bytes of {space} memory at {address:#x} is out of bounds: {nearest}"
                )
            }
            Fault::Misaligned { access, space, address, bytes } => {
                write!(
                    f,
                    "{access} of {bytes} bytes of {space} memory at {address:#x}, which is not a multiple of {bytes}"
                )
            }
            Fault::Assertion(text) => write!(f, "{text}"),
            Fault::Trap => write!(f, "trap"),
            Fault::DivergentBarrier { other } => {
                write!(f, "divergent barrier: another thread waits at `{other}`")
            }
            Fault::CallsTooDeep => write!(f, "functions call each other too deeply"),
        }
    }
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Access::Read => "read",
            Access::Write => "write",
            Access::Change => "atomic change",
        })
    }
}

/// A launch that came to nothing: the fault and where it happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    pub fault: Fault,
    pub kernel: String,
    pub block: [u32; 3],
    pub thread: [u32; 3],
    /// The instruction as it stands in the PTX.
    pub instruction: String,
    pub line: usize,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Failure { fault, kernel, block, thread, instruction, line } = self;
        write!(
            f,
            "kernel {kernel}, block {block:?}, thread {thread:?}, PTX line {line} `{instruction}`: {fault}"
        )
    }
}
