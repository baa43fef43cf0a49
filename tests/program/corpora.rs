//! Corpora in the forms that people have them, through the whole program.

use crate::shop::{SCRIPTED, Shop};

/// The scripted run, on GPT-2's tokens of another text.
fn shop(path: &str) -> Shop {
    let shop = Shop::new();
    let text = SCRIPTED.replace("corpus = \"salt-crown\"", &format!("path = {path}"));
    shop.write("exp.toml", text.replace("tokenizer = \"byte\"", "tokenizer = \"gpt2\""));
    shop
}

fn manifest(shop: &Shop) -> String {
    shop.read("runs/exp/seed=1337/manifest.toml")
}

#[test]
fn documents_and_marks_are_counted_in_plan_log_manifest_and_report() {
    let shop = shop("\"texts\"");
    std::fs::create_dir(shop.path().join("texts")).unwrap();
    shop.write("texts/a.txt", "\u{feff}one two three four five six\n".repeat(20));
    shop.write("texts/b.txt", "seven eight<|endoftext|>nine ten\n".repeat(20));
    let plan = shop.run(&["plan", "exp.toml"]).expect(0);
    for part in ["2 documents", "with 21 <|endoftext|> among them", "note: the byte order mark"] {
        assert!(plan.stdout.contains(part), "{part}: {}", plan.stdout);
    }
    shop.run(&["exp.toml"]).expect(0);
    let manifest = manifest(&shop);
    assert!(manifest.contains("documents = 2\nend_of_text_tokens = 21"), "{manifest}");
    let log = std::fs::read_to_string(shop.path().join("runs/exp/seed=1337/log.jsonl")).unwrap();
    assert!(log.contains("\"documents\":2,\"end_of_text_tokens\":21"), "{log}");
    let report = std::fs::read_to_string(shop.path().join("runs/exp/seed=1337/report.md")).unwrap();
    assert!(report.contains("2 documents with 21 "), "{report}");
}

/// The run as it was written before there were the keys of documents, when nothing was counted: interrupted.
fn make_older(shop: &Shop) {
    let run = shop.path().join("runs/exp/seed=1337");
    let keys = ["weights =", "text_column =", "separator =", "special_tokens =", "cache ="];
    let config = std::fs::read_to_string(run.join("config.toml")).unwrap();
    let older: Vec<&str> =
        config.lines().filter(|line| !keys.iter().any(|key| line.starts_with(key))).collect();
    std::fs::write(run.join("config.toml"), older.join("\n") + "\n").unwrap();
    let dropped = ["documents =", "end_of_text_tokens =", "config_sha256 ="];
    let before = manifest(shop);
    let older: Vec<&str> =
        before.lines().filter(|line| !dropped.iter().any(|key| line.starts_with(key))).collect();
    let interrupted = older.join("\n").replace("status = \"finished\"", "status = \"interrupted\"");
    std::fs::write(run.join("manifest.toml"), interrupted + "\n").unwrap();
}

#[test]
fn a_run_of_before_marks_were_tokens_goes_on_as_it_was() {
    let shop = shop("\"text.txt\"");
    shop.write("text.txt", "one two<|endoftext|>three four\n".repeat(60));
    shop.run(&["exp.toml", "--set", "data.special_tokens=false"]).expect(0);
    let before = manifest(&shop);
    make_older(&shop);
    shop.run(&["resume"]).expect(0);
    let after = manifest(&shop);
    assert!(after.contains("status = \"finished\"") && after.contains("end_of_text_tokens = 0"), "{after}");
    let tokens = |manifest: &str| {
        manifest.lines().find(|line| line.starts_with("train_tokens")).map(str::to_owned).unwrap()
    };
    assert_eq!(tokens(&before), tokens(&after));
    // The same command now means other tokens: a run for itself, which says why.
    shop.run(&["exp.toml"]).expect(0);
    let why = shop.read("runs/exp/seed=1337-2/manifest.toml");
    assert!(why.contains("<|endoftext|> tokens"), "{why}");
}

#[test]
fn the_same_command_over_a_folder_of_before_names_the_separators_as_what_changed() {
    let shop = shop("\"texts\"");
    std::fs::create_dir(shop.path().join("texts")).unwrap();
    for name in ["a", "b", "c"] {
        shop.write(&format!("texts/{name}.txt"), "one two three four\n".repeat(60));
    }
    shop.run(&["exp.toml", "--set", "data.separator=line_break"]).expect(0);
    make_older(&shop);
    shop.run(&["exp.toml"]).expect(0);
    let why = shop.read("runs/exp/seed=1337-2/manifest.toml");
    assert!(why.contains("data.separator") && why.contains("line_break"), "{why}");
    assert!(!why.contains("data sha256"), "{why}");
    // With the old ones it is the old run, which goes on.
    shop.run(&["exp.toml", "--set", "data.separator=line_break"]).expect(0);
    assert!(!shop.path().join("runs/exp/seed=1337-3").exists() && manifest(&shop).contains("\"finished\""));
}

#[test]
fn other_files_are_refused_with_what_they_are_and_what_to_do() {
    let shop = shop("\"text.txt\"");
    for (content, parts) in [
        (&b"%PDF-1.4\n"[..], ["a PDF document", "pdftotext"]),
        (b"PK\x03\x04..archive/data.pkl", ["a PyTorch file", "train.init_from"]),
        (b"\xff\xfet\0e\0x\0t\0", ["UTF-16", "iconv -f UTF-16"]),
        (b"caf\xe9 in Latin-1\n", ["not UTF-8 text: the byte at offset 3", "iconv -f LATIN1"]),
    ] {
        shop.write("text.txt", content);
        for command in [&["plan", "exp.toml"][..], &["exp.toml"]] {
            shop.run(command).expect(2).says(&parts);
        }
    }
}

#[test]
fn several_texts_are_mixed_and_a_killed_run_goes_on_the_same() {
    let shop = shop("[\"a.txt\", \"b.jsonl\"]\nweights = [3, 1]");
    shop.write("a.txt", "some words of the first text\n".repeat(200));
    shop.write("b.jsonl", "{\"text\": \"other words of the second\"}\n".repeat(100));
    shop.run(&["exp.toml"]).expect(0);
    assert!(manifest(&shop).contains("documents = 101"), "{}", manifest(&shop));
    shop.run(&["verify-resume", "exp.toml"]).expect(0);
    shop.run(&["plan", "exp.toml", "--set", "data.weights=[1]"])
        .expect(2)
        .says(&["has 1 of them", "2 files"]);
}
