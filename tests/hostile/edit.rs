//! Changes to a file's bytes, each made from a few random numbers, so that what fails can be made smaller.

use proptest::prelude::*;

/// One change. The numbers mean something only beside the bytes that they are applied to.
#[derive(Clone, Copy, Debug)]
pub struct Edit {
    kind: u8,
    at: u32,
    to: u32,
    value: u32,
}

pub fn edits(most: usize) -> impl Strategy<Value = Vec<Edit>> {
    let edit = (any::<u8>(), any::<u32>(), any::<u32>(), any::<u32>())
        .prop_map(|(kind, at, to, value)| Edit { kind, at, to, value });
    prop::collection::vec(edit, 1..=most)
}

impl Edit {
    /// Changes `text`. `values` are what may stand in a file of its kind; the last `=` or `,` or `:` before them is kept.
    pub fn apply(&self, text: &mut Vec<u8>, values: &[String]) {
        let value = || pick(values, self.value).map_or(&b""[..], |value| value.as_bytes());
        match self.kind % 14 {
            0 if !text.is_empty() => {
                let at = index(self.at, text.len());
                text[at] ^= 1 << (self.value % 8);
            }
            1 if !text.is_empty() => {
                let at = index(self.at, text.len());
                text[at] =
                    [0, 0xff, 0xc3, b'\n', b'"', b'[', b'=', 0x7f, b'\r', b'\\'][self.value as usize % 10];
            }
            2 => text.truncate(index(self.at, text.len() + 1)),
            3 => {
                let (from, to) = range(self.at, self.to, text.len());
                text.drain(from..to.min(from + 40));
            }
            4 => {
                let (from, to) = range(self.at, self.to, text.len());
                let piece = text[from..to.min(from + 400)].to_vec();
                text.splice(from..from, piece);
            }
            5 => {
                let at = index(self.at, text.len() + 1);
                text.splice(at..at, value().iter().copied());
            }
            kind => self.apply_to_lines(kind, text, value()),
        }
    }

    fn apply_to_lines(&self, kind: u8, text: &mut Vec<u8>, value: &[u8]) {
        let mut lines: Vec<Vec<u8>> = text.split(|&byte| byte == b'\n').map(<[u8]>::to_vec).collect();
        let (at, to) = (index(self.at, lines.len()), index(self.to, lines.len()));
        match kind {
            6 => lines.swap(at, to),
            7 => lines.insert(to, lines[at].clone()),
            8 => drop(lines.remove(at)),
            // What stands after the sign that parts a name from its value.
            9 | 10 => {
                if let Some(sign) = sign(&lines[at]) {
                    lines[at].truncate(sign + 1);
                    lines[at].extend(value);
                }
            }
            // The names of two lines change places, and so get into other sections.
            11 => {
                if let (Some(a), Some(b)) = (sign(&lines[at]), sign(&lines[to])) {
                    let (first, second) = (lines[at][..a].to_vec(), lines[to][..b].to_vec());
                    lines[to].splice(..b, first);
                    if at != to {
                        lines[at].splice(..a, second);
                    }
                }
            }
            12 => lines.insert(at, value.to_vec()),
            _ => {
                let line = lines.remove(at);
                lines.insert(to.min(lines.len()), line);
            }
        }
        *text = lines.join(&b'\n');
    }
}

fn sign(line: &[u8]) -> Option<usize> {
    line.iter().position(|byte| b"=:,".contains(byte))
}

fn pick<T>(of: &[T], number: u32) -> Option<&T> {
    of.get(number as usize % of.len().max(1))
}

fn index(number: u32, len: usize) -> usize {
    number as usize % len.max(1)
}

fn range(a: u32, b: u32, len: usize) -> (usize, usize) {
    let (a, b) = (index(a, len + 1), index(b, len + 1));
    (a.min(b), a.max(b))
}
