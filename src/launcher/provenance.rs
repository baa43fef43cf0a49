//! What the manifest says of the program and the working tree.

use std::collections::BTreeMap;
use std::process::Command;

use crate::shell::quote;
use crate::store::manifest::GitInfo;

/// Packages whose version decides the numbers: what is drawn, which tokens a text has, and in which order sums are taken.
const NUMERIC_PACKAGES: [&str; 6] = ["dfdx", "gemm", "pulp", "rand_chacha", "rand_distr", "tiktoken-rs"];

/// Commit of the working directory's repository and whether it has uncommitted changes; `None` outside one.
pub fn git_info() -> Option<GitInfo> {
    let commit = git(&["rev-parse", "HEAD"])?.trim().to_owned();
    let dirty = !git(&["status", "--porcelain", "--untracked-files=no"])?.trim().is_empty();
    Some(GitInfo { commit, dirty })
}

fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Versions of the packages that decide the numbers, as locked when the program was built; all of them where there are several.
pub fn package_versions() -> BTreeMap<String, String> {
    numeric_packages(&include_str!("../../Cargo.lock").parse().unwrap_or_default())
}

fn numeric_packages(lock: &toml::Table) -> BTreeMap<String, String> {
    let packages = lock.get("package").and_then(toml::Value::as_array).into_iter().flatten();
    let mut versions: BTreeMap<String, String> = BTreeMap::new();
    for package in packages {
        let text = |key: &str| package.get(key).and_then(toml::Value::as_str);
        let (Some(name), Some(version)) = (text("name"), text("version")) else { continue };
        if !NUMERIC_PACKAGES.contains(&name) {
            continue;
        }
        let known = versions.entry(name.to_owned()).or_default();
        if !known.is_empty() {
            known.push_str(" and ");
        }
        known.push_str(version);
    }
    versions
}

/// The command line of this process, quoted for a POSIX shell, with the program as it was called.
pub fn command_line() -> String {
    let words: Vec<String> = std::env::args_os().map(|word| quote(&word.to_string_lossy())).collect();
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_locked_version_of_dfdx_is_known() {
        assert_eq!(package_versions().get("dfdx").map(String::as_str), Some("0.13.0"));
        assert_eq!(package_versions().len(), NUMERIC_PACKAGES.len());
    }

    #[test]
    fn a_package_that_is_there_in_two_versions_is_named_with_both() {
        let gemm = package_versions().remove("gemm").unwrap();
        let (before_avx2, newest) = gemm.split_once(" and ").expect("two versions of gemm are locked");
        assert!(before_avx2.starts_with("0.15.") && newest.starts_with("0.19."), "{gemm}");
        let lock = r#"
            package = [
                { name = "pulp", version = "1.0.0" },
                { name = "else", version = "2.0.0" },
                { name = "pulp", version = "3.0.0" },
            ]"#;
        let versions = numeric_packages(&lock.parse().unwrap());
        assert_eq!(versions, BTreeMap::from([("pulp".to_owned(), "1.0.0 and 3.0.0".to_owned())]));
    }
}
