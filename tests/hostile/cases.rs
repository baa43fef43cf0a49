//! How many cases are tried.

use proptest::test_runner::Config;

/// `few` cases, or as many as the environment variable `RUNNER_FUZZ_CASES` says.
pub fn cases(few: u32) -> Config {
    let told = std::env::var("RUNNER_FUZZ_CASES").ok();
    let told = told.map(|text| text.parse().expect("RUNNER_FUZZ_CASES is a number of cases"));
    // A case that fails prints itself whole; nothing is kept in files beside the tests.
    Config { cases: told.unwrap_or(few), failure_persistence: None, ..Config::default() }
}
