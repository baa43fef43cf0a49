//! `runner generate`, on models that were trained a moment ago.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Stdio;

use runner::data::{self, tokenizer::Tokenizer};
use runner::generate::Model;
use runner::infer::{Cache, Feed, WeightKind};
use runner::pretrained::{self, Which};

use crate::shop::{Call, Shop};
use crate::training::tiny;

/// `tiny/seed=1337` with checkpoints of steps 30 and 60.
fn trained() -> Shop {
    let shop = tiny();
    shop.run(&["tiny.toml", "--set", "checkpoint.interval=30"]).expect(0);
    shop
}

/// The program with something on its standard input.
fn with_input(shop: &Shop, arguments: &[&str], input: &[u8]) -> Call {
    let mut command = shop.command(arguments);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    Call::from(child.wait_with_output().unwrap())
}

#[test]
fn standard_output_is_the_prompt_and_its_continuation_and_the_same_seed_writes_it_again() {
    let shop = trained();
    let text = |arguments: &[&str]| {
        let mut all = vec!["generate", "tiny", "the "];
        all.extend(arguments);
        shop.run(&all).expect(0).stdout
    };
    let first = text(&["--seed", "5"]);
    assert!(first.starts_with("the ") && first.chars().count() == 4 + 8, "{first:?}");
    assert_eq!(text(&["--seed", "5"]), first);
    assert_eq!(text(&["--seed", "5", "--threads", "1"]), first);
    assert_ne!(text(&["--seed", "6", "--temperature", "2"]), text(&["--seed", "7", "--temperature", "2"]));
    let three = text(&["--seed", "4", "--num-samples", "20"]);
    let samples: Vec<&str> = three.split("\n---\n").collect();
    assert_eq!((samples.len(), samples[1]), (20, first.as_str()));
    let beyond = text(&["--seed", "5", "--max-new-tokens", "50"]);
    assert!(beyond.starts_with(&first) && beyond.chars().count() == 54, "{beyond:?}");
    shop.run(&["generate", "tiny", "the ", "--max-new-tokens", "50"])
        .expect(0)
        .says(&["exceed the context length (16)"]);
}

#[test]
fn a_model_is_named_by_run_folder_or_checkpoint_and_prompted_by_argument_or_input() {
    let shop = trained();
    let greedy = ["--temperature", "0", "--max-new-tokens", "5"];
    let text = |run: &str| {
        let arguments = [&["generate", run, "the sea"][..], &greedy].concat();
        shop.run(&arguments).expect(0).says(&["parameters, f32; seed"]).stdout
    };
    let last = text("tiny/seed=1337");
    assert_eq!(text("runs/tiny/seed=1337"), last);
    assert_eq!(text("runs/tiny/seed=1337/checkpoints/step-000060"), last);
    let arguments = [&["generate", "tiny", "the sea", "--checkpoint", "30"][..], &greedy].concat();
    shop.run(&arguments).expect(0).says(&["step 30"]);
    let arguments = [&["generate", "tiny"][..], &greedy].concat();
    assert_eq!(with_input(&shop, &arguments, b"the sea").expect(0).stdout, last);
    // Without a prompt the model begins a text: with a line break, which its corpus has.
    assert_eq!(shop.run(&arguments).expect(0).stdout.chars().count(), 5);
}

#[test]
fn samples_are_lines_of_json_where_that_is_asked_for() {
    let shop = trained();
    let call =
        shop.run(&["generate", "tiny", "the ", "--json", "--num-samples", "3", "--seed", "8", "--stop", "a"]);
    let lines: Vec<serde_json::Value> =
        call.expect(0).stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 3);
    for (seed, line) in (8..).zip(&lines) {
        assert_eq!((line["seed"].as_u64(), line["prompt"].as_str()), (Some(seed), Some("the ")));
        let text = line["text"].as_str().unwrap();
        assert!(!text.contains('a'), "{text}");
        let ending = line["finish_reason"].as_str().unwrap();
        assert_eq!(ending == "length", text.chars().count() == 8, "{line}");
    }
}

#[test]
fn what_cannot_be_done_says_why_and_what_to_do() {
    let shop = trained();
    let refused = |arguments: &[&str], words: &[&str]| {
        let mut all = vec!["generate"];
        all.extend(arguments);
        let call = shop.run(&all).expect(2);
        assert_eq!(call.stdout, "");
        call.says(words);
    };
    refused(&["tinny", "the"], &["did you mean tiny?"]);
    refused(&["tiny", "thé €"], &["without these characters", "é€"]);
    refused(
        &["tiny", "the", "--stop", "\u{20ac}"],
        &["--stop \"\u{20ac}\"", "never writes \u{20ac}", "it writes these characters: "],
    );
    refused(&["tiny", "the", "--stop", "a", "--stop", "th\u{e9}"], &["never writes \u{e9}"]);
    refused(&["tiny", "the", "--max-new-tokens", "0"], &["--max-new-tokens is 0"]);
    refused(&["tiny", "the", "--num-samples", "0"], &["--num-samples"]);
    refused(&["tiny", "the", "--top-p", "3"], &["--top-p is 3"]);
    refused(&["tiny", "the", "--temperature", "-1"], &["--temperature is -1"]);
    refused(&["tiny", "the", "--top-k", "-1"], &["--top-k", "invalid digit"]);
    refused(&["tiny", "the", "--repetition-penalty", "1e-300"], &["it is from 0.01 to 100"]);
    refused(&["tiny", "the", "--threads", "100000"], &["--threads", "1..=4096"]);
    refused(&["tiny", "the", "--checkpoint", "45"], &["no checkpoint of step 45; it has 30, 60"]);
    refused(&["tiny.toml", "the"], &["holds no model"]);
    refused(&["", "the"], &["no run or experiment"]);
    refused(&["tiny", "--jsn"], &["unexpected argument '--jsn'"]);
    assert!(with_input(&shop, &["generate", "tiny"], b"a\xffb").expect(2).stderr.contains("byte 1"));

    let weights = shop.path().join("runs/tiny/seed=1337/checkpoints/step-000060/model.safetensors");
    let mut bytes = fs::read(&weights).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&weights, bytes).unwrap();
    refused(&["tiny", "the", "--checkpoint", "last"], &["step-000060", "SHA-256", "of step 30"]);
    fs::remove_dir_all(shop.path().join("runs/tiny/seed=1337/checkpoints")).unwrap();
    refused(&["tiny", "the"], &["run tiny/seed=1337 has no checkpoint"]);
}

#[cfg(target_os = "linux")]
#[test]
fn bytes_that_are_no_text_and_a_disk_that_is_full_are_errors() {
    use std::os::unix::ffi::OsStrExt;

    let shop = trained();
    let mut command = shop.command(&["generate", "tiny"]);
    command.arg(std::ffi::OsStr::from_bytes(b"the\xff"));
    Call::from(command.output().unwrap()).expect(2).says(&["in the argument", "byte 3", "iconv"]);
    for format in [&[][..], &["--json"][..]] {
        let mut command = shop.command(&[&["generate", "tiny", "the"][..], format].concat());
        let full = fs::File::options().write(true).open("/dev/full").unwrap();
        let call = Call::from(command.stdout(full).output().unwrap());
        call.expect(1).says(&["standard output cannot be written", "No space left"]);
    }
    let mut command = shop.command(&["generate", "tiny", "the", "--max-new-tokens", "1000000"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    drop(child.stdout.take());
    assert!(child.wait().unwrap().success(), "nobody reads any more");
}

#[test]
fn lines_are_continued_one_after_the_other() {
    let shop = trained();
    let arguments = ["generate", "tiny", "--interactive", "--seed", "1", "--max-new-tokens", "3"];
    let call = with_input(&shop, &arguments, b"the \nnot \xe2\x82\xac\nsalt\\nthe\n").expect(0);
    let expected = |prompt: &str| {
        shop.run(&["generate", "tiny", prompt, "--seed", "1", "--max-new-tokens", "3"]).expect(0).stdout
    };
    assert_eq!(call.stdout, format!("{}\n{}\n", expected("the "), expected("salt\nthe")));
    call.says(&["€"]);
}

/// Perplexity over the text, in windows of the model's context.
fn perplexity(model: &Model, tokens: &[u32]) -> f64 {
    let vocab_size = model.decoder.model().vocab_size;
    let (mut total, mut count) = (0.0, 0);
    for window in tokens.windows(65).step_by(64) {
        let mut cache = Cache::try_new(model.decoder.model(), 64).unwrap();
        let logits = model.decoder.all_logits(Feed { cache: &mut cache, tokens: &window[..64] }).unwrap();
        for (row, &target) in logits.chunks_exact(vocab_size).zip(&window[1..]) {
            let sum: f64 = row.iter().map(|logit| f64::from(*logit).exp()).sum();
            total += sum.ln() - f64::from(row[target as usize]);
            count += 1;
        }
    }
    (total / f64::from(count)).exp()
}

#[test]
fn smaller_weights_cost_less_than_a_hundredth_of_the_perplexity() {
    let shop = Shop::new();
    let experiment = "[model]\nn_layer = 2\nn_head = 2\nn_embd = 64\nblock_size = 64\n[train]\nbatch_size = 8\nmax_steps = 120\n\
                      eval_interval = 0\nfinal_eval = false\n[optimizer]\nlearning_rate = 3e-3\n[sample]\ninterval = 0\n\
                      [hardware]\ndevice = \"cpu\"\n";
    shop.write("model.toml", experiment);
    shop.run(&["model.toml"]).expect(0);
    let found = pretrained::find(&shop.path().join("runs"), "model", Which::Last).unwrap();
    let plan =
        runner::config::read_frozen(&shop.path().join("runs/model/seed=1337/config.toml"), None).unwrap();
    let dataset = data::load(&plan.data).unwrap();
    assert!(matches!(found.tokenizer, Tokenizer::Char { .. }) && Path::new(&found.weights).is_file());
    let of = |kind| perplexity(&Model::open(found.clone(), kind).unwrap(), &dataset.val.to_vec().unwrap());
    let exact = of(WeightKind::F32);
    assert!(exact < 20.0, "it should have learnt something: {exact} of {}", found.tokenizer.vocab_size());
    for kind in [WeightKind::Bf16, WeightKind::Int8] {
        let ratio = of(kind) / exact;
        assert!((ratio - 1.0).abs() < 0.01, "{}: {ratio}", kind.name());
    }
}
