//! The documents of a file, piece by piece.

use std::fmt;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::Value;

use super::DataError;
use super::encode::Joiner;
use super::form::{self, BOM, Form, Packing};
use super::table;

/// What was left out of a file.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct LeftOut {
    /// A byte order mark at its head.
    pub mark: bool,
    /// Rows without text.
    pub rows: u64,
}

/// Hears how many bytes of a file were read since it was last told, and says whether to go on.
pub(super) type Progress<'a> = &'a dyn Fn(u64) -> bool;

/// What reading ends with when it is not to go on.
pub(super) fn stopped() -> std::io::Error {
    std::io::Error::other("it was asked to stop")
}

/// Gives the documents of a file to `joiner`: of a text one, of JSON lines one of each line, of a table one of each row.
///
/// # Errors
/// What cannot be read or is not what it should be, with file and line, or offset; what the joiner's target says.
pub(super) fn read(
    path: &Path,
    form: Form,
    packing: Packing,
    column: &str,
    progress: Progress,
    joiner: &mut Joiner,
) -> Result<LeftOut, DataError> {
    let mut left_out = LeftOut::default();
    match form {
        Form::Table => left_out = table::read(path, column, progress, joiner)?,
        Form::JsonLines => {
            lines(form::unpacked(path, packing, progress)?, path, column, joiner, &mut left_out)?;
        }
        Form::Text | Form::Tokens(_) => {
            text(form::unpacked(path, packing, progress)?, path, joiner, &mut left_out)?;
        }
    }
    Ok(left_out)
}

/// Bytes that are read at a time.
const BUFFER: usize = 1 << 20;

fn text(
    mut file: impl Read,
    path: &Path,
    joiner: &mut Joiner,
    left_out: &mut LeftOut,
) -> Result<(), DataError> {
    let mut buffer = vec![0; BUFFER];
    let (mut held, mut offset, mut is_head) = (0, 0, true);
    loop {
        let read = match file.read(&mut buffer[held..]) {
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(source) => return Err(DataError::Read { path: path.to_owned(), source }),
        };
        held += read;
        if is_head && (held >= BOM.len() || read == 0) {
            is_head = false;
            if buffer[..held].starts_with(BOM) {
                left_out.mark = true;
                buffer.copy_within(BOM.len()..held, 0);
                held -= BOM.len();
                offset += BOM.len();
            }
        }
        if is_head {
            continue;
        }
        let valid = match std::str::from_utf8(&buffer[..held]) {
            Ok(text) => {
                joiner.text(text)?;
                held
            }
            Err(error) => {
                let valid = error.valid_up_to();
                // At its end a piece may break off within a character, the file may not.
                if error.error_len().is_some() || read == 0 {
                    return Err(DataError::NotUtf8 { path: path.to_owned(), offset: offset + valid });
                }
                joiner.text(std::str::from_utf8(&buffer[..valid]).unwrap_or_default())?;
                valid
            }
        };
        buffer.copy_within(valid..held, 0);
        held -= valid;
        offset += valid;
        if read == 0 {
            return joiner.end_document();
        }
    }
}

/// Longest line of JSON that is read: who has a longer one has no line breaks.
const LONGEST_LINE: u64 = 1 << 28;

fn lines(
    file: impl Read,
    path: &Path,
    column: &str,
    joiner: &mut Joiner,
    left_out: &mut LeftOut,
) -> Result<(), DataError> {
    let mut file = BufReader::with_capacity(BUFFER, file);
    let mut line = Vec::new();
    for number in 1u64.. {
        line.clear();
        (&mut file)
            .take(LONGEST_LINE)
            .read_until(b'\n', &mut line)
            .map_err(|source| DataError::Read { path: path.to_owned(), source })?;
        if line.is_empty() {
            break;
        }
        if number == 1 && line.starts_with(BOM) {
            left_out.mark = true;
            line.drain(..BOM.len());
        }
        if line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        let wrong =
            |what: String| DataError::Row { path: path.to_owned(), row: format!("line {number}"), what };
        if line.len() as u64 == LONGEST_LINE {
            return Err(wrong("it is longer than 256 MiB; a line holds one JSON object".to_owned()));
        }
        match row(&line, column).map_err(wrong)? {
            Some(text) if !text.is_empty() => {
                joiner.text(&text)?;
                joiner.end_document()?;
            }
            _ => left_out.rows += 1,
        }
    }
    Ok(())
}

/// The text of one line; `None` where it is null.
fn row(line: &[u8], column: &str) -> Result<Option<String>, String> {
    let mut reader = serde_json::Deserializer::from_slice(line);
    let found = Column(column).deserialize(&mut reader).and_then(|found| reader.end().map(|()| found));
    match found {
        Ok(Some(Value::String(text))) => Ok(Some(text)),
        Ok(Some(Value::Null)) => Ok(None),
        Ok(Some(other)) => Err(format!(
            "`{column}` is {} and not a string; name the key that holds the text by data.text_column",
            match other {
                Value::Bool(_) => "true or false",
                Value::Number(_) => "a number",
                Value::Array(_) => "a list",
                _ => "an object",
            }
        )),
        Ok(None) => {
            let keys: Vec<String> = match serde_json::from_slice(line) {
                Ok(Value::Object(object)) => object.keys().take(20).map(|key| format!("`{key}`")).collect(),
                _ => Vec::new(),
            };
            let keys = if keys.is_empty() {
                "it has no keys".to_owned()
            } else {
                format!("it has {}", keys.join(", "))
            };
            Err(format!(
                "there is no key `{column}`: {keys}; name the one that holds the text by data.text_column"
            ))
        }
        Err(error) => Err(format!(
            "this is not a JSON object: {} (column {}); each line of a .jsonl file holds one",
            error.to_string().split(" at line ").next().unwrap_or_default(),
            error.column()
        )),
    }
}

/// The value of one key of an object; the others are passed over.
struct Column<'c>(&'c str);

impl<'de> DeserializeSeed<'de> for Column<'_> {
    type Value = Option<Value>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Column<'_> {
    type Value = Option<Value>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        while let Some(key) = map.next_key::<std::borrow::Cow<'de, str>>()? {
            if key == self.0 {
                found = Some(map.next_value()?);
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests;
