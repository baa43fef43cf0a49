//! `runner eval`, on models that were trained a moment ago.

use std::io::Write;
use std::process::Stdio;

use serde_json::Value;

use crate::shop::{Call, Shop};
use crate::training::tiny;

fn trained() -> Shop {
    let shop = tiny();
    shop.run(&["tiny.toml", "--set", "data.val_fraction=0.0"]).expect(0);
    shop
}

fn lines(call: Call) -> Vec<Value> {
    call.expect(0).stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn number(line: &Value, key: &str) -> f64 {
    line[key].as_f64().unwrap_or_else(|| panic!("{key} in {line}"))
}

#[test]
fn the_loss_is_the_one_that_training_measured() {
    let shop = trained();
    let manifest = shop.read("runs/tiny/seed=1337/manifest.toml");
    let recorded = |key: &str| -> f64 {
        let line = manifest.lines().find_map(|line| line.strip_prefix(&format!("{key} = "))).unwrap();
        line.parse().unwrap()
    };
    let [recorded, recorded_bits, recorded_accuracy] =
        ["corpus_loss", "corpus_bits_per_byte", "corpus_accuracy"].map(recorded);
    let line =
        lines(shop.run(&["eval", "tiny", "--checkpoint", "last", "--file", "text.txt", "--json"])).remove(0);
    let loss = number(&line, "loss");
    assert!((loss - recorded).abs() < 1e-4, "{loss} here, {recorded} in training");
    assert!((number(&line, "perplexity") - loss.exp()).abs() < 1e-9);
    let bits =
        number(&line, "predicted_tokens") * loss / std::f64::consts::LN_2 / number(&line, "predicted_bytes");
    assert!((number(&line, "bits_per_byte") - bits).abs() < 1e-9);
    assert!((bits - recorded_bits).abs() < 2e-4, "{bits} here, {recorded_bits} in training");
    let accuracy = number(&line, "accuracy");
    assert!(accuracy > 0.1 && accuracy < 1.0, "{accuracy}");
    // One token in a hundred may be a tie that rounding decides.
    assert!((accuracy - recorded_accuracy).abs() < 0.01, "{accuracy} here, {recorded_accuracy} in training");
    assert_eq!((line["stride"].as_u64(), line["context"].as_u64()), (Some(16), Some(16)));
    assert_eq!((line["model"].as_str(), line["file"].as_str()), (Some("tiny/seed=1337"), Some("text.txt")));
}

#[test]
fn several_texts_and_standard_input_are_predicted_each_for_itself() {
    let shop = trained();
    shop.write("a.txt", "the sea is ");
    shop.write("b.txt", "she saw the sea and the stone ");
    let all =
        lines(shop.run(&["eval", "tiny", "--file", "a.txt", "--file", "b.txt", "--stride", "4", "--json"]));
    assert_eq!(all.len(), 3);
    assert!(all[2]["file"].is_null());
    assert_eq!(number(&all[2], "predicted_tokens"), 10.0 + 29.0);
    let mean = (10.0 * number(&all[0], "loss") + 29.0 * number(&all[1], "loss")) / 39.0;
    assert!((number(&all[2], "loss") - mean).abs() < 1e-9);

    let mut command = shop.command(&["eval", "tiny", "--file", "-", "--stride", "4", "--json"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"she saw the sea and the stone ").unwrap();
    let piped = lines(Call::from(child.wait_with_output().unwrap())).remove(0);
    assert_eq!(piped["loss"], all[1]["loss"]);

    // The windows are said, in words as well.
    let words = shop.run(&["eval", "tiny", "--file", "b.txt", "--stride", "4"]).expect(0).stdout;
    assert!(words.contains("perplexity") && words.contains("windows of 16 tokens, each 4 after"), "{words}");
    let words = shop.run(&["eval", "tiny", "--file", "b.txt"]).expect(0).stdout;
    assert!(words.contains("windows of 16 tokens, side by side"), "{words}");
}

#[test]
fn what_cannot_be_predicted_is_refused_with_its_reason() {
    let shop = trained();
    shop.write("foreign.txt", "the \u{20ac}");
    shop.write("short.txt", "t");
    shop.write("packed.txt", b"\x1f\x8b\x08\0\0\0\0\0");
    std::fs::write(shop.path().join("latin.txt"), b"th\xe9").unwrap();
    let refused = |arguments: &[&str], words: &[&str]| {
        let call = shop.run(&[&["eval", "tiny"], arguments].concat()).expect(2);
        assert_eq!(call.stdout, "");
        call.says(words);
    };
    refused(&["--file", "foreign.txt"], &["--file foreign.txt", "without these characters", "\u{20ac}"]);
    refused(&["--file", "text.txt", "--file", "short.txt"], &["--file short.txt", "two tokens"]);
    refused(&["--file", "latin.txt"], &["--file latin.txt", "byte 2", "iconv"]);
    refused(&["--file", "packed.txt"], &["--file packed.txt", "a gzip file", "gunzip"]);
    refused(&["--file", "nowhere.txt"], &["--file nowhere.txt"]);
    refused(&["--file", "runs"], &["--file runs"]);
    refused(&["--file", "text.txt", "--stride", "17"], &["--stride 17", "at most 16"]);
    refused(&["--file", "text.txt", "--stride", "0"], &["--stride"]);
    refused(&["--file", "-", "--file", "-"], &["standard input can be read once"]);
    refused(&[], &["--file"]);
    shop.run(&["eval", "tinny", "--file", "text.txt"]).expect(2).says(&["did you mean tiny?"]);
}

#[test]
fn a_byte_order_mark_is_no_text_and_json_lines_are_read_as_they_stand() {
    let shop = trained();
    let text = "she saw the sea and the stone ";
    shop.write("plain.txt", text);
    shop.write("marked.txt", format!("\u{feff}{text}"));
    shop.write("lines.jsonl", text);
    let found = |file: &str| lines(shop.run(&["eval", "tiny", "--file", file, "--json"])).remove(0);
    assert_eq!(found("plain.txt")["loss"], found("marked.txt")["loss"]);
    shop.run(&["eval", "tiny", "--file", "lines.jsonl"]).expect(0).says(&["braces and keys included"]);
}
