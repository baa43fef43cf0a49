//! What people bring: other programs' files, and paths as they are used to writing them.

use std::fs;

use crate::shop::{Call, Shop};
use crate::training::tiny;

fn trained() -> Shop {
    let shop = tiny();
    shop.run(&["tiny.toml", "--set", "checkpoint.interval=30"]).expect(0);
    shop
}

fn text(shop: &Shop, model: &str) -> String {
    shop.run(&["generate", model, "the sea", "--seed", "5", "--max-new-tokens", "20"]).expect(0).stdout
}

#[test]
fn the_file_last_of_a_run_means_its_checkpoint_wherever_a_model_is_named() {
    let shop = trained();
    let checkpoints = "runs/tiny/seed=1337/checkpoints";
    let step = shop.read(&format!("{checkpoints}/last")).trim_end().to_owned();
    let (pointer, folder) = (format!("{checkpoints}/last"), format!("{checkpoints}/{step}"));
    assert_eq!(text(&shop, &pointer), text(&shop, &folder));
    shop.run(&["export", &pointer, "--format", "hf", "--out", "exported"]).expect(0);
    assert_eq!(text(&shop, "exported"), text(&shop, &folder));
    let begun = format!("train.init_from={:?}", shop.path().join(&pointer));
    shop.run(&[
        "tiny.toml",
        "--set",
        &begun,
        "--set",
        "experiment.name=\"on\"",
        "--set",
        "train.max_steps=2",
    ])
    .expect(0);
    let manifest = shop.read("runs/on/seed=1337/manifest.toml");
    assert!(manifest.contains(&format!("{step}/model.safetensors")), "{manifest}");
}

#[test]
fn the_home_folder_may_stand_at_the_head_of_paths() {
    let shop = trained();
    let at_home =
        |arguments: &[&str]| Call::from(shop.command(arguments).env("HOME", shop.path()).output().unwrap());
    let experiment = |path: &str, from: &str| {
        let text = shop.read("tiny.toml").replace("path = \"text.txt\"", &format!("path = {path:?}"));
        let text = text.replace("max_steps = 60", &format!("max_steps = 1\ninit_from = {from:?}"));
        fs::create_dir_all(shop.path().join("deep")).unwrap();
        shop.write("deep/home.toml", text);
    };
    for (head, name) in [("~", "a"), ("$HOME", "b"), ("${HOME}", "c")] {
        experiment(&format!("{head}/text.txt"), &format!("{head}/runs/tiny/seed=1337"));
        let name = format!("experiment.name={name:?}");
        at_home(&["deep/home.toml", "--set", &name, &format!("--runs-dir={head}/others")]).expect(0);
    }
    assert!(shop.has("others/a/seed=1337") && shop.has("others/c/seed=1337") && !shop.has("deep/~"));
    at_home(&["generate", "~/runs/tiny/seed=1337", "the"]).expect(0);
    at_home(&["generate", "a", "the", "--runs-dir=~/others"]).expect(0);

    experiment("$SCRATCH/text.txt", "");
    at_home(&["deep/home.toml"]).expect(2).says(&[
        "`$SCRATCH` is not expanded here",
        "deep/home.toml:",
        "data.path",
    ]);
    at_home(&["generate", "tiny", "the", "--runs-dir=~ada/runs"]).expect(2).says(&["`~ada` is not expanded"]);
    at_home(&["generate", "$SCRATCH/tiny", "the"]).expect(2).says(&["`$SCRATCH` is not expanded"]);
    // A file may be called so.
    shop.write("deep/$SCRATCH", "the sea\n".repeat(40));
    experiment("$SCRATCH", "");
    at_home(&["plan", "deep/home.toml"]).expect(0);
}

#[test]
fn files_of_other_programs_are_refused_with_what_to_do_and_their_path_once() {
    let shop = tiny();
    for (name, bytes, says) in [
        ("ckpt.pt", b"PK\x03\x04ckpt/data.pkl model_args iter_num".as_slice(), "load_state_dict"),
        ("weights.bin", b"\x80\x02}q\0.", "PyTorch's own format"),
        ("a.gguf", b"GGUF\x03\0\0\0", "llama.cpp"),
        ("gpt2_124M.bin", b"\xc6\xd7\x34\x01\x03\0\0\0", "export_hf.py"),
        ("a.safetensors.gz", b"\x1f\x8b\x08\0", "gunzip"),
        ("a.safetensors", b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
    ] {
        let path = shop.write(name, bytes).display().to_string();
        let begun = format!("train.init_from={path:?}");
        for arguments in [
            vec!["generate", &path, "the"],
            vec!["serve", &path],
            vec!["export", &path, "--format", "hf", "--out", "out"],
            vec!["tiny.toml", "--set", &begun],
        ] {
            let call = shop.run(&arguments).expect(2).says(&[says]);
            let told = call.stderr.split("= note").next().unwrap();
            assert_eq!(told.matches(&path).count(), 1, "{arguments:?}: {}", call.stderr);
        }
    }
}
