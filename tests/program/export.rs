//! `runner export` and what comes of it, as users meet them.

use std::fs;

use crate::shop::Shop;
use crate::training::tiny;

fn trained() -> Shop {
    let shop = tiny();
    shop.run(&["tiny.toml", "--set", "checkpoint.interval=30", "--set", "sample.interval=30"]).expect(0);
    shop
}

fn text(shop: &Shop, model: &str) -> String {
    shop.run(&["generate", model, "the sea", "--seed", "5", "--max-new-tokens", "30"]).expect(0).stdout
}

#[test]
fn an_exported_folder_writes_what_the_run_writes() {
    let shop = trained();
    let call = shop.run(&["export", "tiny", "--format", "hf", "--out", "for-others/tiny"]).expect(0);
    assert_eq!(call.stdout, "for-others/tiny\n");
    assert!(call.stderr.contains("tiny/seed=1337, step 60"), "{}", call.stderr);
    assert_eq!(text(&shop, "for-others/tiny"), text(&shop, "tiny"));

    let config: serde_json::Value = serde_json::from_str(&shop.read("for-others/tiny/config.json")).unwrap();
    assert_eq!(config["model_type"], "gpt2");
    assert_eq!((&config["runner"]["run"], &config["runner"]["step"]), (&"tiny/seed=1337".into(), &60.into()));
    let card = shop.read("for-others/tiny/README.md");
    for part in [
        "library_name: transformers",
        "- text: \"the \"",
        "## Use",
        "## Key numbers",
        "plots/loss.svg",
        "## Samples",
    ] {
        assert!(card.contains(part), "{part} is not in:\n{card}");
    }
    assert!(shop.has("for-others/tiny/plots/loss.svg"));

    shop.run(&["export", "tiny", "--format", "hf", "--out", "for-others/tiny", "--checkpoint", "30"])
        .expect(2)
        .says(&["is there already and not empty", "--overwrite"]);
    shop.write("for-others/tiny/mine.txt", "kept");
    shop.run(&[
        "export",
        "tiny",
        "--format",
        "hf",
        "--out",
        "for-others/tiny",
        "--checkpoint",
        "30",
        "--overwrite",
    ])
    .expect(0);
    assert_ne!(text(&shop, "for-others/tiny"), text(&shop, "tiny"));
    assert_eq!(shop.read("for-others/tiny/mine.txt"), "kept");
}

#[test]
fn an_archive_is_reported_and_compared_on_another_machine() {
    let shop = trained();
    shop.run(&["tiny.toml", "--set", "experiment.seed=2"]).expect(0);
    let call =
        shop.run(&["export", "tiny/seed=1337", "--format", "archive", "--out", "tiny.tar.zst"]).expect(0);
    assert_eq!(call.stdout, "tiny.tar.zst\n");
    assert!(call.stderr.contains("without checkpoints"), "{}", call.stderr);
    let with = ["export", "tiny/seed=2", "--format", "archive", "--out", "two.tar.zst", "--with-checkpoints"];
    shop.run(&with).expect(0);

    let other = Shop::new();
    for name in ["tiny.tar.zst", "two.tar.zst"] {
        fs::copy(shop.path().join(name), other.path().join(name)).unwrap();
    }
    let call = other
        .run(&["report", "tiny.tar.zst"])
        .expect(0)
        .says(&["unpacked tiny.tar.zst into runs/tiny/seed=1337"]);
    assert_eq!(call.stdout, "runs/tiny/seed=1337/report.md\n");
    let same = |name: &str| assert_eq!(other.read(name), shop.read(name), "{name}");
    same("runs/tiny/seed=1337/metrics.csv");
    same("runs/tiny/seed=1337/report.md");
    other
        .run(&["compare", "tiny.tar.zst", "two.tar.zst"])
        .expect(0)
        .says(&["lies in runs/tiny/seed=1337 already"]);
    other.run(&["generate", "tiny/seed=1337", "the "]).expect(2).says(&["has no checkpoint"]);
    assert_eq!(text(&other, "tiny/seed=2"), text(&shop, "tiny/seed=2"));
}

#[test]
fn exports_that_cannot_be_are_refused() {
    let shop = trained();
    let refused = |arguments: &[&str], says: &[&str]| {
        let all = [&["export"], arguments].concat();
        shop.run(&all).expect(2).says(says);
    };
    refused(&["tinny", "--format", "hf", "--out", "a"], &["did you mean tiny?"]);
    refused(&["tinny", "--format", "archive", "--out", "a.tar.zst"], &["did you mean tiny?"]);
    refused(&["tiny", "--format", "gguf", "--out", "a"], &["hf, space, archive"]);
    refused(&["tiny", "--format", "hf"], &["--out"]);
    refused(&["tiny", "--format", "hf", "--out", "a", "--with-checkpoints"], &["--format archive"]);
    refused(&["tiny", "--format", "archive", "--out", "a.zip"], &["ends with .tar.zst"]);
    refused(&["tiny", "--format", "hf", "--out", "tiny.toml"], &["is a file"]);
    refused(
        &["tiny", "--format", "hf", "--out", "a", "--checkpoint", "31"],
        &["no checkpoint of step 31; it has 30, 60"],
    );
    let weights = "runs/tiny/seed=1337/checkpoints/step-000060/model.safetensors";
    let bytes = fs::read(shop.path().join(weights)).unwrap();
    shop.write(weights, &bytes[..bytes.len() - 8]);
    refused(
        &["tiny", "--format", "hf", "--out", "a", "--checkpoint", "60"],
        &["step-000060", "the run has others, of step 30"],
    );
    assert!(!shop.has("a"));
    shop.write("no.tar.zst", [0x28, 0xB5, 0x2F, 0xFD, 9, 9, 9, 9]);
    shop.run(&["report", "no.tar.zst"]).expect(2).says(&["no.tar.zst", "damaged, or no archive of a run"]);
}
