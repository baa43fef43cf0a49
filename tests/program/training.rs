//! Real training of a tiny model, end to end.

use crate::shop::Shop;

const TINY: &str = r#"
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
sequence_length = 16
max_steps = 60
eval_interval = 0

[optimizer]
learning_rate = 1e-2

[sample]
interval = 0
max_new_tokens = 8
prompts = ["the "]

[hardware]
device = "cpu"
threads = 1
"#;

const TEXT: &str = "the sea is salt and the salt is the sea and the sea was here before the salt was sold\n";

fn losses(shop: &Shop, run: &str) -> Vec<f64> {
    column(shop, run, "train_loss").into_iter().map(|loss| loss.parse().unwrap()).collect()
}

/// The fields of a column of `metrics.csv`.
fn column(shop: &Shop, run: &str, key: &str) -> Vec<String> {
    let metrics = shop.read(&format!("runs/{run}/metrics.csv"));
    let mut reader = csv::Reader::from_reader(metrics.as_bytes());
    let column = reader.headers().unwrap().iter().position(|name| name == key).unwrap();
    reader.records().map(|record| record.unwrap()[column].to_owned()).collect()
}

pub fn tiny() -> Shop {
    let shop = Shop::new();
    shop.write("text.txt", TEXT.repeat(4));
    shop.write("tiny.toml", TINY);
    shop
}

#[test]
fn a_tiny_model_learns_and_its_checkpoint_starts_another_run() {
    let shop = tiny();
    let call = shop.run(&["tiny.toml", "--set", "sample.interval=60", "--set", "checkpoint.interval=30"]);
    call.expect(0);
    let losses_of_first = losses(&shop, "tiny/seed=1337");
    let (first, last) = (losses_of_first[0], losses_of_first[59]);
    assert!(last < 0.7 * first, "{first} -> {last}");
    let manifest = shop.read("runs/tiny/seed=1337/manifest.toml");
    assert!(manifest.contains("corpus_loss = "), "{manifest}");

    let weights = "train.init_from=runs/tiny/seed=1337/checkpoints/step-000060/model.safetensors";
    shop.run(&["tiny.toml", "--set", weights, "--set", "train.max_steps=1"]).expect(0);
    let start = losses(&shop, "tiny/seed=1337-2")[0];
    assert!(start < 0.8 * first, "starting from the checkpoint the loss is {start}, from nothing {first}");
}

#[test]
fn bits_per_byte_do_not_depend_on_the_tokenizer_and_accuracy_is_a_share() {
    let shop = tiny();
    // Two bytes a character, and as many a token with `char`; one a token with `byte`.
    shop.write("text.txt", "\u{e9}\u{e8}\u{ea}\u{e9}\u{e8}".repeat(100));
    let short =
        ["--set", "train.max_steps=3", "--set", "data.val_fraction=0.3", "--set", "train.eval_interval=1"];
    for (tokenizer, bytes_per_token) in [("char", 2.0), ("byte", 1.0)] {
        let tokenizer = format!("data.tokenizer={tokenizer}");
        shop.run(&[&["tiny.toml", "--again", "--set", &tokenizer], &short[..]].concat()).expect(0);
        let run = if bytes_per_token == 2.0 { "tiny/seed=1337" } else { "tiny/seed=1337-2" };
        for split in ["train", "val"] {
            let numbers = |key: &str| {
                let fields = column(&shop, run, &format!("{split}_{key}"));
                fields.iter().filter_map(|field| field.parse().ok()).collect::<Vec<f64>>()
            };
            let (losses, bits, shares) = (numbers("loss"), numbers("bits_per_byte"), numbers("accuracy"));
            assert!(losses.len() >= 3 && bits.len() == losses.len() && shares.len() == losses.len());
            for (loss, bits) in losses.iter().zip(&bits) {
                let expected = loss / std::f64::consts::LN_2 / bytes_per_token;
                assert!((bits - expected).abs() < 1e-9, "{split}: {bits}, expected {expected}");
            }
            assert!(shares.iter().all(|share| (0.0..=1.0).contains(share)), "{shares:?}");
        }
    }
    let report = shop.read("runs/tiny/seed=1337/report.md");
    assert!(report.contains("| Validation bits per byte, best ") && report.contains("(plots/accuracy.png)"));
}

#[test]
fn muon_has_two_learning_rates_and_adamw_one() {
    let shop = tiny();
    let run = |kind: &str| {
        let kind = format!("optimizer.kind={kind}");
        let rates = [
            "--set",
            "optimizer.learning_rate=0.02",
            "--set",
            "train.max_steps=2",
            "--set",
            "schedule.warmup_steps=2",
        ];
        shop.run(&[&["tiny.toml", "--again", "--set", &kind], &rates[..]].concat()).expect(0);
    };
    run("muon");
    assert_eq!(column(&shop, "tiny/seed=1337", "learning_rate"), ["0.01", "0.02"]);
    let of_rest: Vec<f64> = column(&shop, "tiny/seed=1337", "adamw_learning_rate")
        .iter()
        .map(|rate| rate.parse().unwrap())
        .collect();
    assert!((of_rest[0] - 1.5e-3).abs() < 1e-12 && (of_rest[1] - 3e-3).abs() < 1e-12, "{of_rest:?}");
    run("adamw");
    assert_eq!(column(&shop, "tiny/seed=1337-2", "adamw_learning_rate"), ["", ""]);
}

#[test]
fn the_same_seed_gives_the_same_losses_to_the_bit() {
    let shop = tiny();
    for _ in 0..2 {
        shop.run(&["tiny.toml", "--again", "--set", "train.max_steps=12", "--set", "model.dropout=0.1"])
            .expect(0);
    }
    assert_eq!(losses(&shop, "tiny/seed=1337"), losses(&shop, "tiny/seed=1337-2"));
    shop.run(&["tiny.toml", "--set", "train.max_steps=12", "--set", "experiment.seed=1"]).expect(0);
    assert_ne!(losses(&shop, "tiny/seed=1337"), losses(&shop, "tiny/seed=1"));
}

#[test]
fn a_learning_rate_of_1e9_diverges_is_recorded_and_the_sweep_goes_on() {
    for optimizer in ["adamw", "sgd"] {
        for weight_decay in ["0.0", "0.1"] {
            let shop = tiny();
            shop.write("tiny.toml", format!("{TINY}\n[sweep.grid]\noptimizer.learning_rate = [1e9, 1e-2]\n"));
            let (kind, decay) =
                (format!("optimizer.kind={optimizer}"), format!("optimizer.weight_decay={weight_decay}"));
            let sets = ["--set", &kind, "--set", &decay, "--set", "train.max_steps=30"];
            shop.run(&[&["tiny.toml"][..], &sets[..]].concat()).expect(4);
            let runs = std::fs::read_dir(shop.path().join("runs/tiny")).unwrap();
            let mut statuses: Vec<String> = runs
                .map(|run| run.unwrap().path())
                .filter(|path| path.is_dir())
                .map(|run| std::fs::read_to_string(run.join("manifest.toml")).unwrap())
                .map(|manifest| manifest.lines().find(|line| line.starts_with("status")).unwrap().to_owned())
                .collect();
            statuses.sort();
            assert_eq!(
                statuses,
                ["status = \"diverged\"", "status = \"finished\""],
                "{optimizer}, weight decay {weight_decay}"
            );
        }
    }
}

#[test]
fn a_file_of_weights_that_lies_about_its_size_is_refused_before_anything_starts() {
    let shop = tiny();
    shop.write("weights.safetensors", b"\xff\xff\xff\xff\xff\xff\xff\x7f{}");
    let call = shop.run(&["tiny.toml", "--set", "train.init_from=weights.safetensors"]).expect(2);
    call.says(&["train.init_from", "weights.safetensors", "Nothing was started."]);
    assert!(!shop.has("runs"));
}

#[test]
fn a_run_records_what_it_took_beside_what_it_was_expected_to_take() {
    let shop = tiny();
    shop.run(&["tiny.toml"]).expect(0);
    let manifest: toml::Table = shop.read("runs/tiny/seed=1337/manifest.toml").parse().unwrap();
    // One layer of 12 x 16 x 16 weights, a head of 16 x 16 and 136 pairs in each of four sequences.
    let flops = 6.0 * f64::from(12 * 16 * 16 + 16 * 16) * 64.0 + 12.0 * 16.0 * 4.0 * 136.0;
    assert_eq!(manifest["model"]["vocab_size"].as_integer(), Some(16));
    assert_eq!(manifest["cost"]["model_flops_per_step"].as_float(), Some(flops));
    assert!(manifest["cost"]["memory_bytes"].as_integer().is_some_and(|bytes| bytes > 1 << 20));
    let report = shop.read("runs/tiny/seed=1337/report.md");
    for part in ["64 tokens and 1.38 MFLOP per step", "Model FLOPs per second", "Peak memory, estimated"] {
        assert!(report.contains(part), "{part} is not in {report}");
    }
}

// Elsewhere the peak is the largest sample, and runs as short as these have few.
#[test]
#[cfg(target_os = "linux")]
fn the_memory_of_a_run_is_given_back_before_the_next() {
    let shop = tiny();
    let sets = [
        "train.batch_size=512",
        "train.max_steps=3",
        "train.final_eval=false",
        "checkpoint.interval=0",
        "experiment.repeats=6",
    ];
    let arguments: Vec<&str> =
        std::iter::once("tiny.toml").chain(sets.iter().flat_map(|set| ["--set", set])).collect();
    shop.run(&arguments).expect(0);
    let peak = |seed: u64| -> f64 {
        let manifest: toml::Table =
            shop.read(&format!("runs/tiny/seed={seed}/manifest.toml")).parse().unwrap();
        manifest["results"]["peak_memory_bytes"].as_integer().unwrap() as f64 / f64::from(1 << 20)
    };
    // The runs are alike: without giving memory back, each would add some thirty MiB to the ones before. The reports between
    // them leave some with the allocator, most of it after the first two.
    let (third, sixth) = (peak(1339), peak(1342));
    assert!(sixth < third + 45.0, "{third} MiB in the third run, {sixth} MiB in the sixth");
}
