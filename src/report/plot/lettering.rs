//! Text as it is drawn, kept: the same titles and numbers stand in one chart after the other, and shaping and filling their
//! letters takes longer than all curves.

use std::cell::RefCell;
use std::collections::HashMap;
use std::convert::Infallible;

use plotters_backend::text_anchor::{HPos, VPos};
use plotters_backend::{
    BackendColor, BackendCoord, BackendStyle, BackendTextStyle, DrawingBackend, DrawingErrorKind, FontStyle,
};

use super::inks::STEPS;
use super::paper::SMOOTHING;

/// Pixels of a row side by side that a text covers alike.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Run {
    /// In pixels from the text's own position.
    pub x: i32,
    pub y: i32,
    pub length: u16,
    /// Of [`STEPS`].
    pub step: u16,
}

/// Texts that a thread keeps. Those of a few hundred charts, whose numbers differ.
const KEPT: usize = 1_000;
/// Where a text is drawn to be kept: far enough from the edge for any that has room on a page.
const MARGIN: i32 = 1 << 14;

type Key = (String, u64, &'static str, (u8, u8));
type Drawn = Result<(), DrawingErrorKind<Infallible>>;

/// Hands what covers the paper under `text` to `draw`, in the order of drawing.
pub fn of<S: BackendTextStyle>(text: &str, style: &S, draw: impl FnOnce(&[Run])) -> Drawn {
    thread_local! { static TEXTS: RefCell<HashMap<Key, Vec<Run>>> = RefCell::default(); }
    let anchor = style.anchor();
    let anchor = (
        match anchor.h_pos {
            HPos::Left => 0,
            HPos::Center => 1,
            HPos::Right => 2,
        },
        match anchor.v_pos {
            VPos::Top => 0,
            VPos::Center => 1,
            VPos::Bottom => 2,
        },
    );
    let weight = match style.style() {
        FontStyle::Bold => "bold",
        FontStyle::Normal => "normal",
        FontStyle::Oblique => "oblique",
        FontStyle::Italic => "italic",
    };
    let key = (text.to_owned(), style.size().to_bits(), weight, anchor);
    TEXTS.with_borrow_mut(|texts| {
        if let Some(runs) = texts.get(&key) {
            draw(runs);
            return Ok(());
        }
        let mut recorder = Recorder::default();
        recorder.draw_text(text, style, (MARGIN, MARGIN))?;
        let runs = recorder.runs();
        draw(&runs);
        if texts.len() == KEPT {
            texts.clear();
        }
        texts.insert(key, runs);
        Ok(())
    })
}

/// Notes what is drawn on it: parts of pixels, from the text's own position, and how much of each is covered.
#[derive(Default)]
struct Recorder(Vec<(BackendCoord, f64)>);

impl Recorder {
    /// What the parts cover together of whole pixels.
    fn runs(&self) -> Vec<Run> {
        let part = SMOOTHING as i32;
        let whole = |(x, y): BackendCoord| (x.div_euclid(part), y.div_euclid(part));
        let places = || self.0.iter().map(|(place, _)| whole(*place));
        let ends = |values: &mut dyn Iterator<Item = i32>| {
            values.fold((i32::MAX, i32::MIN), |(low, high), value| (low.min(value), high.max(value)))
        };
        let (left, right) = ends(&mut places().map(|(x, _)| x));
        let (top, bottom) = ends(&mut places().map(|(_, y)| y));
        if left > right {
            return Vec::new();
        }
        let width = (right - left + 1) as usize;
        let mut covered = vec![0.0; width * (bottom - top + 1) as usize];
        for (place, share) in &self.0 {
            let (x, y) = whole(*place);
            covered[(y - top) as usize * width + (x - left) as usize] += share;
        }
        let mut runs = Vec::new();
        for (y, row) in (top..).zip(covered.chunks_exact(width)) {
            let mut x = left;
            let step =
                |sum: &f64| ((sum / f64::from(part * part)).min(1.0) * f64::from(STEPS)).round() as u16;
            for alike in row.chunk_by(|a, b| step(a) == step(b)) {
                let (length, step) = (alike.len() as u16, step(&alike[0]));
                if step > 0 {
                    runs.push(Run { x, y, length, step });
                }
                x += i32::from(length);
            }
        }
        runs
    }
}

impl DrawingBackend for Recorder {
    type ErrorType = Infallible;

    fn get_size(&self) -> (u32, u32) {
        (2 * MARGIN as u32, 2 * MARGIN as u32)
    }

    fn ensure_prepared(&mut self) -> Drawn {
        Ok(())
    }

    fn present(&mut self) -> Drawn {
        Ok(())
    }

    fn draw_pixel(&mut self, (x, y): BackendCoord, colour: BackendColor) -> Drawn {
        self.0.push(((x - MARGIN, y - MARGIN), colour.alpha.clamp(0.0, 1.0)));
        Ok(())
    }

    fn draw_rect<S: BackendStyle>(&mut self, _: BackendCoord, _: BackendCoord, _: &S, _: bool) -> Drawn {
        Ok(())
    }
}
