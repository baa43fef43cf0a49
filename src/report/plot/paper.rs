//! A sheet of pixels, each the number of a colour. Shapes are first laid out as bits, four for each pixel, and then inked at once: what
//! covers only some of a pixel's parts is mixed with what is below. So edges are smooth, what a shape draws twice is as what it
//! draws once, and a shape of thousands of strokes costs little more than the paper that it covers.

use std::cell::Cell;
use std::ops::Range;

use super::WIDTH;
use super::canvas::SCALE;
use super::inks::{BLANK, Ink, Inks, Rgb, STEPS};

/// Parts of a pixel each way. Shapes are drawn in parts.
pub(super) const SMOOTHING: u32 = 2;

/// Parts of a row that are one word, and the pixels below them.
const WORD: usize = u64::BITS as usize;
const BLOCK: usize = WORD / SMOOTHING as usize;
const BAND: usize = SMOOTHING as usize;
const WORDS: usize = ((WIDTH * SCALE) as usize).div_ceil(WORD);

// The words of a row are the bits of one number.
const _: () = assert!(WORDS <= u64::BITS as usize && SMOOTHING == 2 && SCALE.is_multiple_of(2));

/// Coordinates: from the left, from the top.
type Point = (i32, i32);

/// A white sheet, [`WIDTH`] times [`SCALE`] parts wide.
#[derive(Default)]
pub struct Paper {
    /// In parts.
    width: usize,
    height: usize,
    /// The picture, row by row.
    pixels: Vec<Ink>,
    /// For each row of pixels the blocks that were drawn on.
    drawn: Vec<u64>,
    /// The parts that the shape covers. Blank between two shapes.
    shape: Vec<u64>,
    /// Rows of parts that the shape lies in, and words of these.
    rows: Range<usize>,
    words: Range<usize>,
    inks: Inks,
}

impl Paper {
    /// Draws on a blank sheet of this height in parts, and gives the picture to `encode`: a byte for each pixel, and the colours that
    /// these number. Each thread uses its sheet again: fresh memory for each would take longer than the drawing.
    pub fn with<R>(
        height: u32,
        draw: impl FnOnce(&mut Paper),
        encode: impl FnOnce(&[Ink], &[Rgb]) -> R,
    ) -> R {
        thread_local! { static SHEET: Cell<Paper> = Cell::default(); }
        let mut paper = SHEET.take();
        paper.begin((WIDTH * SCALE) as usize, height as usize);
        draw(&mut paper);
        paper.number();
        let result = encode(&paper.pixels, paper.inks.colours());
        // After a panic the sheet is not put back, and the next one is new.
        SHEET.set(paper);
        result
    }

    fn begin(&mut self, width: usize, height: usize) {
        (self.width, self.height) = (width, height);
        self.inks.clear();
        let (across, down) = (width / BAND, height / BAND);
        // Most of a page is blank: only what was drawn on is wiped.
        for (row, drawn) in self.pixels.chunks_exact_mut(across).zip(&mut self.drawn) {
            for block in blocks(std::mem::take(drawn), across) {
                row[block].fill(BLANK);
            }
        }
        self.pixels.resize(across * down, BLANK);
        self.drawn.resize(down, 0);
        // A shape that was begun and never inked is none of this picture's.
        if !self.rows.is_empty() {
            self.shape.fill(0);
        }
        self.shape.resize(WORDS * height, 0);
        self.forget();
    }

    fn forget(&mut self) {
        for range in [&mut self.rows, &mut self.words] {
            (range.start, range.end) = (usize::MAX, 0);
        }
    }

    pub fn size(&self) -> (u32, u32) {
        (self.width as u32, self.height as u32)
    }

    /// Whether nothing was drawn yet.
    pub fn is_blank(&self) -> bool {
        self.drawn.iter().all(|&row| row == 0)
    }

    /// Sees to it that frequent colours have low numbers, which pack into fewer bits. Some rows say which they are.
    fn number(&mut self) {
        const LOOKED_AT: usize = 8;
        let across = self.width / BAND;
        let mut counts = [0_u32; 256];
        for row in (0..self.drawn.len()).step_by(LOOKED_AT) {
            for block in blocks(self.drawn[row], across) {
                self.pixels[row * across..][block].iter().for_each(|&ink| counts[usize::from(ink)] += 1);
            }
        }
        let renumbered = self.inks.sort(&counts);
        for (row, &drawn) in self.pixels.chunks_exact_mut(across).zip(&self.drawn) {
            for block in blocks(drawn, across) {
                row[block].iter_mut().for_each(|ink| *ink = renumbered[usize::from(*ink)]);
            }
        }
    }

    /// Adds columns `left..right` of rows `top..bottom`, in parts, to the shape, as far as they lie on the sheet.
    pub fn fill(&mut self, (left, top): Point, (right, bottom): Point) {
        let within = |value: i32, end: usize| usize::try_from(value).unwrap_or(0).min(end);
        let (left, right) = (within(left, self.width), within(right, self.width));
        let (top, bottom) = (within(top, self.height), within(bottom, self.height));
        if left >= right || top >= bottom {
            return;
        }
        let (first, last) = (left / WORD, (right - 1) / WORD);
        self.rows = self.rows.start.min(top)..self.rows.end.max(bottom);
        self.words = self.words.start.min(first)..self.words.end.max(last + 1);
        let from = u64::MAX << (left % WORD);
        let to = u64::MAX >> (WORD - 1 - (right - 1) % WORD);
        for row in self.shape[top * WORDS..bottom * WORDS].chunks_exact_mut(WORDS) {
            if first == last {
                row[first] |= from & to;
            } else {
                row[first] |= from;
                row[first + 1..last].fill(u64::MAX);
                row[last] |= to;
            }
        }
    }

    /// Inks the shape, and begins a new one. `alpha` says how much the colour covers what is below.
    pub fn ink(&mut self, (red, green, blue): (u8, u8, u8), alpha: f64) {
        if self.rows.is_empty() {
            return;
        }
        self.inks.take([red, green, blue]);
        let steps = |parts: u32| (f64::from(parts) / 4.0 * alpha * f64::from(STEPS)).round() as u16;
        let steps = [steps(0), steps(1), steps(2), steps(3), steps(4)];
        let across = self.width / BAND;
        for row in self.rows.start / BAND..self.rows.end.div_ceil(BAND) {
            let (upper, lower) = self.shape[row * BAND * WORDS..][..BAND * WORDS].split_at_mut(WORDS);
            for word in self.words.clone() {
                let (upper, lower) = (std::mem::take(&mut upper[word]), std::mem::take(&mut lower[word]));
                let mut left = upper | lower;
                if left == 0 {
                    continue;
                }
                self.drawn[row] |= 1 << word;
                let end = ((word + 1) * BLOCK).min(across);
                let pixels = &mut self.pixels[row * across + word * BLOCK..row * across + end];
                if upper & lower == u64::MAX && steps[4] == STEPS {
                    let ink = self.inks.over(BLANK, STEPS);
                    pixels.fill(ink);
                    continue;
                }
                while left != 0 {
                    let place = left.trailing_zeros() as usize / BAND;
                    let parts = |bits: u64| (bits >> (place * BAND)) & 0b11;
                    let parts = (parts(upper) << 2 | parts(lower)).count_ones();
                    pixels[place] = self.inks.over(pixels[place], steps[parts as usize]);
                    left &= !(0b11 << (place * BAND));
                }
            }
        }
        self.forget();
    }

    /// Takes the colour for [`Paper::mix`].
    pub fn take(&mut self, (red, green, blue): (u8, u8, u8)) {
        self.inks.take([red, green, blue]);
    }

    /// Mixes some [`STEPS`] of the colour into `length` whole pixels of a row, as far as they lie on the sheet.
    pub fn mix(&mut self, (x, y): Point, length: u16, step: u16) {
        let across = self.width / BAND;
        let within = |value: i32| usize::try_from(value).unwrap_or(0).min(across);
        let (left, right) = (within(x), within(x + i32::from(length)));
        let Ok(row) = usize::try_from(y) else { return };
        if row >= self.drawn.len() || left >= right {
            return;
        }
        for block in left / BLOCK..=(right - 1) / BLOCK {
            self.drawn[row] |= 1 << block;
        }
        for under in &mut self.pixels[row * across..][left..right] {
            *under = self.inks.over(*under, step);
        }
    }
}

/// The pixels of the blocks whose bits are set.
fn blocks(mut bits: u64, across: usize) -> impl Iterator<Item = Range<usize>> {
    std::iter::from_fn(move || {
        let start = (bits != 0).then(|| bits.trailing_zeros() as usize * BLOCK)?;
        bits &= bits - 1;
        Some(start..(start + BLOCK).min(across))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LEVELS: u32 = 40;

    /// A rectangle or, where it has no area, a pixel; its colour and how much of it covers what is below.
    type Mark = ((i32, i32), (i32, i32), (u8, u8, u8), f64);

    fn draw(paper: &mut Paper, marks: &[Mark]) {
        for &(a, b, rgb, alpha) in marks {
            let (end, alpha) = if a == b { ((a.0 + 1, a.1 + 1), alpha) } else { (b, 1.0) };
            paper.fill(a, end);
            paper.ink(rgb, alpha);
        }
    }

    /// The same on a sheet where every pixel is looked at.
    fn plainly(marks: &[Mark]) -> Vec<Rgb> {
        let (across, down) = ((WIDTH * SCALE / SMOOTHING) as i32, (LEVELS / SMOOTHING) as i32);
        let mut sheet = vec![[255_u8; 3]; (across * down) as usize];
        for &(a, b, (red, green, blue), alpha) in marks {
            let (end, share) = if a == b { ((a.0 + 1, a.1 + 1), alpha) } else { (b, 1.0) };
            let pixels =
                |from: i32, to: i32, most: i32| from.div_euclid(2).max(0)..((to + 1).div_euclid(2)).min(most);
            for y in pixels(a.1, end.1, down) {
                for x in pixels(a.0, end.0, across) {
                    let covers = |(x, y): Point| (a.0..end.0).contains(&x) && (a.1..end.1).contains(&y);
                    let parts = [(0, 0), (1, 0), (0, 1), (1, 1)].map(|(i, j)| covers((2 * x + i, 2 * y + j)));
                    let share = share * parts.iter().filter(|part| **part).count() as f64 / 4.0;
                    let pixel = &mut sheet[(y * across + x) as usize];
                    for (old, new) in pixel.iter_mut().zip([red, green, blue]) {
                        *old = (f64::from(*old) + (f64::from(new) - f64::from(*old)) * share).round() as u8;
                    }
                }
            }
        }
        sheet
    }

    fn any_marks() -> impl Strategy<Value = Vec<Mark>> {
        let point = || (-40..3500_i32, -5..50_i32);
        let size = prop_oneof![Just((0, 0)), (1..300_i32, 1..20_i32)];
        let mark = (point(), size, any::<(u8, u8, u8)>(), 0.0..=1.0_f64)
            .prop_map(|(a, size, rgb, alpha)| (a, (a.0 + size.0, a.1 + size.1), rgb, alpha));
        prop::collection::vec(mark, 0..12)
    }

    /// The colours of a small picture.
    fn seen(pixels: &[Ink], colours: &[Rgb]) -> Vec<Rgb> {
        pixels.iter().map(|&ink| colours[usize::from(ink)]).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn a_sheet_that_is_used_again_shows_what_a_new_one_would(first in any_marks(), second in any_marks()) {
            for marks in [&first, &second] {
                let small = Paper::with(LEVELS, |paper| draw(paper, marks), seen);
                // Shares are those of sixteen steps, and what is under them is rounded.
                let near = |a: &Rgb, b: &Rgb| a.iter().zip(b).all(|(a, b)| a.abs_diff(*b) <= 18);
                prop_assert!(small.iter().zip(&plainly(marks)).all(|(a, b)| near(a, b)));
            }
            // Another height on the same sheet.
            let blank = Paper::with(LEVELS / 2, |_| (), seen);
            prop_assert!(blank.iter().all(|colour| *colour == [255; 3]));
        }
    }

    #[test]
    fn what_covers_all_below_is_exact() {
        let colour = (0, 114, 178);
        let draw = |paper: &mut Paper| {
            paper.fill((0, 0), (3, 2));
            paper.ink(colour, 1.0);
        };
        let small = Paper::with(LEVELS, draw, seen);
        assert_eq!(small[..3], [[0, 114, 178], [128, 185, 217], [255; 3]]);
    }

    #[test]
    fn what_a_shape_draws_twice_is_as_what_it_draws_once() {
        let twice = |paper: &mut Paper| {
            paper.fill((64, 3), (129, 9));
            paper.fill((100, 5), (300, 8));
            paper.fill((64, 3), (129, 9));
            paper.ink((0, 0, 0), 0.5);
        };
        let pixels = Paper::with(LEVELS, twice, seen);
        let across = (WIDTH * SCALE / SMOOTHING) as usize;
        let row = |y: usize| &pixels[y * across..][..across];
        // Rows 4 and 5 of parts are one of pixels, of which the second shape has the lower.
        assert!(row(2)[32..64].iter().all(|colour| *colour == [128; 3]));
        assert!(row(2)[65..150].iter().all(|colour| *colour == [191; 3]));
        assert!(row(3)[32..150].iter().all(|colour| *colour == [128; 3]));
        assert!(row(5).iter().all(|colour| *colour == [255; 3]));
    }

    #[test]
    fn more_colours_than_a_picture_has_numbers_for_are_near_those_that_they_should_be() {
        let marks: Vec<Mark> = (0..1000)
            .map(|i| {
                let at = ((i % 300) * 10, (i / 300) * 10);
                let shade = |factor: i32| (i * factor % 256) as u8;
                (at, (at.0 + 10, at.1 + 10), (shade(7), shade(11), shade(13)), 1.0)
            })
            .collect();
        let small = Paper::with(LEVELS, |paper| draw(paper, &marks), seen);
        let expected = plainly(&marks);
        let off: u64 = small
            .iter()
            .zip(&expected)
            .map(|(a, b)| a.iter().zip(b).map(|(a, b)| u64::from(a.abs_diff(*b))).sum::<u64>())
            .sum();
        assert!(off / small.len() as u64 / 3 < 40, "{} on average", off / small.len() as u64 / 3);
    }
}
