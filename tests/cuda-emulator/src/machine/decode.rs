//! From PTX to programs: finds rows, slots, labels, addresses.

use std::collections::HashMap;

use super::operands::Slots;
use super::program::{ALWAYS, Call, Callee, Copied, Kernels, Kind, OWN, Parameter, Program, Step};
use crate::instructions::{Action, Operands, Shape, find};
use crate::ptx::{Function, Instruction, Module, Operand, Space, Variable};

/// Makes a module's functions ready. What cannot run is in their [`Program::refusals`].
///
/// `globals` are the addresses of the module's global variables.
pub fn decode(module: &Module, globals: &HashMap<String, u64>) -> Kernels {
    let (shared, shared_bytes) = lay_out(&module.shared, 0);
    let numbers: HashMap<_, _> = module
        .functions
        .iter()
        .enumerate()
        .map(|(number, function)| (function.name.as_str(), number))
        .collect();
    let mut programs: Vec<Program> = module
        .functions
        .iter()
        .map(|function| {
            let names = Names { globals, shared: &shared, functions: &numbers };
            Decoder::new(function, names, shared_bytes).decode(function)
        })
        .collect();
    for caller in 0..programs.len() {
        connect(&mut programs, caller);
    }
    let kernels = module.functions.iter().enumerate().filter(|(_, function)| function.is_kernel);
    let by_name = kernels.map(|(number, function)| (function.name.clone(), number)).collect();
    Kernels { programs, by_name }
}

/// Fills in where callees have their parameters, which is known once all are decoded.
fn connect(programs: &mut [Program], caller: usize) {
    let mut calls = std::mem::take(&mut programs[caller].calls);
    let mut refusals = Vec::new();
    for call in &mut calls {
        let Callee::Function(callee) = call.callee else { continue };
        let callee = &programs[callee];
        if callee.has_barrier {
            refusals.push(format!("function {} has a barrier", callee.name));
        }
        for (copies, parameters) in
            [(&mut call.arguments, &callee.parameters), (&mut call.results, &callee.results)]
        {
            if copies.len() != parameters.len() {
                refusals
                    .push(format!("function {} is called with other parameters than it has", callee.name));
            }
            for (copied, parameter) in copies.iter_mut().zip(parameters) {
                copied.callee = parameter.offset;
                copied.bytes = copied.bytes.min(parameter.bytes);
            }
        }
    }
    programs[caller].calls = calls;
    programs[caller].refusals.append(&mut refusals);
}

/// Names that mean the same in all functions of a module.
#[derive(Clone, Copy)]
pub(super) struct Names<'m> {
    pub globals: &'m HashMap<String, u64>,
    /// Offsets of shared variables.
    pub shared: &'m HashMap<String, usize>,
    pub functions: &'m HashMap<&'m str, usize>,
}

/// Offsets of variables one after the other from `start` on, and where they end. Those without a size are last.
fn lay_out(variables: &[Variable], start: usize) -> (HashMap<String, usize>, usize) {
    let mut offsets = HashMap::new();
    let mut end = start;
    for variable in variables.iter().filter(|variable| variable.bytes > 0) {
        end = end.next_multiple_of(variable.align);
        offsets.insert(variable.name.clone(), end);
        end += variable.bytes;
    }
    for variable in variables.iter().filter(|variable| variable.bytes == 0) {
        end = end.next_multiple_of(variable.align);
        offsets.insert(variable.name.clone(), end);
    }
    (offsets, end)
}

struct Decoder<'m> {
    names: Names<'m>,
    slots: Slots<'m>,
    program: Program,
}

impl<'m> Decoder<'m> {
    fn new(function: &'m Function, names: Names<'m>, shared_bytes: usize) -> Self {
        let mut program = Program { name: function.name.clone(), shared_bytes, ..Program::default() };
        let mut params = HashMap::new();
        for variable in function.results.iter().chain(&function.parameters) {
            let offset = program.param_bytes.next_multiple_of(variable.align);
            params.insert(variable.name.as_str(), offset);
            program.param_bytes = offset + variable.bytes;
            let of = if params.len() <= function.results.len() {
                &mut program.results
            } else {
                &mut program.parameters
            };
            of.push(Parameter { offset, bytes: variable.bytes });
        }
        let mut offsets = Vec::new();
        for variable in &function.variables {
            let end = match variable.space {
                Space::Param => &mut program.param_bytes,
                Space::Local => &mut program.local_bytes,
                Space::Shared | Space::Global => &mut program.shared_bytes,
            };
            let offset = end.next_multiple_of(variable.align);
            *end = offset + variable.bytes;
            offsets.push(offset as u64);
        }
        if !function.is_kernel && program.shared_bytes > shared_bytes {
            program.refusals.push(format!("function {} has shared variables of its own", function.name));
        }
        // A thread's local memory begins at a multiple of 16 like that of the others.
        program.local_bytes = program.local_bytes.next_multiple_of(16);
        program.registers = vec![0; OWN as usize + function.registers];
        Decoder { names, slots: Slots::new(function, params, offsets, names), program }
    }

    fn decode(mut self, function: &Function) -> Program {
        for (number, instruction) in function.instructions.iter().enumerate() {
            self.program.sources.push((instruction.text.clone(), instruction.line));
            let step = self.step(instruction, function).unwrap_or_else(|reason| {
                self.program.refusals.push(format!(
                    "{}, PTX line {}, `{}`: {reason}",
                    function.name, instruction.line, instruction.text
                ));
                (Kind::Trap, Operands::default())
            });
            self.push(step, instruction, number);
        }
        // A function may end without `ret`.
        let last = Instruction {
            line: 0,
            text: "the end of the function".to_owned(),
            guard: None,
            opcode: "ret".to_owned(),
            operands: Vec::new(),
        };
        self.program.sources.push((last.text.clone(), 0));
        self.push((Kind::Return, Operands::default()), &last, function.instructions.len());
        self.program.registers.append(&mut self.slots.constants());
        self.program
    }

    fn push(&mut self, (kind, operands): (Kind, Operands), instruction: &Instruction, source: usize) {
        let guard = instruction.guard.map_or(ALWAYS, |guard| OWN + guard.register as u32);
        let negated = instruction.guard.is_some_and(|guard| guard.negated);
        self.program.steps.push(Step { guard, negated, kind, operands, source: source as u32 });
    }

    fn step(&mut self, instruction: &Instruction, function: &Function) -> Result<(Kind, Operands), String> {
        let rows = find(&instruction.opcode);
        if rows.is_empty() {
            return Err("this instruction is not in the table".to_owned());
        }
        let mut reason = String::new();
        for row in rows {
            match self.slots.place(row.shape, &instruction.operands) {
                Ok(operands) => {
                    return Ok((self.kind(row.action, row.shape, instruction, function)?, operands));
                }
                Err(other) => reason = other,
            }
        }
        Err(reason)
    }

    fn kind(
        &mut self,
        action: Action,
        shape: Shape,
        instruction: &Instruction,
        function: &Function,
    ) -> Result<Kind, String> {
        Ok(match action {
            Action::Compute(compute) => Kind::Compute(compute),
            Action::Touch(touch) => {
                debug_assert!(matches!(shape, Shape::Load(_) | Shape::Store(_) | Shape::Atomic(_)));
                Kind::Touch(touch)
            }
            Action::Branch => {
                let Some(Operand::Name(label)) = instruction.operands.first() else {
                    return Err("a branch goes to a label".to_owned());
                };
                // Steps and instructions count alike.
                let target = function.labels.get(label).ok_or("there is no such label")?;
                Kind::Branch(u32::try_from(*target).map_err(|_| "the function is too long")?)
            }
            Action::Barrier => {
                self.program.has_barrier = true;
                Kind::Barrier
            }
            Action::Return => Kind::Return,
            Action::Call => {
                let call = self.call(&instruction.operands, function)?;
                self.program.calls.push(call);
                Kind::Call(self.program.calls.len() as u32 - 1)
            }
            Action::Trap => Kind::Trap,
        })
    }

    /// `[(results),] function [, (arguments)]`
    fn call(&self, operands: &[Operand], function: &Function) -> Result<Call, String> {
        let (results, rest) = match operands {
            [Operand::Group(results), rest @ ..] => (results.as_slice(), rest),
            rest => (&[][..], rest),
        };
        let (name, arguments) = match rest {
            [Operand::Name(name)] => (name, &[][..]),
            [Operand::Name(name), Operand::Group(arguments)] => (name, arguments.as_slice()),
            _ => return Err("a call names a function".to_owned()),
        };
        let copies = |operands: &[Operand]| -> Result<Vec<Copied>, String> {
            operands.iter().map(|operand| self.argument(operand, function)).collect()
        };
        let (arguments, results) = (copies(arguments)?, copies(results)?);
        let callee = match self.names.functions.get(name.as_str()) {
            Some(&number) => Callee::Function(number),
            None if name == "__assertfail" => {
                Callee::Assertion(arguments.iter().map(|argument| argument.caller).collect())
            }
            None => return Err(format!("there is no function {name}")),
        };
        Ok(Call { callee, arguments, results })
    }

    fn argument(&self, operand: &Operand, function: &Function) -> Result<Copied, String> {
        let Operand::Variable(number) = operand else { return Err("arguments are variables".to_owned()) };
        let variable = &function.variables[*number];
        if variable.space != Space::Param {
            return Err("arguments are in parameter space".to_owned());
        }
        Ok(Copied { caller: self.slots.offset(*number) as usize, callee: 0, bytes: variable.bytes })
    }
}
