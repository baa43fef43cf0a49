//! Where the text comes from: a known corpus by name, or a file or folder of the user's.

use std::fmt;
use std::path::{Path, PathBuf};

use super::DataError;
use super::download::{self, Remote};
use super::folder;
use crate::config::experiment::{DataPlan, DataSource};
use crate::files::sha256;
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

/// A text and what identifies it.
#[derive(Clone, Debug)]
pub(super) struct Corpus {
    /// The known corpus's name, or the path as given.
    pub name: String,
    /// Exactly as on disk: line endings and byte order marks stay.
    pub text: String,
    /// Of `text`, hexadecimal.
    pub sha256: String,
    /// What a person should know about how it was obtained.
    pub notices: Vec<String>,
}

/// Reads the corpus, downloading a known one that is not on this machine yet.
pub(super) fn read(source: &DataSource) -> Result<Corpus, DataError> {
    let (name, text, notices) = match source {
        DataSource::Path(path) => {
            let text = if is_folder(path)? { folder::read(path)? } else { folder::read_file(path)? };
            (path.display().to_string(), text, Vec::new())
        }
        DataSource::Corpus(name) => match &known(name)?.place {
            Place::Embedded(text) => (name.clone(), (*text).to_owned(), Vec::new()),
            Place::Remote(remote) => {
                let (text, notices) = download::obtain(remote, &data_folder(name)?, &download::agent())?;
                (name.clone(), text, notices)
            }
        },
    };
    let sha256 = sha256(text.as_bytes());
    Ok(Corpus { name, text, sha256, notices })
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
    match &plan.source {
        DataSource::Path(path) if is_folder(path)? => {
            let files = folder::files(path)?;
            Ok(Found::Folder { files: files.len(), bytes: files.iter().map(|file| file.bytes).sum() })
        }
        DataSource::Path(path) => Ok(Found::File { bytes: folder::probe_file(path)? }),
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
fn data_folder(corpus: &str) -> Result<PathBuf, DataError> {
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
mod tests {
    use super::*;
    use crate::config::experiment::{TokenizerKind, WindowOrder};
    use crate::data::tests::tiny_shakespeare;

    fn plan(source: DataSource) -> DataPlan {
        DataPlan { source, tokenizer: TokenizerKind::Byte, val_fraction: 0.0, order: WindowOrder::Random }
    }

    fn embedded() -> DataSource {
        DataSource::Corpus("salt-crown".to_owned())
    }

    #[test]
    fn the_embedded_corpus_is_there_without_files_or_network() {
        assert_eq!(preflight(&plan(embedded())).expect("known"), Found::Embedded);
        let corpus = read(&embedded()).expect("embedded");
        assert!(!corpus.text.trim().is_empty());
        assert_eq!(corpus.name, "salt-crown");
        assert_eq!(corpus.sha256, sha256(corpus.text.as_bytes()));
    }

    #[test]
    fn sha256_is_that_of_the_standard() {
        // FIPS 180-2, appendix B.1.
        assert_eq!(sha256(b"abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }

    #[test]
    #[cfg_attr(
        not(tiny_shakespeare),
        ignore = "Tiny Shakespeare is not here: set RUNNER_TEST_DATA to the folder of tinyshakespeare/input.txt"
    )]
    fn the_address_of_tinyshakespeare_goes_with_the_real_file() {
        let text = tiny_shakespeare();
        let Place::Remote(remote) = &known("tinyshakespeare").expect("known").place else {
            panic!("tinyshakespeare is downloaded");
        };
        assert_eq!(remote.bytes, text.len() as u64);
        assert_eq!(remote.sha256, sha256(text.as_bytes()));
    }

    #[test]
    fn an_unknown_corpus_is_answered_with_the_known_ones() {
        let source = DataSource::Corpus("tinyshakespear".to_owned());
        for error in
            [read(&source).expect_err("unknown"), preflight(&plan(source.clone())).expect_err("unknown")]
        {
            let message = error.to_string();
            assert!(
                message.contains("\"tinyshakespear\"")
                    && message.contains("salt-crown, tinyshakespeare, wall-letters")
            );
        }
    }

    #[test]
    fn preflight_finds_what_reading_would_complain_about() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let empty = folder.path().join("empty.txt");
        std::fs::write(&empty, "").expect("writable");
        for path in [folder.path().join("missing.txt"), empty] {
            let source = DataSource::Path(path);
            let reading = read(&source).expect_err("bad input").to_string();
            let looking = preflight(&plan(source)).expect_err("bad input").to_string();
            assert_eq!(reading, looking);
        }
    }

    #[test]
    fn preflight_counts_a_folder_and_a_file() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        std::fs::write(folder.path().join("a.txt"), "1234").expect("writable");
        std::fs::write(folder.path().join("b.md"), "56").expect("writable");
        let found = preflight(&plan(DataSource::Path(folder.path().to_owned()))).expect("text is there");
        assert_eq!(found, Found::Folder { files: 2, bytes: 6 });
        let found = preflight(&plan(DataSource::Path(folder.path().join("a.txt")))).expect("text is there");
        assert_eq!(found, Found::File { bytes: 4 });
    }
}
