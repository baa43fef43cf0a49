//! From an instruction's operands to slots of the register file.

use std::collections::HashMap;

use super::decode::Names;
use super::program::{OWN, SINK, SPECIALS};
use crate::instructions::{BASE, Operands, Shape, Slot};
use crate::ptx::{Function, Operand, Space};

/// Where a function's values are.
pub(super) struct Slots<'m> {
    function: &'m Function,
    /// Offsets of parameters and results, by name.
    params: HashMap<&'m str, usize>,
    /// Addresses of the body's variables, each in its space.
    variables: Vec<u64>,
    names: Names<'m>,
    /// Numbers that instructions name. They have slots of their own, after the registers.
    constants: Vec<u64>,
    constant_slots: HashMap<u64, Slot>,
}

impl<'m> Slots<'m> {
    pub fn new(
        function: &'m Function,
        params: HashMap<&'m str, usize>,
        variables: Vec<u64>,
        names: Names<'m>,
    ) -> Self {
        Slots { function, params, variables, names, constants: Vec::new(), constant_slots: HashMap::new() }
    }

    pub fn constants(&mut self) -> Vec<u64> {
        std::mem::take(&mut self.constants)
    }

    /// The address of a variable of the body.
    pub fn offset(&self, variable: usize) -> u64 {
        self.variables.get(variable).copied().unwrap_or_default()
    }

    /// Puts operands where `shape` has them, or says why they do not fit.
    pub fn place(&mut self, shape: Shape, operands: &[Operand]) -> Result<Operands, String> {
        let mut placed = Operands::default();
        let wrong = || Err(format!("other operands than the table has ({shape:?})"));
        match (shape, operands) {
            (Shape::Values(sources), [target, values @ ..]) if values.len() == sources => {
                placed.slots[0] = self.target(target)?;
                self.sources(values, &mut placed.slots[1..])?;
            }
            (Shape::Pack(sources), [target, Operand::Vector(values)]) if values.len() == sources => {
                placed.slots[0] = self.target(target)?;
                self.sources(values, &mut placed.slots[1..])?;
            }
            (Shape::Unpack(count), [Operand::Vector(targets), source]) if targets.len() == count => {
                self.targets(targets, &mut placed.slots)?;
                placed.slots[count] = self.source(source)?;
            }
            (Shape::Load(count), [Operand::Vector(targets), address]) if targets.len() == count => {
                self.targets(targets, &mut placed.slots)?;
                self.address(address, &mut placed)?;
            }
            (Shape::Load(1), [target, address]) => {
                placed.slots[0] = self.target(target)?;
                self.address(address, &mut placed)?;
            }
            (Shape::Store(count), [address, Operand::Vector(sources)]) if sources.len() == count => {
                self.sources(sources, &mut placed.slots)?;
                self.address(address, &mut placed)?;
            }
            (Shape::Store(1), [address, source]) => {
                placed.slots[0] = self.source(source)?;
                self.address(address, &mut placed)?;
            }
            (Shape::Atomic(count), [target, address, sources @ ..]) if sources.len() == count => {
                placed.slots[0] = self.target(target)?;
                self.sources(sources, &mut placed.slots[1..])?;
                self.address(address, &mut placed)?;
            }
            (Shape::Label, [_]) | (Shape::Nothing, []) | (Shape::Call, _) => {}
            (Shape::Barrier, [Operand::Immediate(0)]) => {}
            _ => return wrong(),
        }
        Ok(placed)
    }

    fn targets(&self, operands: &[Operand], slots: &mut [Slot]) -> Result<(), String> {
        for (operand, slot) in operands.iter().zip(slots) {
            *slot = self.target(operand)?;
        }
        Ok(())
    }

    fn sources(&mut self, operands: &[Operand], slots: &mut [Slot]) -> Result<(), String> {
        for (operand, slot) in operands.iter().zip(slots) {
            *slot = self.source(operand)?;
        }
        Ok(())
    }

    fn target(&self, operand: &Operand) -> Result<Slot, String> {
        match operand {
            Operand::Register(number) => Ok(OWN + *number as Slot),
            Operand::Name(name) if name == "_" => Ok(SINK),
            _ => Err("the target is not a register".to_owned()),
        }
    }

    fn source(&mut self, operand: &Operand) -> Result<Slot, String> {
        match operand {
            Operand::Register(number) => Ok(OWN + *number as Slot),
            Operand::Immediate(bits) => Ok(self.constant(*bits)),
            Operand::Variable(number) => Ok(self.constant(self.offset(*number))),
            Operand::Name(name) => match SPECIALS.iter().position(|special| special == name) {
                Some(slot) => Ok(slot as Slot),
                None => {
                    // Where a parameter lies among the function's, to be loaded from with `ld.param`.
                    let param = self.params.get(name.as_str()).map(|&param| param as u64);
                    let address = param.or_else(|| self.module_variable(name));
                    let address = address.ok_or_else(|| format!("`{name}` is not known"))?;
                    Ok(self.constant(address))
                }
            },
            Operand::Address { .. } | Operand::Vector(_) | Operand::Group(_) => {
                Err("the source is not a value".to_owned())
            }
        }
    }

    /// A variable outside functions.
    fn module_variable(&self, name: &str) -> Option<u64> {
        let shared = || self.names.shared.get(name).map(|&offset| offset as u64);
        self.names.globals.get(name).copied().or_else(shared)
    }

    fn constant(&mut self, bits: u64) -> Slot {
        let next = OWN + (self.function.registers + self.constants.len()) as Slot;
        *self.constant_slots.entry(bits).or_insert_with(|| {
            self.constants.push(bits);
            next
        })
    }

    /// `[base + offset]`. What has an address of its own is a constant base.
    fn address(&mut self, operand: &Operand, placed: &mut Operands) -> Result<(), String> {
        let Operand::Address { base, offset } = operand else { return Err("there is no address".to_owned()) };
        placed.offset = *offset;
        placed.slots[BASE] = match base.as_ref() {
            Operand::Name(name) => match self.params.get(name.as_str()) {
                Some(&param) => self.constant(param as u64),
                None => self.source(base)?,
            },
            Operand::Variable(number) if self.function.variables[*number].space == Space::Param => {
                self.constant(self.offset(*number))
            }
            base => self.source(base)?,
        };
        Ok(())
    }
}
