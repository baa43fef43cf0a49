//! The ids of a split: in memory, or in a file of which only what is asked for is read.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::DataError;

/// Bytes of an id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Width {
    Short = 2,
    Long = 4,
}

impl Width {
    /// The fewest bytes that hold all ids of a vocabulary.
    pub fn of(vocab_size: usize) -> Width {
        if vocab_size <= 1 << 16 { Width::Short } else { Width::Long }
    }
}

/// Token ids, or a part of them. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Tokens {
    store: Arc<Store>,
    range: Range<usize>,
}

#[derive(Debug)]
enum Store {
    Short(Vec<u16>),
    Long(Vec<u32>),
    File(InFile),
}

/// Ids that are read at their places, so that no more of a large corpus is in memory than what is trained on at the moment. The file is
/// not mapped: pages that were looked at would count as memory of this process, and a file that another one cuts short would end it.
#[derive(Debug)]
struct InFile {
    file: File,
    path: PathBuf,
    /// Bytes before the first id.
    start: u64,
    width: Width,
    vocab_size: usize,
}

impl Tokens {
    pub(super) fn in_file(
        file: File,
        path: &Path,
        start: u64,
        count: usize,
        width: Width,
        vocab_size: usize,
    ) -> Tokens {
        let store = Store::File(InFile { file, path: path.to_owned(), start, width, vocab_size });
        Tokens { store: Arc::new(store), range: 0..count }
    }

    pub(super) fn short(ids: Vec<u16>) -> Tokens {
        Tokens { range: 0..ids.len(), store: Arc::new(Store::Short(ids)) }
    }

    pub fn len(&self) -> usize {
        self.range.len()
    }

    pub fn is_empty(&self) -> bool {
        self.range.is_empty()
    }

    /// Those that are held in memory: all or none.
    pub(super) fn in_memory(&self) -> usize {
        match &*self.store {
            Store::Short(_) | Store::Long(_) => self.len(),
            Store::File(_) => 0,
        }
    }

    /// A part of them.
    pub(super) fn slice(&self, range: Range<usize>) -> Tokens {
        let start = self.range.start;
        Tokens { store: self.store.clone(), range: start + range.start..start + range.end.min(self.len()) }
    }

    /// Those before `at`, and the others.
    pub(super) fn split_at(&self, at: usize) -> (Tokens, Tokens) {
        let border = at.min(self.len());
        (self.slice(0..border), self.slice(border..self.len()))
    }

    /// Appends the ids of `range` to `ids`.
    ///
    /// # Errors
    /// A file that cannot be read or does not hold what it held.
    pub fn read(&self, range: Range<usize>, ids: &mut Vec<u32>) -> Result<(), DataError> {
        let start = self.range.start + range.start;
        let range = start..start + range.len();
        match &*self.store {
            Store::Short(all) => ids.extend(all[range].iter().map(|&id| u32::from(id))),
            Store::Long(all) => ids.extend_from_slice(&all[range]),
            Store::File(file) => file.read(range, ids)?,
        }
        Ok(())
    }

    /// All ids, so many at a time.
    pub fn chunks(&self, size: usize) -> impl Iterator<Item = Result<Vec<u32>, DataError>> + '_ {
        (0..self.len()).step_by(size.max(1)).map(move |start| {
            let end = self.len().min(start + size.max(1));
            let mut ids = Vec::with_capacity(end - start);
            self.read(start..end, &mut ids).map(|()| ids)
        })
    }

    /// All ids.
    ///
    /// # Errors
    /// As [`Tokens::read`].
    pub fn to_vec(&self) -> Result<Vec<u32>, DataError> {
        let mut ids = Vec::with_capacity(self.len());
        self.read(0..self.len(), &mut ids).map(|()| ids)
    }
}

impl From<Vec<u32>> for Tokens {
    fn from(ids: Vec<u32>) -> Tokens {
        Tokens { range: 0..ids.len(), store: Arc::new(Store::Long(ids)) }
    }
}

impl InFile {
    fn read(&self, range: Range<usize>, ids: &mut Vec<u32>) -> Result<(), DataError> {
        let width = self.width as usize;
        let mut bytes = vec![0; range.len() * width];
        let offset = self.start + (range.start * width) as u64;
        read_at(&self.file, &mut bytes, offset)
            .map_err(|source| DataError::Read { path: self.path.clone(), source })?;
        let before = ids.len();
        match self.width {
            Width::Short => {
                ids.extend(bytes.as_chunks::<2>().0.iter().map(|b| u32::from(u16::from_le_bytes(*b))));
            }
            Width::Long => ids.extend(bytes.as_chunks::<4>().0.iter().map(|b| u32::from_le_bytes(*b))),
        }
        // What is no id would be looked up beyond the end of the embedding.
        match ids[before..].iter().find(|&&id| id as usize >= self.vocab_size) {
            Some(&id) => Err(DataError::Id { path: self.path.clone(), id, vocab_size: self.vocab_size }),
            None => Ok(()),
        }
    }
}

#[cfg(unix)]
pub(super) fn read_at(file: &File, bytes: &mut [u8], offset: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, bytes, offset)
}

#[cfg(windows)]
pub(super) fn read_at(file: &File, mut bytes: &mut [u8], mut offset: u64) -> io::Result<()> {
    use std::os::windows::fs::FileExt;
    while !bytes.is_empty() {
        match file.seek_read(bytes, offset)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            read => {
                bytes = &mut std::mem::take(&mut bytes)[read..];
                offset += read as u64;
            }
        }
    }
    Ok(())
}
