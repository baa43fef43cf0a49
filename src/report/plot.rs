//! Charts as SVG (for pages) and PNG (for slides and chats). The only user of `plotters`.
//!
//! A [`Chart`] is panels above one x axis. Axes, legend and curves are laid out here, in pixels of a page, and
//! `plotters` draws them; its own charts could not give both log ticks that read well and a legend
//! that never covers data.

mod axis;
mod canvas;
mod decimate;
mod draw;
mod inks;
mod lettering;
mod paper;
pub mod sheet;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::files::{atomic, plain};
use crate::metric::{MetricsRow, Unit};
use crate::report::ReportError;
use crate::store::RunRecord;

pub use axis::Range;
pub use decimate::decimate;

/// Width of a chart in pixels as shown on a page.
const WIDTH: u32 = 860;

/// A picture: panels that share one x axis.
#[derive(Clone, Debug)]
pub struct Chart {
    pub title: String,
    pub x: Axis,
    pub panels: Vec<Panel>,
}

#[derive(Clone, Debug)]
pub struct Panel {
    pub y: Axis,
    pub series: Vec<Series>,
    pub levels: Vec<Level>,
    /// Height of the area for data in pixels as shown on a page.
    pub height: u32,
}

#[derive(Clone, Debug)]
pub struct Axis {
    pub label: String,
    pub unit: Unit,
    pub scale: Scale,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// From the lowest to the highest value.
    Linear,
    /// From 0, so that heights compare as quantities do.
    FromZero,
    /// Only positive values are shown.
    Log,
}

/// A curve. Values that are not finite, or too large to be anything that was measured, are not drawn.
#[derive(Clone, Debug)]
pub struct Series {
    /// Name in the legend; `None` for one of several curves that share an entry.
    pub label: Option<String>,
    pub points: Vec<(f64, f64)>,
    pub colour: Colour,
    pub stroke: Stroke,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stroke {
    /// Thin and pale: raw values behind their smoothed curve.
    Faint,
    /// Raw values on their own.
    Thin,
    Solid,
    Dashed,
    /// A line with a mark at each point: few values, measured now and then.
    Marked,
}

/// A horizontal line: a target.
#[derive(Clone, Debug)]
pub struct Level {
    pub label: String,
    pub value: f64,
}

/// Index into a palette that people with any kind of colour vision can tell apart (Okabe and Ito, 2008). Wraps around.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Colour(pub usize);

/// A number of a row.
pub type Column = fn(&MetricsRow) -> Option<f64>;

/// Removes the pictures of an earlier time at `stem`.
///
/// # Errors
/// When one is there and cannot be removed.
pub fn remove(stem: &Path) -> Result<(), ReportError> {
    write_picture::<draw::Layout>(None, stem).map(|_| ())
}

/// The values of column `y` by column `x` where both were measured.
pub fn points(record: &RunRecord, x: Column, y: Column) -> Vec<(f64, f64)> {
    record.rows.iter().filter_map(|row| Some((x(row)?, y(row)?))).collect()
}

/// Writes `<stem>.svg` and `<stem>.png`. Panels without anything to draw are left out.
///
/// Returns false when there is nothing to draw at all; pictures of an earlier time are then removed.
///
/// # Errors
/// When a file cannot be written or removed.
pub fn write(chart: &Chart, stem: &Path) -> Result<bool, ReportError> {
    write_picture(draw::Layout::of(chart).as_ref(), stem)
}

/// [`write`](fn@write) of any picture; `None` is one without anything to draw.
fn write_picture<P: canvas::Picture>(picture: Option<&P>, stem: &Path) -> Result<bool, ReportError> {
    let files = ["svg", "png"].map(|extension| with_extension(stem, extension));
    let folder = stem.parent().unwrap_or(Path::new(""));
    if folder.is_symlink() {
        let source = io::Error::other("it is a link to another folder, where a report does not write");
        return Err(ReportError::Write { path: folder.to_owned(), source });
    }
    let Some(layout) = picture else {
        for path in files {
            match fs::remove_file(&path) {
                Err(source) if source.kind() != io::ErrorKind::NotFound => {
                    return Err(ReportError::Write { path, source });
                }
                _ => {}
            }
        }
        return Ok(false);
    };
    let plot_error =
        |error: canvas::PlotError| ReportError::Plot { path: stem.to_owned(), reason: error.to_string() };
    let svg = canvas::svg(layout).map_err(plot_error)?.into_bytes();
    // The same drawing in another form, and by far the dearer one: it is there already when the SVG is, which is written last.
    let [svg_file, png_file] = &files;
    if plain::read(svg_file).is_ok_and(|old| old == svg)
        && plain::read(png_file).is_ok_and(|old| canvas::is_whole(&old))
    {
        return Ok(true);
    }
    let png = canvas::png(layout).map_err(plot_error)?;
    fs::create_dir_all(folder).map_err(|source| ReportError::Write { path: folder.to_owned(), source })?;
    for (path, bytes) in files.into_iter().zip([svg, png]).rev() {
        atomic::write_remade(&path, &bytes).map_err(|source| ReportError::Write { path, source })?;
    }
    Ok(true)
}

/// `Path::with_extension` would cut a stem at its last dot.
fn with_extension(stem: &Path, extension: &str) -> PathBuf {
    let mut path = stem.as_os_str().to_owned();
    path.push(".");
    path.push(extension);
    PathBuf::from(path)
}

#[cfg(test)]
mod tests;
