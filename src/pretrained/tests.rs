use std::fs;
use std::path::PathBuf;

use super::*;
use crate::config::frozen_text;
use crate::data::write_tokenizer;
use crate::facts::Status;
use crate::store::manifest::{Results, TargetInfo};
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
    let step = |which: &str| step_of(find(folder.path(), "exp", which.parse::<Which>().unwrap()).unwrap());
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
    assert_eq!(
        error,
        "exp has 2 runs, of which none has finished with a checkpoint: name one of exp/seed=1, exp/seed=2"
    );
    let error = refusal(find(folder.path(), "exp/seed=3", Which::Best));
    assert!(error.contains("did you mean exp/seed=1 or exp/seed=2?"), "{error}");
    let error = refusal(find(
        folder.path(),
        folder.path().join("exp/seed=1/config.toml").to_str().unwrap(),
        Which::Best,
    ));
    assert!(error.contains("holds no model"), "{error}");
}

/// Says that the run has finished with this validation loss, and this smoothed train loss.
fn finish(dir: &RunDir, val_loss: Option<f64>, train_loss: f64, target: Option<&str>) {
    let mut manifest = dir.read_manifest().unwrap();
    manifest.status = Status::Finished;
    let mut results = Results { steps: 20, ..Results::default() };
    results.best_val_loss = val_loss;
    results.final_train_loss_ema = Some(train_loss);
    manifest.results = Some(results);
    manifest.target = target.map(|metric| TargetInfo {
        metric: metric.to_owned(),
        threshold: 0.1,
        reached_at_step: None,
        reached_value: None,
    });
    dir.write_manifest(&manifest).unwrap();
}

#[test]
fn of_several_runs_the_best_is_meant_where_it_is_clear_which_that_is() {
    let (folder, first) = runs();
    let dirs = [first, run_in(folder.path(), "seed=2", CONFIG), run_in(folder.path(), "seed=3", CONFIG)];
    let found = |argument: &str| find(folder.path(), argument, Which::Best);
    let best = |argument: &str| found(argument).map(|found| found.name).map_err(|error| error.to_string());

    // Those that did not finish do not count.
    for (dir, val) in dirs.iter().zip([1.5, 1.25]) {
        finish(dir, Some(val), 1.0, None);
    }
    for argument in
        ["exp", "exp --best", "exp@best", "exp/*", "{exp}@best", &folder.path().display().to_string()]
    {
        assert_eq!(best(argument).unwrap(), "exp/seed=2", "{argument}");
    }
    let notes = found("exp").unwrap().notes;
    let expected = "the best of 2 runs of exp (1 more did not finish or are configured otherwise): lowest validation loss, 1.250";
    assert_eq!(notes, [expected]);
    assert_eq!(step_of(found("exp@last").unwrap()), 20);
    assert_eq!(found("exp/seed=1").unwrap().notes, Vec::<String>::new());

    // One that measured no validation loss leaves it open, unless the best is asked for.
    finish(&dirs[2], None, 0.5, None);
    let error = best("exp").unwrap_err();
    assert!(error.contains("of which only 2 measured a validation loss: name one of exp/seed=1"), "{error}");
    assert!(error.ends_with("or ask for the best with --best"), "{error}");
    assert_eq!(best("exp --best").unwrap(), "exp/seed=3");
    // Who aims at the train loss wants the lowest.
    finish(&dirs[0], Some(1.5), 0.25, Some("train_loss"));
    finish(&dirs[1], Some(1.25), 1.0, Some("train_loss"));
    assert!(best("exp").unwrap_err().contains("different targets"));
    finish(&dirs[2], Some(1.0), 0.5, Some("train_loss"));
    assert_eq!(best("exp").unwrap(), "exp/seed=1");
    // Bits per byte are measured on the text for validation too.
    for (dir, val, train) in [(&dirs[0], 1.5, 0.25), (&dirs[1], 1.25, 1.0), (&dirs[2], 1.0, 0.5)] {
        finish(dir, Some(val), train, Some("val_bits_per_byte"));
    }
    assert_eq!(best("exp").unwrap(), "exp/seed=3");

    // Losses of different texts do not compare, whatever is asked for.
    let mut manifest = dirs[2].read_manifest().unwrap();
    manifest.data = Some(crate::facts::DataInfo {
        documents: 1,
        end_of_text_tokens: 0,
        name: "other".to_owned(),
        sha256: "1".repeat(64),
        bytes: 10,
        tokenizer: "byte".to_owned(),
        vocab_size: 256,
        train_tokens: 9,
        val_tokens: 1,
    });
    dirs[2].write_manifest(&manifest).unwrap();
    assert!(best("exp --best").unwrap_err().contains("trained on different texts"));
}

#[test]
fn a_tag_is_found_by_its_name_behind_its_run_and_by_its_folder() {
    let (folder, dir) = runs();
    let tag = tags::add(folder.path(), &dir, 20, "v1", "", false).unwrap();
    fs::remove_dir_all(dir.checkpoints().checkpoint(20)).unwrap();
    for argument in ["v1", "exp/seed=1@v1", "exp@v1", tag.path().to_str().unwrap()] {
        let found = find(folder.path(), argument, Which::Best).unwrap();
        assert_eq!(found.weights, tag.path().canonicalize().unwrap().join(WEIGHTS_FILE), "{argument}");
        assert_eq!(found.origin.unwrap().describe(), "step 20, the last, tagged v1", "{argument}");
    }
    assert_eq!(step_of(find(folder.path(), "exp/seed=1@10", Which::Last).unwrap()), 10);
    assert_eq!(
        step_of(find(folder.path(), &format!("{}@10", dir.path().display()), Which::Last).unwrap()),
        10
    );
    let error = refusal(find(folder.path(), "exp@v2", Which::Best));
    assert!(error.contains("`v2` is no checkpoint of it; say a step, best, last or a tag: v1"), "{error}");
    let error = refusal(find(folder.path(), "v2", Which::Best));
    assert!(error.contains("did you mean v1?"), "{error}");
    // An experiment of the same name came later.
    let mut manifest = fixture::manifest("v1", "seed=1");
    RunDir::create(folder.path(), "v1", "seed=1", &mut manifest, "", |_| Ok(())).unwrap();
    let error = refusal(find(folder.path(), "v1", Which::Best));
    assert!(
        error.contains("is a tag and an experiment by now; say exp/seed=1@v1 for the checkpoint"),
        "{error}"
    );
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
