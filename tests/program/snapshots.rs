//! The report and the comparison of scripted runs, word by word. What differs between machines and days is blanked.

use crate::shop::Shop;

/// Runs differ in these between machines, days and versions.
const BLANKED: &[(&str, &str)] = &[
    (r"\d{4}-\d{2}-\d{2} \d{2}:\d{2} UTC", "[time]"),
    (r"\d{4}-\d{2}-\d{2}", "[day]"),
    (r"(?m)^\S*runner(\.exe)? ", "runner "),
    (r"(?m)^\| Host .*$", "| Host | [host] |"),
    (r"(?m)^\| Software .*$", "| Software | [software] |"),
    (r"(?m)^\| Started, ended .*$", "| Started, ended | [times] |"),
    (r"(?m)^\| Data .*$", "| Data | [data] |"),
    (r"(?m)^\| -[-: |]*$", "| --- |"),
];

fn assert_snapshot(name: &str, text: &str) {
    let mut settings = insta::Settings::clone_current();
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    for (pattern, replacement) in BLANKED {
        settings.add_filter(pattern, *replacement);
    }
    settings.bind(|| insta::assert_snapshot!(name, text));
}

#[test]
fn the_report_of_a_run_that_reaches_its_target() {
    let shop = Shop::new();
    shop.experiment(
        "reach.toml",
        "[experiment]\ndescription = \"Does it get there?\"\nhypothesis = \"In 25 steps.\"\n\
         [target]\nthreshold = 0.5\n\
         [reference]\nname = \"a published run\"\nhardware = \"one T4\"\nfinal_loss = 0.48\nsteps = 30\nsecs = 12\n\
         curve = [[0, 5.0], [10, 2.0], [30, 0.48]]\n",
    );
    shop.run(&["reach.toml"]).expect(0);
    assert_snapshot("report", &shop.read("runs/reach/seed=1337/report.md"));
}

#[test]
fn the_comparison_of_a_sweep_with_seeds_and_a_run_that_diverges() {
    let shop = Shop::new();
    shop.experiment(
        "sweep.toml",
        "[experiment]\nrepeats = 2\n[target]\nthreshold = 0.5\n\
         [[sweep.zip]]\nscripted.initial_loss = [4.0, 5.0, 6.0]\nscripted.diverge_at = [0, 0, 9]\n",
    );
    shop.run(&["sweep.toml", "--set", "scripted.noise=0.01"]).expect(4);
    assert_snapshot("comparison", &shop.read("reports/sweep.md"));
    assert_snapshot("index", &shop.read("reports/README.md"));
}
