//! `runner` trains GPT-2-style language models from TOML experiment files and writes down what happened.

pub mod config;
pub mod data;
pub mod engine;
pub mod event;
pub mod generate;
pub mod metric;
pub mod model;
pub mod monitor;
pub mod ops;
pub mod optim;
pub mod report;
pub mod stats;
pub mod store;
pub mod units;
