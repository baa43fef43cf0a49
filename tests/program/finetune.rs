//! Runs that begin from what another run has learnt.

use crate::shop::Shop;

const SOURCE: &str = r#"
[model]
n_layer = 1
n_head = 2
n_embd = 16
block_size = 16

[data]
path = "text.txt"
tokenizer = "char"

[train]
batch_size = 4
sequence_length = 8
max_steps = 60
eval_interval = 0

[optimizer]
learning_rate = 1e-2

[checkpoint]
interval = 20
keep_last = 5

[sample]
interval = 0
prompts = ["the "]

[hardware]
device = "cpu"
threads = 1
"#;

const FINETUNE: &str = r#"
extends = "source.toml"

[data]
path = "other.txt"

[train]
init_from = "runs/source/seed=1337"
max_steps = 30
"#;

/// A source that is trained, and another text with one character that it does not know.
fn shop() -> Shop {
    let shop = Shop::new();
    let text = "the sea is salt and the salt is the sea and the sea was here before the salt was sold\n";
    shop.write("text.txt", text.repeat(4));
    shop.write("other.txt", "the bread is here and the bread is old and all bread is sold\n".repeat(4) + "&");
    shop.write("source.toml", SOURCE);
    shop.write("finetune.toml", FINETUNE);
    shop.run(&["source.toml"]).expect(0);
    shop
}

fn manifest(shop: &Shop, run: &str) -> toml::Table {
    shop.read(&format!("runs/{run}/manifest.toml")).parse().unwrap()
}

/// The losses of a run, as they are written.
fn losses(shop: &Shop, run: &str) -> Vec<String> {
    let metrics = shop.read(&format!("runs/{run}/metrics.csv"));
    let mut reader = csv::Reader::from_reader(metrics.as_bytes());
    let column = reader.headers().unwrap().iter().position(|name| name == "train_loss").unwrap();
    reader.records().map(|record| record.unwrap()[column].to_owned()).collect()
}

/// Says that another checkpoint of the source is its best now, as if it had been trained further.
fn go_on(shop: &Shop, step: u64) {
    shop.write("runs/source/seed=1337/checkpoints/best", format!("step-{step:06}\n"));
}

#[test]
fn a_run_begins_from_another_with_its_vocabulary_and_fewer_positions() {
    let shop = shop();
    go_on(&shop, 60);
    let sets = ["--set", "model.block_size=12"];
    shop.run(&[&["finetune.toml"][..], &sets[..]].concat()).expect(0);
    let first = |run: &str| losses(&shop, run)[0].parse::<f64>().unwrap();
    let (begun, fresh) = (first("finetune/seed=1337"), first("source/seed=1337"));
    assert!(begun < 0.9 * fresh, "begun from the source the loss is {begun}, from nothing {fresh}");

    let (source, run) = (manifest(&shop, "source/seed=1337"), manifest(&shop, "finetune/seed=1337"));
    assert_eq!(run["data"]["vocab_size"], source["data"]["vocab_size"]);
    assert_eq!(run["init_from"]["name"].as_str(), Some("source/seed=1337"));
    assert_eq!(run["init_from"]["step"].as_integer(), Some(60));
    assert_eq!(run["init_from"]["positions"].as_integer(), Some(16));
    let report = shop.read("runs/finetune/seed=1337/report.md");
    for part in [
        "source/seed=1337, step 60, weights of SHA-256",
        "the first 12 of its 16 positions",
        "1 of 245 characters left out of the text",
        "'&'",
    ] {
        assert!(report.contains(part), "{part} is not in {report}");
    }
}

#[test]
fn a_run_keeps_to_its_beginning_when_the_source_goes_on() {
    let shop = shop();
    go_on(&shop, 20);
    let prepared = shop.run(&["prepare", "finetune.toml"]).expect(0).stdout;
    go_on(&shop, 60);
    shop.run(&["exec", prepared.trim()]).expect(0);
    assert_eq!(manifest(&shop, "finetune/seed=1337")["init_from"]["step"].as_integer(), Some(20));

    // The same command again means the run that is there.
    let call = shop.run(&["finetune.toml"]).expect(0);
    assert!(!shop.has("runs/finetune/seed=1337-2"), "{}", call.stdout);
    // Anew, it begins from what the source is now; its frozen configuration, from what it was.
    shop.run(&["finetune.toml", "--again"]).expect(0);
    assert_eq!(manifest(&shop, "finetune/seed=1337-2")["init_from"]["step"].as_integer(), Some(60));
    shop.run(&["runs/finetune/seed=1337/config.toml", "--again"]).expect(0);
    assert_eq!(losses(&shop, "finetune/seed=1337-3"), losses(&shop, "finetune/seed=1337"));
    assert_ne!(losses(&shop, "finetune/seed=1337-2"), losses(&shop, "finetune/seed=1337"));
}

#[test]
fn a_run_that_has_begun_goes_on_without_its_source() {
    let shop = shop();
    let whole = ["finetune.toml", "--runs-dir", "whole", "--set"];
    let from = format!("train.init_from={}", shop.path().join("runs/source/seed=1337").display());
    shop.run(&[&whole[..], &[from.as_str()]].concat()).expect(0);
    // A limit of time that is over at once: the run stops after its first step, with a checkpoint.
    shop.run(&["finetune.toml", "--set", "checkpoint.interval=1", "--set", "train.max_time=0.000001"])
        .expect(0);
    let config = "runs/finetune/seed=1337/config.toml";
    let text = shop.read(config);
    let line = text.lines().find(|line| line.starts_with("max_time")).unwrap();
    shop.write(config, text.replace(line, "max_time = \"0\""));
    // As a version wrote it that took no sums of configurations.
    let ended = shop.read("runs/finetune/seed=1337/manifest.toml");
    let sum = ended.lines().find(|line| line.starts_with("config_sha256")).unwrap().to_owned() + "\n";
    let ended = ended.replace(&sum, "");
    shop.write(
        "runs/finetune/seed=1337/manifest.toml",
        ended.replacen("status = \"finished\"", "status = \"interrupted\"", 1),
    );
    std::fs::rename(shop.path().join("runs/source"), shop.path().join("elsewhere")).unwrap();
    shop.run(&["exec", "runs/finetune/seed=1337"]).expect(0);
    let metrics = |folder: &str| {
        let text = shop.read(&format!("{folder}/finetune/seed=1337/metrics.csv"));
        let mut reader = csv::Reader::from_reader(text.as_bytes());
        let column = reader.headers().unwrap().iter().position(|name| name == "train_loss").unwrap();
        reader.records().map(|record| record.unwrap()[column].to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(metrics("runs").len(), 30);
    assert_eq!(metrics("runs"), metrics("whole"));
}

#[test]
fn weights_that_changed_since_the_run_was_made_are_a_recorded_failure() {
    let shop = shop();
    let prepared = shop.run(&["prepare", "finetune.toml"]).expect(0).stdout;
    let weights = manifest(&shop, "finetune/seed=1337")["init_from"]["weights"].as_str().unwrap().to_owned();
    std::fs::write(weights, "others").unwrap();
    shop.run(&["exec", prepared.trim()]);
    let manifest = manifest(&shop, "finetune/seed=1337");
    assert_eq!(manifest["status"].as_str(), Some("failed"));
    assert_eq!(manifest["stop_reason"].as_str(), Some("data"));
    assert!(manifest["message"].as_str().unwrap().contains("are not those that the run was made for"));
}

#[test]
fn a_source_that_does_not_fit_is_refused_before_anything_starts() {
    let shop = shop();
    let cases: [(&[&str], &[&str]); 5] = [
        (&["model.n_layer=2"], &["finetune", "train.init_from", "set model.n_layer = 1"]),
        (&["model.block_size=32"], &["it has 16 positions", "set model.block_size = 16 or less"]),
        (&["data.tokenizer=byte"], &["set data.tokenizer = \"char\""]),
        (&["data.corpus=wall-letters"], &["outside the vocabulary of the model of train.init_from"]),
        (&["train.init_from=runs/source/seed=2"], &["no such file or folder", "train it first"]),
    ];
    for (set, words) in cases {
        let sets: Vec<&str> = set.iter().flat_map(|set| ["--set", set]).collect();
        let call = shop.run(&[&["finetune.toml"][..], &sets].concat()).expect(2);
        call.says(words).says(&["Nothing was started."]);
    }
    assert!(!shop.has("runs/finetune"));
}

/// What a corpus is read as, prompts, evaluations and exports are read as, too; also where the model that a run began from read it otherwise.
#[test]
fn marks_are_read_alike_in_training_prompts_evaluations_and_exports() {
    let shop = Shop::new();
    shop.write("text.txt", "The sea is salt.<|endoftext|>Maud: I come.\n".repeat(30));
    let base = "[model]\nn_layer = 1\nn_head = 1\nn_embd = 8\nblock_size = 16\n[data]\npath = \"text.txt\"\ntokenizer = \"gpt2\"\n\
                val_fraction = 0.0\n[train]\nbatch_size = 2\nmax_steps = 2\n[sample]\ninterval = 0\n";
    shop.write("marks.toml", base);
    let begun =
        base.replace("[train]\n", "special_tokens = false\n[train]\ninit_from = \"runs/marks/seed=1337\"\n");
    shop.write("letters.toml", &begun);
    shop.write(
        "again.toml",
        begun.replace("special_tokens = false\n", "").replace("runs/marks", "runs/letters"),
    );
    for (run, prompt_tokens, split) in [("marks", 2, false), ("letters", 8, true), ("again", 2, false)] {
        shop.run(&[&format!("{run}.toml"), "-q"]).expect(0);
        let prompt = ["generate", run, "<|endoftext|>a", "--json", "--max-new-tokens", "1"];
        let line: serde_json::Value = serde_json::from_str(&shop.run(&prompt).expect(0).stdout).unwrap();
        assert_eq!(line["prompt_tokens"], prompt_tokens, "{run}");
        let found = shop.run(&["eval", run, "--file", "text.txt", "--json"]).expect(0).stdout;
        let found: serde_json::Value = serde_json::from_str(&found).unwrap();
        let manifest: toml::Table =
            shop.read(&format!("runs/{run}/seed=1337/manifest.toml")).parse().unwrap();
        let trained = manifest["results"]["corpus_loss"].as_float().unwrap();
        assert!(
            (found["loss"].as_f64().unwrap() - trained).abs() < 1e-4,
            "{run}: {found}, {trained} in training"
        );
        shop.run(&["export", run, "--format", "hf", "--out", &format!("hf-{run}")]).expect(0);
        let config: serde_json::Value =
            serde_json::from_str(&shop.read(&format!("hf-{run}/tokenizer_config.json"))).unwrap();
        assert_eq!(config["split_special_tokens"], split, "{run}");
    }
}
