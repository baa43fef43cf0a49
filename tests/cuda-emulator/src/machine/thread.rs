//! One thread: step after step.

use super::program::{ALWAYS, Call, Callee, Kernels, Kind, Program};
use super::{Fault, Memory, Spaces};

/// Why a thread stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// At its end.
    Done,
    /// At a barrier; it goes on behind it.
    Barrier,
}

/// Functions within functions.
const MAX_DEPTH: usize = 64;

/// A thread's place in a program, and how much it did.
pub(super) struct Cursor {
    /// The next step.
    pub at: usize,
    pub executed: u64,
}

/// Runs until the end or a barrier. When it fails, the step before `cursor.at` is the one.
pub(super) fn run(
    kernels: &Kernels,
    program: &Program,
    registers: &mut [u64],
    spaces: &mut Spaces<'_>,
    cursor: &mut Cursor,
    depth: usize,
) -> Result<Stop, Box<Fault>> {
    let steps = program.steps.as_slice();
    let (mut at, mut executed) = (cursor.at, cursor.executed);
    let result = loop {
        // The last step of each program returns.
        let Some(step) = steps.get(at) else { break Ok(Stop::Done) };
        at += 1;
        executed += 1;
        if step.guard != ALWAYS && (registers[step.guard as usize] & 1 != 0) == step.negated {
            continue;
        }
        match step.kind {
            Kind::Compute(compute) => compute(registers, &step.operands),
            Kind::Touch(touch) => {
                if let Err(fault) = touch(registers, spaces, &step.operands) {
                    break Err(fault);
                }
            }
            Kind::Branch(target) => at = target as usize,
            Kind::Return => break Ok(Stop::Done),
            Kind::Barrier => break Ok(Stop::Barrier),
            Kind::Trap => break Err(Box::new(Fault::Trap)),
            Kind::Call(number) => match call(kernels, &program.calls[number as usize], spaces, depth) {
                Ok(more) => executed += more,
                Err(fault) => break Err(fault),
            },
        }
    };
    (cursor.at, cursor.executed) = (at, executed);
    result
}

/// Runs a function: how many steps that took.
fn call(kernels: &Kernels, call: &Call, spaces: &mut Spaces<'_>, depth: usize) -> Result<u64, Box<Fault>> {
    let callee = match &call.callee {
        Callee::Assertion(arguments) => return Err(Box::new(assertion(arguments, spaces))),
        Callee::Function(callee) => &kernels.programs[*callee],
    };
    if depth >= MAX_DEPTH {
        return Err(Box::new(Fault::CallsTooDeep));
    }
    let mut params = vec![0; callee.param_bytes];
    for copied in &call.arguments {
        params[copied.callee..][..copied.bytes]
            .copy_from_slice(&spaces.params[copied.caller..][..copied.bytes]);
    }
    let mut registers = callee.registers.clone();
    let mut local = vec![0xff; callee.local_bytes];
    let mut inner = Spaces {
        memory: spaces.memory,
        device: spaces.device,
        shared: spaces.shared,
        local: &mut local,
        params: &mut params,
    };
    let mut cursor = Cursor { at: 0, executed: 0 };
    run(kernels, callee, &mut registers, &mut inner, &mut cursor, depth + 1)?;
    for copied in &call.results {
        spaces.params[copied.caller..][..copied.bytes]
            .copy_from_slice(&params[copied.callee..][..copied.bytes]);
    }
    Ok(cursor.executed)
}

/// What `__assertfail(message, file, line, function, ...)` says.
fn assertion(arguments: &[usize], spaces: &mut Spaces<'_>) -> Fault {
    let number = |argument: usize, bytes: usize| {
        let offset = arguments.get(argument).copied().unwrap_or_default();
        let found = spaces.params.get(offset..offset + bytes).unwrap_or_default();
        found.iter().rev().fold(0, |number, &byte| number << 8 | u64::from(byte))
    };
    let (message, file, line) = (number(0, 8), number(1, 8), number(2, 4));
    let (message, file) =
        (text(spaces.memory, spaces.device, message), text(spaces.memory, spaces.device, file));
    Fault::Assertion(format!("assertion `{message}` failed at {file}:{line}"))
}

/// Text in device memory, up to its null.
fn text(memory: &mut Memory, device: usize, address: u64) -> String {
    let characters = (address..).map_while(|address| memory.bytes(device, address, 1).map(|byte| byte[0]));
    String::from_utf8_lossy(&characters.take_while(|&byte| byte != 0).take(1000).collect::<Vec<_>>())
        .into_owned()
}
