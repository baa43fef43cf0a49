//! The program as a whole, through its own binary.

mod bad_input;
mod commands;
mod cost;
mod doctor;
mod finetune;
mod interrupt;
mod outcomes;
mod readme;
mod shop;
mod snapshots;
mod survive;
mod training;
