//! The documents of a Parquet table: one text column of it.

use std::fs::File;
use std::path::Path;

use parquet::basic::Type;
use parquet::column::reader::ColumnReader;
use parquet::data_type::ByteArray;
use parquet::errors::ParquetError;
use parquet::file::reader::{FileReader, SerializedFileReader};

use super::DataError;
use super::encode::Joiner;
use super::reader::{LeftOut, Progress, stopped};
use crate::files::plain;

/// Rows that are read at a time.
const ROWS: usize = 256;

/// Gives each row's text to `joiner`.
///
/// # Errors
/// A file that cannot be read or is damaged, a column that is not there or holds no text.
pub(super) fn read(
    path: &Path,
    column: &str,
    progress: Progress,
    joiner: &mut Joiner,
) -> Result<LeftOut, DataError> {
    let file = plain::open(path).map_err(|source| DataError::Read { path: path.to_owned(), source })?;
    let wrong =
        |what: String| DataError::Row { path: path.to_owned(), row: "as a Parquet table".to_owned(), what };
    let damaged =
        |error: ParquetError| wrong(format!("it cannot be read: {error}; copy or download it again"));
    let table = SerializedFileReader::<File>::new(file).map_err(damaged)?;
    let schema = table.metadata().file_metadata().schema_descr();
    let names: Vec<String> = schema.columns().iter().map(|column| column.path().string()).collect();
    let Some(place) = names.iter().position(|name| name == column) else {
        let named: Vec<String> = names.iter().take(20).map(|name| format!("`{name}`")).collect();
        let what = format!(
            "there is no column `{column}`: it has {}; name the one that holds the text by data.text_column",
            named.join(", ")
        );
        return Err(wrong(what));
    };
    let described = schema.column(place);
    if described.physical_type() != Type::BYTE_ARRAY || described.max_rep_level() > 0 {
        let what =
            format!("`{column}` holds no strings; name the column that holds the text by data.text_column");
        return Err(wrong(what));
    }
    let mut left_out = LeftOut::default();
    let mut row = 0;
    for number in 0..table.num_row_groups() {
        let group = table.get_row_group(number).map_err(damaged)?;
        let ColumnReader::ByteArrayColumnReader(mut reader) =
            group.get_column_reader(place).map_err(damaged)?
        else {
            return Err(wrong(format!("`{column}` holds no strings in every part of the table")));
        };
        let (mut texts, mut levels): (Vec<ByteArray>, Vec<i16>) = (Vec::new(), Vec::new());
        loop {
            texts.clear();
            levels.clear();
            let (rows, values, _) =
                reader.read_records(ROWS, Some(&mut levels), None, &mut texts).map_err(damaged)?;
            if rows == 0 {
                break;
            }
            left_out.rows += rows.saturating_sub(values) as u64;
            for text in &texts {
                row += 1;
                let text = std::str::from_utf8(text.data())
                    .map_err(|_| wrong(format!("text {row} of the column `{column}` is not UTF-8")))?;
                left_out.rows += u64::from(text.is_empty());
                joiner.text(text)?;
                joiner.end_document()?;
            }
        }
        if !progress(u64::try_from(group.metadata().compressed_size()).unwrap_or(0)) {
            return Err(DataError::Read { path: path.to_owned(), source: stopped() });
        }
    }
    Ok(left_out)
}

#[cfg(test)]
mod tests;
