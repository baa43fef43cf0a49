//! Where dfdx's sources are.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// dfdx's folder as cargo unpacked it.
///
/// # Errors
/// What was tried.
pub fn dfdx_folder() -> Result<PathBuf, String> {
    // A build script is not told where dependencies are. Cargo knows; without a network it may refuse to say for want of packages that
    // only tests need, and then the usual place is looked into.
    asked().or_else(usual).ok_or_else(|| {
        "dfdx's sources were not found: neither `cargo metadata --offline` nor $CARGO_HOME/registry/src knows them; `cargo fetch` \
         brings them".to_owned()
    })
}

fn asked() -> Option<PathBuf> {
    let manifest = Path::new(&env::var_os("CARGO_MANIFEST_DIR")?).join("Cargo.toml");
    let mut command = Command::new(env::var_os("CARGO")?);
    command.args(["metadata", "--format-version", "1", "--offline", "--filter-platform"]);
    let output = command.arg(env::var_os("TARGET")?).arg("--manifest-path").arg(manifest).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    // A package begins with its name and version; the dependencies within have no version in second place.
    let (_, package) = text.split_once("{\"name\":\"dfdx\",\"version\":\"")?;
    let (_, path) = package.split_once("\"manifest_path\":\"")?;
    let (path, _) = path.split_once('"')?;
    let path = PathBuf::from(path.replace("\\\\", "\\"));
    path.parent().filter(|folder| folder.is_dir()).map(Path::to_owned)
}

fn usual() -> Option<PathBuf> {
    let home = env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".cargo")))?;
    let registries = fs::read_dir(home.join("registry/src")).ok()?.filter_map(Result::ok);
    registries.map(|registry| registry.path().join("dfdx-0.13.0")).find(|folder| folder.is_dir())
}

/// All files below a folder with this ending.
pub fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok) {
        let path = entry.path();
        if path.is_dir() {
            found.extend(files(&path, ending));
        } else if path.extension().is_some_and(|own| own == ending) {
            found.push(path);
        }
    }
    found.sort();
    found
}
