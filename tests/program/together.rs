//! What a comparison is of, what people write beside it, and names for what came out.

use std::fs;

use crate::shop::Shop;

const SWEEP: &str =
    "[sweep.grid]\nscripted.floor_loss = [0.05, 0.5]\n[[sweep.zip]]\nscripted.noise = [0.0, 0.01]\n";

/// A model of a few hundred parameters, trained for real.
const REAL: &str = r#"
[model]
n_layer = 1
n_head = 1
n_embd = 8
block_size = 8
[data]
corpus = "salt-crown"
tokenizer = "char"
[train]
batch_size = 2
sequence_length = 8
max_steps = 6
eval_interval = 3
eval_batches = 1
final_eval = false
[checkpoint]
interval = 2
keep_last = 2
[sample]
interval = 0
[hardware]
device = "cpu"
threads = 1
"#;

/// How many runs the table of runs has.
fn compared(page: &str) -> usize {
    let runs = page.split("## Runs\n").nth(1).unwrap_or_default().split("\n## ").next().unwrap_or_default();
    runs.lines().filter(|line| line.contains("report.md)")).count()
}

fn older(page: &str) -> usize {
    let older = page.split("## Runs of another configuration\n").nth(1).unwrap_or_default();
    older.lines().filter(|line| line.contains("report.md)")).count()
}

#[test]
fn no_later_call_shrinks_a_comparison() {
    let shop = Shop::new();
    shop.experiment("a.toml", SWEEP);
    shop.run(&["a.toml"]).expect(0);
    let page = shop.read("reports/a.md");
    assert_eq!((compared(&page), older(&page)), (4, 0), "{page}");
    // A second call, and one of a part, which is trained anew.
    let call = shop.run(&["a.toml"]).expect(0);
    assert!(call.stdout.contains("4 skipped, done before"), "{}", call.stdout);
    assert_eq!(shop.read("reports/a.md"), page);
    shop.run(&["a.toml", "--only", "*noise=0.01*", "--again"]).expect(0);
    let page = shop.read("reports/a.md");
    assert_eq!(older(&page), 0, "{page}");
    assert!(page.contains("which is newer and counts") && compared(&page) >= 4, "{page}");
    // Some runs tried out with another value of a key.
    let call = shop.run(&["a.toml", "--only", "*noise=0.01*", "--set", "train.max_steps=30"]).expect(0);
    // Who trained them is told that the comparison is of others.
    let told = " of these runs are configured otherwise than their experiment and do not count there";
    assert!(call.stdout.contains(told), "{}", call.stdout);
    let page = shop.read("reports/a.md");
    assert_eq!(older(&page), 2, "{page}");
    assert!(page.contains("`train.max_steps`: `30`, above `60`"), "{page}");
    // All of them, as the file says now: these are the ones that count.
    shop.experiment("a.toml", &format!("{SWEEP}\n[schedule]\nwarmup_steps = 3\n"));
    shop.run(&["a.toml"]).expect(0);
    let page = shop.read("reports/a.md");
    assert_eq!(compared(&page), 4, "{page}");
    assert_eq!(older(&page), 8, "{page}");
    // From the runs alone the same is found, also where the plan is gone.
    for path in ["", "runs/a/plan.toml"] {
        if !path.is_empty() {
            fs::remove_file(shop.path().join(path)).unwrap();
        }
        let call = shop.run(&["compare", "a"]).expect(0);
        assert!(call.stdout.contains("8 runs of another configuration are listed apart"), "{}", call.stdout);
        assert_eq!(shop.read("reports/a.md"), page, "{path}");
    }
    // What is compared beside it does not take its place.
    shop.run(&["compare", "a/*noise=0.01*"]).expect(0);
    shop.run(&["a.toml", "--name", "kept"]).expect(0);
    assert_eq!(shop.read("reports/a.md"), page);
    assert!(shop.has("reports/kept.md"));
    let pages = fs::read_dir(shop.path().join("reports")).unwrap();
    let pages = pages.filter(|page| page.as_ref().unwrap().path().extension().is_some_and(|end| end == "md"));
    assert_eq!(pages.count(), 4, "a, kept, the part, and the index");
    shop.run(&["a.toml", "--name", "../out"]).expect(2);
}

#[test]
fn one_run_of_a_sweep_is_compared_with_the_others() {
    let shop = Shop::new();
    shop.experiment("a.toml", SWEEP);
    shop.run(&["prepare", "a.toml"]).expect(0);
    let names = shop.run(&["prepare", "a.toml"]).expect(0).stdout;
    for run in names.lines().take(3) {
        shop.run(&["exec", "-q", run]).expect(0);
    }
    let last = names.lines().nth(3).unwrap();
    shop.run(&["resume", "-q", last]).expect(0);
    let page = shop.read("reports/a.md");
    assert_eq!(compared(&page), 4, "{page}");
}

#[test]
fn what_people_write_is_shown_and_never_overwritten() {
    let shop = Shop::new();
    shop.experiment("a.toml", &format!("[experiment]\nhypothesis = \"Less noise.\"\n{SWEEP}"));
    shop.run(&["a.toml"]).expect(0);
    let missing = "The hypothesis has no conclusion yet";
    assert!(shop.read("reports/a.md").contains(missing));
    let run = "runs/a/floor_loss=0.05,noise=0,seed=1337";
    assert!(!shop.read(&format!("{run}/report.md")).contains(missing), "the comparison asks for it");

    let notes = "Look at <details> this.\n\n# Conclusion\n\nNoise *hardly* matters.\n";
    shop.write("reports/a.notes.md", notes);
    shop.write(&format!("{run}/notes.md"), "Mine.\n");
    shop.run(&["compare", "a"]).expect(0);
    shop.run(&["report"]).expect(0);
    let page = shop.read("reports/a.md");
    assert!(
        page.contains("### Conclusion\n\nNoise *hardly* matters.\n</details>") && !page.contains(missing),
        "{page}"
    );
    let (answer, notes_at) = (page.find("Of 4 settings").unwrap_or(0), page.find("## Notes").unwrap());
    assert!(answer < notes_at && notes_at < page.find("## Settings").unwrap(), "{page}");
    assert!(shop.read(&format!("{run}/report.md")).contains("## Notes\n\nMine.\n"));
    assert!(!shop.read("reports/README.md").contains("notes"), "{}", shop.read("reports/README.md"));

    shop.run(&["a.toml", "--again"]).expect(0);
    assert_eq!(shop.read("reports/a.notes.md"), notes);
    assert!(shop.read("reports/a.md").contains("Noise *hardly* matters."));
    // An archive brings them along.
    shop.run(&["export", run, "--format", "archive", "--out", "run.tar.zst"]).expect(0);
    shop.run(&["report", "run.tar.zst", "--runs-dir", "elsewhere"]).expect(0);
    assert!(
        shop.read(&run.replace("runs", "elsewhere").replace("seed=1337", "seed=1337/report.md"))
            .contains("Mine.")
    );
    shop.run(&["compare", "a", "--name", "a.notes"]).expect(2);
}

#[test]
fn the_best_run_and_a_tag_are_names_that_commands_take() {
    let shop = Shop::new();
    shop.write("lr.toml", format!("{REAL}\n[sweep.grid]\noptimizer.learning_rate = [1e-6, 1e-2]\n"));
    shop.run(&["lr.toml", "-q"]).expect(0);
    let best = "lr/learning_rate=0.01,seed=1337";
    for arguments in
        [&["generate", "lr", "a"][..], &["generate", "lr", "--best", "a"], &["generate", "lr@best", "a"]]
    {
        let call = shop.run(&[arguments, &["--max-new-tokens", "1"]].concat()).expect(0);
        call.says(&[best, "the best of the 2 runs of lr: lowest validation loss, "]);
    }
    let call = shop.run(&["tag", &format!("{best}@4"), "v1", "--note", "early"]).expect(0);
    assert!(call.stdout.starts_with(&format!("v1: {best}, step 4; SHA-256 ")), "{}", call.stdout);
    shop.run(&["tag", "lr", "lr"]).expect(2).says(&["there is an experiment of that name"]);
    shop.run(&["tag", "lr", "v1"]).expect(2).says(&["--force"]);
    // It outlives the checkpoint that it was made of, and the commands find it.
    fs::remove_dir_all(shop.path().join(format!("runs/{best}/checkpoints/step-000004"))).unwrap();
    shop.run(&["generate", "v1", "a", "--max-new-tokens", "1"]).expect(0).says(&["step 4, tagged v1"]);
    shop.run(&["export", "v1", "--format", "hf", "--out", "hf"]).expect(0);
    let list = shop.run(&["tag"]).expect(0).stdout;
    assert!(list.contains("v1") && list.contains(best) && list.contains("early"), "{list}");

    shop.write("next.toml", format!("{REAL}\n").replace("max_steps", "init_from = \"v1\"\nmax_steps"));
    shop.run(&["next.toml", "-q"]).expect(0);
    let manifest = shop.read("runs/next/seed=1337/manifest.toml");
    for part in [&format!("name = \"{best}\""), "step = 4", "given = \"run:v1\""] {
        assert!(manifest.contains(part), "{part}: {manifest}");
    }
    // The same once more is the same run.
    shop.run(&["next.toml", "-q"]).expect(0);
    assert!(!shop.has("runs/next/seed=1337-2"));
    shop.run(&["next.toml", "--set", "train.init_from=\"lr --best\""]).expect(0).says(&["begins from", best]);
    shop.run(&["tag", "--delete", "v1"]).expect(0);
    shop.run(&["generate", "v1", "a"]).expect(2);
}
