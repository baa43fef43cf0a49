//! What a corpus file is, by its first bytes, and by its name where these leave it open.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;

use super::DataError;
use super::reader::{Progress, stopped};
use super::token_file::{self, Header};
use crate::files::plain;

/// What a file holds once it is unpacked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Text,
    /// One JSON object in each line.
    JsonLines,
    /// A column of a Parquet table.
    Table,
    /// Token ids.
    Tokens(Header),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Packing {
    None,
    Gzip,
    Zstd,
}

/// Bytes that are looked at.
const HEAD: u64 = 4096;

/// What the file at `path` holds, and how it is packed.
///
/// # Errors
/// A file that cannot be read, is empty, or is of a kind that is no corpus: the error says what to do with it.
pub(super) fn recognise(path: &Path) -> Result<(Form, Packing), DataError> {
    let unreadable = |source| DataError::Read { path: path.to_owned(), source };
    let head = head(plain::open(path).map_err(unreadable)?).map_err(unreadable)?;
    let packing = packing(&head);
    let mut name = path.file_name().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
    if packing == Packing::None {
        return Ok((form(path, &name, &head)?, packing));
    }
    for ending in PACKED {
        name = name.strip_suffix(ending).map_or(name.clone(), str::to_owned);
    }
    let inner = unpacked(path, packing, &|_| true)?;
    let head = self::head(inner).map_err(unreadable)?;
    if packed_twice(&head) || name.ends_with(".tgz") || is_tar(&head) {
        return Err(other(
            path,
            "an archive of several files",
            "unpack it, and give the folder as data.path",
        ));
    }
    match form(path, &name, &head)? {
        Form::Tokens(_) => {
            Err(other(path, "a compressed file of tokens", "unpack it: tokens are read where they lie"))
        }
        Form::Table => Err(other(
            path,
            "a Parquet table that is packed once more",
            "unpack it: a table is packed in itself",
        )),
        form => Ok((form, packing)),
    }
}

/// Ends of the names of packed files.
pub(super) const PACKED: [&str; 4] = [".gz", ".gzip", ".zst", ".zstd"];
/// The end of the names of tables.
pub(super) const TABLE: &str = ".parquet";
/// Ends of the names of files with a document in each line.
pub(super) const LINES: [&str; 3] = [".jsonl", ".ndjson", ".jsonlines"];

fn head(file: impl Read) -> std::io::Result<Vec<u8>> {
    let mut head = Vec::new();
    file.take(HEAD).read_to_end(&mut head)?;
    Ok(head)
}

fn packing(head: &[u8]) -> Packing {
    match head {
        [0x1f, 0x8b, 8, ..] => Packing::Gzip,
        // A frame, or one that is to be skipped.
        [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Packing::Zstd,
        _ => Packing::None,
    }
}

fn packed_twice(head: &[u8]) -> bool {
    packing(head) != Packing::None
}

fn is_tar(head: &[u8]) -> bool {
    head.get(257..262) == Some(b"ustar")
}

/// The bytes of a file, unpacked; `progress` hears of those that were read from the disk.
///
/// # Errors
/// When the file cannot be opened.
pub(super) fn unpacked<'p>(
    path: &Path,
    packing: Packing,
    progress: Progress<'p>,
) -> Result<Box<dyn Read + 'p>, DataError> {
    let unreadable = |source| DataError::Read { path: path.to_owned(), source };
    let file = Counted { file: plain::open(path).map_err(unreadable)?, progress };
    Ok(match packing {
        Packing::None => Box::new(file),
        // Of several members, as `cat a.gz b.gz` makes, all are read.
        Packing::Gzip => Box::new(MultiGzDecoder::new(BufReader::with_capacity(PACKED_BUFFER, file))),
        Packing::Zstd => Box::new(zstd::Decoder::new(file).map_err(unreadable)?),
    })
}

const PACKED_BUFFER: usize = 1 << 18;

/// A file that says how much of it was read.
struct Counted<'p> {
    file: File,
    progress: Progress<'p>,
}

impl Read for Counted<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(buffer)?;
        if (self.progress)(read as u64) { Ok(read) } else { Err(stopped()) }
    }
}

fn form(path: &Path, name: &str, head: &[u8]) -> Result<Form, DataError> {
    if head.is_empty() {
        return Err(DataError::Empty { path: path.to_owned() });
    }
    if let Some(header) = token_file::llm_c(path, head)? {
        return Ok(Form::Tokens(header));
    }
    if head.starts_with(b"PAR1") {
        return Ok(Form::Table);
    }
    if let Some((what, advice)) = no_corpus(head) {
        return Err(other(path, what, advice));
    }
    if LINES.iter().any(|ending| name.ends_with(ending)) {
        return Ok(Form::JsonLines);
    }
    if name.ends_with(".json") {
        let first = head.strip_prefix(BOM).unwrap_or(head).iter().find(|byte| !byte.is_ascii_whitespace());
        return match first {
            Some(b'{') if begins_with_object(head) => Ok(Form::JsonLines),
            Some(b'[') => Err(other(
                path,
                "one JSON list",
                "write each of its items into a line of its own (`jq -c '.[]' in.json > out.jsonl`), or call it .txt to have it read as it is",
            )),
            _ => Ok(Form::Text),
        };
    }
    let is_utf8 = is_utf8(head);
    let has_zeros = head.contains(&0);
    if name.ends_with(".bin") && (has_zeros || !is_utf8) {
        return Ok(Form::Tokens(Header::NANOGPT));
    }
    if let Some((what, advice)) = without_mark(head) {
        return Err(other(path, what, advice));
    }
    if has_zeros && !is_utf8 {
        return Err(other(
            path,
            "a binary file of a kind that is not known here",
            "give text in UTF-8, JSON lines (.jsonl), either of them as .gz or .zst, or token ids of 16 bits as .bin",
        ));
    }
    // What else is not UTF-8 is said with the offset when it is read.
    Ok(Form::Text)
}

/// Whether the first line is an object, or so long that it does not end here: one that goes over several lines is text like any other.
fn begins_with_object(head: &[u8]) -> bool {
    let head = head.strip_prefix(BOM).unwrap_or(head).trim_ascii_start();
    match memchr::memchr(b'\n', head) {
        Some(end) => serde_json::from_slice::<serde::de::IgnoredAny>(&head[..end]).is_ok(),
        None => true,
    }
}

/// Whether this is the head of a text in UTF-8: where it ends is no mistake of the text.
fn is_utf8(head: &[u8]) -> bool {
    std::str::from_utf8(head).map_or_else(|error| error.error_len().is_none(), |_| true)
}

/// Whether people could have typed this.
fn is_readable(head: &[u8]) -> bool {
    is_utf8(head) && !head.iter().any(|byte| byte.is_ascii_control() && !byte.is_ascii_whitespace())
}

fn other(path: &Path, what: &'static str, advice: &'static str) -> DataError {
    DataError::NoCorpus { path: path.to_owned(), what, advice }
}

/// U+FEFF in UTF-8.
pub(super) const BOM: &[u8] = b"\xef\xbb\xbf";

/// Plain text, without a byte order mark at its head as at the head of a corpus.
///
/// # Errors
/// In words that follow the name of the file, what it is otherwise, and what to do with it.
pub fn plain_text(bytes: Vec<u8>) -> Result<String, String> {
    if let Some((what, advice)) = other_than_text(&bytes) {
        return Err(format!("it is {what}, and plain text is read here; {advice}"));
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        format!(
            "this is not UTF-8: byte {} begins no character; convert it first (iconv -t UTF-8)",
            error.utf8_error().valid_up_to()
        )
    })?;
    Ok(text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text))
}

/// Whether a file of this name would be read line by line as a corpus.
pub fn is_named_lines(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
    LINES.iter().any(|ending| name.ends_with(ending))
}

/// What bytes are that are no plain text, and what to do where plain text is wanted; `None` where their beginning does not say.
fn other_than_text(bytes: &[u8]) -> Option<(&'static str, &'static str)> {
    let head = &bytes[..bytes.len().min(HEAD as usize)];
    match packing(head) {
        Packing::Gzip => Some(("a gzip file", "unpack it first: `gunzip -k`")),
        Packing::Zstd => Some(("a zstd file", "unpack it first: `zstd -dk`")),
        Packing::None if head.starts_with(b"PAR1") => Some(("a Parquet table", TO_JSON)),
        Packing::None => no_corpus(head).or_else(|| without_mark(head)),
    }
}

const WEIGHTS: &str = "these are a model's weights, which train.init_from names; a corpus is text";
const UTF_16: &str = "convert it first: `iconv -f UTF-16 -t UTF-8 in.txt > out.txt`";
const UNPACK: &str = "unpack it, and give what is in it: a file, or the folder, as data.path";
const TO_JSON: &str =
    "write its text column as JSON lines, in Python with `datasets`: `dataset.to_json(\"out.jsonl\")`";

/// What the beginnings of files that are no corpus say they are, and what to do with them.
fn no_corpus(head: &[u8]) -> Option<(&'static str, &'static str)> {
    const MEDIA: &str = "a corpus is text; this is pictures or sound";
    const DOCUMENT: &str = "save its text as UTF-8 (.txt) from the program that it belongs to";
    /// Beginnings of files that are readable all through.
    const WRITTEN: &[&[u8]] = &[b"%PDF-", b"{\\rtf", b"version https://git-lfs.github.com/spec/"];
    const TABLE: &[(&[u8], &str, &str)] = &[
        (b"\x80\x02\x8a\x0a", "a PyTorch file", WEIGHTS),
        (b"GGUF", "a GGUF model", WEIGHTS),
        (b"\x89HDF\r\n", "an HDF5 file", "a corpus is text; write the text out of it with h5py"),
        (
            b"\x93NUMPY",
            "a NumPy array",
            "of token ids, write them as nanoGPT does: `numpy.load(\"x.npy\").astype(\"uint16\").tofile(\"x.bin\")`",
        ),
        (b"%PDF-", "a PDF document", "take its text out first: `pdftotext in.pdf out.txt`"),
        (
            b"SQLite format 3\0",
            "an SQLite database",
            "write its texts out as JSON lines: `sqlite3 in.db \"SELECT json_object('text', COLUMN) FROM TABLE\" > out.jsonl`",
        ),
        (b"ARROW1", "an Arrow table", TO_JSON),
        (b"\xff\xff\xff\xff", "an Arrow table, as Hugging Face's `datasets` keep them", TO_JSON),
        (b"ORC", "an ORC table", TO_JSON),
        (b"Obj\x01", "an Avro table", TO_JSON),
        (b"BZh", "a bzip2 file", "unpack it (`bunzip2 -k`), or pack it as .gz or .zst"),
        (b"\xfd7zXZ\0", "an xz file", "unpack it (`xz -dk`), or pack it as .gz or .zst"),
        (b"\x04\x22\x4d\x18", "an LZ4 file", "unpack it (`lz4 -d`), or pack it as .gz or .zst"),
        (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive", UNPACK),
        (b"Rar!\x1a\x07", "a RAR archive", UNPACK),
        (b"\x89PNG\r\n", "a picture", MEDIA),
        (b"\xff\xd8\xff", "a picture", MEDIA),
        (b"GIF8", "a picture", MEDIA),
        (b"RIFF", "a media file", MEDIA),
        (b"OggS", "a media file", MEDIA),
        (b"ID3", "a media file", MEDIA),
        (b"{\\rtf", "an RTF document", DOCUMENT),
        (b"\xd0\xcf\x11\xe0", "an old Microsoft Office document", DOCUMENT),
        (b"\x7fELF", "a program", "a corpus is text"),
        (
            b"version https://git-lfs.github.com/spec/",
            "not the file itself but a pointer of Git LFS to it",
            "fetch it: `git lfs pull`",
        ),
    ];
    let found = TABLE.iter().find(|(magic, ..)| head.starts_with(magic));
    // An orc's letter begins with the same letters as an ORC table.
    let is_written = |magic: &[u8]| WRITTEN.contains(&magic) || !is_readable(head);
    if let Some((_, what, advice)) = found.filter(|(magic, ..)| is_written(magic)) {
        return Some((what, advice));
    }
    if head.starts_with(b"PK\x03\x04") || head.starts_with(b"PK\x05\x06") {
        let has = |name: &[u8]| memchr::memmem::find(head, name).is_some();
        return Some(if has(b"/data.pkl") || has(b"/byteorder") || has(b"archive/") {
            ("a PyTorch file", WEIGHTS)
        } else if has(b"word/") || has(b"xl/") || has(b"ppt/") || has(b"mimetype") {
            ("an office document or an e-book", DOCUMENT)
        } else if has(b".npy") {
            ("an archive of NumPy arrays", "a corpus is text, or token ids of 16 bits as .bin")
        } else {
            ("a zip archive", UNPACK)
        });
    }
    if let [0x80, 2..=5, b'c' | b'}' | b']' | b'(' | 0x8a | 0x95, ..] = head {
        return Some(("a Python pickle", WEIGHTS));
    }
    if let Some((length, rest)) = head.split_first_chunk::<8>()
        && u64::from_le_bytes(*length) < 1 << 40
        && rest.starts_with(b"{\"")
    {
        return Some(("a safetensors file", WEIGHTS));
    }
    if is_tar(head) {
        return Some(("a tar archive", UNPACK));
    }
    if head.starts_with(b"\xff\xfe\0\0") || head.starts_with(b"\0\0\xfe\xff") {
        return Some(("UTF-32", "convert it first: `iconv -f UTF-32 -t UTF-8 in.txt > out.txt`"));
    }
    if head.starts_with(b"\xff\xfe") || head.starts_with(b"\xfe\xff") {
        return Some(("UTF-16", UTF_16));
    }
    None
}

/// Text in UTF-16 that does not begin with its mark: of letters that a Western keyboard has, every other byte is zero.
fn without_mark(head: &[u8]) -> Option<(&'static str, &'static str)> {
    let pairs = head.as_chunks::<2>().0;
    let share = |of: usize| pairs.iter().filter(|pair| pair[of] == 0).count() * 10 >= pairs.len() * 9;
    let printed = |of: usize| {
        let prints = |pair: &&[u8; 2]| matches!(pair[of], b' '..=b'~' | b'\n' | b'\r' | b'\t');
        pairs.iter().filter(prints).count() * 10 >= pairs.len() * 9
    };
    if pairs.len() < 4 {
        return None;
    }
    match (share(1) && printed(0), share(0) && printed(1)) {
        (true, _) => Some(("UTF-16", "convert it first: `iconv -f UTF-16LE -t UTF-8 in.txt > out.txt`")),
        (_, true) => Some(("UTF-16", "convert it first: `iconv -f UTF-16BE -t UTF-8 in.txt > out.txt`")),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
