//! Text as it is drawn, kept: the same titles and numbers stand in one chart after the other, and shaping and filling their
//! letters takes longer than all curves.

use std::cell::RefCell;
use std::collections::HashMap;
use std::convert::Infallible;

use plotters_backend::text_anchor::{HPos, VPos};
use plotters_backend::{
    BackendColor, BackendCoord, BackendStyle, BackendTextStyle, DrawingBackend, DrawingErrorKind, FontStyle,
};

use super::paper::share;

/// Pixels of a row side by side that a text covers alike.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Run {
    /// From the text's own position.
    pub x: i32,
    pub y: i32,
    pub length: u16,
    /// In steps of 1/256.
    pub share: u16,
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
        draw(&recorder.0);
        if texts.len() == KEPT {
            texts.clear();
        }
        texts.insert(key, recorder.0);
        Ok(())
    })
}

/// Notes what is drawn on it.
#[derive(Default)]
struct Recorder(Vec<Run>);

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
        let (x, y, share) = (x - MARGIN, y - MARGIN, share(colour.alpha));
        match self.0.last_mut() {
            Some(run)
                if (run.y, run.share) == (y, share)
                    && run.x + i32::from(run.length) == x
                    && run.length < u16::MAX =>
            {
                run.length += 1;
            }
            _ if share > 0 => self.0.push(Run { x, y, length: 1, share }),
            _ => {}
        }
        Ok(())
    }

    fn draw_rect<S: BackendStyle>(&mut self, _: BackendCoord, _: BackendCoord, _: &S, _: bool) -> Drawn {
        Ok(())
    }
}
