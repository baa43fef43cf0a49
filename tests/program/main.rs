//! The program as a whole, through its own binary.

mod attack;
mod bad_input;
mod brought;
mod commands;
mod corpora;
mod cost;
mod damaged;
mod doctor;
mod eval;
mod export;
mod failures;
mod finetune;
mod generate;
mod interrupt;
mod listing;
mod outcomes;
mod readme;
mod serve;
mod shop;
mod snapshots;
mod survive;
mod together;
mod training;
mod unfinished;
mod watch;
