//! Where the text comes from: a known corpus by name, or a file or folder of the user's.

use std::borrow::Cow;
use std::fmt;
use std::path::{Path, PathBuf};

use super::DataError;
use super::download::{self, Remote};
use super::encode::Joiner;
use super::folder;
use super::form::{self, Form, Packing};
use super::reader::{self, Progress};
use super::token_file::Header;
use crate::config::experiment::{DataPlan, DataSource};
use crate::units;

/// A corpus that has a name.
pub struct KnownCorpus {
    /// As in `data.corpus`.
    pub name: &'static str,
    /// One sentence on what it is.
    pub about: &'static str,
    place: Place,
}

enum Place {
    /// Part of this program.
    Embedded(&'static str),
    /// Fetched once and kept in the data folder.
    Remote(Remote<'static>),
}

/// The corpora that `data.corpus` can name.
pub static KNOWN: &[KnownCorpus] = &[
    KnownCorpus {
        name: "salt-crown",
        about: "An original short play in Early Modern English, embedded in the program: needs no network.",
        place: Place::Embedded(include_str!("corpora/salt-crown.txt")),
    },
    KnownCorpus {
        name: "tinyshakespeare",
        about: "40,000 lines of Shakespeare's plays (1.1 MB), as collected by Andrej Karpathy for char-rnn.",
        place: Place::Remote(Remote {
            name: "tinyshakespeare",
            url: "https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt",
            file: "tinyshakespeare/input.txt",
            bytes: 1_115_394,
            sha256: "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed",
        }),
    },
    KnownCorpus {
        name: "wall-letters",
        about: "Original letters from the world of the play (16 kB of prose), embedded in the program: needs no network.",
        place: Place::Embedded(include_str!("corpora/wall-letters.txt")),
    },
];

/// Where documents come from, in their order, and what a person should know about how they were obtained.
#[derive(Debug)]
pub(super) struct Source {
    pub parts: Vec<Part>,
    pub notices: Vec<String>,
}

/// One file, or one text that is in memory.
#[derive(Debug)]
pub(super) enum Part {
    Text(Cow<'static, str>),
    File { path: PathBuf, form: Form, packing: Packing, bytes: u64 },
}

impl Source {
    /// Gives all documents to `joiner`, and says what was left out of them.
    pub fn read(
        &self,
        column: &str,
        progress: Progress,
        joiner: &mut Joiner,
    ) -> Result<Vec<String>, DataError> {
        let (mut marks, mut empty, mut rows) = (Vec::new(), Vec::new(), 0);
        for part in &self.parts {
            match part {
                Part::Text(text) => {
                    joiner.text(text)?;
                    joiner.end_document()?;
                }
                Part::File { path, form, packing, .. } => {
                    if let (Form::Tokens(_), 2..) = (form, self.parts.len()) {
                        return Err(DataError::TokensAmongTexts { path: path.clone() });
                    }
                    let before = joiner.documents;
                    let left_out = reader::read(path, *form, *packing, column, progress, joiner)?;
                    rows += left_out.rows;
                    marks.extend(left_out.mark.then_some(path));
                    empty.extend((joiner.documents == before).then_some(path));
                }
            }
        }
        if let (Some(first), 0) = (empty.first(), joiner.documents) {
            return Err(DataError::Empty { path: (*first).clone() });
        }
        // The first, and how many more.
        let named = |files: &[&PathBuf], of: &str| {
            files.first().map(|first| match files.len() - 1 {
                0 => first.display().to_string(),
                more => format!("{}, and {of}{more} more", first.display()),
            })
        };
        let mut notices = Vec::new();
        if let Some(files) = named(&marks, "of ") {
            notices.push(format!(
                "the byte order mark (U+FEFF) at the head of {files} was left out: it is no part of the text"
            ));
        }
        if rows > 0 {
            notices.push(format!("rows without text, which were passed over: {}", units::count(rows)));
        }
        if let Some(files) = named(&empty, "") {
            notices.push(format!("without text, and passed over: {files}"));
        }
        Ok(notices)
    }

    /// Its files.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        self.parts.iter().filter_map(|part| match part {
            Part::File { path, .. } => Some(path.as_path()),
            Part::Text(_) => None,
        })
    }

    /// Bytes of its files.
    pub fn bytes(&self) -> u64 {
        self.parts.iter().map(Part::bytes).sum()
    }

    /// Bytes of its text, but for byte order marks, where that is known without reading.
    pub fn plain_bytes(&self) -> Option<u64> {
        let is_plain =
            |part: &Part| matches!(part, Part::File { form: Form::Text, packing: Packing::None, .. });
        self.parts.iter().all(is_plain).then(|| self.bytes())
    }

    /// The file of tokens that this is, if it is one.
    pub fn tokens(&self) -> Option<(&Path, Header)> {
        match self.parts.as_slice() {
            [Part::File { path, form: Form::Tokens(header), .. }] => Some((path, *header)),
            _ => None,
        }
    }
}

impl Part {
    /// Of its file.
    fn bytes(&self) -> u64 {
        if let Part::File { bytes, .. } = self { *bytes } else { 0 }
    }
}

/// The sources of a plan, of which each is a stream of documents for itself: one, or with weights one for each path. Downloads a known
/// corpus that is not on this machine yet.
pub(super) fn open(plan: &DataPlan) -> Result<Vec<Source>, DataError> {
    let of_paths = |paths: &[PathBuf]| {
        let mut source = Source { parts: Vec::new(), notices: Vec::new() };
        for path in paths {
            let (parts, notice) = files_of(path)?;
            source.parts.extend(parts);
            source.notices.extend(notice);
        }
        Ok(source)
    };
    match &plan.source() {
        DataSource::Paths(paths) if !plan.weights.is_empty() => {
            paths.iter().map(|path| of_paths(std::slice::from_ref(path))).collect()
        }
        DataSource::Paths(paths) => Ok(vec![of_paths(paths)?]),
        DataSource::Path(path) => Ok(vec![of_paths(std::slice::from_ref(path))?]),
        DataSource::Corpus(name) => {
            let (text, notices) = match &known(name)?.place {
                Place::Embedded(text) => (Cow::Borrowed(*text), Vec::new()),
                Place::Remote(remote) => {
                    let (text, notices) = download::obtain(remote, &data_folder(name)?, &download::agent())?;
                    (Cow::Owned(text), notices)
                }
            };
            Ok(vec![Source { parts: vec![Part::Text(text)], notices }])
        }
    }
}

/// The files that a path means, and what they are; in words, which of a folder are not read.
fn files_of(path: &Path) -> Result<(Vec<Part>, Option<String>), DataError> {
    let part = |path: PathBuf, bytes| {
        let (form, packing) = form::recognise(&path)?;
        Ok(Part::File { path, form, packing, bytes })
    };
    if !is_folder(path)? {
        return Ok((vec![part(path.to_owned(), folder::probe_file(path)?)?], None));
    }
    let (files, mut passed_over) = folder::files(path)?;
    let mut parts = Vec::with_capacity(files.len());
    for file in files {
        match part(file.path, file.bytes) {
            // A packed file of nothing.
            Err(DataError::Empty { path }) => passed_over.empty.push(path),
            part => parts.push(part?),
        }
    }
    match passed_over.empty.first() {
        Some(first) if parts.is_empty() => Err(DataError::Empty { path: first.clone() }),
        _ => Ok((parts, passed_over.notice(path))),
    }
}

/// What [`preflight`] found, without reading the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    Embedded,
    /// A known corpus in the data folder, of the right size; its checksum is looked at when it is loaded.
    Cached {
        path: PathBuf,
    },
    /// A known corpus that loading will fetch.
    Missing {
        url: &'static str,
        path: PathBuf,
        bytes: u64,
    },
    File {
        bytes: u64,
    },
    Folder {
        files: usize,
        bytes: u64,
    },
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Found::Embedded => write!(f, "embedded in the program"),
            Found::Cached { path } => write!(f, "{}", path.display()),
            Found::Missing { url, path, bytes } => {
                write!(
                    f,
                    "will be downloaded from {url} ({}) to {}",
                    units::counted(*bytes, "byte"),
                    path.display()
                )
            }
            Found::File { bytes } => write!(f, "{}", units::counted(*bytes, "byte")),
            Found::Folder { files, bytes } => write!(
                f,
                "{}, {}",
                units::counted(*files as u64, "text file"),
                units::counted(*bytes, "byte")
            ),
        }
    }
}

/// Looks whether the plan's corpus can be read, or will be downloaded. Uses no network and reads no text: cheap enough
/// to be done for every run before the first one starts.
///
/// # Errors
/// A path that is missing, empty or unreadable, a folder without text, a name that is not known.
pub fn preflight(plan: &DataPlan) -> Result<Found, DataError> {
    match &plan.source() {
        DataSource::Path(path) => found_at(path),
        DataSource::Paths(paths) => {
            let mut all = (0, 0);
            for path in paths {
                match found_at(path)? {
                    Found::Folder { files, bytes } => all = (all.0 + files, all.1 + bytes),
                    Found::File { bytes } => all = (all.0 + 1, all.1 + bytes),
                    _ => {}
                }
            }
            Ok(Found::Folder { files: all.0, bytes: all.1 })
        }
        DataSource::Corpus(name) => match &known(name)?.place {
            Place::Embedded(_) => Ok(Found::Embedded),
            Place::Remote(remote) => {
                let path = data_folder(name)?.join(remote.file);
                let bytes = std::fs::metadata(&path).map(|metadata| metadata.len()).ok();
                Ok(if bytes == Some(remote.bytes) {
                    Found::Cached { path }
                } else {
                    Found::Missing { url: remote.url, path, bytes: remote.bytes }
                })
            }
        },
    }
}

fn found_at(path: &Path) -> Result<Found, DataError> {
    let (parts, _) = files_of(path)?;
    let bytes = parts.iter().map(Part::bytes).sum();
    Ok(if is_folder(path)? { Found::Folder { files: parts.len(), bytes } } else { Found::File { bytes } })
}

/// Where downloaded corpora are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptCorpora {
    pub folder: PathBuf,
    /// Names, and whether the corpus is there in the right size.
    pub corpora: Vec<(&'static str, bool)>,
}

/// Looks which of the corpora that can be downloaded are there.
///
/// # Errors
/// Where the system has no folder for such things.
pub fn kept_corpora() -> Result<KeptCorpora, DataError> {
    let folder = data_folder("tinyshakespeare")?;
    let kept = KNOWN.iter().filter_map(|corpus| match &corpus.place {
        Place::Embedded(_) => None,
        Place::Remote(remote) => {
            let bytes = std::fs::metadata(folder.join(remote.file)).map(|metadata| metadata.len());
            Some((corpus.name, bytes.is_ok_and(|bytes| bytes == remote.bytes)))
        }
    });
    Ok(KeptCorpora { corpora: kept.collect(), folder })
}

fn known(name: &str) -> Result<&'static KnownCorpus, DataError> {
    KNOWN.iter().find(|corpus| corpus.name == name).ok_or_else(|| {
        let names: Vec<&str> = KNOWN.iter().map(|corpus| corpus.name).collect();
        DataError::UnknownCorpus { name: name.to_owned(), known: names.join(", ") }
    })
}

fn is_folder(path: &Path) -> Result<bool, DataError> {
    match std::fs::metadata(path) {
        Ok(metadata) if metadata.is_dir() => Ok(true),
        Ok(metadata) if metadata.is_file() => Ok(false),
        Ok(_) => Err(DataError::NotFileOrFolder { path: path.to_owned() }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            Err(DataError::NotFound { path: path.to_owned() })
        }
        Err(source) => Err(DataError::Read { path: path.to_owned(), source }),
    }
}

/// `$RUNNER_DATA_DIR`, else `runner` in the platform's cache folder.
pub(super) fn data_folder(corpus: &str) -> Result<PathBuf, DataError> {
    use etcetera::BaseStrategy;

    match std::env::var_os("RUNNER_DATA_DIR").filter(|folder| !folder.is_empty()) {
        Some(folder) => Ok(PathBuf::from(folder)),
        None => match etcetera::base_strategy::choose_native_strategy() {
            Ok(platform) => Ok(platform.cache_dir().join("runner")),
            Err(error) => {
                Err(DataError::NoCacheFolder { name: corpus.to_owned(), reason: error.to_string() })
            }
        },
    }
}

#[cfg(test)]
pub(super) mod tests;
