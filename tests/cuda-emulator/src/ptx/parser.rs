//! Words and marks to a [`Module`].

use std::collections::HashMap;

use super::lexer::{Lexeme, Token, lex};
use super::operand::read_number;
use super::{Function, Module, ParseError, Space, Variable};

/// Reads a module.
///
/// # Errors
/// The first place that is not the PTX this reader knows.
pub fn parse(text: &str) -> Result<Module, ParseError> {
    let mut parser = Parser { text, lexemes: lex(text)?, at: 0, scopes: Vec::new() };
    parser.module()
}

/// What a name stands for inside a function's body.
#[derive(Clone, Copy)]
pub(super) enum Meaning {
    Register(usize),
    Variable(usize),
}

pub(super) struct Parser<'a> {
    pub(super) text: &'a str,
    pub(super) lexemes: Vec<Lexeme<'a>>,
    pub(super) at: usize,
    /// The innermost block's names are last: blocks may use the names of those around them anew.
    pub(super) scopes: Vec<HashMap<String, Meaning>>,
}

pub(super) type Parsed<T> = Result<T, ParseError>;

impl<'a> Parser<'a> {
    pub(super) fn peek(&self) -> Option<Token<'a>> {
        self.lexemes.get(self.at).map(|lexeme| lexeme.token)
    }

    fn next(&mut self) -> Parsed<Token<'a>> {
        let token = self.peek().ok_or_else(|| self.error("the text ends too early"))?;
        self.at += 1;
        Ok(token)
    }

    pub(super) fn line(&self) -> usize {
        self.lexemes.get(self.at).or(self.lexemes.last()).map_or(1, |lexeme| lexeme.line)
    }

    pub(super) fn error(&self, reason: impl Into<String>) -> ParseError {
        let line = self.line();
        let text = self.text.lines().nth(line - 1).unwrap_or_default().to_owned();
        let reason = if self.peek().is_some() { reason.into() } else { "the text ends too early".to_owned() };
        ParseError { line, reason, text }
    }

    /// Steps over `mark` if it is next.
    pub(super) fn take(&mut self, mark: char) -> bool {
        let found = self.peek() == Some(Token::Mark(mark));
        self.at += usize::from(found);
        found
    }

    pub(super) fn expect(&mut self, mark: char) -> Parsed<()> {
        if self.take(mark) { Ok(()) } else { Err(self.error(format!("expected `{mark}`"))) }
    }

    pub(super) fn word(&mut self) -> Parsed<&'a str> {
        match self.peek() {
            Some(Token::Word(word)) => {
                self.at += 1;
                Ok(word)
            }
            _ => Err(self.error("expected a name")),
        }
    }

    /// A number with its sign, as the bits that it stands for.
    pub(super) fn number(&mut self) -> Parsed<u64> {
        let negative = self.take('-');
        let Some(Token::Number(digits)) = self.peek() else { return Err(self.error("expected a number")) };
        let bits = read_number(digits).ok_or_else(|| self.error(format!("`{digits}` is not a number")))?;
        self.at += 1;
        Ok(if negative { bits.wrapping_neg() } else { bits })
    }

    /// A number that counts something.
    fn count(&mut self) -> Parsed<usize> {
        let number = self.number()?;
        usize::try_from(number).ok().filter(|&count| count <= 1 << 32).ok_or_else(|| self.error("too large"))
    }

    fn module(&mut self) -> Parsed<Module> {
        let mut module = Module::default();
        let mut kind = None;
        while self.peek().is_some() {
            match self.word()? {
                ".version" => {
                    let Token::Number(version) = self.next()? else {
                        return Err(self.error("expected a version"));
                    };
                    let (major, minor) = version.split_once('.').unwrap_or((version, "0"));
                    let read = |part: &str| part.parse().map_err(|_| self.error("expected a version"));
                    module.version = (read(major)?, read(minor)?);
                }
                ".target" => {
                    module.target = self.word()?.to_owned();
                    while self.take(',') {
                        self.word()?;
                    }
                }
                ".address_size" => {
                    if self.number()? != 64 {
                        return Err(self.error("only addresses of 64 bits are known"));
                    }
                }
                ".visible" | ".extern" | ".weak" => {}
                ".global" | ".const" => kind = Some(Space::Global),
                ".shared" => kind = Some(Space::Shared),
                directive @ (".entry" | ".func") => {
                    module.functions.extend(self.function(directive == ".entry")?);
                }
                other => return Err(self.error(format!("`{other}` is not known here"))),
            }
            match kind.take() {
                Some(Space::Shared) => module.shared.extend(self.variables(Space::Shared)?),
                Some(space) => module.globals.extend(self.variables(space)?),
                None => {}
            }
        }
        Ok(module)
    }

    /// After `.entry` or `.func`. `None` for a declaration without a body.
    fn function(&mut self, is_kernel: bool) -> Parsed<Option<Function>> {
        let mut function = Function { is_kernel, ..Function::default() };
        if self.peek() == Some(Token::Mark('(')) {
            function.results = self.parameters()?;
        }
        function.name = self.word()?.to_owned();
        if self.peek() == Some(Token::Mark('(')) {
            function.parameters = self.parameters()?;
        }
        // Tuning directives such as `.maxntid 128, 1, 1` change how fast a kernel is, not what it does.
        while matches!(self.peek(), Some(Token::Word(_))) {
            self.at += 1;
            while matches!(self.peek(), Some(Token::Number(_) | Token::Mark(','))) {
                self.at += 1;
            }
        }
        if self.take(';') {
            return Ok(None);
        }
        self.expect('{')?;
        self.block(&mut function)?;
        Ok(Some(function))
    }

    fn parameters(&mut self) -> Parsed<Vec<Variable>> {
        self.expect('(')?;
        let mut parameters = Vec::new();
        while !self.take(')') {
            if !parameters.is_empty() {
                self.expect(',')?;
            }
            if self.word()? != ".param" {
                return Err(self.error("expected `.param`"));
            }
            let (bytes, align) = self.kind()?;
            parameters.push(self.variable(Space::Param, bytes, align)?);
        }
        Ok(parameters)
    }

    /// `[.align n] .type`: its bytes and alignment.
    fn kind(&mut self) -> Parsed<(usize, usize)> {
        let mut align = None;
        loop {
            match self.word()? {
                ".align" => align = Some(self.count()?),
                kind => {
                    let bytes =
                        bytes_of(kind).ok_or_else(|| self.error(format!("`{kind}` is not a known type")))?;
                    let align = align.unwrap_or(bytes);
                    if !align.is_power_of_two() {
                        return Err(self.error("an alignment is a power of two"));
                    }
                    return Ok((bytes, align));
                }
            }
        }
    }

    /// `name[count]`, of elements that have `bytes`.
    fn variable(&mut self, space: Space, bytes: usize, align: usize) -> Parsed<Variable> {
        let name = self.word()?.to_owned();
        let mut count = 1;
        if self.take('[') {
            // Without a number: as much shared memory as the launch gives.
            count = if self.peek() == Some(Token::Mark(']')) { 0 } else { self.count()? };
            self.expect(']')?;
        }
        let bytes_in_all = bytes * count;
        Ok(Variable { space, name, bytes: bytes_in_all, align, initial: Vec::new() })
    }

    /// After the space: `[.align n] .type name[count] [= {values}], ...;`
    fn variables(&mut self, space: Space) -> Parsed<Vec<Variable>> {
        let (bytes, align) = self.kind()?;
        let mut variables = Vec::new();
        loop {
            let mut variable = self.variable(space, bytes, align)?;
            if self.take('=') {
                let braced = self.take('{');
                loop {
                    let value = self.number()?.to_le_bytes();
                    variable.initial.extend(&value[..bytes]);
                    if !braced || !self.take(',') {
                        break;
                    }
                }
                if braced {
                    self.expect('}')?;
                }
                if variable.initial.len() > variable.bytes {
                    return Err(self.error("more values than the variable holds"));
                }
                variable.initial.resize(variable.bytes, 0);
            }
            variables.push(variable);
            if !self.take(',') {
                self.expect(';')?;
                return Ok(variables);
            }
        }
    }

    /// Up to the closing brace.
    fn block(&mut self, function: &mut Function) -> Parsed<()> {
        self.scopes.push(HashMap::new());
        while !self.take('}') {
            match self.peek() {
                Some(Token::Mark('{')) => {
                    self.at += 1;
                    self.block(function)?;
                }
                Some(Token::Word(word)) if word.starts_with('.') => {
                    self.at += 1;
                    self.declaration(word, function)?;
                }
                Some(Token::Word(word)) if self.is_label() => {
                    self.at += 2;
                    function.labels.insert(word.to_owned(), function.instructions.len());
                }
                _ => {
                    let instruction = self.instruction()?;
                    function.instructions.push(instruction);
                }
            }
        }
        self.scopes.pop();
        Ok(())
    }

    fn is_label(&self) -> bool {
        self.lexemes.get(self.at + 1).is_some_and(|lexeme| lexeme.token == Token::Mark(':'))
    }

    fn declaration(&mut self, directive: &str, function: &mut Function) -> Parsed<()> {
        let space = match directive {
            ".reg" => return self.registers(function),
            ".pragma" => {
                self.next()?;
                return self.expect(';');
            }
            ".shared" => Space::Shared,
            ".local" => Space::Local,
            ".param" => Space::Param,
            other => return Err(self.error(format!("`{other}` is not known here"))),
        };
        for variable in self.variables(space)? {
            self.name(variable.name.clone(), Meaning::Variable(function.variables.len()));
            function.variables.push(variable);
        }
        Ok(())
    }

    /// `.type %r<10>, name, ...;`
    fn registers(&mut self, function: &mut Function) -> Parsed<()> {
        let kind = self.word()?;
        if kind != ".pred" && bytes_of(kind).is_none() {
            return Err(self.error(format!("`{kind}` is not a known type")));
        }
        loop {
            let name = self.word()?;
            if self.take('<') {
                for number in 0..self.count()?.min(1 << 20) {
                    self.name(format!("{name}{number}"), Meaning::Register(function.registers));
                    function.registers += 1;
                }
                self.expect('>')?;
            } else {
                self.name(name.to_owned(), Meaning::Register(function.registers));
                function.registers += 1;
            }
            if !self.take(',') {
                return self.expect(';');
            }
        }
    }

    fn name(&mut self, name: String, meaning: Meaning) {
        if let Some(scope) = self.scopes.last_mut() {
            scope.insert(name, meaning);
        }
    }
}

/// The bytes of a type that memory can hold.
fn bytes_of(kind: &str) -> Option<usize> {
    Some(match kind {
        ".b8" | ".u8" | ".s8" => 1,
        ".b16" | ".u16" | ".s16" | ".f16" => 2,
        ".b32" | ".u32" | ".s32" | ".f32" => 4,
        ".b64" | ".u64" | ".s64" | ".f64" => 8,
        _ => return None,
    })
}
