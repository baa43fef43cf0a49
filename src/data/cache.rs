//! Tokens of large corpora, kept for the next run.
//!
//! ```text
//! tokens/<key>.tokens        the ids, of 16 or 32 bits each, little-endian
//! tokens/<key>.json          what they are: Entry
//! tokens/seen/<name>.json    which files, as they were, have these tokens: Seen
//! ```
//!
//! A key is a sum of the text and of all that decides its tokens, so that the same text elsewhere finds them too. That files are still
//! what they were is told from their sizes, times of change, and a sample of what is in them: to read all of them would take as long as
//! people do not want to wait.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use rayon::prelude::*;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::DataError;
use super::encode::Ids;
use super::tokenized::About;
use super::tokenizer::Tokenizer;
use super::tokens::{self, Tokens, Width};
use crate::files::{atomic, plain, sha256};

/// Changes when the same text gets other tokens, or the files another form.
const VERSION: u64 = 1;

/// The folder of kept tokens.
#[derive(Clone, Debug)]
pub(super) struct Cache {
    folder: PathBuf,
}

/// What kept tokens are.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Entry {
    #[serde(flatten)]
    pub about: About,
    /// All that decides the tokens of the text: see [`Cache::key`].
    pub settings: String,
    pub tokens: u64,
    crc32: u32,
}

/// Files as they were when they were read.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Stamp {
    path: PathBuf,
    bytes: u64,
    /// Nanoseconds since 1970.
    modified: u128,
    sample: u32,
}

/// What was found in files that are as they were.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Seen {
    pub files: Vec<Stamp>,
    pub tokenizer: Tokenizer,
    /// What the tokenizer does not know of the text, in words.
    pub left_out: Option<String>,
    /// Of each source.
    pub texts: Vec<SeenText>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum SeenText {
    /// Kept under this key.
    Kept { key: String },
    /// A file of tokens, which are where they are.
    Tokens { tokens: u64, marks: u64, sha256: String },
}

impl Cache {
    /// The cache in this data folder, made if it is not there.
    ///
    /// # Errors
    /// A folder that cannot be made.
    pub fn open(data_folder: &Path) -> io::Result<Cache> {
        let folder = data_folder.join("tokens");
        std::fs::create_dir_all(folder.join("seen"))?;
        Ok(Cache { folder })
    }

    /// The name of what has this text and these settings.
    pub fn key(text_sha256: &str, settings: &str) -> String {
        sha256(format!("{VERSION}\n{text_sha256}\n{settings}").as_bytes())[..32].to_owned()
    }

    fn ids_of(&self, key: &str) -> PathBuf {
        self.folder.join(format!("{key}.tokens"))
    }

    fn entry_of(&self, key: &str) -> PathBuf {
        self.folder.join(format!("{key}.json"))
    }

    fn seen_of(&self, name: &str) -> PathBuf {
        self.folder.join("seen").join(format!("{}.json", &sha256(name.as_bytes())[..32]))
    }

    /// What is known of these files, if they are as they were. `name` says which files and how they are to be read.
    pub fn seen(&self, name: &str, files: &[Stamp]) -> Option<Seen> {
        let seen: Seen = read_json(&self.seen_of(name))?;
        (seen.files == files).then_some(seen)
    }

    pub fn see(&self, name: &str, seen: &Seen) -> io::Result<()> {
        write_json(&self.seen_of(name), seen)
    }

    /// Whether there is anything that was made with these settings, of a text of so many bytes if that is known: to find out whether it
    /// is this text takes reading it.
    pub fn may_have(&self, settings: &str, bytes: Option<u64>) -> bool {
        let entries = std::fs::read_dir(&self.folder).into_iter().flatten().flatten();
        let described = entries.filter(|entry| entry.path().extension().is_some_and(|end| end == "json"));
        described.filter_map(|entry| read_json::<Entry>(&entry.path())).any(|entry| {
            entry.settings == settings
                && bytes.is_none_or(|bytes| entry.about.bytes.abs_diff(bytes) <= 1 << 16)
        })
    }

    /// The tokens that are kept under a key, all of them looked at.
    ///
    /// # Errors
    /// In words, that they are there and damaged.
    pub fn get(&self, key: &str, tokenizer: &Tokenizer) -> Result<Option<(Entry, Tokens)>, String> {
        let path = self.ids_of(key);
        let Some(entry) = read_json::<Entry>(&self.entry_of(key)) else { return Ok(None) };
        let file = match plain::open_own(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(format!("{} could not be read: {error}", path.display())),
        };
        let width = Width::of(tokenizer.vocab_size());
        let bytes = entry.tokens * width as u64;
        let there = file.metadata().map_or(0, |meta| meta.len());
        if there != bytes {
            return Err(format!("{} has {there} bytes instead of {bytes}", path.display()));
        }
        match checksum(&file, bytes) {
            Ok(sum) if sum == entry.crc32 => {}
            Ok(_) => return Err(format!("{} is not what was written", path.display())),
            Err(error) => return Err(format!("{} could not be read: {error}", path.display())),
        }
        let count = entry.tokens as usize;
        let tokens = Tokens::in_file(file, &path, 0, count, width, tokenizer.vocab_size());
        Ok(Some((entry, tokens)))
    }

    /// Begins to write tokens, of which nobody sees anything before they are whole.
    pub fn write(&self, width: Width) -> Result<Writer, DataError> {
        self.remove_leftovers();
        let file = atomic::new_temporary(&self.folder).map_err(|source| self.unwritable(source))?;
        Ok(Writer {
            cache: self.clone(),
            file: BufWriter::with_capacity(1 << 20, file),
            width,
            sum: crc32fast::Hasher::new(),
            tokens: 0,
            bytes: Vec::new(),
        })
    }

    fn unwritable(&self, source: io::Error) -> DataError {
        DataError::Cache { folder: self.folder.clone(), source }
    }

    /// What a process that was killed left of its writing.
    fn remove_leftovers(&self) {
        // Who still writes has written in the meantime.
        const LONG: Duration = Duration::from_secs(3600);
        for entry in std::fs::read_dir(&self.folder).into_iter().flatten().flatten() {
            let is_old = || entry.metadata().and_then(|meta| meta.modified()).ok()?.elapsed().ok();
            if entry.file_name().to_string_lossy().starts_with(atomic::TEMPORARY)
                && is_old().is_some_and(|age| age > LONG)
            {
                let _ = std::fs::remove_file(entry.path());
            }
        }
    }

    /// Where tokens are, and their bytes.
    pub fn place(&self, key: &str) -> (PathBuf, u64) {
        let path = self.ids_of(key);
        let bytes = std::fs::metadata(&path).map_or(0, |meta| meta.len());
        (path, bytes)
    }
}

/// Tokens that are being written.
pub(super) struct Writer {
    cache: Cache,
    file: BufWriter<tempfile::NamedTempFile>,
    width: Width,
    sum: crc32fast::Hasher,
    tokens: u64,
    bytes: Vec<u8>,
}

impl Ids for Writer {
    fn add(&mut self, ids: &[u32]) -> Result<(), DataError> {
        self.bytes.clear();
        match self.width {
            Width::Short => self.bytes.extend(ids.iter().flat_map(|&id| (id as u16).to_le_bytes())),
            Width::Long => self.bytes.extend(ids.iter().flat_map(|id| id.to_le_bytes())),
        }
        self.sum.update(&self.bytes);
        self.tokens += ids.len() as u64;
        self.file.write_all(&self.bytes).map_err(|source| self.cache.unwritable(source))
    }
}

impl Writer {
    /// Keeps what was written under the key of its text, and gives that.
    pub fn keep(self, about: About, settings: &str) -> Result<String, DataError> {
        let Writer { cache, file, sum, tokens, .. } = self;
        let key = Cache::key(&about.sha256, settings);
        let entry = Entry { about, settings: settings.to_owned(), tokens, crc32: sum.finalize() };
        let keep = || -> io::Result<()> {
            let file = file.into_inner().map_err(io::IntoInnerError::into_error)?;
            atomic::persist(file, &cache.ids_of(&key))?;
            write_json(&cache.entry_of(&key), &entry)
        };
        keep().map_err(|source| cache.unwritable(source))?;
        Ok(key)
    }
}

/// Files as they are now.
///
/// # Errors
/// One that cannot be read.
pub(super) fn stamps<'a>(files: impl Iterator<Item = &'a Path>) -> Result<Vec<Stamp>, DataError> {
    let files: Vec<&Path> = files.collect();
    /// Samples of all files together, and bytes of one.
    const SAMPLES: usize = 256;
    const SAMPLE: usize = 4096;
    let samples = (SAMPLES / files.len().max(1)).max(usize::from(files.len() <= 8 * SAMPLES)) as u64;
    let stamp = |path: &&Path| -> io::Result<Stamp> {
        let file = plain::open(path)?;
        let meta = file.metadata()?;
        let mut sum = crc32fast::Hasher::new();
        let room = meta.len().saturating_sub(SAMPLE as u64);
        let mut bytes = vec![0; SAMPLE.min(meta.len() as usize)];
        for n in 0..samples {
            let at = (u128::from(room) * u128::from(n) / u128::from((samples - 1).max(1))) as u64;
            tokens::read_at(&file, &mut bytes, at)?;
            sum.update(&bytes);
        }
        let modified = meta.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
        let path = std::path::absolute(path)?;
        Ok(Stamp { path, bytes: meta.len(), modified, sample: sum.finalize() })
    };
    let unreadable = |path: &Path, source| DataError::Read { path: path.to_owned(), source };
    files.iter().map(|path| stamp(path).map_err(|source| unreadable(path, source))).collect()
}

/// The sum of a file, by all cores.
fn checksum(file: &File, bytes: u64) -> io::Result<u32> {
    const PART: u64 = 8 << 20;
    let parts: Vec<u64> = (0..bytes).step_by(PART as usize).collect();
    let sums: Vec<crc32fast::Hasher> = parts
        .into_par_iter()
        .map(|start| {
            let mut part = vec![0; PART.min(bytes - start) as usize];
            tokens::read_at(file, &mut part, start)?;
            let mut sum = crc32fast::Hasher::new();
            sum.update(&part);
            Ok(sum)
        })
        .collect::<io::Result<_>>()?;
    let mut all = crc32fast::Hasher::new();
    sums.iter().for_each(|sum| all.combine(sum));
    Ok(all.finalize())
}

/// What a file says, if it says that: one that is damaged or of another version is as if it were not there.
fn read_json<T: DeserializeOwned>(path: &Path) -> Option<T> {
    serde_json::from_slice(&plain::read(path).ok()?).ok()
}

fn write_json(path: &Path, value: &impl Serialize) -> io::Result<()> {
    atomic::write(path, &serde_json::to_vec_pretty(value).map_err(io::Error::other)?)
}
