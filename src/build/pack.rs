//! Packs compiled kernels for the program to include, with a list of what is in them, in Rust.

use std::env;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use super::kernels::{read, write};

/// What was compiled.
pub struct Compiled<'a> {
    /// Of the compiler.
    pub release: (u32, u32),
    pub folder: &'a Path,
    /// Names of files, each with its modules.
    pub names: &'a [(&'a str, &'a [String])],
    /// For which kinds of cards there is text, and for which there is code.
    pub texts: &'a [u32],
    pub code: &'a [u32],
}

/// A program without kernels, of which types can be checked: what it refers to has no place to be found in, and its name is the reason.
pub fn write_nothing(out: &Path) -> Result<(), String> {
    let text = "unsafe extern \"C\" {\n    fn nvcc_was_not_found_so_that_this_build_has_no_kernels();\n}\n\
                pub fn present() -> bool {\n    // SAFETY: a program that calls this does not link.\n    \
                unsafe { nvcc_was_not_found_so_that_this_build_has_no_kernels() };\n    false\n}\n\
                pub const RELEASE: (u32, u32) = (0, 0);\npub const LANGUAGE: (u32, u32) = (0, 0);\n\
                pub static IMAGES: &[super::Image] = &[];\npub static PACKS: &[super::Pack] = &[];\n";
    write(&out.join("carried.rs"), text.as_bytes())
}

/// Writes packs and list.
pub fn write_all(out: &Path, compiled: &Compiled<'_>) -> Result<(), String> {
    let Compiled { release, folder, names, texts, code } = compiled;
    let mut list = String::new();
    let mut language = (0, 0);
    list.push_str("pub fn present() -> bool {\n    true\n}\npub static IMAGES: &[super::Image] = &[\n");
    for (name, modules) in *names {
        let text = read(&folder.join(format!("{name}.{}.ptx", texts[0])))?;
        let kernels: Vec<&str> = text.lines().filter_map(kernel).collect();
        let _ = writeln!(list, "    super::Image {{ modules: &[");
        for module in *modules {
            let functions: Vec<&&str> = kernels.iter().filter(|kernel| belongs(kernel, module)).collect();
            if functions.is_empty() {
                return Err(format!("{name}.cu has no kernel for the module {module}"));
            }
            let _ =
                writeln!(list, "        super::Module {{ name: {module:?}, functions: &{functions:?} }},");
        }
        let _ = writeln!(list, "    ] }},");
        for architecture in *texts {
            let text = read(&folder.join(format!("{name}.{architecture}.ptx")))?;
            language =
                language.max(version(&text).ok_or_else(|| format!("{name}.cu: text without a version"))?);
        }
    }
    list.push_str("];\npub static PACKS: &[super::Pack] = &[\n");
    let packs = texts.iter().map(|one| (one, "ptx")).chain(code.iter().map(|one| (one, "cubin")));
    for (architecture, ending) in packs {
        let mut whole = Vec::new();
        let mut lengths = Vec::new();
        for (name, _) in *names {
            let path = folder.join(format!("{name}.{architecture}.{ending}"));
            let bytes = fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?;
            lengths.push(bytes.len());
            whole.extend(bytes);
        }
        // Small where people download it, fast where it is built for tests.
        let level = if env::var("PROFILE").is_ok_and(|profile| profile == "release") { 19 } else { 3 };
        let packed =
            zstd::encode_all(whole.as_slice(), level).map_err(|error| format!("packing: {error}"))?;
        let file = format!("{architecture}.{ending}.zst");
        write(&folder.join(&file), &packed)?;
        let compiled = ending == "cubin";
        let _ = writeln!(
            list,
            "    super::Pack {{ architecture: {architecture}, compiled: {compiled}, lengths: &{lengths:?}, \
             packed: include_bytes!(concat!(env!(\"OUT_DIR\"), \"/kernels/{file}\")) }},"
        );
    }
    let _ = writeln!(
        list,
        "];\npub const RELEASE: (u32, u32) = {release:?};\npub const LANGUAGE: (u32, u32) = {language:?};"
    );
    write(&out.join("carried.rs"), list.as_bytes())
}

/// The kernel's name in a line that begins one.
fn kernel(line: &str) -> Option<&str> {
    let (_, name) = line.split_once(".entry ")?;
    name.split(['(', ' ']).next().filter(|name| !name.is_empty())
}

/// A module that ends with a number format has the kernels that do, any other one has all.
fn belongs(kernel: &str, module: &str) -> bool {
    ["_f32", "_f16"]
        .into_iter()
        .find(|format| module.ends_with(format))
        .is_none_or(|format| kernel.ends_with(format))
}

fn version(text: &str) -> Option<(u32, u32)> {
    let line = text.lines().find_map(|line| line.strip_prefix(".version "))?;
    let (major, minor) = line.trim().split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}
