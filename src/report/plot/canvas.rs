//! From a layout to bytes: SVG and PNG by `plotters`, with what its back ends lack.

use std::sync::Once;

use plotters::prelude::*;
use plotters::style::text_anchor::VPos;
use plotters_backend::{BackendColor, BackendCoord, BackendStyle, BackendTextStyle, DrawingErrorKind};

use super::draw::Layout;

/// First of the family names that an SVG asks for, and the name of the embedded font in a PNG.
pub(super) const FONT: &str = "Noto Sans, DejaVu Sans, Helvetica, Arial, sans-serif";

/// `plotters` draws at whole pixels: pictures are drawn larger by this factor, for curves without stairs.
pub(super) const SCALE: u32 = 4;

/// A PNG has twice the pixels of the page, for dense screens; the rest of [`SCALE`] smooths its edges.
const SMOOTHING: u32 = 2;

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

pub fn svg(layout: &Layout) -> Result<String, PlotError> {
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

pub fn png(layout: &Layout) -> Result<Vec<u8>, PlotError> {
    register_font();
    let (width, height) = layout.size();
    let (width, height) = (width * SCALE, height * SCALE);
    let mut pixels = vec![255_u8; (width * height * 3) as usize];
    {
        let area = Bitmap(BitMapBackend::with_buffer(&mut pixels, (width, height))).into_drawing_area();
        layout.draw(&area)?;
        area.present()?;
    }
    let smooth = shrink(&pixels, width as usize, SMOOTHING as usize);
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, width / SMOOTHING, height / SMOOTHING);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_compression(png::Compression::Fast);
    encoder.write_header()?.write_image_data(&smooth)?;
    Ok(bytes)
}

/// Averages squares of `factor` x `factor` RGB pixels. Sides are multiples of the factor.
fn shrink(pixels: &[u8], width: usize, factor: usize) -> Vec<u8> {
    let area = (factor * factor) as u16;
    let mut small = Vec::with_capacity(pixels.len() / (factor * factor));
    let mut sums = vec![0_u16; width / factor * 3];
    for band in pixels.chunks_exact(width * 3 * factor) {
        sums.fill(area / 2);
        for row in band.chunks_exact(width * 3) {
            for (square, sum) in row.chunks_exact(factor * 3).zip(sums.chunks_exact_mut(3)) {
                for pixel in square.chunks_exact(3) {
                    sum[0] += u16::from(pixel[0]);
                    sum[1] += u16::from(pixel[1]);
                    sum[2] += u16::from(pixel[2]);
                }
            }
        }
        small.extend(sums.iter().map(|sum| (sum / area) as u8));
    }
    small
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

/// The bitmap back end with another way of drawing thick paths: its own makes one polygon of the whole path, which
/// noise folds over itself until holes appear.
struct Bitmap<'a>(BitMapBackend<'a>);

type Drawn<'a> = Result<(), DrawingErrorKind<<BitMapBackend<'a> as DrawingBackend>::ErrorType>>;

impl<'a> DrawingBackend for Bitmap<'a> {
    type ErrorType = <BitMapBackend<'a> as DrawingBackend>::ErrorType;

    fn get_size(&self) -> (u32, u32) {
        self.0.get_size()
    }

    fn ensure_prepared(&mut self) -> Drawn<'a> {
        self.0.ensure_prepared()
    }

    fn present(&mut self) -> Drawn<'a> {
        self.0.present()
    }

    fn draw_pixel(&mut self, point: BackendCoord, color: BackendColor) -> Drawn<'a> {
        self.0.draw_pixel(point, color)
    }

    fn draw_rect<S: BackendStyle>(
        &mut self,
        upper_left: BackendCoord,
        bottom_right: BackendCoord,
        style: &S,
        fill: bool,
    ) -> Drawn<'a> {
        self.0.draw_rect(upper_left, bottom_right, style, fill)
    }

    /// A stroke with round ends for every two points that follow each other.
    fn draw_path<S: BackendStyle, I: IntoIterator<Item = BackendCoord>>(
        &mut self,
        path: I,
        style: &S,
    ) -> Drawn<'a> {
        let radius = f64::from(style.stroke_width()) / 2.0;
        let mut before: Option<BackendCoord> = None;
        for point in path {
            if let Some(before) = before {
                self.stroke(before, point, radius, style)?;
            }
            before = Some(point);
        }
        Ok(())
    }

    fn draw_text<S: BackendTextStyle>(&mut self, text: &str, style: &S, position: BackendCoord) -> Drawn<'a> {
        // An SVG centres text on the middle of its small letters, this back end on the middle of its line.
        let down = if matches!(style.anchor().v_pos, VPos::Center) {
            (style.size() * 0.09).round() as i32
        } else {
            0
        };
        self.0.draw_text(text, style, (position.0, position.1 + down))
    }

    fn estimate_text_size<S: BackendTextStyle>(
        &self,
        text: &str,
        style: &S,
    ) -> Result<(u32, u32), DrawingErrorKind<Self::ErrorType>> {
        self.0.estimate_text_size(text, style)
    }
}

impl<'a> Bitmap<'a> {
    /// All pixels within `radius` of the line from `a` to `b`, row by row. The shape is convex, so the part of a row
    /// within it lies between the outermost ends of the two discs and of the band between them.
    fn stroke<S: BackendStyle>(
        &mut self,
        a: BackendCoord,
        b: BackendCoord,
        radius: f64,
        style: &S,
    ) -> Drawn<'a> {
        let (ax, ay) = (f64::from(a.0), f64::from(a.1));
        let (bx, by) = (f64::from(b.0), f64::from(b.1));
        let length = (bx - ax).hypot(by - ay).max(f64::MIN_POSITIVE);
        let (nx, ny) = ((ay - by) / length * radius, (bx - ax) / length * radius);
        let corners = [(ax + nx, ay + ny), (bx + nx, by + ny), (bx - nx, by - ny), (ax - nx, ay - ny)];
        let top = (ay.min(by) - radius - 0.5).ceil() as i32;
        let bottom = (ay.max(by) + radius - 0.5).floor() as i32;
        for row in top..=bottom {
            let y = f64::from(row) + 0.5;
            let (mut left, mut right) = (f64::INFINITY, f64::NEG_INFINITY);
            let mut reach = |x: f64, by: f64| {
                left = left.min(x - by);
                right = right.max(x + by);
            };
            for (cx, cy) in [(ax, ay), (bx, by)] {
                let inside = radius.powi(2) - (y - cy).powi(2);
                if inside >= 0.0 {
                    reach(cx, inside.sqrt());
                }
            }
            for (index, &(px, py)) in corners.iter().enumerate() {
                let (qx, qy) = corners[(index + 1) % corners.len()];
                if (py - y) * (qy - y) <= 0.0 && py != qy {
                    reach(px + (qx - px) * (y - py) / (qy - py), 0.0);
                }
            }
            if left <= right {
                self.0.draw_rect((left.round() as i32, row), (right.round() as i32, row + 1), style, true)?;
            }
        }
        Ok(())
    }
}
