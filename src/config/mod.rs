//! From TOML files to validated [`RunPlan`](experiment::RunPlan)s.

pub mod experiment;
