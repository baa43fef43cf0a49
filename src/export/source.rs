//! This program's source, which is part of the program: what an export needs to build it elsewhere is then always at hand, and
//! of the version that trained the model.

use std::fs;
use std::io;
use std::path::Path;

use include_dir::{Dir, include_dir};

use crate::files::plain;

static SOURCE: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/src");
const MANIFEST: &str = include_str!("../../Cargo.toml");
const LOCK: &str = include_str!("../../Cargo.lock");
const LICENSE: &str = include_str!("../../LICENSE");

/// Writes what `cargo build` needs into `folder`.
///
/// # Errors
/// When a file cannot be written.
pub fn write(folder: &Path) -> io::Result<()> {
    let source = folder.join("src");
    fs::create_dir_all(&source)?;
    SOURCE.extract(&source)?;
    plain::write_new(&folder.join("Cargo.toml"), manifest().map_err(io::Error::other)?)?;
    plain::write_new(&folder.join("Cargo.lock"), LOCK)?;
    plain::write_new(&folder.join("LICENSE"), LICENSE)
}

/// The program's manifest without what is not written: tests, benchmarks and other members of the workspace.
fn manifest() -> Result<String, toml::de::Error> {
    let mut manifest: toml::Table = MANIFEST.parse()?;
    for part in ["workspace", "bench", "dev-dependencies"] {
        manifest.remove(part);
    }
    if let Some(package) = manifest.get_mut("package").and_then(toml::Value::as_table_mut) {
        package.remove("readme");
    }
    Ok(manifest.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_source_is_whole() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path()).unwrap();
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        for name in [
            "src/main.rs",
            "src/export/source.rs",
            "src/build/main.rs",
            "src/data/corpora/salt-crown.txt",
            "Cargo.lock",
        ] {
            assert_eq!(
                fs::read(folder.path().join(name)).unwrap(),
                fs::read(here.join(name)).unwrap(),
                "{name}"
            );
        }
        let manifest: toml::Table =
            fs::read_to_string(folder.path().join("Cargo.toml")).unwrap().parse().unwrap();
        let named = |key: &str| manifest["package"][key].as_str().unwrap();
        assert_eq!((named("name"), named("version")), ("runner", env!("CARGO_PKG_VERSION")));
        assert!(folder.path().join(named("build")).is_file());
        assert!(manifest["dependencies"].get("dfdx").is_some() && manifest.get("bench").is_none());
    }
}
