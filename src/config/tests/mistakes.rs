//! Mistakes of form, and whole error reports as a person sees them.

use super::{Folder, LoadOptions, assert_problem, errors, errors_with, plan, plans_with};

#[test]
fn a_report_tells_everything_at_once_in_the_order_of_the_lines() {
    let text = r#"learning_rate = 1e-3
[model]
n_embd = 100
n_head = 3
[training]
max_iters = 100
[optimizer]
lr = [1e-3, 1e-4]
[optimizer.adamw]
eps = 1e-8
[schedule]
warmup_ratio = 0.1
"#;
    let expected = r#"error: `learning_rate` stands outside of any section
 --> a.toml:1:1
  |
1 | learning_rate = 1e-3
  | ^^^^^^^^^^^^^
  = help: `learning_rate` belongs in [optimizer]

error: `model.n_embd` = 100 cannot be shared evenly by `model.n_head` = 3 heads
 --> a.toml:3:10
  |
3 | n_embd = 100
  |          ^^^
  = note: `model.n_head` is 3 (a.toml:4)
  = help: with 3 heads, n_embd = 99 or 102 would do

error: unknown section [training]
 --> a.toml:5:2
  |
5 | [training]
  |  ^^^^^^^^
  = help: did you mean [train]?

error: unknown key `max_iters` in [train]
 --> a.toml:6:1
  |
6 | max_iters = 100
  | ^^^^^^^^^
  = help: the key is `max_steps` (nanoGPT's `max_iters`)

error: unknown key `lr` in [optimizer]
 --> a.toml:8:1
  |
8 | lr = [1e-3, 1e-4]
  | ^^
  = help: the key is `learning_rate` (PyTorch's `lr`)

error: there is no section [optimizer.adamw]
 --> a.toml:9:12
  |
9 | [optimizer.adamw]
  |            ^^^^^
  = help: write kind = "adamw" and the other keys in [optimizer]

error: unknown key `warmup_ratio` in [schedule]
  --> a.toml:12:1
   |
12 | warmup_ratio = 0.1
   | ^^^^^^^^^^^^
   = help: the key is `warmup_steps` (Hugging Face's `warmup_ratio`); a share of all steps there, a number of steps here

7 problems in 1 file; nothing was started"#;
    assert_eq!(errors(text), expected);
}

#[test]
fn syntax_errors_are_explained_where_they_are() {
    assert_problem(
        "[optimizer]\nkind = adamw\n",
        2,
        &["this is not a value", "a string needs quotes: \"adamw\""],
    );
    assert_problem("[optimizer]\nkind =\n", 2, &["a value is missing"]);
    assert_problem("[model]\nbias = True\n", 2, &["lower case"]);
    assert_problem(
        "[model]\nn_layer = 1\nn_layer = 2\n",
        3,
        &["the key `n_layer` stands there twice", "the first is at", "a.toml:2"],
    );
    assert_problem(
        "[model]\n[train]\n[model] # x\n",
        3,
        &["[model] stands there twice", "a.toml:1", "below one header"],
    );
    assert_problem("[optimizer]\nlearning_rate = .1\n", 2, &["write 0.5, not .5"]);
    assert_problem("[model\nn_layer = 1\n", 1, &["unclosed table"]);
    assert_problem("[train]\nmax_steps = 5 // many\n", 2, &["a comment starts with #"]);
    let list = "[sweep.grid]\nmodel.n_layer = [1, 2\n[train]\nmax_steps = 5\n";
    assert_problem(list, 3, &["was the list above meant to end with `]`?"]);
    assert_problem("[experiment]\nname = \"x\n", 2, &["does not end on its line"]);
    assert_problem("[train]\nmax_steps: 5\n", 2, &["followed by `=`, not `:`", "write `key = value`"]);
    for (line, parts) in [
        ("beta1 = 0,9", ["a number has no comma", "write 0.9"]),
        ("beta1 = 0.9,", ["a line ends without `,`", "remove it"]),
        ("beta1 = 0.9;", ["a line ends without `,` or `;`", "remove it"]),
        ("decay_all = 1;", ["this is not a value", "ends without `;`: 1"]),
        ("beta1 = 1 beta2 = 2", ["follows the value", "a line of its own"]),
        ("beta1 = 0.9 0.8", ["follows the value", "a line of its own"]),
        ("beta1 = none", ["there is no `none`", "remove the line"]),
        ("beta1 = 3e-4f", ["not a number", "3e-4"]),
        ("beta1 == 0.9", ["one `=` is enough", "write `key = value`"]),
        ("kind = “sgd”", ["not a value", "quotes must be straight: \"sgd\""]),
        ("kind = 'it's'", ["the string ends before this", "between double quotes"]),
        ("kind = \"C:\\Users\"", ["a meaning of its own", "between single quotes"]),
        ("kind = [\"a\" \"b\"]", ["a comma is missing before this item", "write [1, 2, 3]"]),
        ("kind = \"\"\"sgd\n", ["does not end", "the three quotes"]),
        ("// kind", ["neither a key nor a section", "a comment starts with #"]),
        ("[train] max_steps = 5", ["follows the header", "on the lines below"]),
        ("{ \"train\": 5 }", ["looks like JSON", "[section]"]),
    ] {
        assert_problem(&format!("[optimizer]\n{line}\n"), 2, &parts);
    }
    let two = errors("[model]\nn_layer = one\nn_head = two\n");
    assert!(two.ends_with("2 problems in 1 file; nothing was started"), "{two}");
}

#[test]
fn wrong_structure_is_explained() {
    assert_problem("model = 5\n", 1, &["`model` is a section, not a key"]);
    assert_problem("[[model]]\nn_layer = 1\n", 1, &["single brackets"]);
    assert_problem("[zzzzzzzz]\n", 1, &["the sections are experiment, model"]);
    assert_problem("extends = 5\n", 1, &["`extends` must be a path or a list of paths"]);
    assert_problem("sweep = 1\n", 1, &["`sweep` is a section"]);
    assert_problem("[sweep]\noptimizer.learning_rate = [1]\n", 2, &["[sweep.grid]"]);
    assert_problem("[sweep.zip]\nmodel.n_layer = [1]\n", 1, &["[[sweep.zip]] with double brackets"]);
    assert_problem("[sweep]\nzip = [1]\n", 2, &["not a table of keys"]);
    assert_problem("[sweep.grid]\nmodel = [1]\n", 2, &["for example `model.preset`"]);
}

#[test]
fn sweeps_that_cannot_be_expanded_are_explained() {
    assert_problem("[sweep.grid]\nmodel.n_layer = []\n", 2, &["has no values"]);
    assert_problem(
        "[sweep.grid]\nmodel.n_layer = 3\n",
        2,
        &["needs a list of values", "set `n_layer` in [model]"],
    );
    assert_problem(
        "[sweep.grid]\nlr = [1]\n",
        2,
        &["unknown key `lr` in a sweep", "`optimizer.learning_rate`"],
    );
    assert_problem("[sweep.grid]\ntrain.batch_sise = [1]\n", 2, &["did you mean `train.batch_size`?"]);
    assert_problem("[sweep.grid]\nexperiment.name = [\"a\"]\n", 2, &["cannot be swept"]);
    assert_problem("[sweep.grid]\nmodel.n_layer = [1, \"2\"]\n", 2, &["not the string \"2\""]);
    let zip = "[[sweep.zip]]\nmodel.n_layer = [1, 2]\nmodel.n_embd = [64, 128, 256]\n";
    assert_problem(zip, 3, &["but `model.n_layer` has 2, `model.n_embd` has 3"]);
    let twice = "[sweep.grid]\nmodel.n_layer = [1]\n[[sweep.zip]]\nmodel.n_layer = [2]\n";
    assert_problem(twice, 4, &["`model.n_layer` is swept twice", "the other one is at a.toml:2"]);
}

#[test]
fn a_bad_point_is_reported_at_its_value() {
    let text = "[model]\nn_head = 4\n[sweep.grid]\nmodel.n_embd = [64, 66]\n";
    assert_problem(text, 4, &["--> a.toml:4:21", "`model.n_embd` = 66", "`model.n_head` is 4 (a.toml:2)"]);
}

#[test]
fn bad_overrides_are_explained() {
    let problem = |set: &str, parts: &[&str]| {
        let errors = errors_with("", &[set]);
        assert!(errors.ends_with("1 problem; nothing was started"), "{errors}");
        for part in parts {
            assert!(errors.contains(part), "`{part}` is not in:\n{errors}");
        }
    };
    problem("train.max_steps", &["needs a key, `=` and a value", "--> --set train.max_steps"]);
    problem("lr=1", &["unknown key `lr`", "the key is `optimizer.learning_rate` (PyTorch's `lr`)"]);
    problem("model.lr=1", &["`optimizer.learning_rate`"]);
    problem("max_steps=1", &["write `train.max_steps`"]);
    problem("train.max_steps=many", &["`many` is not a TOML value"]);
    problem("model.bias=True", &["write true"]);
    problem("hardware.requires=[cuda]", &["--set 'hardware.requires=[\"cuda\"]'"]);
    problem("optimizer.learning_rate=1e-3,many", &["is not a TOML value"]);
    problem("experiment.repeats=1,2", &["`experiment.repeats` cannot be swept", "give it one value"]);
    problem("optimizer.learning_rate=.1", &["write 0.1"]);
    problem("sweep.grid.train.max_steps=[1]", &["sweeps and `extends` stand in files"]);
    problem("train.max_steps=1\nfoo=2", &["is not a TOML value"]);
    let both = errors_with("", &["data.path=a", "data.corpus=salt-crown"]);
    assert!(both.contains("are both given"), "{both}");
}

#[test]
fn overrides_are_read_as_toml_or_else_as_a_string() {
    let plan = plans_with(
        "",
        &[
            "experiment.name=2024",
            "train.max_time=90m",
            "sample.prompts=[\"x\"]",
            "hardware.requires=[]",
            "train.max_steps=5",
            "train.max_steps = 6",
        ],
    )
    .remove(0);
    assert_eq!((plan.experiment.name.as_str(), plan.train.max_time.secs), ("2024", Some(5400.0)));
    assert_eq!((plan.sample.prompts, plan.train.max_steps), (vec!["x".to_owned()], 6));
}

#[test]
fn files_that_cannot_be_read_are_explained() {
    let folder = Folder::new(&[("bad.toml", ""), ("my exp.toml", "")]);
    std::fs::write(folder.path("latin.toml"), b"[experiment]\nname = \"caf\xe9\"\n").expect("writable");
    std::fs::create_dir(folder.path("folder")).expect("writable");
    let none = LoadOptions::default();
    let names = ["missing.toml", "*.toml", "folder", "latin.toml", "my exp.toml"];
    let errors = folder.errors(&names, &none);
    for part in [
        "there is no file `missing.toml`",
        "no file matches `*.toml`",
        "`folder` is a folder, not an experiment file",
        "name the files in it: folder/*.toml",
        "this is not UTF-8 text\n --> latin.toml:2:12",
        "the file's name \"my exp\" cannot be the name of the experiment",
        "5 problems in 5 files",
    ] {
        assert!(errors.contains(part), "`{part}` is not in:\n{errors}");
    }
    let nothing = folder.errors(&[], &none);
    assert!(nothing.contains("no experiment files are given"), "{nothing}");
}

#[test]
fn parents_that_are_missing_broken_or_circular_are_explained() {
    let folder = Folder::new(&[
        ("a.toml", "extends = \"nowhere.toml\"\n[optimizer]\nlr = 1\n"),
        ("b.toml", "extends = \"c.toml\"\n"),
        ("c.toml", "extends = \"b.toml\"\n"),
        ("d.toml", "extends = \"e.toml\"\n"),
        ("e.toml", "[model]\nn_layer = 0\n"),
        ("self.toml", "extends = \"self.toml\"\n"),
    ]);
    let none = LoadOptions::default();
    let missing = folder.errors(&["a.toml"], &none);
    assert!(missing.contains("there is no file `nowhere.toml`\n --> a.toml:1:11"), "{missing}");
    assert!(missing.contains("unknown key `lr`"), "{missing}");
    let circle = folder.errors(&["b.toml"], &none);
    assert!(circle.contains("in a circle: b.toml -> c.toml -> b.toml\n --> c.toml:1:11"), "{circle}");
    let own = folder.errors(&["self.toml"], &none);
    assert!(own.contains("in a circle: self.toml -> self.toml"), "{own}");
    // A parent's problem is the parent's, and is told once.
    let parent = folder.errors(&["d.toml", "e.toml"], &none);
    assert!(
        parent.contains("--> e.toml:2:11") && parent.ends_with("1 problem in 1 file; nothing was started"),
        "{parent}"
    );
}

#[test]
fn problems_of_all_files_come_in_one_report() {
    let folder = Folder::new(&[("a.toml", "[model]\nlayers = 2\n"), ("b.toml", "[model\n"), ("c.toml", "")]);
    let errors = folder.errors(&["a.toml", "b.toml", "c.toml"], &LoadOptions::default());
    assert!(errors.contains("--> a.toml:2:1") && errors.contains("--> b.toml:1:"), "{errors}");
    assert!(errors.ends_with("2 problems in 2 files; nothing was started"), "{errors}");
}

#[test]
fn windows_line_ends_tabs_and_wide_characters_are_fine() {
    assert_eq!(plan("\u{feff}[train]\r\nmax_steps = 5\r\n").train.max_steps, 5);
    assert_problem(
        "[experiment]\n\ttags = [\"ä\", 5]\r\n",
        2,
        &["--> a.toml:2:9", "must be a list of strings"],
    );
}

#[test]
fn characters_that_look_like_others_are_named_by_code_point_line_and_column() {
    let cases = [
        ("[train]\nmax_steps\u{a0}= 5\n", "a.toml:2:10", "U+00A0 (no-break space)", "an ordinary space"),
        ("[train]\n\u{200b}max_steps = 5\n", "a.toml:2:1", "U+200B (zero width space)", "delete it"),
        ("[optimizer]\nlearning_rate = 1e\u{2212}3\n", "a.toml:2:19", "U+2212 (minus sign)", "keyboard"),
        ("[train]\nmax_steps = 5\u{feff}\n", "a.toml:2:14", "U+FEFF (byte order mark)", "delete it"),
        ("[train]\n\u{feff}[model]\n", "a.toml:2:1", "U+FEFF (byte order mark)", "delete it"),
        ("[data]\ntokenizer = \u{201c}gpt2\u{201d}\n", "a.toml:2:13", "U+201C", "straight: \"gpt2\""),
        ("[data]\ntokenizer\u{ff1d}\"gpt2\"\n", "a.toml:2:10", "U+FF1D (wide equals sign)", "write ="),
        ("[data]\ntokenizer = \"gpt2\u{200b}\"\n", "a.toml:2:13", "U+200B (zero width space)", "delete it"),
    ];
    for (text, place, named, help) in cases {
        let problem = errors(text);
        for part in [place, named, help] {
            assert!(problem.contains(part), "{text:?}: {part}\n{problem}");
        }
        assert_eq!(problem.matches("error: ").count(), 1, "{problem}");
    }
    let problem = errors_with("", &["optimizer.learning_rate=1e\u{2212}3"]);
    assert!(problem.contains("U+2212 (minus sign)"), "{problem}");
    // At the head of a file a byte order mark is what some editors write, and in a string any character is the person's own.
    assert_eq!(plan("\u{feff}[train]\nmax_steps = 7\n").train.max_steps, 7);
    assert_eq!(plan("[experiment]\ndescription = \"a\u{a0}b\"\n").experiment.description, "a\u{a0}b");
}
