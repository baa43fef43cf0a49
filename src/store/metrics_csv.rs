//! `metrics.csv`: one column per metric of [`METRICS`], one row per step. An empty field was not measured.

use std::borrow::Cow;
use std::io::Read;
use std::path::Path;

use crate::files::{atomic, plain};
use crate::metric::{METRICS, Metric, MetricsRow, metric};
use crate::units;

use super::line_at;
use super::read::Damage;

/// The column names.
pub fn metrics_header() -> Vec<&'static str> {
    METRICS.iter().map(|metric| metric.key).collect()
}

/// The fields of one row, in the order of [`metrics_header`]. Every number reads back as the same `f64`.
pub fn row_record(row: &MetricsRow) -> Vec<String> {
    METRICS
        .iter()
        .map(|metric| match (metric.get)(row) {
            // Through `f64`, steps above 2^53 would change.
            _ if metric.key == "step" => row.step.to_string(),
            Some(value) => number(value),
            None => String::new(),
        })
        .collect()
}

/// Shortest text that reads back as `value`; whole numbers without `.0`.
fn number(value: f64) -> String {
    if value.fract() == 0.0 && value.abs() < 1e15 { format!("{value}") } else { format!("{value:?}") }
}

/// Replaces the file at `path` by one with today's columns and these rows.
///
/// # Errors
/// When it cannot be written; the file that was there is then still whole.
pub fn write_rows(path: &Path, rows: &[MetricsRow]) -> std::io::Result<()> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(metrics_header())?;
    for row in rows {
        writer.write_record(row_record(row))?;
    }
    let bytes = writer.into_inner().map_err(|error| std::io::Error::other(error.to_string()))?;
    atomic::write(path, &bytes)
}

/// The rows within the first `bytes` of the file at `path`, or in all of it, as far as they can be used. A file that is not there
/// has none.
///
/// # Errors
/// When the file cannot be read.
pub fn read_rows(path: &Path, bytes: Option<u64>) -> std::io::Result<Vec<MetricsRow>> {
    let mut content = Vec::new();
    match plain::open(path) {
        Ok(file) => file.take(bytes.unwrap_or(u64::MAX)).read_to_end(&mut content)?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    Ok(parse(path, &content, true, &mut Damage::default()))
}

/// Reads the rows of a file's content. Columns are found by name: unknown ones are ignored, missing ones are not
/// measured. What cannot be used is noted in `damage`, and the rest is read. A last line without its newline is
/// still being written; it is left out.
pub(super) fn parse(path: &Path, bytes: &[u8], running: bool, damage: &mut Damage) -> Vec<MetricsRow> {
    let whole = bytes.iter().rposition(|&byte| byte == b'\n').map_or(0, |last| last + 1);
    if whole < bytes.len() && !running {
        damage.note(path, line_at(bytes, whole) as u64, "half-written line, left out");
    }
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(&bytes[..whole]);
    let columns: Vec<Option<&'static Metric>> = match reader.headers() {
        Ok(header) => header.iter().map(metric).collect(),
        Err(error) => {
            damage.note(path, 1, error);
            return Vec::new();
        }
    };
    let Some(step_column) = columns.iter().position(|column| column.is_some_and(|m| m.key == "step")) else {
        if whole > 0 {
            damage.note(path, 1, "no column `step` in the header, file left out");
        }
        return Vec::new();
    };

    let mut rows: Vec<MetricsRow> = Vec::new();
    let mut fields = csv::ByteRecord::new();
    loop {
        match reader.read_byte_record(&mut fields) {
            Ok(true) => {}
            Ok(false) => break,
            Err(error) => {
                damage.note(path, reader.position().line(), error);
                break;
            }
        }
        let line = fields.position().map_or(0, csv::Position::line);
        if fields.len() != columns.len() {
            damage.note(
                path,
                line,
                format_args!(
                    "{} where the header has {}",
                    units::counted(fields.len() as u64, "field"),
                    columns.len()
                ),
            );
        }
        let Some(step) = fields.get(step_column).and_then(|field| str::from_utf8(field).ok()?.parse().ok())
        else {
            damage.note(path, line, "no usable step number, row left out");
            continue;
        };
        let mut row = MetricsRow { step, ..MetricsRow::default() };
        for (index, (field, column)) in fields.iter().zip(&columns).enumerate() {
            let Some(column) = column else { continue };
            if field.is_empty() || index == step_column {
                continue;
            }
            match str::from_utf8(field).ok().and_then(|text| text.parse().ok()) {
                Some(value) => (column.set)(&mut row, Some(value)),
                None => {
                    let shown: Cow<str> = String::from_utf8_lossy(field);
                    damage.note(path, line, format_args!("{} = {shown:?} is not a number", column.key));
                }
            }
        }
        if rows.last().is_some_and(|last| last.step >= step) {
            damage.note(
                path,
                line,
                format_args!("step {step} comes again, the later row is used and rows beyond it are not"),
            );
            rows.truncate(rows.partition_point(|earlier| earlier.step < step));
        }
        rows.push(row);
    }
    rows
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn file_of(rows: &[MetricsRow]) -> Vec<u8> {
        let mut writer = csv::Writer::from_writer(Vec::new());
        writer.write_record(metrics_header()).unwrap();
        for row in rows {
            writer.write_record(row_record(row)).unwrap();
        }
        writer.into_inner().unwrap()
    }

    fn read(bytes: &[u8], running: bool) -> (Vec<MetricsRow>, Vec<String>) {
        let mut damage = Damage::default();
        let rows = parse(Path::new("metrics.csv"), bytes, running, &mut damage);
        (rows, damage.into_notes())
    }

    fn any_row() -> impl Strategy<Value = MetricsRow> {
        let values = prop::collection::vec(prop::option::of(any::<f64>()), METRICS.len() - 1);
        (any::<u64>(), values).prop_map(|(step, values)| {
            let mut row = MetricsRow::default();
            for (metric, value) in METRICS[1..].iter().zip(values) {
                (metric.set)(&mut row, value);
            }
            MetricsRow { step, ..row }
        })
    }

    /// NaN is not equal to itself, so bits are compared, with one NaN for all.
    fn bits(row: &MetricsRow) -> (u64, Vec<Option<u64>>) {
        let one = |value: f64| if value.is_nan() { f64::NAN.to_bits() } else { value.to_bits() };
        (row.step, METRICS[1..].iter().map(|metric| (metric.get)(row).map(one)).collect())
    }

    proptest! {
        #[test]
        fn rows_read_back_bit_for_bit(mut rows in prop::collection::vec(any_row(), 0..8)) {
            rows.sort_by_key(|row| row.step);
            rows.dedup_by_key(|row| row.step);
            let (back, damage) = read(&file_of(&rows), false);
            prop_assert_eq!(damage, Vec::<String>::new());
            prop_assert_eq!(back.iter().map(bits).collect::<Vec<_>>(), rows.iter().map(bits).collect::<Vec<_>>());
        }

        #[test]
        fn a_file_cut_anywhere_gives_the_rows_before_the_cut(rows in 0_u64..6, cut in 0.0..1.0_f64) {
            let row = |step| MetricsRow { step, train_loss: Some(0.5 * step as f64), ..MetricsRow::default() };
            let rows: Vec<_> = (1..=rows).map(row).collect();
            let file = file_of(&rows);
            let (back, _) = read(&file[..(file.len() as f64 * cut) as usize], false);
            prop_assert!(back.len() <= rows.len());
            prop_assert_eq!(&back[..], &rows[..back.len()]);
        }

        #[test]
        fn no_bytes_make_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            read(&bytes, false);
            read(&[b"step,train_loss\n1,".as_slice(), &bytes].concat(), true);
        }
    }

    #[test]
    fn columns_are_found_by_name() {
        let (rows, damage) = read(b"train_loss,from_the_future,step\n2.5,9,1\n", false);
        assert_eq!(rows, [MetricsRow { step: 1, train_loss: Some(2.5), ..MetricsRow::default() }]);
        assert!(damage.is_empty());
    }

    #[test]
    fn a_half_written_last_line_is_damage_only_when_nobody_writes_any_more() {
        let file = b"step,train_loss\n1,2.5\n2,2.4";
        assert_eq!(read(file, false).0.len(), 1);
        assert_eq!(read(file, false).1, ["metrics.csv:3: half-written line, left out"]);
        assert_eq!(read(file, true).1, Vec::<String>::new());
    }

    #[test]
    fn a_wrong_value_costs_only_itself() {
        let (rows, damage) = read(b"step,train_loss,grad_norm\n1,oops,0.5\n2,2.4\n", false);
        assert_eq!(rows[0].train_loss, None);
        assert_eq!(rows[0].grad_norm, Some(0.5));
        assert_eq!(rows[1].train_loss, Some(2.4));
        assert_eq!(
            damage,
            [
                "metrics.csv:2: train_loss = \"oops\" is not a number",
                "metrics.csv:3: 2 fields where the header has 3"
            ]
        );
    }

    #[test]
    fn a_step_that_comes_again_replaces_what_followed_it() {
        let (rows, damage) = read(b"step,train_loss\n1,3\n2,2\n3,1\n2,2.5\n", false);
        assert_eq!(rows.iter().map(|row| row.train_loss).collect::<Vec<_>>(), [Some(3.0), Some(2.5)]);
        assert_eq!(damage.len(), 1);
    }
}
