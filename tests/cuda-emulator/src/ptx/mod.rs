//! PTX text to a typed module, and nothing about what it means.
//!
//! NVIDIA's "PTX ISA" manual describes the language. Only what nvcc and NVRTC print for dfdx's kernels is read here;
//! anything else is a [`ParseError`] that says where.

mod lexer;
mod operand;
mod parser;

use std::collections::HashMap;

pub use parser::parse;

/// The text of a module cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseError {
    /// Counted from 1.
    pub line: usize,
    pub reason: String,
    /// The line as it stands in the text.
    pub text: String,
}

impl std::fmt::Display for ParseError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PTX line {}: {}: `{}`", self.line, self.reason, self.text.trim())
    }
}

/// One PTX text.
#[derive(Debug, Default)]
pub struct Module {
    /// Of the language, as in `.version 9.0`.
    pub version: (u32, u32),
    /// `sm_80` and the like.
    pub target: String,
    pub functions: Vec<Function>,
    /// `.global` and `.const` variables.
    pub globals: Vec<Variable>,
    /// `.shared` variables outside functions: each kernel gets its own.
    pub shared: Vec<Variable>,
}

/// A kernel (`.entry`) or a function (`.func`) with its body.
#[derive(Debug, Default)]
pub struct Function {
    pub name: String,
    pub is_kernel: bool,
    /// What a `.func` returns, in `.param` space.
    pub results: Vec<Variable>,
    pub parameters: Vec<Variable>,
    /// How many registers there are: an operand names one by its number.
    pub registers: usize,
    /// Variables declared in the body: `.local`, `.shared`, and `.param` for the arguments of calls.
    pub variables: Vec<Variable>,
    pub instructions: Vec<Instruction>,
    /// The index of the instruction that follows each label.
    pub labels: HashMap<String, usize>,
}

/// Where a variable lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Space {
    Global,
    Shared,
    Local,
    Param,
}

/// Named memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variable {
    pub space: Space,
    pub name: String,
    pub bytes: usize,
    pub align: usize,
    /// What it holds at first; empty for nothing in particular.
    pub initial: Vec<u8>,
}

/// `@guard opcode operands;`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instruction {
    pub line: usize,
    /// As written, on one line, for messages.
    pub text: String,
    pub guard: Option<Guard>,
    /// With its modifiers and types: `setp.lt.u64`.
    pub opcode: String,
    pub operands: Vec<Operand>,
}

/// The predicate that an instruction waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Guard {
    pub register: usize,
    pub negated: bool,
}

/// What an instruction works on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operand {
    Register(usize),
    /// A number's bits: 32 of them for `0f...`, 64 for `0d...`, sign-extended otherwise.
    Immediate(u64),
    /// A variable of the function's own body, by its index.
    Variable(usize),
    /// Everything else that has a name: parameters, globals, labels, functions, special registers, and `_`.
    Name(String),
    /// `[base + offset]`
    Address {
        base: Box<Operand>,
        offset: i64,
    },
    /// `{a, b}`
    Vector(Vec<Operand>),
    /// `(a, b)`, in calls.
    Group(Vec<Operand>),
}

#[cfg(test)]
mod tests;
