//! The longest run of characters that a text shares with one of several samples.

/// Stands between samples. It is no character, so no copy reaches over it.
const BORDER: u32 = char::MAX as u32 + 1;

/// A suffix automaton of the samples (Blumer et al., "The smallest automaton recognizing the subwords of a text", 1985), through which
/// the text is read: after each character it knows the longest end of the text so far that stands in a sample. Building takes time and
/// memory in proportion to the samples, reading takes constant time a character on average, both but for the logarithm of the
/// number of distinct characters.
pub struct LongestCopy {
    /// All samples, with borders between them.
    symbols: Vec<u32>,
    states: Vec<State>,
    /// Where the end of the text so far is, and its length in characters.
    at: usize,
    length: usize,
    /// The longest so far: its length, and where in `symbols` it ends.
    best: (usize, usize),
}

/// Substrings of the samples that end at the same places.
#[derive(Clone, Debug, Default)]
struct State {
    /// Length of the longest of them.
    length: usize,
    /// The state of the longest end of theirs that ends at more places; the root's is itself.
    link: usize,
    /// One place where they end: behind this many symbols.
    end: usize,
    /// By symbol, in rising order.
    next: Vec<(u32, usize)>,
}

impl State {
    fn after(&self, symbol: u32) -> Option<usize> {
        let place = self.next.binary_search_by_key(&symbol, |(symbol, _)| *symbol).ok()?;
        Some(self.next[place].1)
    }

    fn lead(&mut self, symbol: u32, to: usize) {
        match self.next.binary_search_by_key(&symbol, |(symbol, _)| *symbol) {
            Ok(place) => self.next[place].1 = to,
            Err(place) => self.next.insert(place, (symbol, to)),
        }
    }
}

const ROOT: usize = 0;

impl LongestCopy {
    pub fn new<'a>(samples: impl Iterator<Item = &'a str>) -> Self {
        let mut this =
            Self { symbols: Vec::new(), states: vec![State::default()], at: ROOT, length: 0, best: (0, 0) };
        let mut last = ROOT;
        for sample in samples {
            for symbol in sample.chars().map(u32::from).chain([BORDER]) {
                last = this.append(symbol, last);
            }
        }
        this
    }

    /// Lengthens the samples by `symbol`; `last` is the state of all of them, and so is what is returned.
    fn append(&mut self, symbol: u32, last: usize) -> usize {
        self.symbols.push(symbol);
        let end = self.symbols.len();
        let new = self.add(State { length: end, end, ..State::default() });
        let mut at = last;
        let met = loop {
            if let Some(met) = self.states[at].after(symbol) {
                break met;
            }
            self.states[at].lead(symbol, new);
            if at == ROOT {
                // Nothing shorter is met: the link stays at the root.
                return new;
            }
            at = self.states[at].link;
        };
        let length = self.states[at].length + 1;
        self.states[new].link = if self.states[met].length == length {
            met
        } else {
            let split = self.add(State { length, ..self.states[met].clone() });
            self.states[met].link = split;
            while self.states[at].after(symbol) == Some(met) {
                self.states[at].lead(symbol, split);
                if at == ROOT {
                    break;
                }
                at = self.states[at].link;
            }
            split
        };
        new
    }

    fn add(&mut self, state: State) -> usize {
        self.states.push(state);
        self.states.len() - 1
    }

    /// Reads the text's next character.
    pub fn read(&mut self, c: char) {
        let symbol = u32::from(c);
        loop {
            if let Some(next) = self.states[self.at].after(symbol) {
                self.at = next;
                self.length += 1;
                break;
            }
            if self.at == ROOT {
                self.length = 0;
                return;
            }
            self.at = self.states[self.at].link;
            self.length = self.states[self.at].length;
        }
        if self.length > self.best.0 {
            self.best = (self.length, self.states[self.at].end);
        }
    }

    /// The longest copy in all that was read, and the number of the sample that it stands in; of several the first that was read.
    pub fn finish(self) -> Option<(usize, String)> {
        let (length, end) = self.best;
        let copy = self.symbols.get(end - length..end).filter(|copy| !copy.is_empty())?;
        let sample = self.symbols[..end].iter().filter(|&&symbol| symbol == BORDER).count();
        Some((sample, copy.iter().filter_map(|&symbol| char::from_u32(symbol)).collect()))
    }
}
