//! The program as a whole, through its own binary.

mod bad_input;
mod commands;
mod cost;
mod doctor;
mod export;
mod finetune;
mod generate;
mod interrupt;
mod outcomes;
mod readme;
mod serve;
mod shop;
mod snapshots;
mod survive;
mod training;
