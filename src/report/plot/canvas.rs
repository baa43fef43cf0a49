//! From a layout to bytes: SVG and PNG by `plotters`, with what its back ends lack.

use std::convert::Infallible;
use std::sync::Once;

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::VPos;
use plotters_backend::{BackendColor, BackendCoord, BackendStyle, BackendTextStyle, DrawingErrorKind};

use super::inks::{Ink, Rgb};
use super::lettering;
use super::paper::{Paper, SMOOTHING};

/// First of the family names that an SVG asks for, and the name of the embedded font in a PNG.
pub(super) const FONT: &str = "Noto Sans, DejaVu Sans, Helvetica, Arial, sans-serif";

/// `plotters` draws at whole pixels: pictures are drawn larger by this factor, for curves without stairs.
pub(super) const SCALE: u32 = 4;

#[derive(Debug, thiserror::Error)]
pub enum PlotError {
    #[error("drawing: {0}")]
    Draw(String),
    #[error("encoding the picture: {0}")]
    Encode(#[from] png::EncodingError),
}

impl<E: std::error::Error + Send + Sync> From<DrawingAreaErrorKind<E>> for PlotError {
    fn from(error: DrawingAreaErrorKind<E>) -> Self {
        PlotError::Draw(error.to_string())
    }
}

/// What can be drawn.
pub trait Picture {
    /// Width and height in pixels of the page.
    fn size(&self) -> (u32, u32);

    /// Draws on an area [`SCALE`] times as fine.
    fn draw<B: DrawingBackend>(&self, area: &DrawingArea<B, Shift>) -> Result<(), PlotError>
    where
        B::ErrorType: 'static;
}

pub fn svg<P: Picture>(layout: &P) -> Result<String, PlotError> {
    register_font();
    let (width, height) = layout.size();
    let mut text = String::new();
    {
        let area = SVGBackend::with_string(&mut text, (width * SCALE, height * SCALE)).into_drawing_area();
        layout.draw(&area)?;
        area.present()?;
    }
    // Shown at page size, with the finer coordinates kept. Miter joins, the default, would give noise long spikes.
    let drawn = format!("width=\"{}\" height=\"{}\"", width * SCALE, height * SCALE);
    let shown =
        format!("width=\"{width}\" height=\"{height}\" stroke-linejoin=\"round\" stroke-linecap=\"round\"");
    Ok(text.replacen(&drawn, &shown, 1))
}

/// A PNG has twice the pixels of the page, for dense screens; the rest of [`SCALE`] smooths its edges.
pub fn png<P: Picture>(layout: &P) -> Result<Vec<u8>, PlotError> {
    register_font();
    let (width, height) = layout.size();
    let (width, height) = (width * SCALE, height * SCALE);
    let mut drawn = Ok(());
    let draw = |paper: &mut Paper| drawn = layout.draw(&Bitmap(paper).into_drawing_area());
    let encode = |pixels: &[Ink], colours: &[Rgb]| -> Result<Vec<u8>, PlotError> {
        let mut bytes = Vec::new();
        let mut encoder = png::Encoder::new(&mut bytes, width / SMOOTHING, height / SMOOTHING);
        encoder.set_color(png::ColorType::Indexed);
        encoder.set_depth(png::BitDepth::Eight);
        encoder.set_palette(colours.concat());
        // Most of a row is as the row above, and what is the same becomes zeros, which pack well and fast.
        encoder.set_filter(png::FilterType::Up);
        encoder.set_compression(png::Compression::Fast);
        encoder.write_header()?.write_image_data(pixels)?;
        Ok(bytes)
    };
    let bytes = Paper::with(height, draw, encode);
    drawn.and(bytes)
}

/// Whether a PNG has its beginning and its end, which one that was cut short has not, and is of few colours: those of before are
/// ten times as large.
pub fn is_whole(png: &[u8]) -> bool {
    /// Where the header says how pixels are to be read, and that they number colours.
    const KIND: (usize, u8) = (25, 3);
    png.starts_with(b"\x89PNG\r\n\x1a\n")
        && png.get(KIND.0) == Some(&KIND.1)
        && png.ends_with(b"IEND\xae\x42\x60\x82")
}

/// `plotters` finds no system fonts in this build: every machine draws with the same one.
fn register_font() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        for (style, bytes) in
            [(FontStyle::Normal, notosans::REGULAR_TTF), (FontStyle::Bold, notosans::BOLD_TTF)]
        {
            // Cannot fail for these bytes; if it did, drawing text would say that the font is not there.
            let _ = plotters::style::register_font(FONT, style, bytes);
        }
    });
}

/// Paper as a back end, with thick paths of strokes: the usual way makes one polygon of a whole path, which noise folds over itself until
/// holes appear.
struct Bitmap<'a>(&'a mut Paper);

type Drawn = Result<(), DrawingErrorKind<Infallible>>;

impl DrawingBackend for Bitmap<'_> {
    type ErrorType = Infallible;

    fn get_size(&self) -> (u32, u32) {
        self.0.size()
    }

    fn ensure_prepared(&mut self) -> Drawn {
        Ok(())
    }

    fn present(&mut self) -> Drawn {
        Ok(())
    }

    fn draw_pixel(&mut self, (x, y): BackendCoord, color: BackendColor) -> Drawn {
        self.0.fill((x, y), (x + 1, y + 1));
        self.0.ink(color.rgb, color.alpha);
        Ok(())
    }

    fn draw_rect<S: BackendStyle>(
        &mut self,
        a: BackendCoord,
        b: BackendCoord,
        style: &S,
        fill: bool,
    ) -> Drawn {
        if !fill {
            return plotters_backend::rasterizer::draw_rect(self, a, b, style, fill);
        }
        let colour = style.color();
        // The first thing that is drawn is the background, which is there.
        if colour.rgb != (255, 255, 255) || !self.0.is_blank() {
            self.0.fill((a.0.min(b.0), a.1.min(b.1)), (a.0.max(b.0), a.1.max(b.1)));
            self.0.ink(colour.rgb, colour.alpha);
        }
        Ok(())
    }

    /// A stroke with round ends for every two points that follow each other.
    fn draw_path<S: BackendStyle, I: IntoIterator<Item = BackendCoord>>(
        &mut self,
        path: I,
        style: &S,
    ) -> Drawn {
        let pen = Pen::new(f64::from(style.stroke_width()) / 2.0);
        let mut before: Option<BackendCoord> = None;
        for point in path {
            if let Some(before) = before {
                self.stroke(before, point, &pen);
            }
            before = Some(point);
        }
        self.0.ink(style.color().rgb, style.color().alpha);
        Ok(())
    }

    fn draw_circle<S: BackendStyle>(
        &mut self,
        center: BackendCoord,
        radius: u32,
        style: &S,
        fill: bool,
    ) -> Drawn {
        if !fill {
            return plotters_backend::rasterizer::draw_circle(self, center, radius, style, fill);
        }
        self.stroke(center, center, &Pen::new(f64::from(radius)));
        self.0.ink(style.color().rgb, style.color().alpha);
        Ok(())
    }

    /// What lies between the first and the second, the third and the fourth ... crossing of a row with the outline.
    fn fill_polygon<S: BackendStyle, I: IntoIterator<Item = BackendCoord>>(
        &mut self,
        outline: I,
        style: &S,
    ) -> Drawn {
        let corners: Vec<BackendCoord> = outline.into_iter().collect();
        let (_, height) = self.0.size();
        let mut crossings: Vec<Vec<i32>> = vec![Vec::new(); height as usize];
        for (&from, &to) in corners.iter().zip(corners.iter().cycle().skip(1)) {
            let (upper, lower) = if from.1 < to.1 { (from, to) } else { (to, from) };
            let slope = f64::from(lower.0 - upper.0) / f64::from(lower.1 - upper.1);
            for row in upper.1.max(0)..lower.1.min(height as i32) {
                let x = f64::from(upper.0) + (f64::from(row - upper.1) + 0.5) * slope;
                crossings[row as usize].push(nearest(x));
            }
        }
        for (row, mut ends) in (0..).zip(crossings) {
            ends.sort_unstable();
            for pair in ends.as_chunks::<2>().0 {
                self.0.fill((pair[0], row), (pair[1], row + 1));
            }
        }
        self.0.ink(style.color().rgb, style.color().alpha);
        Ok(())
    }

    fn draw_text<S: BackendTextStyle>(&mut self, text: &str, style: &S, position: BackendCoord) -> Drawn {
        let whole = SMOOTHING as i32;
        // An SVG centres text on the middle of its small letters, this back end on the middle of its line.
        let down = if matches!(style.anchor().v_pos, VPos::Center) {
            (style.size() * 0.09 / f64::from(whole)).round() as i32
        } else {
            0
        };
        // Kept texts lie on whole pixels, as all of a page do.
        let (x, y) = (position.0.div_euclid(whole), position.1.div_euclid(whole) + down);
        self.0.take(style.color().rgb);
        lettering::of(text, style, |runs| {
            for run in runs {
                self.0.mix((x + run.x, y + run.y), run.length, run.step);
            }
        })
    }
}

impl Bitmap<'_> {
    /// Adds what lies within the pen's radius of the line from `a` to `b` to the shape, row by row. The shape is convex, so the part of a
    /// row within it lies between the outermost ends of the two discs and of the band between them.
    fn stroke(&mut self, a: BackendCoord, b: BackendCoord, pen: &Pen) {
        let radius = pen.radius;
        let (ax, ay) = (f64::from(a.0), f64::from(a.1));
        let (bx, by) = (f64::from(b.0), f64::from(b.1));
        let length = (bx - ax).hypot(by - ay).max(f64::MIN_POSITIVE);
        let top = (ay.min(by) - radius - 0.5).ceil() as i32;
        let bottom = (ay.max(by) + radius - 0.5).floor() as i32;
        let straight = straight_rows(a, b);
        if !straight.is_empty() {
            self.0.fill((nearest(ax - radius), straight.start), (nearest(ax + radius), straight.end));
        }
        // Rows that neither disc reaches: there both sides of the band are straight.
        let (from, to) = (ay.min(by) + radius + 0.5, ay.max(by) - radius - 0.5);
        let between = if straight.is_empty() && from < to { from as i32..to as i32 } else { 0..0 };
        if !between.is_empty() {
            let (slope, half) = ((bx - ax) / (by - ay), radius * length / (by - ay).abs());
            for row in between.clone() {
                let middle = ax + (f64::from(row) + 0.5 - ay) * slope;
                self.0.fill((nearest(middle - half), row), (nearest(middle + half), row + 1));
            }
        }
        let sides = sides((ax, ay), (bx, by), radius / length);
        for row in (top..=bottom).filter(|row| !straight.contains(row) && !between.contains(row)) {
            let y = f64::from(row) + 0.5;
            let (mut left, mut right) = (f64::INFINITY, f64::NEG_INFINITY);
            let mut reach = |x: f64, by: f64| {
                left = left.min(x - by);
                right = right.max(x + by);
            };
            for (x, cy) in [(ax, a.1), (bx, b.1)] {
                if let Some(half) = pen.half_width(row, cy) {
                    reach(x, half);
                }
            }
            for side in &sides {
                if (side.from..=side.to).contains(&y) {
                    reach(side.x + side.slope * (y - side.from), 0.0);
                }
            }
            if left <= right {
                self.0.fill((nearest(left), row), (nearest(right), row + 1));
            }
        }
    }
}

/// A round pen.
struct Pen {
    radius: f64,
    /// Half the width of its disc in the rows from the middle outwards.
    half_widths: Vec<f64>,
}

impl Pen {
    fn new(radius: f64) -> Self {
        let rows = (radius + 0.5).max(0.0) as usize;
        let half = |row: usize| (radius.powi(2) - (row as f64 + 0.5).powi(2)).max(0.0).sqrt();
        Self { radius, half_widths: (0..rows).map(half).collect() }
    }

    /// That of a row whose disc has its middle at the upper edge of row `middle`; `None` where the disc does not reach.
    fn half_width(&self, row: i32, middle: i32) -> Option<f64> {
        let away = if row >= middle { row - middle } else { middle - row - 1 };
        self.half_widths.get(usize::try_from(away).ok()?).copied()
    }
}

/// A side of a band, downwards.
struct Side {
    from: f64,
    to: f64,
    /// Where it is at `from`, and how far it goes with each row.
    x: f64,
    slope: f64,
}

/// The sides of the band from `a` to `b` that are not level. `share` is the band's half width in lengths of the line.
fn sides((ax, ay): (f64, f64), (bx, by): (f64, f64), share: f64) -> [Side; 4] {
    let (nx, ny) = ((ay - by) * share, (bx - ax) * share);
    let corners = [(ax + nx, ay + ny), (bx + nx, by + ny), (bx - nx, by - ny), (ax - nx, ay - ny)];
    std::array::from_fn(|index| {
        let (p, q) = (corners[index], corners[(index + 1) % corners.len()]);
        let (upper, lower) = if p.1 < q.1 { (p, q) } else { (q, p) };
        // A level one lies in no row's middle, or gives no other ends than its neighbours.
        let to = if upper.1 == lower.1 { f64::NEG_INFINITY } else { lower.1 };
        Side { from: upper.1, to, x: upper.0, slope: (lower.0 - upper.0) / (lower.1 - upper.1) }
    })
}

/// The rows of a vertical line that lie between its round ends: all of them are alike.
fn straight_rows(a: BackendCoord, b: BackendCoord) -> std::ops::Range<i32> {
    if a.0 == b.0 { a.1.min(b.1)..a.1.max(b.1) } else { 0..0 }
}

/// The nearest whole number, of those that lie on a sheet: `f64::round` is a call of its own on processors without SSE 4.1.
fn nearest(value: f64) -> i32 {
    (value + 0.5) as i32
}
