//! Instructions and what they work on.

use super::lexer::Token;
use super::parser::{Meaning, Parsed, Parser};
use super::{Guard, Instruction, Operand};

impl Parser<'_> {
    pub(super) fn instruction(&mut self) -> Parsed<Instruction> {
        let line = self.line();
        let start = self.lexemes.get(self.at).map_or(0, |lexeme| lexeme.start);
        let mut guard = None;
        if self.take('@') {
            let negated = self.take('!');
            let Operand::Register(register) = self.operand()? else {
                return Err(self.error("expected a predicate register"));
            };
            guard = Some(Guard { register, negated });
        }
        let opcode = self.word()?.to_owned();
        let mut operands = Vec::new();
        if !self.take(';') {
            loop {
                operands.push(self.operand()?);
                if !self.take(',') {
                    break;
                }
            }
            self.expect(';')?;
        }
        let end = self.lexemes.get(self.at - 1).map_or(start, |lexeme| lexeme.end);
        let text = self.text[start..end].split_whitespace().collect::<Vec<_>>().join(" ");
        Ok(Instruction { line, text, guard, opcode, operands })
    }

    fn operand(&mut self) -> Parsed<Operand> {
        match self.peek() {
            Some(Token::Number(_) | Token::Mark('-')) => self.number().map(Operand::Immediate),
            Some(Token::Word(word)) => {
                self.at += 1;
                let meaning = self.scopes.iter().rev().find_map(|scope| scope.get(word));
                Ok(match meaning {
                    Some(&Meaning::Register(register)) => Operand::Register(register),
                    Some(&Meaning::Variable(variable)) => Operand::Variable(variable),
                    None => Operand::Name(word.to_owned()),
                })
            }
            Some(Token::Mark('[')) => {
                self.at += 1;
                let base = Box::new(self.operand()?);
                let offset = match self.peek() {
                    Some(Token::Mark('+')) => {
                        self.at += 1;
                        self.number()?
                    }
                    Some(Token::Mark('-')) => self.number()?,
                    _ => 0,
                };
                self.expect(']')?;
                Ok(Operand::Address { base, offset: offset.cast_signed() })
            }
            Some(Token::Mark('{')) => self.list('}').map(Operand::Vector),
            Some(Token::Mark('(')) => self.list(')').map(Operand::Group),
            _ => Err(self.error("expected an operand")),
        }
    }

    /// Operands from an opening mark to `end`.
    fn list(&mut self, end: char) -> Parsed<Vec<Operand>> {
        self.at += 1;
        let mut operands = Vec::new();
        while !self.take(end) {
            if !operands.is_empty() {
                self.expect(',')?;
            }
            operands.push(self.operand()?);
        }
        Ok(operands)
    }
}

/// `12`, `0x1F`, either with `U`, `0f3F800000` (the bits of a float) or `0d3FF0000000000000` (of a double).
pub(super) fn read_number(digits: &str) -> Option<u64> {
    let lower = digits.to_ascii_lowercase();
    if let Some(bits) = lower.strip_prefix("0f") {
        return u32::from_str_radix(bits, 16).ok().map(u64::from);
    }
    if let Some(bits) = lower.strip_prefix("0d") {
        return u64::from_str_radix(bits, 16).ok();
    }
    let lower = lower.trim_end_matches('u');
    match lower.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16).ok(),
        None => lower.parse().ok(),
    }
}
