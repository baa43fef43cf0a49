//! A sheet of pixels that remembers where it was drawn on. A chart is mostly blank, and what is blank need not be averaged
//! when the picture is made smaller, nor wiped for the next one. That is most of the time that a picture takes.

use std::cell::Cell;
use std::convert::Infallible;

use plotters_backend::{BackendColor, BackendCoord, BackendStyle, DrawingBackend, DrawingErrorKind};

use super::WIDTH;
use super::canvas::SCALE;

/// A picture has half as many pixels each way: the mean of each square of four smooths its edges.
pub(super) const SMOOTHING: u32 = 2;

/// Pixels that are remembered together: so many in width, in both rows of a band.
const BLOCK: usize = 32;
const BAND: usize = SMOOTHING as usize;

// A band's blocks are the bits of one number.
const _: () = assert!(
    (WIDTH * SCALE) as usize <= BLOCK * u128::BITS as usize && SMOOTHING == 2 && SCALE.is_multiple_of(2)
);

/// Red, green and blue from the lowest byte up.
type Pixel = u32;
const WHITE: Pixel = 0x00ff_ffff;

/// A white sheet, [`WIDTH`] times [`SCALE`] pixels wide.
#[derive(Default)]
pub struct Paper {
    width: usize,
    height: usize,
    /// Row by row. White wherever `drawn` says nothing else, beyond the sheet's height too.
    pixels: Vec<Pixel>,
    /// For each band the blocks that were drawn on.
    drawn: Vec<u128>,
    /// The smaller picture, as bytes of red, green and blue. White throughout between two pictures.
    small: Vec<u8>,
}

impl Paper {
    /// Draws on a blank sheet of this height, and gives the bytes of the smaller picture to `encode`. Each thread uses its
    /// sheet again: fresh memory for each would take longer than the drawing.
    pub fn with<R>(height: u32, draw: impl FnOnce(&mut Paper), encode: impl FnOnce(&[u8]) -> R) -> R {
        thread_local! { static SHEET: Cell<Paper> = Cell::default(); }
        let mut paper = SHEET.take();
        paper.begin((WIDTH * SCALE) as usize, height as usize);
        draw(&mut paper);
        let result = encode(paper.shrink());
        // After a panic the sheet is not put back, and the next one is new.
        paper.forget();
        SHEET.set(paper);
        result
    }

    fn begin(&mut self, width: usize, height: usize) {
        (self.width, self.height) = (width, height);
        let grown = |len: usize, needed: usize| len.max(needed);
        self.pixels.resize(grown(self.pixels.len(), width * height), WHITE);
        self.drawn.resize(grown(self.drawn.len(), height.div_ceil(BAND)), 0);
        self.small.resize(grown(self.small.len(), (width / BAND) * (height / BAND) * 3), 255);
    }

    /// The mean of each square of pixels, rounded. Wipes the sheet on the way.
    fn shrink(&mut self) -> &[u8] {
        let small_width = self.width / BAND;
        let bands = self.height / BAND;
        for band in 0..bands {
            let rows = &mut self.pixels[band * BAND * self.width..][..BAND * self.width];
            let (upper, lower) = rows.split_at_mut(self.width);
            let small = &mut self.small[band * small_width * 3..][..small_width * 3];
            for range in blocks(self.drawn[band], self.width) {
                let (upper, lower) = (&mut upper[range.clone()], &mut lower[range.clone()]);
                // Red and blue are added up side by side, with room between them for the sum; first from row to row, which
                // processors do for many pixels at once.
                let (mut red_blue, mut green) = ([0; BLOCK], [0; BLOCK]);
                for (((red_blue, green), a), b) in
                    red_blue.iter_mut().zip(&mut green).zip(upper.iter()).zip(lower.iter())
                {
                    *red_blue = (a & 0x00ff_00ff) + (b & 0x00ff_00ff);
                    *green = ((a >> 8) & 0xff) + ((b >> 8) & 0xff);
                }
                let pairs = red_blue.as_chunks::<2>().0.iter().zip(green.as_chunks::<2>().0);
                let means = small[range.start / BAND * 3..range.end / BAND * 3].as_chunks_mut::<3>().0;
                for (mean, (red_blue, green)) in means.iter_mut().zip(pairs) {
                    let red_blue = red_blue[0] + red_blue[1] + 0x0002_0002;
                    let green = green[0] + green[1] + 2;
                    *mean = [(red_blue >> 2) as u8, (green >> 2) as u8, (red_blue >> 18) as u8];
                }
                upper.fill(WHITE);
                lower.fill(WHITE);
            }
        }
        &self.small[..small_width * bands * 3]
    }

    /// Wipes the smaller picture, and with it all memory of what was drawn.
    fn forget(&mut self) {
        let small_width = self.width / BAND;
        for (band, drawn) in self.drawn.iter_mut().enumerate() {
            for range in blocks(std::mem::take(drawn), self.width) {
                let start = band * small_width * 3;
                self.small[start + range.start / BAND * 3..start + range.end / BAND * 3].fill(255);
            }
        }
    }

    /// Fills columns `left..right` of rows `top..bottom`, as far as they lie on the sheet.
    pub fn fill(&mut self, (left, top): BackendCoord, (right, bottom): BackendCoord, colour: BackendColor) {
        let within = |value: i32, end: usize| usize::try_from(value).unwrap_or(0).min(end);
        let (left, right) = (within(left, self.width), within(right, self.width));
        let (top, bottom) = (within(top, self.height), within(bottom, self.height));
        if left >= right {
            return;
        }
        let colour = pixel(colour);
        let blocks =
            (u128::MAX << (left / BLOCK)) & (u128::MAX >> (u128::BITS as usize - 1 - (right - 1) / BLOCK));
        for row in top..bottom {
            self.drawn[row / BAND] |= blocks;
            self.pixels[row * self.width..][left..right].fill(colour);
        }
    }

    /// Mixes `share` / 256 of a colour into some pixels of a row, as far as they lie on the sheet. From 255 on it covers them.
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
        let share = i32::from(share);
        for under in &mut self.pixels[row * self.width..][left..right] {
            let [old_red, old_green, old_blue, _] = under.to_le_bytes();
            let mixed = |old: u8, new: u8| {
                let (old, new) = (i32::from(old), i32::from(new));
                if share >= 255 { new as u8 } else { (old + (new - old) * share / 256) as u8 }
            };
            *under =
                u32::from_le_bytes([mixed(old_red, red), mixed(old_green, green), mixed(old_blue, blue), 0]);
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

fn pixel(colour: BackendColor) -> Pixel {
    let (red, green, blue) = colour.rgb;
    u32::from_le_bytes([red, green, blue, 0])
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
        if pixel(colour) != WHITE || self.drawn.iter().any(|&band| band != 0) {
            self.fill((a.0.min(b.0), a.1.min(b.1)), (a.0.max(b.0), a.1.max(b.1)), colour);
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
                paper.fill(a, b, BackendColor { rgb, alpha: 1.0 });
            }
        }
    }

    /// The same on a sheet where every pixel is looked at.
    fn plainly(marks: &[Mark]) -> Vec<u8> {
        let (width, height) = ((WIDTH * SCALE) as i32, LEVELS as i32);
        let mut sheet = vec![[255_u8; 3]; (width * height) as usize];
        for &(a, b, (red, green, blue), alpha) in marks {
            let (end, share) = if a == b { ((a.0 + 1, a.1 + 1), alpha) } else { (b, 1.0) };
            for y in a.1.max(0)..end.1.min(height) {
                for x in a.0.max(0)..end.0.min(width) {
                    let pixel = &mut sheet[(y * width + x) as usize];
                    for (old, new) in pixel.iter_mut().zip([red, green, blue]) {
                        let share = (share * 256.0).floor();
                        let change = (f64::from(new) - f64::from(*old)) * share / 256.0;
                        *old = if share >= 255.0 { new } else { (f64::from(*old) + change.trunc()) as u8 };
                    }
                }
            }
        }
        let at = |x: i32, y: i32, channel: usize| u32::from(sheet[(y * width + x) as usize][channel]);
        let mean =
            |x, y, c| ((at(x, y, c) + at(x + 1, y, c) + at(x, y + 1, c) + at(x + 1, y + 1, c) + 2) / 4) as u8;
        let squares = (0..height).step_by(2).flat_map(|y| (0..width).step_by(2).map(move |x| (x, y)));
        squares.flat_map(|(x, y)| [0, 1, 2].map(|channel| mean(x, y, channel))).collect()
    }

    fn any_marks() -> impl Strategy<Value = Vec<Mark>> {
        let point = || (-40..3500_i32, -5..50_i32);
        let size = prop_oneof![Just((0, 0)), (1..300_i32, 1..20_i32)];
        let mark = (point(), size, any::<(u8, u8, u8)>(), 0.0..=1.0_f64)
            .prop_map(|(a, size, rgb, alpha)| (a, (a.0 + size.0, a.1 + size.1), rgb, alpha));
        prop::collection::vec(mark, 0..12)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn a_sheet_that_is_used_again_shows_what_a_new_one_would(first in any_marks(), second in any_marks()) {
            for marks in [&first, &second] {
                let small = Paper::with(LEVELS, |paper| draw(paper, marks), <[u8]>::to_vec);
                prop_assert!(small == plainly(marks));
            }
            // Another height on the same sheet.
            prop_assert!(Paper::with(LEVELS / 2, |_| (), |small| small.iter().all(|&byte| byte == 255)));
        }
    }
}
