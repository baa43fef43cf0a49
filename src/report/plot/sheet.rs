//! A picture put together from lines, dots, areas and words, for what no [`Chart`](super::Chart) shows.

use std::path::Path;

use plotters::coord::Shift;
use plotters::element::{Circle, Polygon, Rectangle};
use plotters::prelude::{Color as _, DrawingArea, DrawingBackend, FontStyle, RGBColor, ShapeStyle};
use plotters::style::text_anchor::{HPos, VPos};

use crate::report::ReportError;

use super::axis::Range;
use super::canvas::{Picture, PlotError, SCALE};
use super::draw::{self, Page, text_width};
use super::{WIDTH, write_picture};

/// Red, green, blue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ink(pub u8, pub u8, pub u8);

/// Words and what is measured by.
pub const DARK: Ink = ink(draw::INK);
pub const QUIET: Ink = ink(draw::QUIET);
pub const GRID: Ink = ink(draw::GRID);
pub const LINE: Ink = ink(draw::FRAME);
/// Settings that are not named.
pub const PALE: Ink = Ink(196, 202, 210);
pub const WHITE: Ink = Ink(255, 255, 255);

const fn ink(colour: RGBColor) -> Ink {
    Ink(colour.0, colour.1, colour.2)
}

/// One of the colours that people with any kind of colour vision can tell apart. There are seven, the last of them grey.
pub fn colour(index: usize) -> Ink {
    ink(draw::PALETTE[index % draw::PALETTE.len()])
}

/// The colour of a share from 0 (dark blue) to 1 (light yellow), by way of grey: the ends of the map "cividis" (Nuñez, Anderton
/// and Renslow, 2018), which people with any kind of colour vision see as a scale.
pub fn shade(share: f64) -> Ink {
    const STOPS: [Ink; 5] =
        [Ink(0, 45, 108), Ink(77, 86, 109), Ink(124, 123, 120), Ink(182, 165, 112), Ink(254, 232, 92)];
    let share = if share.is_nan() { 0.0 } else { share.clamp(0.0, 1.0) };
    let at = share * (STOPS.len() - 1) as f64;
    let below = (at.floor() as usize).min(STOPS.len() - 2);
    let part = at - below as f64;
    let mix = |a: u8, b: u8| (f64::from(a) + (f64::from(b) - f64::from(a)) * part).round() as u8;
    let (a, b) = (STOPS[below], STOPS[below + 1]);
    Ink(mix(a.0, b.0), mix(a.1, b.1), mix(a.2, b.2))
}

impl Ink {
    /// White or dark words on this colour, whichever is read more easily.
    pub fn opposite(self) -> Ink {
        let light = 0.299 * f64::from(self.0) + 0.587 * f64::from(self.1) + 0.114 * f64::from(self.2);
        if light > 140.0 { DARK } else { WHITE }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Left,
    Middle,
    Right,
}

/// A picture as wide as a page. All distances are in pixels of the page.
#[derive(Debug)]
pub struct Sheet {
    pub height: f64,
    marks: Vec<Mark>,
}

#[derive(Debug)]
enum Mark {
    Line {
        points: Vec<(f64, f64)>,
        ink: Ink,
        width: f64,
        dash: bool,
    },
    /// A quarter of its colour is seen.
    Area {
        points: Vec<(f64, f64)>,
        ink: Ink,
    },
    Dot {
        at: (f64, f64),
        radius: f64,
        ink: Ink,
    },
    Box {
        from: (f64, f64),
        to: (f64, f64),
        ink: Ink,
    },
    Words {
        text: String,
        at: (f64, f64),
        size: i32,
        ink: Ink,
        bold: bool,
        side: Side,
    },
}

/// Where something is drawn on a sheet.
#[derive(Clone, Copy, Debug)]
pub struct Frame {
    pub left: f64,
    pub right: f64,
    pub top: f64,
    pub bottom: f64,
}

impl Frame {
    /// From shares of the way, the second from below.
    pub fn at(&self, across: f64, up: f64) -> (f64, f64) {
        (self.left + across * (self.right - self.left), self.bottom - up * (self.bottom - self.top))
    }
}

/// What stands along an axis: where, as a share of the way, and the words.
pub type Ticks = Vec<(f64, String)>;

/// Size of words in pixels.
pub const TEXT: i32 = 13;
pub const WIDE: f64 = WIDTH as f64;
const TITLE: f64 = 34.0;
const LEGEND_ROW: f64 = 22.0;
const SWATCH: f64 = 26.0;

impl Sheet {
    /// With its title, and as high as that.
    pub fn new(title: &str) -> Sheet {
        let mut sheet = Sheet { height: TITLE, marks: Vec::new() };
        sheet.words_of(title, (16.0, 22.0), 16, DARK, true, Side::Left);
        sheet
    }

    pub fn line(&mut self, points: Vec<(f64, f64)>, ink: Ink, width: f64) {
        self.marks.push(Mark::Line { points, ink, width, dash: false });
    }

    pub fn dashed(&mut self, points: Vec<(f64, f64)>, ink: Ink, width: f64) {
        self.marks.push(Mark::Line { points, ink, width, dash: true });
    }

    pub fn area(&mut self, points: Vec<(f64, f64)>, ink: Ink) {
        self.marks.push(Mark::Area { points, ink });
    }

    pub fn dot(&mut self, at: (f64, f64), radius: f64, ink: Ink) {
        self.marks.push(Mark::Dot { at, radius, ink });
    }

    /// A dot with a white middle.
    pub fn ring(&mut self, at: (f64, f64), radius: f64, ink: Ink) {
        self.dot(at, radius, ink);
        self.dot(at, (radius - 1.3).max(0.5), WHITE);
    }

    pub fn filled(&mut self, from: (f64, f64), to: (f64, f64), ink: Ink) {
        self.marks.push(Mark::Box { from, to, ink });
    }

    pub fn words(&mut self, text: &str, at: (f64, f64), ink: Ink, side: Side) {
        self.words_of(text, at, TEXT, ink, false, side);
    }

    pub fn bold(&mut self, text: &str, at: (f64, f64), ink: Ink, side: Side) {
        self.words_of(text, at, TEXT, ink, true, side);
    }

    fn words_of(&mut self, text: &str, at: (f64, f64), size: i32, ink: Ink, bold: bool, side: Side) {
        self.marks.push(Mark::Words { text: text.to_owned(), at, size, ink, bold, side });
    }

    /// Entries from left to right in as many rows as they need, below what is there already. None for less than two.
    pub fn legend(&mut self, entries: &[(String, Ink, Swatch)]) {
        if entries.len() < 2 {
            return;
        }
        let texts: Vec<String> = entries.iter().map(|(text, ..)| cut(text, draw::LABEL)).collect();
        let places = draw::legend_places(&texts);
        for ((text, (_, ink, swatch)), (row, x)) in texts.iter().zip(entries).zip(&places) {
            let x = f64::from(*x);
            let y = self.height + (*row as f64 + 0.5) * LEGEND_ROW;
            let ends = vec![(x, y), (x + SWATCH, y)];
            match swatch {
                Swatch::Line => self.line(ends, *ink, 2.4),
                Swatch::Dashed => self.dashed(ends, *ink, 1.4),
                Swatch::Dot => self.dot((x + SWATCH / 2.0, y), 4.0, *ink),
                Swatch::Ring => self.ring((x + SWATCH / 2.0, y), 3.0, *ink),
            }
            self.words(text, (x + SWATCH + 8.0, y), DARK, Side::Left);
        }
        let rows = places.last().map_or(0, |(row, _)| row + 1);
        self.height += rows as f64 * LEGEND_ROW;
    }

    /// Lines of a grid, the words along both axes and their titles: the y axis's above the frame, the x axis's below it. Of words
    /// that would touch each other the later ones are left out.
    pub fn axes(
        &mut self,
        frame: &Frame,
        x: &[(f64, String)],
        x_title: &str,
        y: &[(f64, String)],
        y_title: &str,
    ) {
        let (middle, _) = frame.at(0.5, 0.0);
        let room = (frame.right - frame.left).max(1.0);
        self.words(
            &cut(y_title, (room / 7.3) as usize),
            (frame.left - 58.0, frame.top - 14.0),
            DARK,
            Side::Left,
        );
        for (up, text) in y {
            let (_, down) = frame.at(0.0, *up);
            self.line(vec![(frame.left, down), (frame.right, down)], GRID, 1.0);
            self.words(text, (frame.left - 8.0, down), QUIET, Side::Right);
        }
        let mut taken = f64::NEG_INFINITY;
        for (across, text) in x {
            let (at, _) = frame.at(*across, 0.0);
            self.line(vec![(at, frame.top), (at, frame.bottom)], GRID, 1.0);
            self.line(vec![(at, frame.bottom), (at, frame.bottom + 4.0)], LINE, 1.0);
            let half = f64::from(text_width(text)) / 2.0;
            if at - half > taken {
                self.words(text, (at, frame.bottom + 15.0), QUIET, Side::Middle);
                taken = at + half + 6.0;
            }
        }
        let corner = [(frame.left, frame.top), (frame.left, frame.bottom), (frame.right, frame.bottom)];
        self.line(corner.to_vec(), LINE, 1.0);
        self.words(x_title, (middle, frame.bottom + 36.0), DARK, Side::Middle);
    }

    /// Writes `<stem>.svg` and `<stem>.png`.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn write(&self, stem: &Path) -> Result<(), ReportError> {
        write_picture(Some(self), stem).map(|_| ())
    }
}

/// What stands before the words of a legend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Swatch {
    Line,
    Dashed,
    Dot,
    Ring,
}

/// `text` with at most `most` characters.
pub fn cut(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let kept: String = text.chars().take(most.saturating_sub(1)).collect();
    format!("{}…", kept.trim_end())
}

/// The ticks of a range, as shares of the way.
pub fn ticks(range: &Range, wanted: usize) -> Ticks {
    range.ticks(wanted).into_iter().map(|(tick, label)| (range.place(tick), label)).collect()
}

impl Picture for Sheet {
    fn size(&self) -> (u32, u32) {
        // Even, so that a picture can be halved.
        (WIDTH, (self.height.ceil() as u32).max(2).div_ceil(2) * 2)
    }

    fn draw<B: DrawingBackend>(&self, area: &DrawingArea<B, Shift>) -> Result<(), PlotError>
    where
        B::ErrorType: 'static,
    {
        area.fill(&draw::PAPER)?;
        let page = Page { area };
        let fine = |&(x, y): &(f64, f64)| {
            let whole = |value: f64| (value * f64::from(SCALE)).round() as i32;
            (whole(x), whole(y))
        };
        let rgb = |ink: Ink| RGBColor(ink.0, ink.1, ink.2);
        let full = |ink: Ink| ShapeStyle { color: rgb(ink).to_rgba(), filled: true, stroke_width: 0 };
        for mark in &self.marks {
            match mark {
                Mark::Line { points, ink, width, dash } => {
                    let points: Vec<(i32, i32)> = points.iter().map(fine).collect();
                    if *dash {
                        page.dashed(&points, rgb(*ink), *width, (5, 4))?;
                    } else {
                        page.line(&points, rgb(*ink), *width)?;
                    }
                }
                Mark::Area { points, ink } => {
                    let points: Vec<(i32, i32)> = points.iter().map(fine).collect();
                    area.draw(&Polygon::new(points, rgb(*ink).mix(0.25).filled()))?;
                }
                Mark::Dot { at, radius, ink } => {
                    area.draw(&Circle::new(fine(at), (radius * f64::from(SCALE)) as i32, full(*ink)))?;
                }
                Mark::Box { from, to, ink } => {
                    area.draw(&Rectangle::new([fine(from), fine(to)], full(*ink)))?;
                }
                Mark::Words { text, at, size, ink, bold, side } => {
                    let style = if *bold { FontStyle::Bold } else { FontStyle::Normal };
                    let side = match side {
                        Side::Left => HPos::Left,
                        Side::Middle => HPos::Center,
                        Side::Right => HPos::Right,
                    };
                    let at = (at.0.round() as i32, at.1.round() as i32);
                    page.text(text, at, *size, rgb(*ink), style, (side, VPos::Center))?;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shades_go_from_dark_to_light_and_words_on_them_can_be_read() {
        let light = |ink: Ink| u32::from(ink.0) + u32::from(ink.1) + u32::from(ink.2);
        let shades: Vec<Ink> = (0..=20).map(|step| shade(f64::from(step) / 20.0)).collect();
        assert!(shades.windows(2).all(|pair| light(pair[0]) <= light(pair[1])));
        assert_eq!((shades[0].opposite(), shades[20].opposite()), (WHITE, DARK));
        assert_eq!(shade(f64::NAN), shade(0.0));
    }

    #[test]
    fn long_words_are_cut() {
        assert_eq!((cut("short", 5), cut("longer words", 8)), ("short".to_owned(), "longer…".to_owned()));
    }
}
