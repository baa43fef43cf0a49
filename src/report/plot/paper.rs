//! A sheet of pixels that remembers where it was drawn on, and knows its colours by number. A chart is mostly blank, and what is blank
//! need not be averaged when the picture is made smaller, nor wiped for the next one; and it has few colours, so that a pixel is a byte.
//! Together that is most of the time that a picture takes, and of the room.

use std::cell::Cell;
use std::convert::Infallible;

use plotters_backend::{BackendColor, BackendCoord, BackendStyle, DrawingBackend, DrawingErrorKind};

use super::WIDTH;
use super::canvas::SCALE;
use super::inks::{BLANK, Ink, Inks, Rgb};

/// A picture has half as many pixels each way: the mean of each square of four smooths its edges.
pub(super) const SMOOTHING: u32 = 2;

/// Pixels that are remembered together: so many in width, in both rows of a band.
const BLOCK: usize = 32;
const BAND: usize = SMOOTHING as usize;

// A band's blocks are the bits of one number.
const _: () = assert!(
    (WIDTH * SCALE) as usize <= BLOCK * u128::BITS as usize && SMOOTHING == 2 && SCALE.is_multiple_of(2)
);

/// A white sheet, [`WIDTH`] times [`SCALE`] pixels wide.
#[derive(Default)]
pub struct Paper {
    width: usize,
    height: usize,
    /// Row by row. Blank wherever `drawn` says nothing else, beyond the sheet's height too.
    pixels: Vec<Ink>,
    /// For each band the blocks that were drawn on.
    drawn: Vec<u128>,
    /// The smaller picture. Blank throughout between two pictures.
    small: Vec<Ink>,
    inks: Inks,
}

impl Paper {
    /// Draws on a blank sheet of this height, and gives the smaller picture to `encode`: a byte for each pixel, and the colours that
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
        paper.number_means();
        paper.shrink();
        let pixels = (paper.width / BAND) * (paper.height / BAND);
        let result = encode(&paper.small[..pixels], paper.inks.small());
        // After a panic the sheet is not put back, and the next one is new.
        paper.forget();
        SHEET.set(paper);
        result
    }

    fn begin(&mut self, width: usize, height: usize) {
        (self.width, self.height) = (width, height);
        self.inks.clear();
        let grown = |len: usize, needed: usize| len.max(needed);
        self.pixels.resize(grown(self.pixels.len(), width * height), BLANK);
        self.drawn.resize(grown(self.drawn.len(), height.div_ceil(BAND)), 0);
        self.small.resize(grown(self.small.len(), (width / BAND) * (height / BAND)), BLANK);
    }

    /// Sees to it that frequent colours of the smaller picture have low numbers, which pack into fewer bits. Some bands say which they are.
    fn number_means(&mut self) {
        const LOOKED_AT: usize = 8;
        let mut counts = [0_u32; 256];
        for band in (0..self.height / BAND).step_by(LOOKED_AT) {
            let rows = &self.pixels[band * BAND * self.width..][..BAND * self.width];
            let (upper, lower) = rows.split_at(self.width);
            for range in blocks(self.drawn[band], self.width) {
                let upper = upper[range.clone()].as_chunks::<2>().0;
                for (&[a, b], &[c, d]) in upper.iter().zip(lower[range].as_chunks::<2>().0) {
                    counts[usize::from(self.inks.mean([a, b, c, d]))] += 1;
                }
            }
        }
        self.inks.sort_small(&counts);
    }

    /// The mean of each square of pixels. Wipes the sheet on the way.
    fn shrink(&mut self) {
        let small_width = self.width / BAND;
        for band in 0..self.height / BAND {
            let rows = &mut self.pixels[band * BAND * self.width..][..BAND * self.width];
            let (upper, lower) = rows.split_at_mut(self.width);
            let small = &mut self.small[band * small_width..][..small_width];
            for range in blocks(self.drawn[band], self.width) {
                let (upper, lower) = (&mut upper[range.clone()], &mut lower[range.clone()]);
                let small = &mut small[range.start / BAND..range.end / BAND];
                let first = upper[0];
                let solid = &[first; BLOCK][..upper.len()];
                if *upper == *solid && *lower == *solid {
                    small.fill(self.inks.mean([first; 4]));
                } else {
                    // Curves are wider than a square, and most squares are as the one before.
                    let (mut last, mut mean_of_last) = ([BLANK; 4], BLANK);
                    let squares = upper.as_chunks::<2>().0.iter().zip(lower.as_chunks::<2>().0);
                    for (mean, (&[a, b], &[c, d])) in small.iter_mut().zip(squares) {
                        let square = [a, b, c, d];
                        if square != last {
                            (last, mean_of_last) = (square, self.inks.mean(square));
                        }
                        *mean = mean_of_last;
                    }
                }
                upper.fill(BLANK);
                lower.fill(BLANK);
            }
        }
    }

    /// Wipes the smaller picture, and with it all memory of what was drawn.
    fn forget(&mut self) {
        let small_width = self.width / BAND;
        for (band, drawn) in self.drawn.iter_mut().enumerate() {
            for range in blocks(std::mem::take(drawn), self.width) {
                let start = band * small_width;
                self.small[start + range.start / BAND..start + range.end / BAND].fill(BLANK);
            }
        }
    }

    /// The number of a colour, for [`Paper::fill`].
    pub fn ink(&mut self, colour: BackendColor) -> Ink {
        self.inks.of(rgb(colour))
    }

    /// Fills columns `left..right` of rows `top..bottom`, as far as they lie on the sheet.
    pub fn fill(&mut self, (left, top): BackendCoord, (right, bottom): BackendCoord, ink: Ink) {
        let within = |value: i32, end: usize| usize::try_from(value).unwrap_or(0).min(end);
        let (left, right) = (within(left, self.width), within(right, self.width));
        let (top, bottom) = (within(top, self.height), within(bottom, self.height));
        if left >= right {
            return;
        }
        let blocks =
            (u128::MAX << (left / BLOCK)) & (u128::MAX >> (u128::BITS as usize - 1 - (right - 1) / BLOCK));
        for row in top..bottom {
            self.drawn[row / BAND] |= blocks;
            self.pixels[row * self.width..][left..right].fill(ink);
        }
    }

    /// Mixes `share` / 256 of a colour into some pixels of a row, as far as they lie on the sheet.
    pub fn mix(&mut self, (x, y): BackendCoord, length: u16, (red, green, blue): (u8, u8, u8), share: u16) {
        let within = |value: i32| usize::try_from(value).unwrap_or(0).min(self.width);
        let (left, right) = (within(x), within(x + i32::from(length)));
        let Ok(row) = usize::try_from(y) else { return };
        if row >= self.height || left >= right {
            return;
        }
        for block in left / BLOCK..=(right - 1) / BLOCK {
            self.drawn[row / BAND] |= 1 << block;
        }
        let mut before = None;
        for under in &mut self.pixels[row * self.width..][left..right] {
            *under = match before {
                Some((same, mixed)) if same == *under => mixed,
                _ => {
                    let mixed = self.inks.mixed(*under, [red, green, blue], share);
                    before = Some((*under, mixed));
                    mixed
                }
            };
        }
    }
}

/// The columns of the blocks whose bits are set.
fn blocks(mut bits: u128, width: usize) -> impl Iterator<Item = std::ops::Range<usize>> {
    std::iter::from_fn(move || {
        let start = (bits != 0).then(|| bits.trailing_zeros() as usize * BLOCK)?;
        bits &= bits - 1;
        Some(start..(start + BLOCK).min(width))
    })
}

fn rgb(colour: BackendColor) -> Rgb {
    let (red, green, blue) = colour.rgb;
    [red, green, blue]
}

type Drawn = Result<(), DrawingErrorKind<Infallible>>;

impl DrawingBackend for Paper {
    type ErrorType = Infallible;

    fn get_size(&self) -> (u32, u32) {
        (self.width as u32, self.height as u32)
    }

    fn ensure_prepared(&mut self) -> Drawn {
        Ok(())
    }

    fn present(&mut self) -> Drawn {
        Ok(())
    }

    fn draw_pixel(&mut self, point: BackendCoord, colour: BackendColor) -> Drawn {
        self.mix(point, 1, colour.rgb, share(colour.alpha));
        Ok(())
    }

    fn draw_rect<S: BackendStyle>(
        &mut self,
        a: BackendCoord,
        b: BackendCoord,
        style: &S,
        fill: bool,
    ) -> Drawn {
        let colour = style.color();
        if !fill || colour.alpha < 1.0 {
            return plotters_backend::rasterizer::draw_rect(self, a, b, style, fill);
        }
        // The first thing that is drawn is the background, which is there.
        if rgb(colour) != [255; 3] || self.drawn.iter().any(|&band| band != 0) {
            let ink = self.ink(colour);
            self.fill((a.0.min(b.0), a.1.min(b.1)), (a.0.max(b.0), a.1.max(b.1)), ink);
        }
        Ok(())
    }
}

/// How much a colour covers what is below, in steps of 1/256.
pub fn share(alpha: f64) -> u16 {
    (alpha.clamp(0.0, 1.0) * 256.0) as u16
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
            if a == b {
                paper.draw_pixel(a, BackendColor { rgb, alpha }).unwrap();
            } else {
                let ink = paper.ink(BackendColor { rgb, alpha: 1.0 });
                paper.fill(a, b, ink);
            }
        }
    }

    /// The same on a sheet where every pixel is looked at.
    fn plainly(marks: &[Mark]) -> Vec<Rgb> {
        let (width, height) = ((WIDTH * SCALE) as i32, LEVELS as i32);
        let mut sheet = vec![[255_u8; 3]; (width * height) as usize];
        for &(a, b, (red, green, blue), alpha) in marks {
            let (end, share) = if a == b { ((a.0 + 1, a.1 + 1), alpha) } else { (b, 1.0) };
            for y in a.1.max(0)..end.1.min(height) {
                for x in a.0.max(0)..end.0.min(width) {
                    let pixel = &mut sheet[(y * width + x) as usize];
                    for (old, new) in pixel.iter_mut().zip([red, green, blue]) {
                        *old = (f64::from(*old) + (f64::from(new) - f64::from(*old)) * share).round() as u8;
                    }
                }
            }
        }
        let at = |x: i32, y: i32, channel: usize| u32::from(sheet[(y * width + x) as usize][channel]);
        let mean =
            |x, y, c| ((at(x, y, c) + at(x + 1, y, c) + at(x, y + 1, c) + at(x + 1, y + 1, c) + 2) / 4) as u8;
        let squares = (0..height).step_by(2).flat_map(|y| (0..width).step_by(2).map(move |x| (x, y)));
        squares.map(|(x, y)| [0, 1, 2].map(|channel| mean(x, y, channel))).collect()
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
                // Shares are those of eight steps, and what is under them is rounded.
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
        let colour = BackendColor { rgb: (0, 114, 178), alpha: 1.0 };
        let draw = |paper: &mut Paper| {
            let ink = paper.ink(colour);
            paper.fill((0, 0), (3, 2), ink);
        };
        let small = Paper::with(LEVELS, draw, seen);
        assert_eq!(small[..3], [[0, 114, 178], [128, 185, 217], [255; 3]]);
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
