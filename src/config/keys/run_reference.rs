//! Names of runs where an experiment file may also have a path: `train.init_from = "lr-sweep --best"`.

use super::parse::MAX_RUN_NAME;
use crate::files::{is_folder_name, is_run_name};

/// How a name is kept, so that it is never taken for a path.
const SCHEME: &str = "run:";
/// Endings of files that people name without a folder.
const FILES: [&str; 8] = ["safetensors", "json", "bin", "pt", "pth", "ckpt", "gguf", "toml"];

/// The name in a value that is one, and no path: a run, an experiment or a tag, among the runs.
pub fn name_of_run(value: &str) -> Option<&str> {
    value.strip_prefix(SCHEME).filter(|name| is_name(name))
}

/// The value for what a person wrote, if it is no path: with the scheme, or where there is no such file.
pub(in crate::config) fn written(text: &str) -> Option<String> {
    let name = text.strip_prefix(SCHEME).unwrap_or(text);
    let is_file = || FILES.iter().any(|ending| name.ends_with(&format!(".{ending}")));
    (is_name(name) && (name != text || !is_file())).then(|| format!("{SCHEME}{name}"))
}

/// `v1`, `lr-sweep`, `lr-sweep/seed=1`, and behind it `@500`, `@best`, `@v1` or ` --best`.
fn is_name(text: &str) -> bool {
    let text = text.strip_suffix(" --best").unwrap_or(text).trim_end();
    let (run, which) = text.split_once('@').map_or((text, None), |(run, which)| (run, Some(which)));
    let is_run = match run.split_once('/') {
        Some((experiment, run)) => is_folder_name(experiment) && is_run_name(run, MAX_RUN_NAME + 20),
        None => is_folder_name(run),
    };
    is_run && which.is_none_or(is_folder_name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_told_from_paths() {
        for name in ["v1", "lr-sweep", "lr-sweep --best", "lr/seed=1", "lr/seed=1@500", "lr@best", "a/b@v1.2"]
        {
            let kept = written(name).unwrap();
            assert_eq!(name_of_run(&kept), Some(name));
            assert_eq!(written(&kept), Some(kept.clone()), "a frozen name stays one");
        }
        for path in [
            "",
            "../runs/a",
            "./a",
            "/a",
            "a/b/c",
            "~/a",
            "$HOME/a",
            "weights.safetensors",
            "a@b@c",
            "a@",
            "C:\\a",
            "a b",
            "run:",
            "run:/a",
        ] {
            assert_eq!(written(path), None, "{path}");
        }
        assert_eq!(name_of_run("v1"), None);
    }
}
