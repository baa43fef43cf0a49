use std::fs;
use std::path::PathBuf;

use super::*;
use crate::config::frozen_text;
use crate::data::write_tokenizer;
use crate::store::{checksums, fixture};

const CONFIG: &str =
    "[model]\nn_layer = 2\nn_head = 3\nn_embd = 12\nblock_size = 32\n[hardware]\ndevice = \"cpu\"\n";

/// `runs/exp/<run>` with checkpoints of steps 10 and 20, of which the first is the best.
fn run_in(runs: &Path, run: &str, config: &str) -> RunDir {
    let mut manifest = fixture::manifest("exp", run);
    let dir = RunDir::create(runs, "exp", run, &mut manifest, &frozen_text(config), |_| Ok(())).unwrap();
    for step in [10, 20] {
        let path = dir.checkpoints().checkpoint(step);
        fs::create_dir_all(&path).unwrap();
        fs::write(path.join(WEIGHTS_FILE), format!("weights of {step}")).unwrap();
        checksums::write(&path).unwrap();
    }
    fs::write(dir.checkpoints().best(), "step-000010\n").unwrap();
    fs::write(dir.checkpoints().last(), "step-000020\n").unwrap();
    write_tokenizer(dir.path(), &Tokenizer::Byte).unwrap();
    dir
}

fn runs() -> (tempfile::TempDir, RunDir) {
    let folder = tempfile::tempdir().unwrap();
    let dir = run_in(folder.path(), "seed=1", CONFIG);
    (folder, dir)
}

fn step_of(found: Pretrained) -> u64 {
    found.origin.expect("it comes from a run").step
}

fn refusal(found: Result<Pretrained, PretrainedError>) -> String {
    found.expect_err("it should be refused").to_string()
}

#[test]
fn a_run_is_found_by_name_by_folder_and_by_checkpoint() {
    let (folder, dir) = runs();
    let path = dir.checkpoints().checkpoint(20);
    let arguments = [
        ("exp/seed=1".to_owned(), 10),
        ("exp".to_owned(), 10),
        (dir.path().display().to_string(), 10),
        (folder.path().display().to_string(), 10),
        (path.display().to_string(), 20),
        (path.join(WEIGHTS_FILE).display().to_string(), 20),
    ];
    for (argument, step) in arguments {
        let found = find(folder.path(), &argument, Which::Best).unwrap();
        assert_eq!(found.name, "exp/seed=1");
        assert_eq!((found.model.n_head, found.model.vocab_size), (3, 256));
        assert!(found.weights.is_file());
        assert_eq!(step_of(found), step, "{argument}");
    }
}

#[test]
fn the_best_checkpoint_is_meant_unless_another_is_asked_for() {
    let (folder, dir) = runs();
    let step = |which: &str| step_of(find(folder.path(), "exp", which.parse().unwrap()).unwrap());
    assert_eq!([step("best"), step("last"), step("20"), step("step-000010")], [10, 20, 20, 10]);
    assert!("first".parse::<Which>().is_err());
    let error = refusal(find(folder.path(), "exp", Which::Step(15)));
    assert!(error.ends_with("has no checkpoint of step 15; it has 10, 20"), "{error}");
    fs::remove_file(dir.checkpoints().best()).unwrap();
    assert_eq!(step("best"), 20);
}

#[test]
fn a_name_that_means_several_runs_or_none_is_refused_with_the_names_there_are() {
    let (folder, _) = runs();
    run_in(folder.path(), "seed=2", CONFIG);
    let error = refusal(find(folder.path(), "exp", Which::Best));
    assert_eq!(error, "exp has 2 runs: name one of exp/seed=1, exp/seed=2");
    let error = refusal(find(folder.path(), "exp/seed=3", Which::Best));
    assert!(error.contains("did you mean exp/seed=1 or exp/seed=2?"), "{error}");
    let error = refusal(find(
        folder.path(),
        folder.path().join("exp/seed=1/config.toml").to_str().unwrap(),
        Which::Best,
    ));
    assert!(error.contains("holds no model"), "{error}");
}

#[test]
fn a_run_without_a_checkpoint_says_why_and_what_to_do() {
    let (folder, dir) = runs();
    fs::remove_dir_all(dir.checkpoints().path()).unwrap();
    let error = refusal(find(folder.path(), "exp", Which::Best));
    assert!(error.starts_with("run exp/seed=1 has no checkpoint"), "{error}");
    let scripted = run_in(folder.path(), "scripted", "[hardware]\ndevice = \"scripted\"\n");
    let error = refusal(open(scripted.path(), Which::Best));
    assert_eq!(error, "run exp/scripted is scripted: it has a loss curve and no model");
}

#[test]
fn a_damaged_checkpoint_is_named_with_the_others_that_there_are() {
    let (folder, dir) = runs();
    fs::write(dir.checkpoints().checkpoint(10).join(WEIGHTS_FILE), "weights of 1O").unwrap();
    let error = refusal(find(folder.path(), "exp", Which::Best));
    assert!(error.contains("its SHA-256 differs; the run has others, of step 20"), "{error}");
    assert_eq!(step_of(find(folder.path(), "exp", Which::Last).unwrap()), 20);
}

#[test]
fn a_run_without_a_file_of_its_tokenizer_has_that_of_its_corpus() {
    let (folder, dir) = runs();
    fs::remove_file(dir.path().join(crate::data::TOKENIZER_FILE)).unwrap();
    let corpus = folder.path().join("corpus.txt");
    fs::write(&corpus, "abcd\n".repeat(50)).unwrap();
    let config = format!("{CONFIG}[data]\npath = {:?}\ntokenizer = \"char\"\n", corpus.display());
    let mut manifest = dir.read_manifest().unwrap();
    dir.replace_config(&frozen_text(&config), &mut manifest).unwrap();
    let plan = crate::config::read_frozen(&dir.config(), manifest.config_sha256.as_deref()).unwrap();
    manifest.data = Some(crate::data::load(&plan.data).unwrap().info());
    dir.write_manifest(&manifest).unwrap();
    assert_eq!(open(dir.path(), Which::Best).unwrap().tokenizer.vocab_size(), 5);
    fs::write(&corpus, "abcde\n".repeat(50)).unwrap();
    assert!(refusal(open(dir.path(), Which::Best)).contains("another text now"));
    fs::write(dir.path().join(crate::data::TOKENIZER_FILE), "{}").unwrap();
    assert!(refusal(open(dir.path(), Which::Best)).contains("this is not a tokenizer"));
}

/// A Hugging Face folder with this `config.json`.
fn folder_with(config: &serde_json::Value) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("my-gpt2");
    fs::create_dir(&path).unwrap();
    fs::write(path.join(CONFIG_FILE), config.to_string()).unwrap();
    fs::write(path.join(WEIGHTS_FILE), "weights").unwrap();
    (folder, path)
}

fn tiny() -> ModelConfig {
    ModelConfig { n_layer: 2, n_head: 2, n_embd: 8, block_size: 16, vocab_size: 50_257, bias: true }
}

#[test]
fn a_hugging_face_folder_is_read_as_it_was_written() {
    let (_folder, path) = folder_with(&config_json(&tiny(), Some(50_256)));
    let found = find(Path::new("nowhere"), path.to_str().unwrap(), Which::Best).unwrap();
    assert_eq!((found.name.as_str(), found.model), ("my-gpt2", tiny()));
    assert_eq!(found.tokenizer.name(), "gpt2");
    // As Hugging Face's own tokenizer reads it.
    assert_eq!(found.tokenizer.encode("<|endoftext|>Hello"), [50_256, 15_496]);
    assert!(found.origin.is_none());
}

#[test]
fn models_that_are_not_gpt2_are_refused_with_the_key_that_says_so() {
    let changes = [
        ("model_type", serde_json::json!("llama")),
        ("activation_function", serde_json::json!("relu")),
        ("layer_norm_epsilon", serde_json::json!(1e-6)),
        ("n_inner", serde_json::json!(100)),
        ("n_head", serde_json::json!(3)),
        ("n_layer", serde_json::json!(-1)),
        ("n_embd", serde_json::json!(null)),
        ("scale_attn_by_inverse_layer_idx", serde_json::json!(true)),
    ];
    for (key, value) in changes {
        let mut config = config_json(&tiny(), None);
        config[key] = value;
        let error = refusal(open(&folder_with(&config).1, Which::Best));
        assert!(error.contains(&format!("`{key}`")), "{error}");
    }
    let small = ModelConfig { vocab_size: 300, ..tiny() };
    let error = refusal(open(&folder_with(&config_json(&small, None)).1, Which::Best));
    assert!(error.contains("no vocab.json") && error.contains("runner-tokenizer.json"), "{error}");
    let (_folder, path) = folder_with(&config_json(&tiny(), None));
    fs::write(path.join("vocab.json"), "{\"hello\": 1}").unwrap();
    assert!(refusal(open(&path, Which::Best)).contains("not GPT-2's vocabulary"));
    fs::remove_file(path.join(WEIGHTS_FILE)).unwrap();
    assert!(refusal(open(&path, Which::Best)).contains("save_pretrained"));
}

#[test]
fn the_files_best_and_last_mean_the_checkpoints_that_they_name() {
    let (_folder, dir) = runs();
    let (best, last) = (dir.checkpoints().best(), dir.checkpoints().last());
    assert_eq!(step_of(open(&best, Which::Last).unwrap()), 10);
    assert_eq!(step_of(open(&last, Which::Best).unwrap()), 20);
    fs::write(&best, "step-000030\n").unwrap();
    let error = refusal(open(&best, Which::Best));
    assert!(error.contains("step 30, which it names, is not there"), "{error}");
    #[cfg(unix)]
    {
        fs::remove_file(&best).unwrap();
        std::os::unix::fs::symlink("step-000020", &best).unwrap();
        assert_eq!(step_of(open(&best, Which::Best).unwrap()), 20);
    }
}

#[test]
fn what_is_no_model_says_what_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let nanogpt = b"PK\x03\x04ckpt/data.pkl model model_args iter_num";
    let path = folder.path().join("ckpt.pt");
    fs::write(&path, nanogpt).unwrap();
    for given in [path.as_path(), folder.path()] {
        let error = refusal(open(given, Which::Best));
        assert!(error.contains("checkpoint of nanoGPT") && error.contains("tensor.t()"), "{error}");
        assert_eq!(error.matches("ckpt.pt: ").count(), 1, "{error}");
    }
    let (_folder, path) = folder_with(&config_json(&tiny(), None));
    fs::remove_file(path.join(WEIGHTS_FILE)).unwrap();
    for (name, bytes, says) in [
        ("a.gguf", b"GGUF\x03\0\0\0".as_slice(), "llama.cpp"),
        ("model-00001-of-00001.safetensors", b"weights", "rename the file"),
        ("pytorch_model.bin", b"\x80\x02}q\0.", "PyTorch's own format"),
    ] {
        let file = path.join(name);
        fs::write(&file, bytes).unwrap();
        let error = refusal(open(&path, Which::Best));
        assert!(error.contains(says) && error.contains(name), "{error}");
        fs::remove_file(file).unwrap();
    }
    fs::write(path.join(CONFIG_FILE), "version https://git-lfs.github.com/spec/v1\noid sha256:1\n").unwrap();
    assert!(refusal(open(&path, Which::Best)).contains("git lfs pull"));
    fs::remove_file(path.join(CONFIG_FILE)).unwrap();
    fs::write(path.join("adapter_config.json"), "{}").unwrap();
    assert!(refusal(open(&path, Which::Best)).contains("merge_and_unload"));
}
