//! Kernels in the form that threads run.

use std::collections::HashMap;

use crate::instructions::{Compute, Operands, Slot, Touch};

/// The first slots of a register file are special registers, in this order: `%tid.x` ... `%nctaid.z`.
pub const SPECIALS: [&str; 12] = [
    "%tid.x",
    "%tid.y",
    "%tid.z",
    "%ntid.x",
    "%ntid.y",
    "%ntid.z",
    "%ctaid.x",
    "%ctaid.y",
    "%ctaid.z",
    "%nctaid.x",
    "%nctaid.y",
    "%nctaid.z",
];
/// The carry of extended-precision arithmetic, `CC.CF`.
pub const CARRY: Slot = 12;
/// Where `_` puts what nobody wants.
pub const SINK: Slot = 13;
/// The function's own registers come from here on, then its constants.
pub const OWN: Slot = 14;
/// No predicate.
pub const ALWAYS: Slot = Slot::MAX;

/// One instruction, ready to run.
#[derive(Clone, Copy)]
pub struct Step {
    /// The slot of the predicate, or [`ALWAYS`].
    pub guard: Slot,
    pub negated: bool,
    pub kind: Kind,
    pub operands: Operands,
    /// Which of [`Program::sources`] it comes from.
    pub source: u32,
}

/// [`crate::instructions::Action`] with its labels and functions found.
#[derive(Clone, Copy)]
pub enum Kind {
    Compute(Compute),
    Touch(Touch),
    /// To the step of this number.
    Branch(u32),
    Barrier,
    Return,
    /// The call of this number.
    Call(u32),
    Trap,
}

/// A call of a function: what is copied from the caller's parameter space to the callee's and back.
#[derive(Clone, Debug)]
pub struct Call {
    pub callee: Callee,
    pub arguments: Vec<Copied>,
    pub results: Vec<Copied>,
}

#[derive(Clone, Debug)]
pub enum Callee {
    /// The function of this number.
    Function(usize),
    /// The device library's `__assertfail`; the arguments are in the caller's parameter space at these offsets.
    Assertion(Vec<usize>),
}

/// Bytes of the caller's parameter space that stand for bytes of the callee's.
#[derive(Clone, Debug)]
pub struct Copied {
    pub caller: usize,
    pub callee: usize,
    pub bytes: usize,
}

/// Where a parameter lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parameter {
    pub offset: usize,
    pub bytes: usize,
}

/// A kernel or function.
#[derive(Default)]
pub struct Program {
    pub name: String,
    pub steps: Vec<Step>,
    pub calls: Vec<Call>,
    /// Text and line of each instruction.
    pub sources: Vec<(String, usize)>,
    /// What a register file holds at first.
    pub registers: Vec<u64>,
    pub parameters: Vec<Parameter>,
    pub results: Vec<Parameter>,
    /// All of its parameter space.
    pub param_bytes: usize,
    pub local_bytes: usize,
    pub shared_bytes: usize,
    pub has_barrier: bool,
    /// Why it cannot run: instructions that are not in the table, and the like.
    pub refusals: Vec<String>,
}

/// A module ready to run.
#[derive(Default)]
pub struct Kernels {
    pub programs: Vec<Program>,
    /// Kernels by name; other functions have none.
    pub by_name: HashMap<String, usize>,
}

impl Kernels {
    /// Why a kernel cannot run, counting the functions that it calls.
    pub fn refusals(&self, program: usize) -> Vec<&str> {
        let mut reached = vec![program];
        let mut at = 0;
        while let Some(&program) = reached.get(at) {
            at += 1;
            for call in self.programs.get(program).map_or(&[][..], |program| &program.calls) {
                if let Callee::Function(callee) = call.callee
                    && !reached.contains(&callee)
                {
                    reached.push(callee);
                }
            }
        }
        let programs = reached.iter().filter_map(|&program| self.programs.get(program));
        programs.flat_map(|program| program.refusals.iter().map(String::as_str)).collect()
    }
}
