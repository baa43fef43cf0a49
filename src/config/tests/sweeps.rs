//! Grids, zips, repeats, names of runs, and `--only`.

use super::{Folder, LoadOptions, errors, plans, plans_with};

fn names(text: &str) -> Vec<String> {
    plans(text).into_iter().map(|plan| plan.name).collect()
}

#[test]
fn a_grid_with_repeats_makes_one_run_per_value_and_seed() {
    let text = "[experiment]\nseed = 5\nrepeats = 2\n[sweep.grid]\noptimizer.learning_rate = [0.001, 1e-5]\n";
    let expected = [
        "learning_rate=0.001,seed=5",
        "learning_rate=0.001,seed=6",
        "learning_rate=1e-5,seed=5",
        "learning_rate=1e-5,seed=6",
    ];
    assert_eq!(names(text), expected);
    let plans = plans(text);
    assert_eq!((plans[3].experiment.seed, plans[3].repeat, plans[3].optimizer.learning_rate), (6, 1, 1e-5));
    let seed = plans[3].resolved_key("experiment.seed").expect("resolved");
    assert_eq!((seed.value.as_integer(), seed.source.ends_with("a.toml:2, repeat 1")), (Some(6), true));
}

#[test]
fn zips_go_together_and_combine_with_the_grid() {
    let text = "[sweep.grid]\nmodel.dropout = [0, 0.1]\n[[sweep.zip]]\nmodel.n_layer = [4, 6]\nmodel.n_embd = [256, 384]\n\
                [[sweep.zip]]\ntrain.batch_size = [1, 2, 3]\n";
    let plans = plans(text);
    assert_eq!(plans.len(), 2 * 2 * 3);
    assert!(plans.iter().all(|plan| plan.model.n_embd == plan.model.n_layer * 64));
    assert_eq!(plans[0].name, "dropout=0,n_layer=4,n_embd=256,batch_size=1,seed=1337");
    assert_eq!(plans[0].point[0].0, "model.dropout");
}

#[test]
fn long_lists_of_coefficients_keep_names_apart() {
    let long = "[8.2872, -23.5959, 17.3004], [4.1071, -2.9479, 0.5449]";
    let text = format!(
        "[optimizer]\nkind = \"muon\"\nns_steps = 3\n[sweep.grid]\noptimizer.ns_coefficients = \
         [[3.4445, -4.775, 2.0315], [{long}, [3.9487, -2.9089, 0.5518]], [{long}, [3.3184, -2.4885, 0.51]]]\n"
    );
    let names: Vec<String> = plans(&text).into_iter().map(|plan| plan.name).collect();
    assert_eq!(names[0], "ns_coefficients=3.4445+-4.775+2.0315,seed=1337");
    for name in &names[1..] {
        assert!(name.starts_with("ns_coefficients=8.2872+-23.5959+17.30+2more-"), "{name}");
        assert!(!name.contains("run="), "{name}");
    }
    assert_ne!(names[1], names[2]);
}

#[test]
fn of_a_path_the_last_two_parts_stand_in_the_name() {
    let text = "[sweep.grid]\ntrain.init_from = [\"../runs/quickstart/seed=1337\", \"gpt2\", \"\"]\n";
    let names = names(text);
    assert_eq!(names[0], "init_from=quickstart-seed-1337,seed=1337");
    assert!(names[1].starts_with("init_from=") && names[1].ends_with("-gpt2,seed=1337"), "{names:?}");
    assert_eq!(names[2], "init_from=none,seed=1337");
}

#[test]
fn leaf_names_that_two_sections_share_keep_their_section_in_the_name() {
    let text = "[sweep.grid]\noptimizer.kind = [\"adamw\", \"sgd\"]\ndata.path = [\"dir/a b.txt\"]\n";
    let names = names(text);
    assert!(names[0].starts_with("optimizer.kind=adamw,path="), "{names:?}");
    let safe = |c: char| c.is_ascii_alphanumeric() || "._+-=,".contains(c);
    assert!(names.iter().all(|name| name.chars().all(safe)), "{names:?}");
}

#[test]
fn a_swept_seed_is_named_once() {
    assert_eq!(names("[sweep.grid]\nexperiment.seed = [1, 2]\n"), ["seed=1", "seed=2"]);
}

#[test]
fn names_stay_short_and_distinct_when_values_are_long_or_look_alike() {
    let long = "x".repeat(300);
    let text = format!("[sweep.grid]\nsample.prompts = [[\"{long}a\"], [\"{long}b\"], [\"?\"], [\"!\"]]\n");
    let names = names(&text);
    assert!(names.iter().all(|name| name.len() <= 120), "{names:?}");
    assert_eq!(names.iter().collect::<std::collections::HashSet<_>>().len(), 4, "{names:?}");
}

#[test]
fn what_is_set_on_the_command_line_is_not_swept() {
    let text = "[sweep.grid]\noptimizer.learning_rate = [0.1, 0.2]\ntrain.batch_size = [1, 2]\n";
    let plans = plans_with(text, &["optimizer.learning_rate=0.5"]);
    assert_eq!(plans.len(), 2);
    assert!(plans.iter().all(|plan| plan.optimizer.learning_rate == 0.5 && plan.point.len() == 1));
    let zip = "[[sweep.zip]]\nmodel.n_layer = [4, 6]\nmodel.n_embd = [256, 384]\n";
    assert_eq!(plans_with(zip, &["model.n_layer=1"]).len(), 2);
    assert_eq!(plans_with(zip, &["model.preset=gpt2"]).len(), 1);
}

#[test]
fn huge_sweeps_are_refused_before_they_are_expanded() {
    let axis = |key: &str| format!("{key} = {:?}\n", (1..=2000).collect::<Vec<u32>>());
    let text = format!("[sweep.grid]\n{}{}", axis("train.batch_size"), axis("train.max_steps"));
    assert!(
        errors(&text).contains("these are 4,000,000 runs; at most 10,000 are allowed"),
        "{}",
        errors(&text)
    );
    let all = [
        "train.batch_size",
        "train.max_steps",
        "model.n_layer",
        "checkpoint.interval",
        "sample.interval",
        "experiment.seed",
    ];
    let text = format!("[sweep.grid]\n{}", all.map(|key| axis(key).replace("2000", "1000")).concat());
    assert!(
        errors(&text).contains("more runs than can be counted") || errors(&text).contains("at most 10,000")
    );
    let repeats = format!("[experiment]\nrepeats = 1000\n[sweep.grid]\n{}", axis("train.batch_size"));
    assert!(errors(&repeats).contains("these are 2,000,000 runs"), "{}", errors(&repeats));
}

#[test]
fn a_run_that_occurs_twice_is_an_error() {
    let errors = super::errors("[sweep.grid]\noptimizer.learning_rate = [1e-3, 0.001]\n");
    assert!(errors.contains("the same run more than once (1 pair)"), "{errors}");
    assert!(errors.contains("--> a.toml:2:11"), "{errors}");
    let seeds = super::errors("[experiment]\nrepeats = 2\n[sweep.grid]\nexperiment.seed = [1, 2]\n");
    assert!(seeds.contains("sweep the seed or repeat, not both"), "{seeds}");
}

#[test]
fn a_single_run_can_be_named_and_several_cannot_have_one_name() {
    assert_eq!(names("[experiment]\nrun = \"baseline,v1.2\"\n"), ["baseline,v1.2"]);
    assert_eq!(names("[experiment]\nrun = \"x\"\n[sweep.grid]\nmodel.n_layer = [1]\n"), ["x"]);
    let text = "[experiment]\nrun = \"x\"\nrepeats = 2\n[sweep.grid]\nmodel.n_layer = [1, 2]\n";
    super::assert_problem(
        text,
        2,
        &[
            "4 runs cannot all be called \"x\"",
            "the sweep is at a.toml:5",
            "`experiment.repeats` is 2 (a.toml:3)",
            "leave `run` empty",
        ],
    );
    assert_eq!(plans_with(text, &["experiment.run="]).len(), 4);
    let set = super::errors_with("", &["experiment.run=x", "experiment.repeats=3"]);
    assert!(set.contains("3 runs cannot all be called \"x\"\n --> --set experiment.run=x"), "{set}");
}

#[test]
fn a_name_that_tells_another_seed_is_an_error() {
    let text = "[experiment]\nrun = \"n_layer=1,seed=7\"\nseed = 7\n";
    assert_eq!(names(text), ["n_layer=1,seed=7"]);
    let other = super::errors_with(text, &["experiment.seed=8"]);
    assert!(other.contains("is called \"n_layer=1,seed=7\", but its seed is 8"), "{other}");
    assert_eq!(plans_with(text, &["experiment.seed=8", "experiment.run="])[0].name, "seed=8");
}

#[test]
fn two_experiments_with_one_name_are_an_error() {
    let folder = Folder::new(&[("a.toml", ""), ("b.toml", "[experiment]\nname = \"A\"\n")]);
    let errors = folder.errors(&["a.toml", "b.toml"], &LoadOptions::default());
    assert!(errors.contains("two experiments are called \"A\"\n --> b.toml"), "{errors}");
    assert!(errors.contains("the other one is a.toml"), "{errors}");
}

#[test]
fn only_keeps_what_it_names_and_says_what_there_is() {
    let folder = Folder::new(&[("a.toml", "[sweep.grid]\ntrain.batch_size = [1, 2]\n"), ("b.toml", "")]);
    let load = |only: &[&str]| {
        let options = LoadOptions {
            only: only.iter().map(|only| only.to_string()).collect(),
            ..LoadOptions::default()
        };
        folder.load(&["a.toml", "b.toml"], &options)
    };
    let count = |only: &[&str]| load(only).expect("valid").len();
    assert_eq!((count(&["a"]), count(&["b"]), count(&["a", "b"]), count(&["*"])), (2, 1, 3, 3));
    assert_eq!((count(&["batch_size=1,*"]), count(&["a/*=2,*"]), count(&["seed=1337"])), (1, 1, 1));
    let errors = load(&["a", "nothing"]).expect_err("an error").to_string();
    assert!(errors.contains("no experiment or run is called `nothing`\n --> --only nothing"), "{errors}");
    assert!(errors.contains("experiments: a, b") && errors.contains("batch_size=1,seed=1337"), "{errors}");
}

#[test]
fn several_values_after_set_are_an_axis_of_the_grid() {
    let rates = |set: &[&str]| -> Vec<f64> {
        plans_with("[optimizer]\nlearning_rate = 1.0\n", set)
            .iter()
            .map(|plan| plan.optimizer.learning_rate)
            .collect()
    };
    assert_eq!(rates(&["optimizer.learning_rate=1e-3,3e-3"]), [1e-3, 3e-3]);
    assert_eq!(rates(&["optimizer.learning_rate=[1e-3, 3e-3]"]), [1e-3, 3e-3]);
    // The last one of a key wins.
    assert_eq!(rates(&["optimizer.learning_rate=1e-3,3e-3", "optimizer.learning_rate=5e-3"]), [5e-3]);
    assert_eq!(rates(&["optimizer.learning_rate=5e-3", "optimizer.learning_rate=1e-3,3e-3"]), [1e-3, 3e-3]);
    let words = plans_with("", &["schedule.kind=linear, cosine", "model.bias=true,false"]);
    let names: Vec<&str> = words.iter().map(|plan| plan.name.as_str()).collect();
    assert_eq!(words.len(), 4);
    assert!(names.iter().all(|name| name.contains("bias=")), "{names:?}");
    // Beside the sweep of the file, and in place of its values for the same key.
    let file = "[sweep.grid]\nmodel.n_layer = [1, 2]\noptimizer.learning_rate = [1.0, 2.0, 3.0]\n";
    assert_eq!(plans_with(file, &["optimizer.learning_rate=1e-3,3e-3"]).len(), 4);
    // Runs that the file has already keep their names, so that they are not trained again.
    let names =
        |set: &[&str]| -> Vec<String> { plans_with(file, set).into_iter().map(|plan| plan.name).collect() };
    let (own, set) = (names(&[]), names(&["model.n_layer=2,3"]));
    assert_eq!(set.iter().filter(|name| own.contains(name)).count(), 3, "{own:?} {set:?}");
    // Of keys that go together in the file the others stay.
    let zip = "[[sweep.zip]]\nmodel.n_layer = [1, 2]\noptimizer.learning_rate = [1.0, 2.0]\n";
    assert_eq!(plans_with(zip, &["model.n_layer=2,3,4"]).len(), 6);
    // A comma in a text is a comma.
    assert_eq!(plans_with("", &["experiment.description=one, two"])[0].experiment.description, "one, two");
}
