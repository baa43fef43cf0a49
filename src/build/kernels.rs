//! Compiles kernels: dfdx's, which its own build would make for one kind of card only, those in place of what dfdx compiles while a run
//! is on, and this program's own.
//!
//! As text in NVIDIA's intermediate language, which a driver translates for the card that is there, and as code for kinds of cards, which
//! it takes as it is. What was compiled once is kept in the build's folder.

use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::pack::{self, Compiled};
use super::sources::{dfdx_folder, files};
use super::toolkit::{Toolkit, run};

include!("../ops/cuda/table.rs");

/// Kinds of cards for which a release has code: compute capabilities without their point.
const CARDS: [u32; 7] = [75, 80, 86, 89, 90, 100, 120];
/// The oldest cards for which there is text, where nothing else is asked for.
const OLDEST: u32 = 75;
/// From here on cards have instructions for half precision that older ones lack, so that they get a text of their own.
const NEWER: u32 = 80;
/// The version of the intermediate language that is written over the compiler's, where the assembler finds nothing newer in a kernel:
/// drivers from CUDA 11.4 on know it, while the compiler's own version shuts out all that are older than the compiler.
const LANGUAGE: (u32, u32) = (7, 4);
const VARIABLE: &str = "RUNNER_CUDA_ARCHITECTURES";

/// One file to compile, in one way.
struct Source {
    /// No other one has it.
    name: String,
    path: PathBuf,
    arguments: Vec<String>,
    /// Headers that it may include.
    headers: Vec<PathBuf>,
    /// Names under which a device keeps it.
    modules: Vec<String>,
}

/// Compiles everything and writes what the program includes.
pub fn carry() -> Result<(), String> {
    println!("cargo::rerun-if-env-changed={VARIABLE}");
    println!("cargo::rerun-if-changed=src/ops/cuda");
    println!("cargo::rerun-if-changed={HEADER}");
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("cargo sets OUT_DIR")?);
    let Some(toolkit) = Toolkit::find()? else {
        println!(
            "cargo::warning=nvcc was not found: types can be checked, and nothing can be linked. Install the CUDA toolkit, set CUDA_PATH \
             to its folder or put its `bin` on the PATH (without administrator's rights: the README's section on GPUs)"
        );
        return pack::write_nothing(&out);
    };
    let code = asked_for(&toolkit)?;
    let texts = texts(&code, &toolkit);
    let sources = all()?;
    let folder = out.join("kernels");
    fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let job =
        |&(source, architecture): &(usize, u32)| text(&toolkit, &sources[source], architecture, &folder);
    let jobs = |architectures: &[u32]| -> Vec<(usize, u32)> {
        architectures.iter().flat_map(|&one| (0..sources.len()).map(move |source| (source, one))).collect()
    };
    side_by_side(&jobs(&texts), job)?;
    let job = |&(source, architecture): &(usize, u32)| {
        let text = texts.iter().rev().find(|text| **text <= architecture).copied().unwrap_or(architecture);
        assembled(&toolkit, &sources[source], text, architecture, &folder)
    };
    side_by_side(&jobs(&code), job)?;
    let names: Vec<(&str, &[String])> =
        sources.iter().map(|source| (source.name.as_str(), source.modules.as_slice())).collect();
    pack::write_all(
        &out,
        &Compiled { release: toolkit.release, folder: &folder, names: &names, texts: &texts, code: &code },
    )
}

/// Kinds of cards to make code for.
fn asked_for(toolkit: &Toolkit) -> Result<Vec<u32>, String> {
    let asked = env::var(VARIABLE).ok();
    // A build for tests is made often, and what it makes runs everywhere through the text.
    let usual = if env::var("PROFILE").is_ok_and(|profile| profile == "release") { "all" } else { "none" };
    let wrong = |word: &str| {
        format!(
            "{VARIABLE}={word:?}: expected \"all\" (code for the cards {CARDS:?}), \"none\" (text alone, which drivers translate for every \
             card from {OLDEST} on), or a list as \"75,90\""
        )
    };
    let listed: BTreeSet<u32> =
        match asked.as_deref().map(str::trim).filter(|asked| !asked.is_empty()).unwrap_or(usual) {
            "all" => CARDS.into(),
            "none" => BTreeSet::new(),
            list => list
                .split(',')
                .map(|word| word.trim().parse().map_err(|_| wrong(list)))
                .collect::<Result<_, _>>()?,
        };
    let (known, unknown): (Vec<u32>, Vec<u32>) =
        listed.into_iter().partition(|one| toolkit.architectures.contains(one));
    if !unknown.is_empty() {
        let (major, minor) = toolkit.release;
        println!(
            "cargo::warning=CUDA {major}.{minor} makes no code for the cards {unknown:?}; those that are newer than the ones it knows run \
             what their driver translates"
        );
    }
    Ok(known)
}

/// Kinds of cards to make text for: it runs on these and all newer ones.
fn texts(code: &[u32], toolkit: &Toolkit) -> Vec<u32> {
    let oldest = code.first().copied().unwrap_or(OLDEST).min(OLDEST);
    let oldest = toolkit.architectures.iter().copied().find(|one| *one >= oldest).unwrap_or(oldest);
    if oldest < NEWER { vec![oldest, NEWER] } else { vec![oldest] }
}

/// Below this package.
const HEADER: &str = "src/engine/device/before_sm80.h";

fn all() -> Result<Vec<Source>, String> {
    let dfdx = dfdx_folder()?.join("src");
    let (kernels, headers) = (files(&dfdx, "cu"), files(&dfdx, "cuh"));
    let mut folders: Vec<PathBuf> =
        headers.iter().filter_map(|header| Some(header.parent()?.to_owned())).collect();
    folders.dedup();
    let include: Vec<String> = folders.iter().map(|folder| format!("-I{}", folder.display())).collect();
    let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    let mut sources = Vec::new();
    for (name, modules) in FROM_DFDX {
        let path = kernels.iter().find(|path| path.file_stem().is_some_and(|stem| stem == *name));
        let path = path.ok_or_else(|| format!("dfdx has no {name}.cu below {}", dfdx.display()))?.clone();
        let (arguments, headers) = (include.clone(), headers.clone());
        sources.push(Source { name: (*name).to_owned(), path, arguments, headers, modules: owned(modules) });
    }
    let here = Path::new("src/ops/cuda");
    for (file, types, modules) in INSTEAD {
        let path = here.join("instead").join(file).with_extension("cu");
        let name = format!("{file}-{}", types.join("-").replace('=', "-"));
        let arguments = types.iter().map(|of| format!("-D{of}")).collect();
        sources.push(Source { name, path, arguments, headers: Vec::new(), modules: owned(modules) });
    }
    let own = fs::read_dir(here).map_err(|error| format!("{}: {error}", here.display()))?;
    let mut own: Vec<PathBuf> = own.filter_map(|entry| Some(entry.ok()?.path())).collect();
    own.retain(|path| path.extension().is_some_and(|ending| ending == "cu"));
    own.sort();
    for path in own {
        let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let name = format!("runner-{stem}");
        let headers = files(here, "cuh");
        sources.push(Source { modules: vec![name.clone()], name, path, arguments: Vec::new(), headers });
    }
    Ok(sources)
}

/// Compiles to text.
fn text(toolkit: &Toolkit, source: &Source, architecture: u32, folder: &Path) -> Result<(), String> {
    let made = folder.join(format!("{}.{architecture}.ptx", source.name));
    let header = PathBuf::from(HEADER);
    let mut command = toolkit.nvcc();
    command.args(["-w", "--ptx", &format!("--gpu-architecture=compute_{architecture}")]);
    if architecture < NEWER {
        command.arg("-include").arg(&header);
    }
    command.args(&source.arguments).arg("-o").arg(&made).arg(&source.path);
    let inputs: Vec<&PathBuf> = [&source.path, &header].into_iter().chain(&source.headers).collect();
    kept(&made, &format!("{}{command:?}{LANGUAGE:?}", toolkit.version), &inputs, || {
        run(&mut command)?;
        let original = read(&made)?;
        let (before, rest) = original.split_once("\n.version ").ok_or("text without a version")?;
        let (version, after) = rest.split_once('\n').ok_or("text without an end")?;
        let number = |text: &str| {
            text.trim().split_once('.').and_then(|(a, b)| Some((a.parse().ok()?, b.parse().ok()?)))
        };
        if number(version).is_some_and(|version: (u32, u32)| version <= LANGUAGE) {
            return Ok(());
        }
        let older = format!("{before}\n.version {}.{}\n{after}", LANGUAGE.0, LANGUAGE.1);
        write(&made, older.as_bytes())?;
        let tried = made.with_extension("tried");
        let mut assembler = toolkit.ptxas();
        assembler.arg(format!("-arch=sm_{architecture}")).arg("-o").arg(&tried).arg(&made);
        let fits = run(&mut assembler).is_ok();
        // It is not needed.
        let _ = fs::remove_file(&tried);
        if fits { Ok(()) } else { write(&made, original.as_bytes()) }
    })
}

/// Assembles the text for one kind of cards to code for another, which is not older.
fn assembled(
    toolkit: &Toolkit,
    source: &Source,
    text: u32,
    architecture: u32,
    folder: &Path,
) -> Result<(), String> {
    let text = folder.join(format!("{}.{text}.ptx", source.name));
    let made = folder.join(format!("{}.{architecture}.cubin", source.name));
    let mut command = toolkit.ptxas();
    command.arg(format!("-arch=sm_{architecture}")).arg("-o").arg(&made).arg(&text);
    kept(&made, &format!("{}{command:?}", toolkit.version), &[&text], || run(&mut command).map(drop))
}

/// Makes a file, unless it was made before in the same way from the same inputs.
fn kept(
    made: &Path,
    way: &str,
    inputs: &[&PathBuf],
    make: impl FnOnce() -> Result<(), String>,
) -> Result<(), String> {
    let mut hasher = DefaultHasher::new();
    way.hash(&mut hasher);
    for input in inputs {
        fs::read(input).map_err(|error| format!("{}: {error}", input.display()))?.hash(&mut hasher);
    }
    let key = hasher.finish().to_string();
    let beside = PathBuf::from(format!("{}.key", made.display()));
    if made.is_file() && fs::read_to_string(&beside).is_ok_and(|old| old == key) {
        return Ok(());
    }
    // What is made now may be cut off, and the inputs may be the old ones again the next time.
    let _ = fs::remove_file(&beside);
    make()?;
    write(&beside, key.as_bytes())
}

/// Does all jobs, as many at a time as cargo allows. The first error counts.
fn side_by_side<T: Sync>(jobs: &[T], job: impl Fn(&T) -> Result<(), String> + Sync) -> Result<(), String> {
    let threads = env::var("NUM_JOBS").ok().and_then(|number| number.parse().ok()).unwrap_or(1usize);
    let (next, failed) = (AtomicUsize::new(0), Mutex::new(None));
    std::thread::scope(|scope| {
        for _ in 0..threads.clamp(1, jobs.len().max(1)) {
            scope.spawn(|| {
                while let Some(one) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if let Err(error) = job(one) {
                        next.store(jobs.len(), Ordering::Relaxed);
                        // A poisoned lock means that another thread has panicked, which ends the build anyway.
                        failed.lock().map(|mut failed| *failed = Some(error)).ok();
                    }
                }
            });
        }
    });
    failed.into_inner().ok().flatten().map_or(Ok(()), Err)
}

pub fn read(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
}

pub fn write(path: &Path, bytes: &[u8]) -> Result<(), String> {
    fs::write(path, bytes).map_err(|error| format!("{}: {error}", path.display()))
}
