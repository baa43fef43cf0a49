//! Where everything of a chart stands, and the drawing of it.

use plotters::coord::Shift;
use plotters::element::{Circle, DashedPathElement, PathElement, Text};
use plotters::prelude::{Color as _, DrawingArea, DrawingBackend, FontStyle, RGBColor, ShapeStyle};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{FontDesc, FontFamily, TextStyle};

use super::axis::Range;
use super::canvas::{FONT, Picture, PlotError, SCALE};
use super::decimate::decimate;
use super::sheet::cut;
use super::{Chart, Colour, Level, Panel, Series, Stroke, WIDTH};

pub(super) const INK: RGBColor = RGBColor(38, 43, 51);
pub(super) const QUIET: RGBColor = RGBColor(98, 106, 118);
pub(super) const GRID: RGBColor = RGBColor(230, 233, 237);
pub(super) const FRAME: RGBColor = RGBColor(176, 183, 192);
pub(super) const PAPER: RGBColor = RGBColor(255, 255, 255);
const TARGET: RGBColor = RGBColor(60, 60, 60);

/// Okabe and Ito's palette without its yellow, which is too light for lines on white.
pub(super) const PALETTE: [RGBColor; 7] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
    RGBColor(90, 90, 90),
];

// Distances in pixels of the page.
const LEFT: i32 = 74;
const RIGHT: i32 = 26;
const TITLE: i32 = 34;
const LEGEND_ROW: i32 = 22;
const PANEL_HEAD: i32 = 30;
const FOOT: i32 = 50;
const SWATCH: i32 = 26;
const TEXT: i32 = 13;
/// Most characters of an entry of a legend: what fits on a page.
pub(super) const LABEL: usize = 100;

/// A chart with ranges settled and its legend set in rows.
pub struct Layout<'a> {
    chart: &'a Chart,
    x: Range,
    panels: Vec<(&'a Panel, Range)>,
    legend: Vec<Vec<(Entry<'a>, i32)>>,
}

#[derive(Clone, Copy)]
enum Entry<'a> {
    Series(&'a str, &'a Series),
    Level(&'a Level),
}

impl Entry<'_> {
    /// The label, cut to what fits on a page.
    fn label(&self) -> String {
        let label = match self {
            Entry::Series(label, _) => label,
            Entry::Level(level) => level.label.as_str(),
        };
        cut(label, LABEL)
    }
}

impl<'a> Layout<'a> {
    /// `None` when no panel has anything to show.
    pub fn of(chart: &'a Chart) -> Option<Layout<'a>> {
        let panels: Vec<(&Panel, Range)> = chart
            .panels
            .iter()
            .filter_map(|panel| {
                let values = panel.series.iter().flat_map(|series| series.points.iter());
                let values: Vec<f64> = values.filter(|(x, _)| x.is_finite()).map(|(_, y)| *y).collect();
                // A target alone is no chart.
                Range::of(&panel.y, values.iter().copied(), 0.0)?;
                let levels = panel.levels.iter().map(|level| level.value);
                Some((panel, Range::of(&panel.y, values.into_iter().chain(levels), 0.05)?))
            })
            .collect();
        let xs = panels.iter().flat_map(|(panel, y)| {
            let points = panel.series.iter().flat_map(|series| series.points.iter());
            points.filter(|point| y.shows(point.1)).map(|point| point.0)
        });
        let x = Range::of(&chart.x, xs, 0.0)?;
        let legend = legend_rows(&panels);
        Some(Layout { chart, x, panels, legend })
    }
}

impl Picture for Layout<'_> {
    fn size(&self) -> (u32, u32) {
        let panels: i32 = self.panels.iter().map(|(panel, _)| panel.height as i32 + PANEL_HEAD).sum();
        let legend = self.legend.len() as i32 * LEGEND_ROW;
        // Even, so that a picture can be halved.
        (WIDTH, ((TITLE + legend + panels + FOOT + 1) / 2 * 2) as u32)
    }

    fn draw<B: DrawingBackend>(&self, area: &DrawingArea<B, Shift>) -> Result<(), PlotError>
    where
        B::ErrorType: 'static,
    {
        area.fill(&PAPER)?;
        let page = Page { area };
        page.text(&self.chart.title, (16, 22), 16, INK, FontStyle::Bold, (HPos::Left, VPos::Center))?;
        let mut y = TITLE;
        for row in &self.legend {
            for (entry, x) in row {
                page.entry(*entry, *x, y + LEGEND_ROW / 2)?;
            }
            y += LEGEND_ROW;
        }
        for (panel, range) in &self.panels {
            y += PANEL_HEAD;
            let frame =
                Frame { left: LEFT, right: WIDTH as i32 - RIGHT, top: y, bottom: y + panel.height as i32 };
            page.panel(panel, &self.x, range, &frame)?;
            y = frame.bottom;
        }
        for (tick, label) in self.x.ticks(8) {
            let x = LEFT + (self.x.place(tick) * f64::from(WIDTH as i32 - RIGHT - LEFT)).round() as i32;
            page.text(&label, (x, y + 8), TEXT, QUIET, FontStyle::Normal, (HPos::Center, VPos::Top))?;
        }
        let middle = (LEFT + WIDTH as i32 - RIGHT) / 2;
        page.text(&self.x.title(), (middle, y + 28), TEXT, INK, FontStyle::Normal, (HPos::Center, VPos::Top))
    }
}

/// Entries from left to right, in as many rows as they need.
fn legend_rows<'a>(panels: &[(&'a Panel, Range)]) -> Vec<Vec<(Entry<'a>, i32)>> {
    let mut entries: Vec<Entry> = Vec::new();
    for (panel, range) in panels {
        for series in &panel.series {
            let drawn = series.points.iter().any(|point| range.shows(point.1));
            if let Some(label) = series.label.as_deref().filter(|_| drawn) {
                entries.push(Entry::Series(label, series));
            }
        }
        entries.extend(panel.levels.iter().filter(|level| range.shows(level.value)).map(Entry::Level));
    }
    // One curve that the title names already needs no legend.
    if entries.len() < 2 {
        return Vec::new();
    }
    let labels: Vec<String> = entries.iter().map(Entry::label).collect();
    let mut rows: Vec<Vec<(Entry, i32)>> = Vec::new();
    for (entry, (row, x)) in entries.into_iter().zip(legend_places(&labels)) {
        rows.resize_with(row + 1, Vec::new);
        rows[row].push((entry, x));
    }
    rows
}

/// Row and left edge of each entry of a legend, from left to right in as many rows as they need. Several rows have their entries below
/// each other where that takes no more of them.
pub(super) fn legend_places(labels: &[String]) -> Vec<(usize, i32)> {
    let widths: Vec<i32> = labels.iter().map(|label| SWATCH + 8 + text_width(label) + 22).collect();
    let room = WIDTH as i32 - 16;
    let (mut row, mut x) = (0, 16);
    let mut flowing = Vec::new();
    for width in &widths {
        if x + width > WIDTH as i32 && x > 16 {
            (row, x) = (row + 1, 16);
        }
        flowing.push((row, x));
        x += width;
    }
    let widest = widths.iter().copied().max().unwrap_or(room);
    let columns = (room / widest.max(1)).max(1) as usize;
    if row == 0 || labels.len().div_ceil(columns) > row + 1 {
        return flowing;
    }
    (0..labels.len()).map(|at| (at / columns, 16 + (at % columns) as i32 * widest)).collect()
}

/// Generous for a font of [`TEXT`] pixels: SVGs are shown in whatever font is there.
pub(super) fn text_width(text: &str) -> i32 {
    (text.chars().count() as f64 * f64::from(TEXT) * 0.56).ceil() as i32
}

struct Frame {
    left: i32,
    right: i32,
    top: i32,
    bottom: i32,
}

impl Frame {
    /// A point in fine pixels.
    fn at(&self, point: &(f64, f64), x: &Range, y: &Range) -> (i32, i32) {
        let across = f64::from(self.left) + x.place(point.0) * f64::from(self.right - self.left);
        let down = f64::from(self.bottom) - y.place(point.1) * f64::from(self.bottom - self.top);
        ((across * f64::from(SCALE)).round() as i32, (down * f64::from(SCALE)).round() as i32)
    }
}

/// Draws in pixels of the page on an area [`SCALE`] times as fine.
pub(super) struct Page<'a, B: DrawingBackend> {
    pub(super) area: &'a DrawingArea<B, Shift>,
}

impl<B: DrawingBackend> Page<'_, B>
where
    B::ErrorType: 'static,
{
    fn panel(&self, panel: &Panel, x: &Range, y: &Range, frame: &Frame) -> Result<(), PlotError> {
        let fine = f64::from(SCALE);
        let at = |point: &(f64, f64)| frame.at(point, x, y);
        self.text(
            &y.title(),
            (16, frame.top - 14),
            TEXT,
            INK,
            FontStyle::Normal,
            (HPos::Left, VPos::Center),
        )?;
        for (tick, label) in y.ticks((panel.height as usize / 45).max(3)) {
            let (_, down) = at(&(x.low, tick));
            self.line(&[(frame.left * SCALE as i32, down), (frame.right * SCALE as i32, down)], GRID, 1.0)?;
            let down = (f64::from(down) / fine).round() as i32;
            self.text(
                &label,
                (frame.left - 8, down),
                TEXT,
                QUIET,
                FontStyle::Normal,
                (HPos::Right, VPos::Center),
            )?;
        }
        let corner = |x: i32, y: i32| (x * SCALE as i32, y * SCALE as i32);
        for (tick, _) in x.ticks(8) {
            let (across, _) = at(&(tick, y.low));
            self.line(
                &[(across, frame.top * SCALE as i32), (across, frame.bottom * SCALE as i32)],
                GRID,
                1.0,
            )?;
            self.line(
                &[(across, frame.bottom * SCALE as i32), (across, (frame.bottom + 4) * SCALE as i32)],
                FRAME,
                1.0,
            )?;
        }
        let ends = [
            corner(frame.left, frame.top),
            corner(frame.left, frame.bottom),
            corner(frame.right, frame.bottom),
        ];
        self.line(&ends, FRAME, 1.0)?;

        // Raw values lie behind the target's line, and curves before it.
        let (behind, before): (Vec<_>, Vec<_>) =
            panel.series.iter().partition(|series| series.stroke == Stroke::Faint);
        self.curves(&behind, x, y, frame)?;
        for level in panel.levels.iter().filter(|level| y.shows(level.value)) {
            let (_, down) = at(&(x.low, level.value));
            let ends = [(frame.left * SCALE as i32, down), (frame.right * SCALE as i32, down)];
            self.dashed(&ends, TARGET, 1.4, (6, 4))?;
        }
        self.curves(&before, x, y, frame)
    }

    fn curves(&self, series: &[&Series], x: &Range, y: &Range, frame: &Frame) -> Result<(), PlotError> {
        // One stretch per pixel of the page; with hundreds of curves nobody sees that much of each.
        let width = (frame.right - frame.left) as usize;
        let buckets = (width * 16 / series.len().max(1)).clamp(32, width);
        for series in series {
            let mut points: Vec<(f64, f64)> =
                series.points.iter().filter(|point| x.shows(point.0) && y.shows(point.1)).copied().collect();
            points.sort_by(|a, b| a.0.total_cmp(&b.0));
            let points = decimate(&points, buckets);
            let pixels: Vec<(i32, i32)> = points.iter().map(|point| frame.at(point, x, y)).collect();
            self.curve(&pixels, series)?;
        }
        Ok(())
    }

    fn curve(&self, pixels: &[(i32, i32)], series: &Series) -> Result<(), PlotError> {
        let colour = colour_of(series);
        match series.stroke {
            Stroke::Faint => self.line(pixels, colour, 0.9)?,
            Stroke::Thin => self.line(pixels, colour, 1.2)?,
            Stroke::Solid | Stroke::Marked => self.line(pixels, colour, 1.8)?,
            Stroke::Dashed => self.dashed(pixels, colour, 1.8, (5, 4))?,
        }
        if series.stroke == Stroke::Marked || pixels.len() == 1 {
            // Many marks would make a caterpillar of the line.
            let radius = if pixels.len() > 60 { 1.8 } else { 3.0 };
            for &center in pixels {
                self.area.draw(&Circle::new(center, (radius * f64::from(SCALE)) as i32, colour.filled()))?;
            }
        }
        Ok(())
    }

    fn entry(&self, entry: Entry, x: i32, y: i32) -> Result<(), PlotError> {
        let scale = SCALE as i32;
        let ends = [(x * scale, y * scale), ((x + SWATCH) * scale, y * scale)];
        match entry {
            Entry::Level(_) => self.dashed(&ends, TARGET, 1.4, (6, 4))?,
            Entry::Series(_, series) if series.stroke == Stroke::Faint => {
                self.line(&ends, colour_of(series), 3.0)?;
            }
            Entry::Series(_, series) => {
                self.curve(&ends, &Series { stroke: plain(series.stroke), ..series.clone() })?;
                if series.stroke == Stroke::Marked {
                    let middle = ((x + SWATCH / 2) * scale, y * scale);
                    self.area.draw(&Circle::new(middle, 3 * scale, colour_of(series).filled()))?;
                }
            }
        }
        let text = (x + SWATCH + 8, y);
        self.text(&entry.label(), text, TEXT, INK, FontStyle::Normal, (HPos::Left, VPos::Center))
    }

    /// Points in fine pixels, width in pixels of the page.
    pub(super) fn line(&self, points: &[(i32, i32)], colour: RGBColor, width: f64) -> Result<(), PlotError> {
        if points.len() > 1 {
            self.area.draw(&PathElement::new(points.to_vec(), stroke(colour, width)))?;
        }
        Ok(())
    }

    pub(super) fn dashed(
        &self,
        points: &[(i32, i32)],
        colour: RGBColor,
        width: f64,
        (dash, gap): (u32, u32),
    ) -> Result<(), PlotError> {
        if points.len() > 1 {
            let style = stroke(colour, width);
            let points = points.iter().copied();
            self.area.draw(&DashedPathElement::new(points, dash * SCALE, gap * SCALE, style))?;
        }
        Ok(())
    }

    pub(super) fn text(
        &self,
        text: &str,
        (x, y): (i32, i32),
        size: i32,
        colour: RGBColor,
        style: FontStyle,
        (h_pos, v_pos): (HPos, VPos),
    ) -> Result<(), PlotError> {
        // `plotters` takes a font's size as its line height, which is 1.24 times the em of the SVG.
        let size = f64::from(size * SCALE as i32) * 1.24;
        let font = FontDesc::new(FontFamily::Name(FONT), size, style);
        let style = TextStyle::from(font).color(&colour).pos(Pos::new(h_pos, v_pos));
        let position = (x * SCALE as i32, y * SCALE as i32);
        // XML has no way to write most control characters.
        let text: String = text.chars().filter(|character| !character.is_control()).collect();
        self.area.draw(&Text::new(text, position, style))?;
        Ok(())
    }
}

fn stroke(colour: RGBColor, width: f64) -> ShapeStyle {
    ShapeStyle {
        color: colour.to_rgba(),
        filled: false,
        stroke_width: (width * f64::from(SCALE)).round() as u32,
    }
}

fn plain(stroke: Stroke) -> Stroke {
    if stroke == Stroke::Marked { Stroke::Solid } else { stroke }
}

fn colour_of(series: &Series) -> RGBColor {
    let Colour(index) = series.colour;
    let RGBColor(red, green, blue) = PALETTE[index % PALETTE.len()];
    if series.stroke == Stroke::Faint {
        // Mixed with paper beforehand: see-through lines would darken where noise crosses itself.
        let pale = |channel: u8| (f64::from(channel) * 0.38 + 255.0 * 0.62).round() as u8;
        RGBColor(pale(red), pale(green), pale(blue))
    } else {
        RGBColor(red, green, blue)
    }
}
