//! `ls`, `rm`, `prune`: which runs there are, and making room.

use crate::shop::Shop;

fn sweep() -> Shop {
    let shop = Shop::new();
    shop.experiment(
        "a.toml",
        "[experiment]\ntags = [\"cpu\"]\n[sweep.grid]\noptimizer.learning_rate = [1e-3, 1e-4]\n",
    );
    shop.experiment("b.toml", "[target]\nthreshold = 0.5\n");
    shop.run(&["a.toml", "b.toml"]).expect(0);
    shop
}

fn names(list: &str) -> Vec<&str> {
    list.lines().skip(1).filter_map(|line| line.split_whitespace().next()).collect()
}

#[test]
fn ls_filters_sorts_and_prints_for_other_programs() {
    let shop = sweep();
    let list = |arguments: &[&str]| shop.run(&[&["ls"], arguments].concat()).expect(0).stdout;
    let (low, high) = ("a/learning_rate=0.0001,seed=1337", "a/learning_rate=0.001,seed=1337");
    assert_eq!(names(&list(&["a"])).len(), 2);
    assert_eq!(names(&list(&["--tag", "cpu", "--where", "optimizer.learning_rate=1e-3"])), [high]);
    assert_eq!(names(&list(&["--where", "learning_rate<=0.0001"])), [low]);
    assert_eq!(names(&list(&["--status", "target-reached"])), ["b/seed=1337"]);
    assert_eq!(names(&list(&["a", "--sort", "optimizer.learning_rate"])), [low, high]);
    assert_eq!(names(&list(&["a", "--sort", "-optimizer.learning_rate"])), [high, low]);
    assert!(list(&["--tag", "none"]).contains("none of the 3 runs"));

    let json: serde_json::Value =
        serde_json::from_str(&list(&["a", "--json", "--sort", "learning_rate"])).unwrap();
    assert_eq!(json[1]["point"]["optimizer.learning_rate"], 0.001);
    assert_eq!((&json[0]["status"], &json[0]["step"]), (&"finished".into(), &60.into()));
    assert!(json[0]["train_loss"].as_f64().is_some_and(|loss| loss < 1.0) && json[0]["val_loss"].is_null());
    let csv = list(&["--csv"]);
    let widths: Vec<usize> = csv.lines().map(|line| line.split(',').count()).collect();
    assert!(csv.starts_with("experiment,run,status,") && widths.len() == 4, "{csv}");

    shop.run(&["ls", "--where", "optimizer.learning_rat=1"])
        .expect(2)
        .says(&["did you mean optimizer.learning_rate"]);
    shop.run(&["ls", "--where", "learning_rate"]).expect(2).says(&["KEY=VALUE"]);
    shop.run(&["ls", "--status", "gone"]).expect(2).says(&["interrupted"]);
}

#[test]
fn ls_reads_the_newest_loss_of_a_run_that_was_killed() {
    let shop = sweep();
    let manifest = shop.read("runs/b/seed=1337/manifest.toml");
    let without_results: String =
        manifest.split("\n[").filter(|table| !table.starts_with("results]")).collect::<Vec<_>>().join("\n[");
    let running = without_results.replacen("status = \"finished\"", "status = \"running\"", 1);
    shop.write("runs/b/seed=1337/manifest.toml", running);
    let metrics = shop.read("runs/b/seed=1337/metrics.csv");
    let rows: Vec<&str> = metrics.lines().collect();
    shop.write("runs/b/seed=1337/metrics.csv", format!("{}\n{}", rows[..12].join("\n"), &rows[12][..9]));
    let list = shop.run(&["ls", "b"]).expect(0).stdout;
    let row = list.lines().nth(1).unwrap();
    assert!(row.contains("interrupted (killed)") && row.contains(" 11/60 "), "{list}");
    let json: serde_json::Value =
        serde_json::from_str(&shop.run(&["ls", "b", "--json"]).expect(0).stdout).unwrap();
    assert!(json[0]["train_loss"].as_f64().is_some_and(|loss| loss > 0.5), "{json}");
}

#[test]
fn runs_go_to_the_trash_and_come_back() {
    let shop = sweep();
    shop.run(&["rm"]).expect(2).says(&["name the runs"]);
    // Nobody can be asked.
    shop.run(&["rm", "a"]).expect(2).says(&["--yes"]);
    let told = shop.run(&["rm", "a", "--dry-run"]).expect(0).stdout;
    assert!(
        told.contains("2 runs, ") && told.contains("iB") && told.contains("nothing was changed"),
        "{told}"
    );
    assert_eq!(names(&shop.run(&["ls"]).expect(0).stdout).len(), 3);
    shop.run(&["rm", "a", "--yes"]).expect(0);
    assert_eq!(names(&shop.run(&["ls"]).expect(0).stdout), ["b/seed=1337"]);
    shop.run(&["report", "a"]).expect(2);
    shop.run(&["rm", "--restore", "c"])
        .expect(2)
        .says(&["not in the trash", "a/learning_rate=0.001,seed=1337"]);
    shop.run(&["rm", "--restore", "a/learning_rate=0.001,seed=1337"]).expect(0);
    assert_eq!(names(&shop.run(&["ls", "a"]).expect(0).stdout), ["a/learning_rate=0.001,seed=1337"]);
    shop.run(&["rm", "--empty-trash"]).expect(2);
    assert!(shop.run(&["rm", "--empty-trash", "-y"]).expect(0).stdout.contains("1 run in the trash"));
    assert!(!shop.has("runs/.trash"));
}

#[test]
fn prune_keeps_the_checkpoint_that_is_asked_for_and_what_resuming_needs() {
    let shop = sweep();
    let steps = |run: &str| {
        let folder = shop.path().join("runs").join(run).join("checkpoints");
        let entries =
            std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut steps: Vec<String> = entries.filter(|name| name.starts_with("step-")).collect();
        steps.sort();
        steps
    };
    let run = "a/learning_rate=0.001,seed=1337";
    let before = steps(run);
    assert!(before.len() > 1, "{before:?}");
    let told = shop.run(&["prune", "a", "--dry-run"]).expect(0).stdout;
    assert!(told.contains("frees") && told.contains("keeps 60"), "{told}");
    assert_eq!(steps(run), before);
    // One that is not at its end resumes from its last checkpoint.
    let manifest = shop.read("runs/a/learning_rate=0.001,seed=1337/manifest.toml");
    shop.write(
        "runs/a/learning_rate=0.001,seed=1337/manifest.toml",
        manifest.replacen("status = \"finished\"", "status = \"interrupted\"", 1),
    );
    shop.write("runs/a/learning_rate=0.001,seed=1337/checkpoints/best", "step-000040\n");
    let told = shop.run(&["prune", "a", "-y"]).expect(0).stdout;
    assert!(told.contains("freed"), "{told}");
    assert_eq!(steps("a/learning_rate=0.0001,seed=1337"), ["step-000060"]);
    assert_eq!(steps(run), ["step-000040", "step-000060"]);
    shop.run(&["resume", run]).expect(0);
    shop.run(&["prune", "a", "--keep", "last", "-y"]).expect(0);
    assert_eq!(steps(run), ["step-000060"]);
    assert!(shop.run(&["prune", "a"]).expect(0).stdout.contains("no checkpoint to delete"));
}

#[test]
fn plan_says_what_is_done_and_which_key_makes_runs_new() {
    let shop = sweep();
    let plan = |arguments: &[&str]| shop.run(&[&["plan", "a.toml"], arguments].concat()).expect(0).stdout;
    assert!(plan(&[]).contains("2 runs, all valid: 2 done") && plan(&[]).contains("nothing to train"));
    let text = plan(&["--set", "optimizer.weight_decay=0.5"]);
    assert!(text.contains("2 runs are new because the configuration changed"), "{text}");
    assert!(text.contains("optimizer.weight_decay: ") && text.contains("-> 0.5  (2 runs)"), "{text}");
    assert!(text.contains("to train: 2 runs, 120 steps, 3,840 tokens"), "{text}");
    assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
    let json: serde_json::Value =
        serde_json::from_str(&plan(&["--json", "--set", "optimizer.weight_decay=0.5"])).unwrap();
    assert_eq!((&json["counts"]["new"], &json["to_train"]["steps"]), (&2.into(), &120.into()));
    assert_eq!(json["runs"][0]["changed"][0]["key"], "optimizer.weight_decay");
    assert!(plan(&["--again"]).contains("all valid: 2 new"));
}

#[test]
fn a_sweep_of_many_runs_ends_with_its_best_settings_and_no_line_for_each_run() {
    let shop = Shop::new();
    shop.experiment(
        "a.toml",
        "[experiment]\nrepeats = 2\n[sweep.grid]\noptimizer.learning_rate = [1e-3, 1e-4, 1e-5]\n",
    );
    let call = shop.run(&["a.toml"]).expect(0);
    assert!(!call.stdout.contains("report.md"), "{}", call.stdout);
    assert!(call.stdout.contains("BEST SETTINGS") && call.stdout.contains("6 runs in "), "{}", call.stdout);
    assert!(call.stdout.trim_end().ends_with("comparison: reports/a.md"), "{}", call.stdout);
    // One line for each run that came to its end, and none for each validation.
    assert_eq!(call.stderr.matches("Finished after 60 steps").count(), 6, "{}", call.stderr);
    assert!(call.stderr.contains("[6/6] ") && call.stderr.lines().count() <= 8, "{}", call.stderr);
}
