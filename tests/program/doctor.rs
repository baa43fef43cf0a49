//! `runner doctor` in a binary without CUDA. What it says of GPUs is tested with the findings themselves.

use serde_json::Value;

use crate::shop::{Call, Shop};

fn doctor(shop: &Shop, arguments: &[&str]) -> Call {
    let mut command = shop.command(&["doctor"]);
    // A folder that can be written, whoever runs the tests.
    command.args(arguments).env("RUNNER_DATA_DIR", shop.path().join("corpora"));
    Call::from(command.output().unwrap())
}

#[test]
fn a_machine_without_problems_is_looked_at_from_binary_to_gpu() {
    if cfg!(feature = "cuda") {
        return;
    }
    let shop = Shop::new();
    let call = doctor(&shop, &[]).expect(0);
    assert_eq!(call.stderr, "");
    let sections = ["\nBinary\n", "\nProcessor and memory\n", "\nFolders\n", "\nGPU\n"];
    let places: Vec<usize> = sections
        .iter()
        .map(|title| call.stdout.find(title).unwrap_or_else(|| panic!("{title} is not in {}", call.stdout)))
        .collect();
    assert!(places.is_sorted(), "{}", call.stdout);
    let version = env!("CARGO_PKG_VERSION");
    for part in [
        &format!("runner {version} for {}", std::env::consts::OS),
        "built without CUDA, dfdx 0.13.0",
        "of memory free, of ",
        "FLOP/s in f32",
        "bf16: ",
        "corpora: tinyshakespeare will be downloaded",
        &format!("runs in {}", shop.path().canonicalize().unwrap().join("runs").display()),
        "no problems, ",
    ] {
        assert!(call.stdout.contains(part), "{part:?} is not in:\n{}", call.stdout);
    }
    assert!(!shop.has("runs") && !shop.has("reports") && !shop.has("corpora"), "looking made a folder");
}

#[test]
fn a_screen_that_is_no_terminal_gets_no_colours() {
    let call = doctor(&Shop::new(), &[]);
    assert!(!call.stdout.contains('\x1b'), "{}", call.stdout);
}

#[test]
fn a_problem_comes_with_its_mend_and_a_code_of_its_own() {
    let shop = Shop::new();
    shop.write("runs", "this is a file");
    let call = doctor(&shop, &[]).expect(2);
    let lines: Vec<&str> = call.stdout.lines().collect();
    let at =
        lines.iter().position(|line| line.starts_with("  problem ") && line.contains("runs in ")).unwrap();
    assert!(lines[at].contains("is a file where a folder should be"), "{}", lines[at]);
    assert!(lines[at + 1].trim_start().starts_with("-> ") && lines[at + 1].contains("--runs-dir"));
    if !cfg!(feature = "cuda") {
        assert!(call.stdout.contains("\n1 problem, "), "{}", call.stdout);
        doctor(&shop, &["--runs-dir", "elsewhere"]).expect(0);
    }
}

#[test]
fn json_holds_what_the_screen_shows() {
    let shop = Shop::new();
    shop.write("reports", "this is a file");
    let screen = doctor(&shop, &[]).expect(2).stdout;
    let json: Value = serde_json::from_str(&doctor(&shop, &["--json"]).expect(2).stdout).unwrap();
    let mut problems = 0;
    let mut findings = 0;
    for section in json["sections"].as_array().unwrap() {
        for finding in section["findings"].as_array().unwrap() {
            findings += 1;
            let (mark, text) = (finding["mark"].as_str().unwrap(), finding["text"].as_str().unwrap());
            problems += usize::from(mark == "problem");
            assert!(["ok", "note", "problem"].contains(&mark), "{mark}");
            // The memory that is free and the speed of products differ from call to call.
            if !text.contains(" free") && !text.contains("FLOP/s") {
                assert!(screen.contains(text), "{text:?} is not in:\n{screen}");
            }
        }
    }
    assert!(findings >= 7, "{json:#}");
    assert_eq!(json["problems"], problems);
    assert_eq!(json["gpus"]["built_with_cuda"], cfg!(feature = "cuda"));
}
