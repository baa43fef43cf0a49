//! What lies in a folder, to see afterwards what was written.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

/// Every file and folder below `root` that `counts`, by its path from there, files with a hash of their content. Links are
/// not followed.
pub fn listing(root: &Path, counts: impl Fn(&Path) -> bool) -> BTreeMap<PathBuf, String> {
    let mut found = BTreeMap::new();
    for entry in walkdir::WalkDir::new(root).min_depth(1) {
        let entry = entry.unwrap();
        let path = entry.path().strip_prefix(root).unwrap();
        if counts(path) {
            let content = if entry.file_type().is_file() {
                format!("{:?}", Sha256::digest(fs::read(entry.path()).unwrap()))
            } else {
                format!("{:?}", entry.file_type())
            };
            found.insert(path.to_owned(), content);
        }
    }
    found
}
