use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Map, json};

use super::*;
use crate::config::LoadOptions;
use crate::data::write_tokenizer;
use crate::model::WEIGHTS_FILE;
use crate::model::params::layout;
use crate::pretrained::{CONFIG_FILE, config_json};
use crate::store::{RunDir, fixture};

const MODEL: ModelConfig =
    ModelConfig { n_layer: 2, n_head: 2, n_embd: 8, block_size: 16, vocab_size: 5, bias: true };

/// A safetensors file of a model of these sizes, all of whose weights are zero.
fn write_zeros(path: &Path, config: &ModelConfig) {
    let (mut header, mut end) = (Map::new(), 0);
    for parameter in layout(config) {
        let (begin, shape) = (end, &parameter.shape);
        end += 4 * parameter.len();
        header.insert(
            parameter.name.clone(),
            json!({"dtype": "F32", "shape": shape, "data_offsets": [begin, end]}),
        );
    }
    let header = serde_json::to_vec(&header).unwrap();
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header);
    bytes.resize(bytes.len() + end, 0);
    fs::write(path, bytes).unwrap();
}

/// A folder with a run of the model [`MODEL`], which was trained on the characters `\nabcd`, and its checkpoints of steps 10 (the best)
/// and 20.
struct Shop {
    folder: tempfile::TempDir,
    run: RunDir,
}

fn shop() -> Shop {
    let folder = tempfile::tempdir().unwrap();
    let mut manifest = fixture::manifest("exp", "seed=1");
    let config = "[model]\nn_layer = 2\nn_head = 2\nn_embd = 8\nblock_size = 16\n\
                  [data]\ntokenizer = \"char\"\n[hardware]\ndevice = \"cpu\"\n";
    let frozen = crate::config::frozen_text(config);
    let run = RunDir::create(folder.path(), "exp", "seed=1", &mut manifest, &frozen, |_| Ok(())).unwrap();
    for step in [10, 20] {
        let path = run.checkpoints().checkpoint(step);
        fs::create_dir_all(&path).unwrap();
        write_zeros(&path.join(WEIGHTS_FILE), &MODEL);
        checksums::write(&path).unwrap();
    }
    fs::write(run.checkpoints().best(), "step-000010\n").unwrap();
    let tokenizer = Tokenizer::build(crate::config::experiment::TokenizerKind::Char, "abcd\n");
    write_tokenizer(run.path(), &tokenizer).unwrap();
    Shop { folder, run }
}

impl Shop {
    /// A plan that fits the run, with other values for some keys.
    fn plan(&self, set: &[&str]) -> RunPlan {
        let file = self.folder.path().join("finetune.toml");
        let text = format!(
            "[model]\nn_layer = 2\nn_head = 2\nn_embd = 8\nblock_size = 16\n[data]\ntokenizer = \"char\"\n\
             [train]\ninit_from = {:?}\nsequence_length = 4\n",
            self.run.path().display()
        );
        fs::write(&file, text).unwrap();
        let options = LoadOptions { set: set.iter().map(|&set| set.to_owned()).collect(), only: Vec::new() };
        config::load(&[file], &options).unwrap_or_else(|errors| panic!("{errors}")).remove(0)
    }

    fn weights(&self, step: u64) -> PathBuf {
        self.run.checkpoints().checkpoint(step).join(WEIGHTS_FILE)
    }
}

fn start(plan: &RunPlan) -> Start {
    Start::find(plan, Path::new("runs"))
        .unwrap_or_else(|error| panic!("{error}"))
        .expect("the plan names a model")
}

fn refusal<T>(found: Result<T, StartError>) -> String {
    found.err().expect("it should be refused").to_string()
}

#[test]
fn a_run_stands_for_its_best_checkpoint_and_brings_its_vocabulary() {
    let shop = shop();
    let plan = shop.plan(&[]);
    let start = start(&plan);
    assert_eq!(start.info.name.as_deref(), Some("exp/seed=1"));
    assert_eq!((start.info.step, start.info.positions), (Some(10), None));
    assert_eq!(Path::new(&start.info.weights), fs::canonicalize(shop.weights(10)).unwrap());
    assert_eq!(start.info.sha256, checksums::sha256_of(&shop.weights(10)).unwrap());
    assert_eq!(start.tokenizer.as_ref().map(Tokenizer::vocab_size), Some(5));
    start.check_sizes(&plan, Some(5)).unwrap();
    assert!(Start::find(&shop.plan(&["train.init_from=\"\""]), Path::new("runs")).unwrap().is_none());
}

#[test]
fn a_run_keeps_to_the_weights_that_were_found_when_it_was_made() {
    let shop = shop();
    let plan = shop.plan(&[]);
    let first = start(&plan);
    let frozen = first.pin(&plan);
    // The other run goes on, and has a better checkpoint.
    fs::write(shop.run.checkpoints().best(), "step-000020\n").unwrap();
    assert_eq!(start(&plan).info.step, Some(20));

    let path = shop.folder.path().join("config.toml");
    fs::write(&path, config::render_frozen(&frozen)).unwrap();
    let frozen = config::read_frozen(&path, None).unwrap();
    assert_eq!(start(&frozen).info.step, Some(10));
    // The same command again means the same run, and another checkpoint another.
    let change = pinned_change(&first.info, &plan);
    assert_eq!(config::differences(&frozen, &change.into_iter().collect::<Vec<_>>(), &plan), []);
    let other = shop.plan(&[&format!("train.init_from={:?}", shop.weights(20).parent().unwrap().display())]);
    assert_eq!(pinned_change(&first.info, &other), None);
    assert_eq!(config::differences(&frozen, &[], &other).len(), 1);
}

#[test]
fn what_is_no_path_is_a_name_among_the_runs() {
    let shop = shop();
    let runs = shop.run.path().parent().and_then(Path::parent).unwrap();
    crate::store::tags::add(runs, &shop.run, 20, "v1", "", false).unwrap();
    let path = shop.run.path().display();
    for (given, step) in [
        ("exp/seed=1".to_owned(), 10),
        ("exp --best".to_owned(), 10),
        ("exp@last".to_owned(), 20),
        ("v1".to_owned(), 20),
        ("run:v1".to_owned(), 20),
        (format!("{path}@20"), 20),
        (format!("{path}@v1"), 20),
    ] {
        let plan = shop.plan(&[&format!("train.init_from={given:?}")]);
        let start = Start::find(&plan, runs).unwrap_or_else(|error| panic!("{given}: {error}")).unwrap();
        assert_eq!(
            (start.info.name.as_deref(), start.info.step),
            (Some("exp/seed=1"), Some(step)),
            "{given}"
        );
        assert_eq!(start.info.sha256, checksums::sha256_of(&shop.weights(step)).unwrap());
        // The same command again means the same run, wherever it is given.
        let frozen = start.pin(&plan);
        let change: Vec<_> = pinned_change(&start.info, &plan).into_iter().collect();
        assert_eq!(config::differences(&frozen, &change, &plan), [], "{given}");
    }
    let plan = shop.plan(&["train.init_from=\"v2\""]);
    let error = refusal(Start::find(&plan, runs));
    assert!(
        error.starts_with("there is no such file or folder") && error.contains("did you mean v1?"),
        "{error}"
    );
}

#[test]
fn other_programs_words_for_a_beginning_say_what_to_do_here() {
    let shop = shop();
    let runs = shop.run.path().parent().and_then(Path::parent).unwrap();
    for (word, told) in [
        ("scratch", "leave `init_from` out"),
        ("resume", "`runner resume`"),
        ("gpt2", "hf download"),
        ("gpt2-medium", "nothing is downloaded"),
        ("openai-community/gpt2", "--local-dir"),
    ] {
        let error = refusal(Start::find(&shop.plan(&[&format!("train.init_from={word:?}")]), runs));
        assert!(error.starts_with(&format!("\"{word}\" is no run here")) && error.contains(told), "{error}");
    }
    // A run of that name is meant before any word.
    crate::store::tags::add(runs, &shop.run, 20, "gpt2", "", false).unwrap();
    let start = Start::find(&shop.plan(&["train.init_from=\"gpt2\""]), runs).unwrap().unwrap();
    assert_eq!(start.info.step, Some(20));
}

#[test]
fn weights_that_are_gone_or_others_are_not_begun_from() {
    let shop = shop();
    let info = start(&shop.plan(&[])).info;
    check_unchanged(&info).unwrap();
    fs::write(&info.weights, "others").unwrap();
    assert!(refusal(check_unchanged(&info)).contains("are not those that the run was made for"));
    fs::remove_file(&info.weights).unwrap();
    assert!(refusal(check_unchanged(&info)).contains("put them back"));
}

#[test]
fn every_size_that_differs_is_named_with_both_values_and_what_to_set() {
    let shop = shop();
    let cases = [
        ("model.n_layer=3", "model.n_layer is 3 here and 2 there (set model.n_layer = 2)"),
        ("model.n_head=4", "model.n_head is 4 here and 2 there (set model.n_head = 2)"),
        ("model.n_embd=16", "model.n_embd is 16 here and 8 there (set model.n_embd = 8)"),
        ("model.vocab_size=64", "model.vocab_size is 64 here and 5 there (set model.vocab_size = 5)"),
        (
            "model.block_size=32",
            "model.block_size is 32 here and it has 16 positions (set model.block_size = 16 or less)",
        ),
        ("model.bias=false", "model.bias is false here and it has biases (set model.bias = true)"),
    ];
    for (set, expected) in cases {
        let plan = shop.plan(&[set]);
        let error = refusal(start(&plan).check_sizes(&plan, Some(5)));
        assert_eq!(error, format!("its sizes are others: {expected}"));
    }
    let plan = shop.plan(&["model.n_layer=3", "model.bias=false"]);
    let error = refusal(start(&plan).check_sizes(&plan, Some(5)));
    assert!(error.contains("model.n_layer") && error.contains("model.bias"), "{error}");
}

#[test]
fn of_more_positions_the_first_are_taken_and_that_is_recorded() {
    let shop = shop();
    let plan = shop.plan(&["model.block_size=12"]);
    let start = start(&plan);
    start.check_sizes(&plan, Some(5)).unwrap();
    assert_eq!(start.info.positions, Some(16));
}

#[test]
fn another_kind_of_tokenizer_is_refused() {
    let shop = shop();
    let error = refusal(Start::find(&shop.plan(&["data.tokenizer=byte"]), Path::new("runs")));
    assert!(
        error.contains("trained with data.tokenizer = \"char\", and data.tokenizer = \"byte\" here"),
        "{error}"
    );
}

#[test]
fn a_padded_vocabulary_is_named() {
    let shop = shop();
    let folder = shop.folder.path().join("gpt2");
    fs::create_dir(&folder).unwrap();
    let padded = ModelConfig { vocab_size: 50_304, ..MODEL };
    write_zeros(&folder.join(WEIGHTS_FILE), &padded);
    fs::write(folder.join(CONFIG_FILE), config_json(&padded, None).to_string()).unwrap();
    let given = format!("train.init_from={:?}", folder.display());
    let plan = shop.plan(&[&given, "data.tokenizer=gpt2"]);
    let found = start(&plan);
    assert_eq!((found.info.name.as_deref(), found.info.step), (Some("gpt2"), None));
    let error = refusal(found.check_sizes(&plan, Some(50_257)));
    assert!(
        error.contains("model.vocab_size is 50257 here and 50304 there (set model.vocab_size = 50304)"),
        "{error}"
    );
    let plan = shop.plan(&[&given, "data.tokenizer=gpt2", "model.vocab_size=50304"]);
    found.check_sizes(&plan, Some(50_257)).unwrap();
}

#[test]
fn a_file_alone_brings_its_sizes_and_no_vocabulary() {
    let shop = shop();
    let path = shop.folder.path().join("weights.safetensors");
    write_zeros(&path, &MODEL);
    let plan = shop.plan(&[&format!("train.init_from={:?}", path.display())]);
    let found = start(&plan);
    assert_eq!((&found.info.name, &found.tokenizer), (&None, &None));
    found.check_sizes(&plan, Some(5)).unwrap();
    let error = refusal(found.check_sizes(&plan, Some(6)));
    assert!(error.contains("vocabulary has 5 tokens, and this text's has 6 (start from a run"), "{error}");
}

#[test]
fn damaged_or_missing_weights_are_found_before_anything_starts() {
    let shop = shop();
    let whole = fs::read(shop.weights(10)).unwrap();
    fs::write(shop.weights(10), &whole[..whole.len() - 1]).unwrap();
    let error = refusal(Start::find(&shop.plan(&[]), Path::new("runs")));
    assert!(error.contains("cannot be used") && error.contains("the run has others, of step 20"), "{error}");

    let path = shop.folder.path().join("weights.safetensors");
    let plan = shop.plan(&[&format!("train.init_from={:?}", path.display())]);
    assert!(refusal(Start::find(&plan, Path::new("runs"))).starts_with("there is no such file or folder"));
    for bytes in [&whole[..whole.len() / 2], b"", b"not weights"] {
        fs::write(&path, bytes).unwrap();
        assert!(
            refusal(Start::find(&plan, Path::new("runs"))).contains("weights.safetensors"),
            "{} bytes",
            bytes.len()
        );
    }
}

#[test]
fn weights_in_several_files_are_begun_from_and_known_again_as_a_whole() {
    let shop = shop();
    let folder = shop.folder.path().join("gpt2");
    fs::create_dir(&folder).unwrap();
    let model = ModelConfig { vocab_size: 50_257, ..MODEL };
    write_zeros(&folder.join("model-1-of-1.safetensors"), &model);
    let map: Map<String, serde_json::Value> = layout(&model)
        .into_iter()
        .map(|parameter| (parameter.name, json!("model-1-of-1.safetensors")))
        .collect();
    let index = json!({ "weight_map": map }).to_string();
    fs::write(folder.join("model.safetensors.index.json"), &index).unwrap();
    fs::write(folder.join(CONFIG_FILE), config_json(&model, None).to_string()).unwrap();
    let plan = shop.plan(&[&format!("train.init_from={:?}", folder.display()), "data.tokenizer=gpt2"]);
    let found = start(&plan);
    found.check_sizes(&plan, Some(50_257)).unwrap();
    assert!(found.info.weights.ends_with("model.safetensors.index.json"), "{}", found.info.weights);
    check_unchanged(&found.info).unwrap();
    // The run keeps to the index.
    assert_eq!(start(&found.pin(&plan)).info.sha256, found.info.sha256);
    let mut bytes = fs::read(folder.join("model-1-of-1.safetensors")).unwrap();
    *bytes.last_mut().unwrap() = 1;
    fs::write(folder.join("model-1-of-1.safetensors"), bytes).unwrap();
    assert!(refusal(check_unchanged(&found.info)).contains("are not those that the run was made for"));
}
