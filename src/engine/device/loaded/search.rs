//! Where NVIDIA's libraries may be. Folders are looked at, and no program is run.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use super::{Loaded, Missing, open};

/// A library's file, and the file of another one that it needs beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Name {
    pub file: &'static str,
    pub needs: Option<&'static str>,
}

#[cfg(not(windows))]
pub const DRIVER: Name = Name { file: "libcuda.so.1", needs: None };
#[cfg(windows)]
pub const DRIVER: Name = Name { file: "nvcuda.dll", needs: None };

/// Releases of cuBLAS with the functions that are called, newest first.
#[cfg(not(windows))]
const CUBLAS: [(u32, Name); 3] = [
    (13, Name { file: "libcublas.so.13", needs: Some("libcublasLt.so.13") }),
    (12, Name { file: "libcublas.so.12", needs: Some("libcublasLt.so.12") }),
    (11, Name { file: "libcublas.so.11", needs: Some("libcublasLt.so.11") }),
];
#[cfg(windows)]
const CUBLAS: [(u32, Name); 3] = [
    (13, Name { file: "cublas64_13.dll", needs: Some("cublasLt64_13.dll") }),
    (12, Name { file: "cublas64_12.dll", needs: Some("cublasLt64_12.dll") }),
    (11, Name { file: "cublas64_11.dll", needs: Some("cublasLt64_11.dll") }),
];

/// What a toolkit calls whichever release it has.
#[cfg(not(windows))]
const ANY_CUBLAS: Name = Name { file: "libcublas.so", needs: Some("libcublasLt.so") };
#[cfg(windows)]
const ANY_CUBLAS: Name = Name { file: "cublas.dll", needs: Some("cublasLt.dll") };

/// Names of cuBLAS, the best for a driver of this major release first: a library runs on drivers of its own release and newer ones.
pub fn cublas_names(driver: Option<u32>) -> Vec<Name> {
    let fits = |release: &u32| driver.is_none_or(|driver| *release <= driver);
    let (fitting, newer): (Vec<_>, Vec<_>) = CUBLAS.into_iter().partition(|(release, _)| fits(release));
    let names = fitting.into_iter().chain(newer.into_iter().rev()).map(|(_, name)| name);
    names.chain([ANY_CUBLAS]).collect()
}

/// Opens the first of the names that is found and accepted (else: what is wrong with it): by the system's loader, which looks into `LD_LIBRARY_PATH` and the system's
/// folders, and then in `folders`.
pub fn find(
    names: &[Name],
    folders: &[PathBuf],
    accepted: impl Fn(&Loaded) -> Result<(), String>,
) -> Result<Loaded, Missing> {
    let mut reason = None;
    for name in names {
        let mut attempt = |path: &Path, needs: Option<&Path>| match open(path, needs) {
            Ok(library) => match accepted(&library) {
                Ok(()) => Some(library),
                Err(wrong) => {
                    reason = Some(format!("{} {wrong}", path.display()));
                    None
                }
            },
            Err(error) => {
                // A file that is there and cannot be opened says more than one that is not there.
                if path.is_absolute() {
                    reason = Some(error.to_string());
                }
                reason.get_or_insert(error.to_string());
                None
            }
        };
        if let Some(library) = attempt(Path::new(name.file), None) {
            return Ok(library);
        }
        for folder in folders.iter().filter(|folder| folder.join(name.file).exists()) {
            let needs = name.needs.map(|needs| folder.join(needs)).filter(|needs| needs.exists());
            if let Some(library) = attempt(&folder.join(name.file), needs.as_deref()) {
                return Ok(library);
            }
        }
    }
    Err(Missing { reason: reason.unwrap_or_default(), searched: folders.to_vec() })
}

/// Where a driver's library is that the system's loader has not been told of: under Windows' Linux, and NixOS.
pub fn driver_folders() -> Vec<PathBuf> {
    existing(["/usr/lib/wsl/lib", "/run/opengl-driver/lib"].map(PathBuf::from))
}

/// Folders with a toolkit's libraries: those that variables name, that of the Conda environment, the usual ones, and those of PyPI's packages `nvidia-*`.
pub fn toolkit_folders() -> Vec<PathBuf> {
    let named =
        ["CUDA_PATH", "CUDA_HOME", "CUDA_ROOT"].into_iter().filter_map(env::var_os).map(PathBuf::from);
    let mut releases = below(Path::new("/usr/local"), "cuda-");
    // `cuda` itself is the one that the machine's owner chose.
    releases.insert(0, PathBuf::from("/usr/local/cuda"));
    // Conda's own package of cuBLAS lies beside its environment's other libraries.
    let conda = env::var_os("CONDA_PREFIX").map(PathBuf::from);
    let roots = named.chain(conda).chain(releases).chain([PathBuf::from("/opt/cuda")]);
    let toolkits = roots.flat_map(|root| {
        ["lib64", "lib", "targets/x86_64-linux/lib", "targets/sbsa-linux/lib", "bin/x64", "bin"]
            .map(|folder| root.join(folder))
    });
    let packages = site_packages().into_iter().flat_map(|site| {
        let nvidia = site.join("nvidia");
        // From CUDA 13 on all packages share a folder for the release, before each had its own.
        let shared = below(&nvidia, "cu").into_iter();
        let folders: Vec<_> =
            shared.flat_map(|release| [release.join("lib"), release.join("lib64")]).collect();
        folders.into_iter().chain([nvidia.join("cublas/lib")])
    });
    existing(toolkits.chain(packages))
}

/// Folders that Python takes packages from: of the environment that is active, of Conda's, and of the `python3` that a shell would start.
fn site_packages() -> Vec<PathBuf> {
    let active = ["VIRTUAL_ENV", "CONDA_PREFIX"].into_iter().filter_map(env::var_os).map(PathBuf::from);
    let path = env::var_os("PATH").unwrap_or_default();
    let pythons: Vec<PathBuf> = env::split_paths(&path).map(|folder| folder.join("python3")).collect();
    let python = pythons.into_iter().find(|python| python.is_file());
    // The prefix of an environment is where the link lies, that of its Python where the link leads to.
    let real = python.as_deref().and_then(|python| python.canonicalize().ok());
    let own = python.iter().chain(&real).filter_map(|python| Some(python.parent()?.parent()?.to_owned()));
    let of_user = env::var_os("HOME").map(|home| PathBuf::from(home).join(".local"));
    // What pyenv puts on the PATH starts one of several Pythons, which lie below it.
    let own = own.flat_map(|prefix| [vec![prefix.clone()], below(&prefix.join("versions"), "3")].concat());
    let prefixes: Vec<PathBuf> =
        active.chain(own).chain(of_user).chain([PathBuf::from("/usr/local")]).collect();
    let mut folders = Vec::new();
    for prefix in prefixes {
        for version in
            below(&prefix.join("lib"), "python3").into_iter().chain(below(&prefix.join("lib64"), "python3"))
        {
            folders.extend(["site-packages", "dist-packages"].map(|packages| version.join(packages)));
        }
    }
    existing(folders)
}

/// Folders below this one whose names begin so, those of the highest number first.
fn below(folder: &Path, beginning: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
    let mut found: Vec<PathBuf> = entries
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(beginning))
        .map(|entry| entry.path())
        .collect();
    let numbers = |path: &PathBuf| -> Vec<u32> {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        name[beginning.len()..].split('.').map(|part| part.parse().unwrap_or(0)).collect()
    };
    found.sort_by(|one, other| numbers(other).cmp(&numbers(one)).then_with(|| one.cmp(other)));
    found
}

/// Those that are there, each once.
fn existing(folders: impl IntoIterator<Item = PathBuf>) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = Vec::new();
    for folder in folders.into_iter().filter(|folder| folder.is_dir()) {
        if !found.contains(&folder) {
            found.push(folder);
        }
    }
    found
}
