//! What is kept and said when files of a run are lost, changed or cannot be read.
#![cfg(unix)]

use std::fs;

use crate::shop::{Call, Shop};
use crate::watch::{
    REAL, assert_same, class, kept, manifest, numbers, rows, saved, signal, start, wait_until,
};

#[test]
fn a_damaged_checkpoint_is_named_and_the_one_before_is_gone_on_from() {
    let shop = Shop::new();
    shop.write("a.toml", REAL);
    shop.write("b.toml", REAL);
    shop.run(&["b.toml"]).expect(0);
    let child = start(&shop, &["a.toml"]);
    wait_until("some training", || rows(&shop, "a/seed=1337") > 70);
    signal(&child.id().to_string(), "INT");
    child.wait_with_output().unwrap();
    let last = shop.read("runs/a/seed=1337/checkpoints/last").trim().to_owned();
    let weights = shop.path().join(format!("runs/a/seed=1337/checkpoints/{last}/model.safetensors"));
    let mut bytes = fs::read(&weights).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 4;
    fs::write(&weights, bytes).unwrap();
    let call = shop.run(&["a.toml"]).expect(0);
    assert!(
        call.stderr.contains(&format!(
            "checkpoint {last} cannot be used: model.safetensors is not what was written"
        )),
        "{}",
        call.stderr
    );
    assert_same(&shop, "a/seed=1337", "b/seed=1337");
}

/// A run `b` that was left alone, and one `a` like it that was stopped after some seventy steps. Gives the folder of the latter.
fn left_alone_and_stopped() -> (Shop, std::path::PathBuf) {
    let shop = Shop::new();
    shop.write("a.toml", REAL);
    shop.write("b.toml", REAL);
    shop.run(&["b.toml", "-q"]).expect(0);
    let child = start(&shop, &["a.toml"]);
    wait_until("some training", || rows(&shop, "a/seed=1337") > 70);
    signal(&child.id().to_string(), "INT");
    Call::from(child.wait_with_output().unwrap()).expect(130);
    let folder = shop.path().join("runs/a/seed=1337");
    (shop, folder)
}

/// Where the newest attempt began, and whether anything was put aside as damaged.
fn began(shop: &Shop, run: &str) -> (i64, bool) {
    let from = manifest(shop, run)["attempts"].as_array().unwrap().last().unwrap()["from_step"].as_integer();
    let folder = shop.path().join(format!("runs/{run}/checkpoints"));
    let mut names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
    (from.unwrap(), names.any(|name| name.to_string_lossy().ends_with(".damaged")))
}

#[test]
fn a_checkpoint_that_cannot_be_read_fails_the_attempt_and_nothing_else() {
    let (shop, folder) = left_alone_and_stopped();
    let last = shop.read("runs/a/seed=1337/checkpoints/last").trim().to_owned();
    // Whoever runs this may read everything; a link that leads to itself cannot be followed by anybody.
    let weights = folder.join(format!("checkpoints/{last}/model.safetensors"));
    let kept = folder.join("kept");
    fs::rename(&weights, &kept).unwrap();
    std::os::unix::fs::symlink("model.safetensors", &weights).unwrap();
    let metrics = shop.read("runs/a/seed=1337/metrics.csv");
    let call = shop.run(&["resume"]).expect(4);
    let failed = manifest(&shop, "a/seed=1337");
    let message = failed["message"].as_str().unwrap();
    assert!(
        message.contains("model.safetensors") && message.contains("cannot read"),
        "{message}\n{}",
        call.stdout
    );
    assert_eq!(class(&shop, "a/seed=1337"), "error");
    assert_eq!(shop.read("runs/a/seed=1337/metrics.csv"), metrics);
    assert_eq!(shop.read("runs/a/seed=1337/checkpoints/last").trim(), last);
    assert!(!began(&shop, "a/seed=1337").1);
    let call =
        shop.run(&["generate", "a", "a", "--checkpoint", "last"]).says(&["cannot read", "model.safetensors"]);
    assert_ne!(call.code, Some(0));
    // The folder as a whole.
    let checkpoints = folder.join("checkpoints");
    fs::rename(&checkpoints, folder.join("elsewhere")).unwrap();
    std::os::unix::fs::symlink("checkpoints", &checkpoints).unwrap();
    shop.run(&["retry"]).expect(4);
    assert_eq!(shop.read("runs/a/seed=1337/metrics.csv"), metrics);
    fs::remove_file(&checkpoints).unwrap();
    fs::rename(folder.join("elsewhere"), &checkpoints).unwrap();
    // Put back, the run goes on as if nothing had been.
    fs::remove_file(&weights).unwrap();
    fs::rename(&kept, &weights).unwrap();
    shop.run(&["retry", "-q"]).expect(0);
    assert!(began(&shop, "a/seed=1337").0 >= 70);
    assert_same(&shop, "a/seed=1337", "b/seed=1337");
}

#[test]
fn lost_samples_and_a_lost_log_are_said_and_cost_no_step() {
    let (shop, folder) = left_alone_and_stopped();
    fs::remove_file(folder.join("samples.md")).unwrap();
    let log = shop.read("runs/a/seed=1337/log.jsonl");
    fs::write(folder.join("log.jsonl"), &log[..log.len() / 2]).unwrap();
    shop.run(&["a.toml"]).expect(0).says(&["samples.md has 0 bytes, and had", "log.jsonl has"]);
    let (from, damaged) = began(&shop, "a/seed=1337");
    assert!(from >= 70 && !damaged, "from step {from}");
    assert_eq!(numbers(&shop, "a/seed=1337"), numbers(&shop, "b/seed=1337"));
    assert!(
        saved(&shop, "a/seed=1337", "model.safetensors") == saved(&shop, "b/seed=1337", "model.safetensors")
    );
    let report = shop.read("runs/a/seed=1337/report.md");
    assert!(report.contains("samples.md has 0 bytes") && report.contains("log.jsonl has"), "{report}");
    assert!(!shop.read("runs/a/seed=1337/log.jsonl").contains('\0'));
}

#[test]
fn rows_that_were_changed_are_found_out_and_cost_no_more_than_they_must() {
    // Before all checkpoints: the weights are gone on with, and the gap is said.
    let (shop, folder) = left_alone_and_stopped();
    let spoil = |step: usize| {
        let path = folder.join("metrics.csv");
        let text = fs::read_to_string(&path).unwrap();
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        let row = lines.iter_mut().find(|line| line.starts_with(&format!("{step},"))).unwrap();
        // A digit of a loss: as long as before.
        let place = row.find('.').unwrap() + 1;
        let digit = if &row[place..=place] == "7" { "8" } else { "7" };
        row.replace_range(place..=place, digit);
        fs::write(&path, lines.join("\n") + "\n").unwrap();
    };
    spoil(3);
    let call =
        shop.run(&["a.toml"]).expect(1).says(&["metrics.csv is not what was written", "metrics.csv.damaged"]);
    assert!(call.stdout.contains("  lost: resuming from step "), "{}", call.stdout);
    let (from, damaged) = began(&shop, "a/seed=1337");
    assert!(from >= 70 && !damaged, "from step {from}");
    assert!(
        saved(&shop, "a/seed=1337", "model.safetensors") == saved(&shop, "b/seed=1337", "model.safetensors")
    );
    assert_eq!(rows(&shop, "a/seed=1337"), rows(&shop, "b/seed=1337"));

    // After the one before the last: that one is gone on from, and the record is as if nothing had been. The row of the last step itself
    // may be written anew on resuming, with an evaluation that the signal came before.
    let (shop, folder, before) = loop {
        let (shop, folder) = left_alone_and_stopped();
        let steps: Vec<u64> =
            kept(&shop, "a/seed=1337").0.iter().map(|name| name[5..].parse().unwrap()).collect();
        let &[.., before, last] = &steps[..] else { panic!("{steps:?}") };
        if last > before + 1 {
            break (shop, folder, before);
        }
    };
    let path = folder.join("metrics.csv");
    let text = fs::read_to_string(&path).unwrap();
    let row = text.lines().find(|line| line.starts_with(&format!("{},", before + 1))).unwrap();
    fs::write(&path, text.replace(row, &row.replace('1', "2"))).unwrap();
    shop.run(&["a.toml"]).expect(0).says(&["metrics.csv is not what was written"]);
    assert_eq!(u64::try_from(began(&shop, "a/seed=1337").0).unwrap(), before);
    assert_same(&shop, "a/seed=1337", "b/seed=1337");
}

#[test]
fn a_damaged_configuration_is_not_trained() {
    let (shop, folder) = left_alone_and_stopped();
    let path = folder.join("config.toml");
    let whole = fs::read_to_string(&path).unwrap();
    let metrics = shop.read("runs/a/seed=1337/metrics.csv");
    let manifest_of = |shop: &Shop| shop.read("runs/a/seed=1337/manifest.toml");
    let cut = &whole[..whole.find("[optimizer]").unwrap()];
    let other = whole.replace("max_steps = 300", "max_steps = 299");
    assert_ne!(other, whole);
    for (damaged, named) in [(cut, "`optimizer.learning_rate`"), (&other, "not what was written")] {
        fs::write(&path, damaged).unwrap();
        shop.run(&["exec", "-q", "runs/a/seed=1337"]).expect(4);
        let message = manifest(&shop, "a/seed=1337")["message"].as_str().unwrap().to_owned();
        assert!(message.contains(named) && message.contains("config.toml"), "{message}");
        assert_eq!(class(&shop, "a/seed=1337"), "config");
        assert_eq!(shop.read("runs/a/seed=1337/metrics.csv"), metrics);
        let call = shop.run(&["generate", "a", "a"]).says(&["config.toml"]);
        assert_ne!(call.code, Some(0));
        // The same command does not begin anew in silence either.
        for (again, code) in [(&["a.toml", "-q"][..], 1), (&["prepare", "a.toml"], 1)] {
            shop.run(again)
                .expect(code)
                .says(&["a/seed=1337: can be neither kept nor resumed: config.toml", named]);
        }
        assert!(!shop.has("runs/a/seed=1337-2"));
        assert!(shop.run(&["report", "a"]).code == Some(0));
        assert!(shop.read("runs/a/seed=1337/report.md").contains("config.toml: not what was written"));
    }
    // A run of before has no sum: cut it is refused all the same, whole it goes on, and from then on its sum is known.
    let without = |text: String| {
        let lines = text.lines().filter(|line| !line.starts_with("config_sha256"));
        lines.collect::<Vec<_>>().join("\n") + "\n"
    };
    fs::write(folder.join("manifest.toml"), without(manifest_of(&shop))).unwrap();
    fs::write(&path, cut).unwrap();
    shop.run(&["exec", "-q", "runs/a/seed=1337"]).expect(4);
    let message = manifest(&shop, "a/seed=1337")["message"].as_str().unwrap().to_owned();
    assert!(message.contains("`optimizer.learning_rate`"), "{message}");
    fs::write(&path, &whole).unwrap();
    fs::write(folder.join("manifest.toml"), without(manifest_of(&shop))).unwrap();
    shop.run(&["exec", "-q", "runs/a/seed=1337"]).expect(0);
    assert!(manifest_of(&shop).contains("config_sha256 = "));
    assert_same(&shop, "a/seed=1337", "b/seed=1337");
}

#[test]
fn a_run_without_its_manifest_is_named_and_not_trained_a_second_time() {
    let (shop, folder) = left_alone_and_stopped();
    fs::rename(folder.join("manifest.toml"), shop.path().join("manifest.toml")).unwrap();
    for again in [&["a.toml", "-q"][..], &["prepare", "a.toml"]] {
        shop.run(again)
            .expect(1)
            .says(&["a/seed=1337: can be neither kept nor resumed", "manifest.toml is not there"]);
        assert!(!shop.has("runs/a/seed=1337-2"));
    }
    fs::rename(shop.path().join("manifest.toml"), folder.join("manifest.toml")).unwrap();
    shop.run(&["a.toml", "-q"]).expect(0);
    assert_same(&shop, "a/seed=1337", "b/seed=1337");
}

#[test]
fn a_run_that_begins_again_for_want_of_a_checkpoint_says_so() {
    let (shop, folder) = left_alone_and_stopped();
    fs::remove_dir_all(folder.join("checkpoints")).unwrap();
    shop.run(&["generate", "a", "a"]).says(&["none is left"]);
    shop.run(&["resume"]).expect(0).says(&["there is no checkpoint", "recorded so far are trained again"]);
    assert_same(&shop, "a/seed=1337", "b/seed=1337");
}

#[test]
fn which_checkpoint_is_the_best_is_never_guessed() {
    let (shop, folder) = left_alone_and_stopped();
    let best = folder.join("checkpoints/best");
    let named = fs::read_to_string(&best).unwrap();
    for damage in ["x\n", "", "step-999999\n"] {
        fs::write(&best, damage).unwrap();
        let commands = [
            &["generate", "a", "a"][..],
            &["export", "a", "--format", "hf", "--out", "hf"],
            &["generate", "a", "a", "--checkpoint", "best"],
        ];
        for command in commands {
            let call = shop.run(command).says(&["checkpoints/best", "--checkpoint"]);
            assert_ne!(call.code, Some(0), "{damage:?}: {command:?}");
        }
        shop.run(&["generate", "a", "a", "--max-new-tokens", "2", "--checkpoint", "last"]).expect(0);
    }
    // What goes on with the run looks at the checkpoints themselves.
    shop.run(&["resume", "-q"]).expect(0);
    assert_same(&shop, "a/seed=1337", "b/seed=1337");
    assert!(!named.is_empty());
}

#[test]
fn a_checkpoint_that_is_damaged_goes_into_no_archive() {
    let (shop, folder) = left_alone_and_stopped();
    let last = shop.read("runs/a/seed=1337/checkpoints/last").trim().to_owned();
    let pack =
        ["export", "a", "--format", "archive", "--with-checkpoints", "--overwrite", "--out", "a.tar.zst"];
    shop.run(&pack).expect(0);
    fs::write(folder.join(format!("checkpoints/{last}/model.safetensors")), "x").unwrap();
    shop.run(&pack).expect(1).says(&[&last, "model.safetensors has 1 byte,"]);
}
